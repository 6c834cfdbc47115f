"""What there is among files, what of it is taken, and what is said of the rest."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from medvlm.studies import Limits, load_study
from medvlm.studies.load import list_series

from .studies import gradient, place, refusal, write, write_nifti, write_series, write_video

CORONAL = (1, 0, 0, 0, 0, -1)
SAGITTAL = (0, 1, 0, 0, 0, -1)
BLANK = np.zeros((4, 4), np.uint8)


def words(paths: object) -> list[str]:
    return [series.words for series in list_series(paths).series]


def values(study) -> list[int]:
    return [int(image.pixels[0, 0]) for image in study.images]


def test_one_series_uid_a_slice_is_one_volume(tmp_path: Path) -> None:
    for n in range(5):
        uid = {"SeriesInstanceUID": f"1.2.{n}", "SeriesNumber": 4, "FrameOfReferenceUID": "1.9"}
        write(tmp_path / f"{n}.dcm", BLANK + np.uint8(n), **uid, **place(3 * n))
    study = load_study(tmp_path)
    assert values(study) == [0, 1, 2, 3, 4] and study.metadata["slice_spacing_mm"] == 3 and not study.notices


def test_pieces_of_one_stack_are_joined_and_stations_far_apart_are_not(tmp_path: Path) -> None:
    """Three blocks of one series number: two neighbours and one far away."""
    for block, start in enumerate((0, 9, 300)):
        for n in range(3):
            uid = {"SeriesInstanceUID": f"1.2.{block}", "SeriesNumber": 4}
            write(tmp_path / f"{block}{n}.dcm", BLANK, **uid, **place(start + 3 * n))
    assert [series.images for series in list_series(tmp_path).series] == [6, 3]


def test_two_scans_of_one_region_stay_apart(tmp_path: Path) -> None:
    for block in range(2):
        for n in range(4 - block):
            uid = {"SeriesInstanceUID": f"1.2.{block}", "SeriesNumber": block}
            write(tmp_path / f"{block}{n}.dcm", BLANK + np.uint8(block), **uid, **place(3 * n))
    study = load_study(tmp_path)
    assert values(study) == [0] * 4
    assert study.notices == [
        "Series 1 of 2 is taken: CT, axial, 4 slices of 4 x 4 pixels, 3 mm apart; "
        "not taken: CT, axial, 3 slices of 4 x 4 pixels, 3 mm apart."
    ]


@pytest.mark.parametrize("directions", [(1, 0, 0, 0, 1, 0), None])
def test_slice_location_alone_orders_slices(tmp_path: Path, directions: tuple[float, ...] | None) -> None:
    for n in range(4):
        where = {"SliceLocation": 30 - 2.5 * n, "ImageOrientationPatient": directions and list(directions)}
        write(tmp_path / f"{n}.dcm", BLANK + np.uint8(n), InstanceNumber=n, **where)
    study = load_study(tmp_path)
    assert study.kind == "volume" and values(study) == [3, 2, 1, 0] and study.metadata["slice_spacing_mm"] == 2.5
    assert study.sides_known == bool(directions)
    assert any("orientation" in notice for notice in study.notices) == (directions is None)


def test_slices_without_any_place_follow_their_numbers(tmp_path: Path) -> None:
    for n in range(4):
        write(tmp_path / f"{n}.dcm", BLANK + np.uint8(n), InstanceNumber=9 - n)
    study = load_study(tmp_path)
    assert study.kind == "volume" and values(study) == [3, 2, 1, 0] and "slice_spacing_mm" not in study.metadata
    assert any("order of their numbers" in notice for notice in study.notices)


@pytest.mark.parametrize("marked", [True, False], ids=["marked", "unmarked"])
def test_localizer_with_more_images_is_left(tmp_path: Path, marked: bool) -> None:
    write_series(tmp_path / "s", 4)
    for n in range(9):
        kind = ["ORIGINAL", "PRIMARY", "LOCALIZER"] if marked else ["ORIGINAL", "PRIMARY"]
        where = place(n, ((1, 0, 0, 0, 1, 0), CORONAL, SAGITTAL)[n % 3])
        write(tmp_path / f"s/scout{n}.dcm", BLANK, ImageType=kind, SeriesInstanceUID="1.2.9", **where)
    study = load_study(tmp_path / "s")
    assert len(study.images) == 4 and [series.scout for series in study.series] == [False, True]
    assert study.series[1].images == 9 and "localizer, 9 images" in study.notices[0]
    scout = load_study(tmp_path / "s", series=2)
    assert len(scout.images) == 9 and scout.series[1].taken and "orientation" not in scout.metadata
    assert "This is a localizer, made to plan the scan." in scout.notices


@pytest.mark.parametrize("kind", [["ORIGINAL", "PRIMARY", "LOCALIZER"], ["ORIGINAL", "PRIMARY", "AXIAL"]], ids=str)
def test_scout_within_a_series_is_set_apart(tmp_path: Path, kind: list[str]) -> None:
    write_series(tmp_path / "s", 5)
    write(tmp_path / "s/scout.dcm", np.zeros((8, 4), np.uint8), ImageType=kind, **place(99, CORONAL))
    study = load_study(tmp_path / "s")
    assert len(study.images) == 5 and [series.scout for series in study.series] == [False, True]


def test_a_localizer_alone_is_taken(tmp_path: Path) -> None:
    study = load_study(write(tmp_path / "a.dcm", BLANK, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], **place(0)))
    assert len(study.images) == 1 and study.series[0].scout and study.series[0].taken


def test_two_stacks_in_one_object_are_two_series(tmp_path: Path) -> None:
    frames = []
    for n in range(7):
        frame, position, plane = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0, 2 * n, 2 * n]
        plane.ImageOrientationPatient = list(CORONAL if n < 3 else (1, 0, 0, 0, 1, 0))
        frame.PlanePositionSequence, frame.PlaneOrientationSequence = Sequence([position]), Sequence([plane])
        frames.append(frame)
    stored = np.arange(7, dtype=np.uint8)[:, None, None] + BLANK
    path = write(tmp_path / "a.dcm", stored, Modality="MR", PerFrameFunctionalGroupsSequence=Sequence(frames))
    assert words(path) == [
        "MRI, axial, 4 slices of 4 x 4 pixels, 2 mm apart",
        "MRI, coronal, 3 slices of 4 x 4 pixels, 2 mm apart",
    ]
    assert values(load_study(path)) == [3, 4, 5, 6] and values(load_study(path, series=2)) == [0, 1, 2]


@pytest.mark.parametrize(
    "odd",
    [
        {"stored": np.zeros((8, 8), np.uint8)},
        {"PixelSpacing": [2, 2]},
        {"ImagePositionPatient": None},
        {"stored": np.zeros((4, 4, 3), np.uint8)},
    ],
    ids=lambda value: next(iter(value)),
)
def test_slices_that_do_not_fit_are_a_series_of_their_own(tmp_path: Path, odd: dict[str, object]) -> None:
    write_series(tmp_path / "s", 3, PixelSpacing=[1, 1])
    elements = {"PixelSpacing": [1, 1], **place(99), **odd}
    stored = elements.pop("stored", BLANK)
    write(tmp_path / "s/odd.dcm", np.asarray(stored), **elements)
    study = load_study(tmp_path / "s")
    assert len(study.images) == 3 and [series.images for series in study.series] == [3, 1]


@pytest.mark.parametrize(
    "keyword", ["TemporalPositionIdentifier", "EchoTime", "AcquisitionNumber", "DiffusionBValue", None], ids=str
)
def test_phases_at_the_same_places_are_series(tmp_path: Path, keyword: str | None) -> None:
    """Instance numbers run through the phases of a place first; the second phase lacks a slice."""
    for n in range(4):
        for phase in range(2 if n < 3 else 1):
            time = {keyword: phase + 1} if keyword else {}
            stored = BLANK + np.uint8(10 * phase + n)
            write(tmp_path / f"{n}{phase}.dcm", stored, Modality="MR", InstanceNumber=2 * n + phase, **time, **place(n))
    study = load_study(tmp_path)
    assert values(study) == [0, 1, 2, 3] and values(load_study(tmp_path, series=2)) == [10, 11, 12]
    assert "Up to 2 images share a position (phases, echoes or doubled slices): one of each is taken." in study.notices


def test_many_images_of_one_place_are_a_clip(tmp_path: Path) -> None:
    for n in range(6):
        write(tmp_path / f"{n}.dcm", BLANK + np.uint8(n), Modality="MR", InstanceNumber=6 - n, **place(0))
    study = load_study(tmp_path)
    assert study.kind == "video" and values(study) == [5, 4, 3, 2, 1, 0]


def test_originals_come_before_what_was_derived_from_them(tmp_path: Path) -> None:
    write_series(tmp_path / "s", 3)
    for n in range(4):
        derived = {"ImageType": ["DERIVED", "SECONDARY", "MPR"], "SeriesInstanceUID": "1.2.9"}
        write(tmp_path / f"s/mpr{n}.dcm", BLANK, **derived, **{**place(0, CORONAL), "ImagePositionPatient": [0, n, 0]})
    assert [len(load_study(tmp_path / "s", series=n).images) for n in (None, 1, 2)] == [3, 3, 4]
    assert "derived, coronal" in words(tmp_path / "s")[1]


@pytest.mark.parametrize(
    "screen",
    [
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "Modality": "CT"},
        {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"], "Modality": "CT"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "Modality": "OT"},
    ],
    ids=["secondary capture", "screen save", "other"],
)
def test_pictures_of_screens_are_left(tmp_path: Path, screen: dict[str, object]) -> None:
    write(tmp_path / "slice.dcm", BLANK, **place(0))
    for n in range(3):
        write(tmp_path / f"{n}.dcm", np.zeros((8, 8, 3), np.uint8), SeriesInstanceUID="1.2.9", **screen)
    study = load_study(tmp_path)
    assert [image.size for image in study.images] == [(4, 4)] and study.series[1].images == 3
    assert "captured from a screen" in study.series[1].words


# mosaics


def head(count: int) -> np.ndarray:
    """Slices `(count, 32, 32)` of a body that changes slowly."""
    z, y, x = np.mgrid[:count, :32, :32]
    out = 40.0 * np.sin(x / 3 + z / 6) * np.cos(y / 4 - z / 7) + 100
    return np.where((x - 16) ** 2 + (y - 14) ** 2 < 150 - z, out, 0).astype(np.uint16)


def mosaic(path: Path, side: int, count: int, **elements: object) -> Path:
    tiles = np.zeros((side * side, 32, 32), np.uint16)
    tiles[:count] = head(count)
    frame = tiles.reshape(side, side, 32, 32).swapaxes(1, 2).reshape(side * 32, side * 32)
    corner = {
        "ImagePositionPatient": [-16.0 * side, -16.0 * side, 0],
        "PixelSpacing": [1, 1],
        "SpacingBetweenSlices": 4,
    }
    kind = {"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"], "Modality": "MR", "SliceThickness": 4}
    return write(path, frame, ImageOrientationPatient=[1, 0, 0, 0, 1, 0], **{**corner, **kind, **elements})


def stating(path: Path, count: int) -> Path:
    import pydicom

    data = pydicom.dcmread(path)
    data.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
    data.add_new(0x0019100A, "US", count)
    data.save_as(path)
    return path


@pytest.mark.parametrize(("side", "count"), [(3, 7), (4, 16), (6, 32)])
@pytest.mark.parametrize("how", ["stated", "matrix", "seen"])
def test_mosaic_is_cut_into_its_slices(tmp_path: Path, side: int, count: int, how: str) -> None:
    matrix = {"AcquisitionMatrix": [32, 0, 0, 32]} if how == "matrix" else {}
    path = mosaic(tmp_path / "a.dcm", side, count, WindowCenter=128, WindowWidth=256, **matrix)
    if how == "stated":
        stating(path, count)
        assert list_series(path).series[0].images == count
    study = load_study(path)
    assert study.kind == "volume" and len(study.images) == count and study.series[0].images == count
    assert study.metadata["slice_spacing_mm"] == 4 and study.images[0].size == (32, 32)
    assert np.abs(study.images[-1].pixels.astype(int) - head(count)[-1]).max() <= 1


def test_mosaic_that_cannot_be_cut_is_one_picture_and_says_so(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 999, (96, 96)).astype(np.uint16)
    study = load_study(write(tmp_path / "a.dcm", noise, Modality="MR", ImageType=["ORIGINAL", "PRIMARY", "MOSAIC"]))
    assert len(study.images) == 1 and any("mosaic" in notice for notice in study.notices)


def test_mosaics_of_a_time_series_are_volumes(tmp_path: Path) -> None:
    for n in range(3):
        stating(mosaic(tmp_path / f"{n}.dcm", 3, 7, InstanceNumber=n), 7)
    assert [series.images for series in list_series(tmp_path).series] == [7, 7, 7]
    assert len(load_study(tmp_path).images) == 7


# slides


def slide(path: Path, size: tuple[int, int], ordered: bool = True, **elements: object) -> np.ndarray:
    """A slide of 16 x 16 tiles, those at the border filled up with white; returns its picture."""
    rng = np.random.default_rng(0)
    height, width = size
    picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    corners = [(row, column) for row in range(0, height, 16) for column in range(0, width, 16)]
    if not ordered:
        corners.reverse()
    tiles = np.full((len(corners), 16, 16, 3), 255, np.uint8)
    frames = []
    for tile, (row, column) in zip(tiles, corners, strict=True):
        part = picture[row : row + 16, column : column + 16]
        tile[: part.shape[0], : part.shape[1]] = part
        place, frame = Dataset(), Dataset()
        place.RowPositionInTotalImagePixelMatrix, place.ColumnPositionInTotalImagePixelMatrix = row + 1, column + 1
        frame.PlanePositionSlideSequence = Sequence([place])
        frames.append(frame)
    groups = {} if ordered else {"PerFrameFunctionalGroupsSequence": Sequence(frames)}
    matrix = {"TotalPixelMatrixRows": height, "TotalPixelMatrixColumns": width}
    write(path, tiles, Modality="SM", **matrix, **groups, **elements)
    return picture


@pytest.mark.parametrize("ordered", [True, False])
def test_tiles_of_a_slide_are_one_picture(tmp_path: Path, ordered: bool) -> None:
    picture = slide(tmp_path / "a.dcm", (40, 70), ordered)
    study = load_study(tmp_path / "a.dcm")
    assert study.kind == "picture" and study.modality == "histopathology"
    np.testing.assert_array_equal(study.images[0].pixels, picture)
    assert words(tmp_path) == ["histopathology, 1 image of 70 x 40 pixels"]


def test_largest_level_of_a_slide_within_the_limits_is_taken_and_its_label_never(tmp_path: Path) -> None:
    for name, size in (("a", (20, 20)), ("b", (40, 40)), ("c", (80, 80))):
        slide(tmp_path / f"{name}.dcm", size)
    label = {"ImageType": ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]}
    write(tmp_path / "label.dcm", np.zeros((50, 50, 3), np.uint8), Modality="SM", **label)
    assert load_study(tmp_path).images[0].size == (80, 80)
    study = load_study(tmp_path, Limits(max_pixels=2000))
    assert study.images[0].size == (40, 40)


# files of several kinds


def disc(folder: Path) -> Path:
    write_series(folder / "DICOM", 3)
    (folder / "DICOMDIR").write_bytes(Path(get_testdata_file("dicomdirtests/DICOMDIR", download=False)).read_bytes())
    (folder / "VIEWER").mkdir()
    Picture.fromarray(gradient()).save(folder / "VIEWER/logo.png")
    (folder / "AUTORUN.INF").write_text("[autorun]")
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_disc_of_a_patient(tmp_path: Path, packed: bool) -> None:
    (tmp_path / "disc").mkdir()
    given = disc(tmp_path / "disc")
    if packed:
        with zipfile.ZipFile(tmp_path / "disc.zip", "w") as archive:
            for path in sorted(given.rglob("*")):
                archive.write(path, path.relative_to(given))
        given = tmp_path / "disc.zip"
    study = load_study(given)
    assert len(study.images) == 3 and study.modality == "ct"
    assert study.notices == [
        "Series 1 of 2 is taken: CT, axial, 3 slices of 4 x 4 pixels, 2.5 mm apart; not taken: 1 picture.",
        "DICOM files left out for want of a picture: 1.",
        "Files left out as no images: 1.",
    ]


def test_volumes_come_before_clips_and_clips_before_pictures(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii", "RAS")
    write_nifti(tmp_path / "b_labels.nii", "RAS", dtype=np.uint8)
    write_video(tmp_path / "clip.mp4")
    Picture.fromarray(gradient()).save(tmp_path / "preview.png")
    write(tmp_path / "film.dcm", BLANK, Modality="DX")
    assert words(tmp_path) == [
        "NIfTI volume of 30 x 40 x 20 voxels",
        "NIfTI volume of 30 x 40 x 20 voxels",
        "video",
        "X-ray, 1 image of 4 x 4 pixels",
        "1 picture",
    ]
    study = load_study(tmp_path)
    assert study.metadata["format"] == "NIfTI" and len(study.images) == 20
    assert "2 times" not in study.notices[0] and study.notices[0].endswith("X-ray, 1 image of 4 x 4 pixels; 1 picture.")
    assert load_study(tmp_path, series=3).kind == "video" and load_study(tmp_path, series=5).metadata["format"] == "PNG"


def test_several_clips_are_each_a_series(tmp_path: Path) -> None:
    for n in (3, 5):
        write(tmp_path / f"{n}.dcm", np.zeros((n, 4, 4, 3), np.uint8), Modality="US")
    study = load_study(tmp_path)
    assert study.kind == "video" and [series.images for series in study.series] == [5, 3]


def test_series_that_is_not_there_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "s", 3)
    write(tmp_path / "s/film.dcm", BLANK, Modality="DX")
    for number in (0, 3):
        with pytest.raises(Exception, match=f"no series {number}: it holds CT, axial, 3 slices .*; X-ray, 1 image"):
            load_study(tmp_path / "s", series=number)


def test_series_that_cannot_be_read_gives_way(tmp_path: Path) -> None:
    for path in write_series(tmp_path / "s", 3).iterdir():
        path.write_bytes(path.read_bytes()[:-8])
    Picture.fromarray(gradient()).save(tmp_path / "s/preview.png")
    study = load_study(tmp_path / "s")
    np.testing.assert_array_equal(study.images[0].pixels, gradient())
    assert study.series[1].taken and study.notices[0].startswith("Series 1 of 2 cannot be read: CT, axial")


def test_limits_of_the_best_series_are_no_reason_to_take_another(tmp_path: Path) -> None:
    write_series(tmp_path / "s", 3)
    Picture.fromarray(gradient()).save(tmp_path / "s/preview.png")
    assert "3 images" in refusal(tmp_path / "s", Limits(max_frames=2))


def test_damaged_pictures_are_left_out(tmp_path: Path) -> None:
    for n in range(3):
        Picture.fromarray(gradient() + np.uint8(n)).save(tmp_path / f"{n}.png")
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:50])
    study = load_study(tmp_path)
    assert values(study) == [0, 2] and study.notices == ["Files left out as damaged or too large: 1."]
    for n in (0, 2):
        (tmp_path / f"{n}.png").write_bytes((tmp_path / f"{n}.png").read_bytes()[:50])
    assert "damaged" in refusal(tmp_path)


def test_named_files_that_are_no_images_are_left_out_beside_images(tmp_path: Path) -> None:
    Picture.fromarray(gradient()).save(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("left knee")
    study = load_study([tmp_path / "notes.txt", tmp_path / "a.png"])
    assert len(study.images) == 1 and study.notices == ["Files left out as no images: 1."]
    assert "plain text" in refusal([tmp_path / "notes.txt", tmp_path / "notes.txt"])
    assert "does not exist" in refusal([tmp_path / "a.png", tmp_path / "b.png"])


def test_named_views_keep_the_order_that_they_were_named_in(tmp_path: Path) -> None:
    for n in (1, 2):
        write(tmp_path / f"{n}.dcm", BLANK + np.uint8(n), Modality="DX", InstanceNumber=n)
    assert values(load_study([tmp_path / "2.dcm", tmp_path / "1.dcm"])) == [2, 1]
    assert values(load_study(tmp_path)) == [1, 2]


def test_limits_hold_for_several_archives_together(tmp_path: Path) -> None:
    for name in "ab":
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.bmp", bytes(600))
    given = [tmp_path / "a.zip", tmp_path / "b.zip"]
    assert "more than 0.000954 MiB" in refusal(given, Limits(max_total_bytes=1000))
    assert "more than 1 files" in refusal(given, Limits(max_files=1)) or "2 files" in refusal(
        given, Limits(max_files=1)
    )


def test_listing_reads_no_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medvlm.studies import dicom

    write_series(tmp_path / "s", 3)
    monkeypatch.setattr(dicom, "decode", None)
    assert list_series(tmp_path / "s").series[0].to_json() == {
        "number": 1,
        "images": 3,
        "words": "CT, axial, 3 slices of 4 x 4 pixels, 2.5 mm apart",
        "scout": False,
        "taken": True,
    }


@pytest.mark.parametrize("packed", [False, True])
def test_six_images_are_found_among_thousands_of_other_files(tmp_path: Path, packed: bool) -> None:
    given = tmp_path / "disc"
    given.mkdir()
    write_series(given / "z", 6)
    if packed:
        with zipfile.ZipFile(tmp_path / "disc.zip", "w") as archive:
            for number in range(9_990):
                archive.writestr(f"notes/{number}.txt", "no image")
            for path in (given / "z").iterdir():
                archive.write(path, f"ct/{path.name}")
        given = tmp_path / "disc.zip"
    else:
        for number in range(300):
            (given / f"{number}.txt").write_text("no image")
    study = load_study(given, Limits(max_files=6))
    assert len(study.images) == 6
    assert any(("9990" if packed else "300") in notice for notice in study.notices)
    assert "more than 5 files of images" in refusal(given, Limits(max_files=5))
    assert "more than 100 files" in refusal(given, Limits(max_listed=100))
