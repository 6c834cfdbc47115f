"""Pictures, volumes, videos, folders and archives become studies; bad input becomes one clear sentence."""

from __future__ import annotations

import gzip
import logging
import struct
import traceback
import zipfile
import zlib
from pathlib import Path

import imageio_ffmpeg
import nibabel as nib
import numpy as np
import pytest
from PIL import Image as Picture

from medvlm.errors import StudyError
from medvlm.studies import Limits, load_study
from medvlm.studies.codestream import stated_size

VOLUMES = Path(__file__).parents[2] / "shared/data/volumes"


def gradient(height: int = 12, width: int = 16) -> np.ndarray:
    return np.arange(height * width, dtype=np.uint8).reshape(height, width)


def png_header(width: int, height: int) -> bytes:
    """A PNG that states a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def write_video(path: Path, frames: int = 30, size: tuple[int, int] = (64, 48)) -> Path:
    """Frames that grow brighter."""
    writer = imageio_ffmpeg.write_frames(str(path), size, fps=10, macro_block_size=1, quality=8)
    writer.send(None)
    for number in range(frames):
        writer.send(np.full((size[1], size[0], 3), number * 8 % 256, np.uint8))
    writer.close()
    return path


def refusal(paths: object, limits: Limits | None = None) -> str:
    """The message of the refusal, after checks that hold for every one of them."""
    with pytest.raises(StudyError) as caught:
        load_study(paths, limits) if limits else load_study(paths)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and "/tmp" not in message and len(message) < 250
    text = "".join(traceback.format_exception(caught.value))
    assert "During handling" not in text and "direct cause" not in text
    return message


# pictures


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_grey_pictures_keep_their_values(tmp_path: Path, suffix: str) -> None:
    Picture.fromarray(gradient()).save(tmp_path / f"a.{suffix}")
    study = load_study(tmp_path / f"a.{suffix}")
    assert study.kind == "picture" and study.modality is None and study.images[0].spacing_mm is None
    np.testing.assert_array_equal(study.images[0].pixels, gradient())


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_lossy_pictures_are_close(tmp_path: Path, suffix: str) -> None:
    smooth = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    Picture.fromarray(np.dstack([smooth] * 3)).save(tmp_path / f"a.{suffix}", quality=95)
    pixels = load_study(str(tmp_path / f"a.{suffix}")).images[0].pixels
    assert pixels.shape == (64, 64, 3) and np.abs(pixels.astype(int) - smooth[..., None]).mean() < 2


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "1", "LA"])
def test_modes_become_grey_or_rgb(tmp_path: Path, mode: str) -> None:
    Picture.new("RGB", (5, 4), (200, 0, 0)).convert(mode).save(
        tmp_path / "a.tif" if mode == "CMYK" else tmp_path / "a.png"
    )
    pixels = load_study(next(tmp_path.iterdir())).images[0].pixels
    assert pixels.dtype == np.uint8 and pixels.shape == ((4, 5) if mode in ("1", "LA") else (4, 5, 3))
    if mode in ("RGB", "RGBA", "CMYK"):
        np.testing.assert_array_equal(pixels[0, 0], (200, 0, 0))


def test_transparent_pixels_lie_over_black(tmp_path: Path) -> None:
    rgba = np.full((2, 2, 4), 200, np.uint8)
    rgba[0, 0, 3], rgba[1, 1, 3] = 0, 255
    Picture.fromarray(rgba).save(tmp_path / "a.png")
    pixels = load_study(tmp_path / "a.png").images[0].pixels
    assert pixels[0, 0].tolist() == [0, 0, 0] and pixels[1, 1].tolist() == [200, 200, 200]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_deep_grey_is_windowed(tmp_path: Path, suffix: str) -> None:
    deep = np.linspace(1000, 3000, 400).astype(np.uint16).reshape(20, 20)
    deep[0, 0], deep[-1, -1] = 0, 65535  # outliers that must not flatten the rest
    Picture.fromarray(deep).save(tmp_path / f"a.{suffix}")
    pixels = load_study(tmp_path / f"a.{suffix}").images[0].pixels
    assert pixels.shape == (20, 20) and pixels[0, 0] == 0 and pixels[-1, -1] == 255
    assert abs(int(pixels[10, 0]) - 128) < 4


def test_deep_tiff_whose_zero_is_white_is_inverted(tmp_path: Path) -> None:
    deep = np.linspace(0, 60000, 400).astype(np.uint16).reshape(20, 20)
    Picture.fromarray(deep).save(tmp_path / "a.tif", tiffinfo={262: 0})
    pixels = load_study(tmp_path / "a.tif").images[0].pixels
    assert pixels[0, 0] == 255 and pixels[-1, -1] == 0


def test_colours_of_sixteen_bits_keep_the_high_byte(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", np.full((4, 5, 3), 0xC812, np.uint16), photometric="rgb")
    np.testing.assert_array_equal(load_study(tmp_path / "a.tif").images[0].pixels, np.full((4, 5, 3), 0xC8))


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_exif_turn_is_applied(tmp_path: Path, suffix: str) -> None:
    picture = Picture.new("L", (40, 20))
    picture.paste(255, (0, 0, 10, 10))  # top left as stored
    exif = Picture.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    picture.save(tmp_path / f"a.{suffix}", exif=exif)
    image = load_study(tmp_path / f"a.{suffix}").images[0]
    assert image.size == (40, 20) and image.rgb[4, 15, 0] > 200 and image.rgb[4, 4, 0] < 50


def test_pages_of_a_tiff_are_images(tmp_path: Path) -> None:
    pages = [Picture.fromarray(gradient() + n) for n in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    study = load_study(tmp_path / "a.tif")
    assert study.kind == "series" and [image.pixels[0, 0] for image in study.images] == [0, 1, 2]


def test_content_decides_not_the_extension(tmp_path: Path) -> None:
    Picture.fromarray(gradient()).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "scan.dcm")
    np.testing.assert_array_equal(load_study(tmp_path / "scan.dcm").images[0].pixels, gradient())


# several files, folders, archives


def test_several_pictures_are_one_study_in_the_given_order(tmp_path: Path) -> None:
    for n in (1, 2):
        Picture.new("L", (4, 4), n).save(tmp_path / f"{n}.png")
    study = load_study([tmp_path / "2.png", str(tmp_path / "1.png")])
    assert study.kind == "series" and [image.pixels[0, 0] for image in study.images] == [2, 1]


def test_folder_is_sorted_as_people_count_and_leaves_notes_out(tmp_path: Path) -> None:
    for n in (10, 9, 1):
        Picture.new("L", (4, 4), n).save(tmp_path / f"slice {n}.png")
    (tmp_path / "notes.txt").write_text("left knee")
    (tmp_path / ".hidden.png").write_bytes(b"junk")
    study = load_study(tmp_path)
    assert [image.pixels[0, 0] for image in study.images] == [1, 9, 10]
    assert study.metadata["note"] == "Files left out as no images: 1."
    assert "slice 1.png" not in repr(study.metadata) + study.images[0].name


def test_zip_is_read_like_a_folder(tmp_path: Path) -> None:
    for n in (1, 2, 11):
        Picture.new("L", (4, 4), n).save(tmp_path / f"{n}.png")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for n in (11, 2, 1):
            archive.write(tmp_path / f"{n}.png", f"study/{n}.png")
        archive.writestr("__MACOSX/1.png", "junk")
    study = load_study(tmp_path / "a.zip")
    assert [image.pixels[0, 0] for image in study.images] == [1, 2, 11] and "note" not in study.metadata


# animations and videos


def test_gif_is_sampled(tmp_path: Path) -> None:
    frames = [Picture.new("L", (8, 6), n * 2) for n in range(100)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    study = load_study(tmp_path / "a.gif", Limits(video_frames=10))
    values = [int(image.pixels[0, 0, 0]) for image in study.images]
    assert study.kind == "video" and len(values) == 10 and values[0] == 0 and values[-1] == 198
    assert study.metadata["note"] == "10 of 100 frames are shown."


@pytest.mark.parametrize("suffix", ["mp4", "avi", "mkv"])
def test_video_is_sampled(tmp_path: Path, suffix: str) -> None:
    study = load_study(write_video(tmp_path / f"a.{suffix}"), Limits(video_frames=8))
    values = [float(image.pixels.mean()) for image in study.images]
    assert study.kind == "video" and 6 <= len(values) <= 8 and study.images[0].size == (48, 64)
    assert values == sorted(values) and values[-1] > 150
    assert study.images[0].name == f"frame 1 of {len(values)}"


# NIfTI


def write_nifti(path: Path, codes: str, zooms: tuple[float, float, float] = (1, 1, 1), dtype: type = np.int16) -> Path:
    """30 x 40 x 20 voxels (x, y, z in the patient) with a marker to the right, front and bottom, in any axis order."""
    volume = np.zeros((30, 40, 20), dtype)  # RAS+
    volume[25:30, 35:40, 0:2] = 100  # right, anterior, inferior
    image = nib.Nifti1Image(volume, np.diag([*zooms, 1.0]))
    turn = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(codes))
    nib.save(image.as_reoriented(turn), path)
    return path


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "PIR", "SAL", "ASR"])
def test_axial_slices_are_shown_as_radiologists_see_them(tmp_path: Path, codes: str) -> None:
    study = load_study(write_nifti(tmp_path / "v.nii.gz", codes, (1.0, 0.5, 1.2)))
    assert study.kind == "volume" and len(study.images) == 20 and study.images[0].size == (40, 30)
    assert study.images[0].spacing_mm == (0.5, 1.0)  # row step along y, column step along x
    assert study.metadata["orientation"] == ["L", "P"] and study.metadata["slice_order"] == "inferior to superior"
    first = study.images[0].pixels  # inferior: the patient's right on the left, anterior on top
    assert first[:5, :5].min() == 255 and first[5:].max() == 0 and first[:, 5:].max() == 0
    assert study.images[-1].pixels.max() == 0


@pytest.mark.parametrize("codes", ["RAS", "ASL"])
def test_the_coarsest_axis_is_the_slice_axis(tmp_path: Path, codes: str) -> None:
    coronal = load_study(write_nifti(tmp_path / "c.nii", codes, (1, 4, 1.1)))
    assert coronal.metadata["plane"] == "coronal" and coronal.images[0].size == (20, 30)
    assert coronal.images[0].spacing_mm == (1.1, 1.0) and coronal.metadata["slice_spacing_mm"] == 4
    assert coronal.images[0].pixels[-2:, :5].min() == 255 and coronal.images[-1].pixels.max() == 0  # anterior first
    sagittal = load_study(write_nifti(tmp_path / "s.nii", codes, (5, 1, 1)))
    assert sagittal.metadata["plane"] == "sagittal" and sagittal.images[0].size == (20, 40)
    assert sagittal.images[-1].pixels[-2:, :5].min() == 255 and sagittal.images[0].pixels.max() == 0  # left first


def test_hounsfield_values_get_the_soft_tissue_window(tmp_path: Path) -> None:
    volume = np.full((4, 4, 4), -1000, np.int16)
    volume[0, 0, 0], volume[1, 0, 0], volume[2, 0, 0] = -160, 40, 400
    nib.save(nib.Nifti1Image(volume, np.diag([-1, -1, 1, 1])), tmp_path / "v.nii")  # stored as shown
    study = load_study(tmp_path / "v.nii")
    assert study.modality == "ct" and study.metadata["window"] == [-160, 240]
    assert study.images[0].pixels[0].tolist() == [0, 128, 255, 0]


def test_scaling_and_first_of_several_volumes(tmp_path: Path) -> None:
    series = np.zeros((4, 5, 6, 3), np.int16)
    series[..., 0] = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    image = nib.Nifti1Image(series, np.eye(4))
    image.header.set_slope_inter(2.0, -1000.0)
    nib.save(image, tmp_path / "v.nii")
    study = load_study(tmp_path / "v.nii")
    assert len(study.images) == 6 and study.modality == "ct" and "first of 3 volumes" in study.metadata["note"]


def test_unstated_orientation_is_said(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.arange(27, dtype=np.int16).reshape(3, 3, 3), None)
    image.header.set_sform(None, 0)
    image.header.set_qform(None, 0)
    nib.save(image, tmp_path / "v.nii")
    assert "left and right may be exchanged" in load_study(tmp_path / "v.nii").metadata["note"]


def test_a_few_invalid_numbers_are_black(tmp_path: Path) -> None:
    volume = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    volume[0, 0, 0] = np.nan
    nib.save(nib.Nifti1Image(volume, np.diag([-1, -1, 1, 1])), tmp_path / "v.nii")
    study = load_study(tmp_path / "v.nii")
    assert study.images[0].pixels[0, 0] == 0 and "NaN" in study.metadata["note"]


@pytest.mark.skipif(not VOLUMES.is_dir(), reason=f"shared volumes are not at {VOLUMES.name}")
def test_shared_volumes() -> None:
    torso = load_study(VOLUMES / "ct_torso.nii.gz")
    assert torso.modality == "ct" and len(torso.images) == 30 and torso.images[0].spacing_mm == (3.0, 3.0)
    organs = load_study(VOLUMES / "ct_torso_seg.nii.gz")
    volume = nib.load(VOLUMES / "ct_torso_seg.nii.gz")
    liver = np.asarray(volume.dataobj) == 5  # TotalSegmentator's label
    shown = organs.images[20].pixels[np.flip(liver[..., 20], (0, 1)).T]
    assert len(np.unique(shown)) == 1 and shown[0] > 0  # the label lies where the display puts it
    assert np.argwhere(np.flip(liver[..., 20], (0, 1)).T)[:, 1].mean() < 50  # the liver on the image's left
    flair = load_study(VOLUMES / "mr_flair_ms.nii.gz")
    assert flair.modality is None and len(flair.images) == 36 and flair.metadata["plane"] == "axial"


# refusals


def bad_input(kind: str, folder: Path) -> Path:
    """One bad file or folder of the named kind."""
    path = folder / "scan.dcm"
    png = folder / "good.png"
    Picture.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(png)
    good = png.read_bytes()
    png.unlink()
    jpeg = folder / "good.jpg"
    Picture.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(jpeg)
    good_jpeg = jpeg.read_bytes()
    jpeg.unlink()
    volume = write_nifti(folder / "good.nii.gz", "RAS")
    good_volume = volume.read_bytes()
    volume.unlink()
    if kind == "empty folder":
        (folder / "study").mkdir()
        return folder / "study"
    if kind == "folder of notes":
        (folder / "study").mkdir()
        (folder / "study/notes.txt").write_text("nothing")
        return folder / "study"
    if kind == "nifti of nan":
        nib.save(nib.Nifti1Image(np.full((4, 4, 4), np.nan, np.float32), np.eye(4)), folder / "v.nii")
        return folder / "v.nii"
    if kind == "colour nifti":
        rgb = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
        nib.save(nib.Nifti1Image(rgb, np.eye(4)), folder / "v.nii")
        return folder / "v.nii"
    if kind == "nifti bomb":
        header = nib.Nifti1Header()
        header.set_data_shape((30000, 30000, 30000))
        path.write_bytes(gzip.compress(header.binaryblock + bytes(1000)))
        return path
    if kind == "zip with a password":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.png", good)
        data = bytearray(path.read_bytes())
        data[data.rfind(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
        path.write_bytes(data)
        return path
    if kind == "zip that escapes":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("../../a.png", good)
        return path
    if kind == "corrupt zip entry":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.png", good)
        data = bytearray(path.read_bytes())
        data[200] ^= 255
        path.write_bytes(data)
        return path
    if kind == "cut zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.png", good)
        path.write_bytes(path.read_bytes()[:-30])
        return path
    video = write_video(folder / "good.mp4").read_bytes() if "video" in kind else b""
    contents = {
        "empty file": b"",
        "cut png": good[: len(good) // 2],
        "cut jpeg": good_jpeg[: len(good_jpeg) // 2],
        "png header only": good[:20],
        "huge png": png_header(60_000, 60_000),
        "large png": png_header(9_000, 9_000),
        "text": b"this is a text\nfile",
        "noise": bytes(range(200, 256)) * 20,
        "pdf": b"%PDF-1.7 ...",
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50),
        "encrypted": bytes.fromhex("308006092a864886f70d010703") + bytes(90),
        "cut nifti": good_volume[: len(good_volume) // 2],
        "cut gzip": gzip.compress(bytes(1000))[:12],
        "gzip of text": gzip.compress(b"text"),
        "half of a pair": bytes(344) + b"ni1\0" + bytes(100),
        "cut video": video[: len(video) // 2],
        "noise as video": b"\0\0\0\x18ftypisom" + bytes(range(256)) * 8,
    }
    path.write_bytes(contents[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("empty file", "empty"),
        ("cut png", "cut short"),
        ("cut jpeg", "cut short"),
        ("png header only", "damaged"),
        ("huge png", "megapixels"),
        ("large png", "9000 x 9000 pixels"),
        ("text", "plain text"),
        ("noise", "unknown type"),
        ("pdf", "PDF"),
        ("heic", "HEIC"),
        ("encrypted", "encrypted"),
        ("empty folder", "is empty"),
        ("folder of notes", "no image"),
        ("nifti of nan", "NaN"),
        ("colour nifti", "colours"),
        ("nifti bomb", "limit"),
        ("cut nifti", "cut short"),
        ("cut gzip", "gzip"),
        ("gzip of text", "gzip"),
        ("half of a pair", "pair"),
        ("zip with a password", "password"),
        ("zip that escapes", "outside"),
        ("corrupt zip entry", "damaged"),
        ("cut zip", "damaged"),
        ("cut video", "damaged"),
        ("noise as video", "damaged"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(
    tmp_path: Path, kind: str, words: str, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    path = bad_input(kind, tmp_path)
    message = refusal(path)
    assert words in message and message.startswith(path.name)
    assert not [str(w.message) for w in recwarn.list] and not [
        record for record in caplog.records if record.levelno >= logging.WARNING
    ]


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "missing.png")
    assert "No file was given" in refusal([])
    assert "cannot be opened" in refusal("a" * 300)
    assert "cannot be opened" in refusal("a" * 5000)


def test_mixed_kinds_are_refused(tmp_path: Path) -> None:
    Picture.fromarray(gradient()).save(tmp_path / "a.png")
    write_nifti(tmp_path / "v.nii", "RAS")
    assert "mixes NIfTI volumes and pictures" in refusal(tmp_path)
    (tmp_path / "a.png").unlink()
    write_nifti(tmp_path / "w.nii", "RAS")
    assert "2 NIfTI volumes" in refusal(tmp_path)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(max_bytes=100),
        Limits(max_files=1),
        Limits(max_total_bytes=200),
        Limits(max_frames=1),
        Limits(max_pixels=100),
        Limits(max_total_pixels=300),
    ],
    ids=lambda limits: next(f"{k}={v}" for k, v in vars(limits).items() if v != getattr(Limits(), k)),
)
@pytest.mark.parametrize("packed", [False, True])
def test_limits_hold_for_folders_and_archives(tmp_path: Path, limits: Limits, packed: bool) -> None:
    (tmp_path / "study").mkdir()
    with zipfile.ZipFile(tmp_path / "study.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(2):
            Picture.fromarray(gradient()).save(tmp_path / f"study/{n}.bmp")
            archive.write(tmp_path / f"study/{n}.bmp", f"{n}.bmp")
    assert len(load_study(tmp_path / "study").images) == 2
    refusal(tmp_path / ("study.zip" if packed else "study"), limits)


def test_videos_have_limits(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4")
    assert "longer than 1 seconds" in refusal(video, Limits(max_video_seconds=1))
    assert "64 x 48 pixels" in refusal(video, Limits(max_pixels=100))


def test_codestreams_state_their_size() -> None:
    jpeg2000 = bytes.fromhex("ff4fff51002f0000") + struct.pack(">IIII", 640, 480, 0, 0)
    jpeg = bytes.fromhex("ffd8ffe00004aabbffc0000b08") + struct.pack(">HH", 480, 640) + bytes(10)
    assert stated_size(jpeg2000) == stated_size(jpeg) == (480, 640)
    assert stated_size(b"\xff\xd8\xff") is None and stated_size(b"") is None
