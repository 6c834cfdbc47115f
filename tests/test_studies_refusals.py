"""Bad input becomes one clear sentence, and limits hold before anything is decoded."""

from __future__ import annotations

import gzip
import io
import logging
import struct
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image as Picture
from PIL.PngImagePlugin import PngInfo

from medvlm.errors import StudyError
from medvlm.studies import Limits, load_study
from medvlm.studies.codestream import stated_size
from medvlm.studies.limits import DEFAULT
from medvlm.studies.worker import Ending, job, run
from medvlm.types import Study

from .studies import (
    gradient,
    png_header,
    refusal,
    write,
    write_nifti,
    write_video,
)


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
    if kind == "complex nifti":
        nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.complex64), np.eye(4)), folder / "v.nii")
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
        ("complex nifti", "complex"),
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


def gif_of(frames: int, size: int) -> bytes:
    """An animation that repeats one frame, `size` pixels square."""
    file = io.BytesIO()
    Picture.fromarray(np.resize(np.arange(7, dtype=np.uint8), (size, size))).save(file, "GIF")
    content = file.getvalue()
    first = 13 + 3 * 2 ** ((content[10] & 7) + 1)  # header, screen and palette
    return content[:first] + content[first:-1] * frames + content[-1:]


def weigh(path: Path, limits: Limits = DEFAULT) -> tuple[object, Ending]:
    """What comes of a file, and what it took."""
    return run(job("load_study", [path], limits), limits.max_held_bytes)


def test_long_animations_are_decoded_only_so_far(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(gif_of(20_000, 4))
    study, ending = weigh(path)
    assert isinstance(study, Study) and len(study.images) == 64
    assert study.notices == ["64 of 20000 frames are shown, from the first 1000."]
    assert ending.seconds < 2
    path.write_bytes(gif_of(300, 100))
    assert "from the first 50." in load_study(path, Limits(max_total_pixels=500_000, video_frames=4)).notices[0]


def test_pixels_that_were_packed_small_are_counted(tmp_path: Path) -> None:
    colour = Picture.new("RGB", (4000, 4000))
    colour.save(tmp_path / "a.tif", save_all=True, append_images=[colour] * 11, compression="tiff_adobe_deflate")
    assert (tmp_path / "a.tif").stat().st_size < 2**20
    error, ending = weigh(tmp_path / "a.tif")
    assert "549 MiB of pixels" in str(error) and ending.peak < 2**28


def test_numbers_wider_than_their_file_are_counted(tmp_path: Path) -> None:
    header = nib.Nifti1Header()
    header.set_data_shape((512, 512, 900))
    header.set_data_dtype(np.float64)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    path = tmp_path / "v.nii.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header.binaryblock + bytes(4))
        for _ in range(20):
            file.write(bytes(2**20))
    error, ending = weigh(path)
    assert isinstance(error, StudyError) and ending.peak < 10**9


def test_archives_are_counted_together(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.zip" for n in range(3)]
    for path in paths:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.bmp", bytes(300_000))
    limits = Limits(max_total_bytes=700_000)
    assert "2.zip makes a study of more than" in refusal(paths, limits)
    assert "no image" in refusal(paths[:2], limits)


def test_archives_in_archives_stay_packed(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.txt", "text")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("inner.zip", inner.getvalue())
    assert "no image" in refusal(tmp_path / "a.zip")


@pytest.mark.parametrize("frames", [2**31 - 1, 900])
def test_frames_that_only_the_header_has(tmp_path: Path, frames: int) -> None:
    path = write(tmp_path / "a.dcm", np.zeros((512, 512), np.uint16), NumberOfFrames=frames)
    error, ending = weigh(path)
    assert isinstance(error, StudyError) and ending.peak < 2**29 and ending.seconds < 2


def test_texts_in_a_picture_do_not_fill_the_memory(tmp_path: Path) -> None:
    texts = PngInfo()
    for n in range(70):
        texts.add_text(f"k{n}", "a" * 2**20, zip=True)
    Picture.fromarray(gradient()).save(tmp_path / "a.png", pnginfo=texts)
    assert (tmp_path / "a.png").stat().st_size < 2**20
    _, ending = weigh(tmp_path / "a.png")
    assert ending.peak < 2**28


def test_codestreams_state_their_size() -> None:
    jpeg2000 = bytes.fromhex("ff4fff51002f0000") + struct.pack(">IIII", 640, 480, 0, 0)
    jpeg = bytes.fromhex("ffd8ffe00004aabbffc0000b08") + struct.pack(">HH", 480, 640) + bytes(10)
    assert stated_size(jpeg2000) == stated_size(jpeg) == (480, 640)
    assert stated_size(b"\xff\xd8\xff") is None and stated_size(b"") is None
