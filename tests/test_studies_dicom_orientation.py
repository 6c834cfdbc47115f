"""DICOM: whichever way a file's rows and columns run, the image shown is the same, and masks find the way back."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from medvlm.studies import Limits, load_study

from .studies import refusal, write

SHOWN = np.arange(10, 130, 10, dtype=np.uint8).reshape(3, 4)  # no turn of it is like another
L, P, F = np.eye(3)[0], np.eye(3)[1], -np.eye(3)[2]  # LPS+
PLANES = {  # directions as shown, where slices run to, letters
    "axial": (L, P, -F, ["L", "P"]),
    "coronal": (L, F, P, ["L", "F"]),
    "sagittal": (P, F, -L, ["P", "F"]),
}
TURNS = list(product((False, True), repeat=3))
OPPOSITE = dict(zip("LRPAHF", "RLAPFH", strict=True))


def turned(
    pixels: np.ndarray, row, column, turn: tuple[bool, bool, bool], opposite
) -> tuple[np.ndarray, object, object]:
    """Pixels and directions of a file that shows `pixels` when it is turned back."""
    exchanged, upside_down, mirrored = turn
    if mirrored:
        pixels, row = pixels[:, ::-1], opposite(row)
    if upside_down:
        pixels, column = pixels[::-1], opposite(column)
    if exchanged:
        pixels, row, column = pixels.T, column, row
    return np.ascontiguousarray(pixels), row, column


@pytest.mark.parametrize("turn", TURNS, ids=str)
@pytest.mark.parametrize("plane", PLANES)
def test_slices_come_out_in_radiological_display(tmp_path: Path, plane: str, turn: tuple[bool, bool, bool]) -> None:
    row, column, along, letters = PLANES[plane]
    stored, row, column = turned(SHOWN, row, column, turn, np.negative)
    for n in (2, 0, 1):
        where = {"ImageOrientationPatient": [*row, *column], "ImagePositionPatient": list(5.0 * n * along)}
        write(tmp_path / f"{n}.dcm", stored + np.uint8(n), PixelSpacing=[0.5, 0.5], InstanceNumber=3 - n, **where)
    study = load_study(tmp_path)
    assert study.metadata["orientation"] == letters and study.metadata["plane"] == plane
    assert study.sides_known and study.metadata["slice_spacing_mm"] == 5 and not study.notices
    for n, image in enumerate(study.images):
        np.testing.assert_array_equal(image.pixels, SHOWN + n)
        assert image.spacing_mm == (0.5, 0.5)
        back = image.turn.to_stored(image.pixels) if image.turn else image.pixels
        np.testing.assert_array_equal(back, stored + n)


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_films_stand_upright_with_the_left_at_the_right(tmp_path: Path, turn: tuple[bool, bool, bool]) -> None:
    stored, row, column = turned(SHOWN, "L", "F", turn, OPPOSITE.get)
    study = load_study(write(tmp_path / "a.dcm", stored, Modality="DX", PatientOrientation=[row, column]))
    image = study.images[0]
    np.testing.assert_array_equal(image.pixels, SHOWN)
    np.testing.assert_array_equal(image.turn.to_stored(image.pixels) if image.turn else SHOWN, stored)
    assert study.metadata["orientation"] == ["L", "F"] and study.sides_known


@pytest.mark.parametrize(
    ("modality", "stated", "pixels", "shown", "known"),
    [
        ("CR", ["LP", "F"], SHOWN, ["LP", "F"], True),
        ("CR", ["RA", "FL"], SHOWN[:, ::-1], ["LP", "FL"], True),
        ("CR", ["A", "F"], SHOWN, ["A", "F"], True),
        ("CR", ["P", "F"], SHOWN, ["P", "F"], True),
        ("CR", ["P", "H"], SHOWN[::-1], ["P", "F"], True),
        ("CR", ["F", "A"], SHOWN.T, ["A", "F"], True),
        ("MG", ["P", "L"], SHOWN, ["P", "L"], True),
        ("MG", ["A", "FR"], SHOWN, ["A", "FR"], True),
        ("MG", ["R", "H"], SHOWN[::-1], ["R", "F"], False),
        ("XC", ["R", "F"], SHOWN, ["R", "F"], False),
        ("CR", ["L", "R"], SHOWN, None, False),
        ("CR", ["L", "JANE"], SHOWN, None, False),
        ("CR", ["L"], SHOWN, None, False),
        ("CR", None, SHOWN, None, False),
        ("CT", ["R", "P"], SHOWN[:, ::-1], ["L", "P"], True),
    ],
)
def test_patient_orientation(
    tmp_path: Path, modality: str, stated: list[str] | None, pixels: np.ndarray, shown: list[str] | None, known: bool
) -> None:
    study = load_study(write(tmp_path / "a.dcm", SHOWN, Modality=modality, PatientOrientation=stated))
    np.testing.assert_array_equal(study.images[0].pixels, pixels)
    assert study.metadata.get("orientation") == shown and study.sides_known == known


def test_orientation_is_read_frame_by_frame(tmp_path: Path) -> None:
    frames = []
    for letters in (["L", "F"], ["R", "F"]):
        item, frame = Dataset(), Dataset()
        item.PatientOrientation = letters
        frame.PatientOrientationInFrameSequence = Sequence([item])
        frames.append(frame)
    groups = {"PerFrameFunctionalGroupsSequence": Sequence(frames)}
    study = load_study(write(tmp_path / "a.dcm", np.stack([SHOWN, SHOWN]), Modality="XA", **groups))
    np.testing.assert_array_equal(study.images[0].pixels, SHOWN)
    np.testing.assert_array_equal(study.images[1].pixels, SHOWN[:, ::-1])


@pytest.mark.parametrize(
    ("elements", "side", "seen"),
    [
        ({"ImageLaterality": "R", "ViewPosition": "MLO"}, "right", "MLO"),
        ({"Laterality": "L", "ViewPosition": "CC"}, "left", "CC"),
        ({"ImageLaterality": "B"}, "both", None),
        ({"ImageLaterality": "U", "ViewPosition": "DOE JANE"}, None, None),
    ],
)
def test_laterality_and_view(tmp_path: Path, elements: dict[str, str], side: str | None, seen: str | None) -> None:
    study = load_study(write(tmp_path / "a.dcm", SHOWN, Modality="MG", **elements))
    assert (study.metadata.get("laterality"), study.metadata.get("view")) == (side, seen)
    assert study.sides_known == (side in ("right", "left"))


def test_laterality_that_differs_between_images_is_no_fact_of_the_study(tmp_path: Path) -> None:
    for n, side in enumerate("RL"):
        write(tmp_path / f"{n}.dcm", SHOWN, Modality="MG", ImageLaterality=side)
    assert "laterality" not in load_study(tmp_path).metadata


@pytest.mark.parametrize("directions", [None, [0] * 6, [1, 0, 0, 1, 0, 0]], ids=str)
def test_slices_without_orientation_say_so(tmp_path: Path, directions: list[float] | None) -> None:
    where = {"ImagePositionPatient": [0, 0, 1], "ImageOrientationPatient": directions}
    study = load_study(write(tmp_path / "a.dcm", SHOWN, **where))
    assert "The files do not state their orientation: left and right may be exchanged." in study.notices
    assert not study.sides_known


@pytest.mark.parametrize("exchanged", [False, True])
def test_flat_pixels_become_square(tmp_path: Path, exchanged: bool) -> None:
    """Spacing (row, column) follows the exchange; the mask of the whole comes back whole."""
    directions = [*P, *L] if exchanged else [*L, *P]
    where = {"ImageOrientationPatient": directions, "ImagePositionPatient": [0, 0, 0], "PixelSpacing": [1.5, 0.5]}
    image = load_study(write(tmp_path / "a.dcm", np.full((20, 40), 77, np.uint8), **where)).images[0]
    assert image.size == ((40, 60) if exchanged else (60, 40)) and image.spacing_mm == (0.5, 0.5)
    assert np.unique(image.pixels).tolist() == [77]
    assert image.turn is not None and image.turn.to_stored(np.ones(image.size, bool)).shape == (20, 40)


@pytest.mark.parametrize(
    ("elements", "size"),
    [
        ({"PixelAspectRatio": [2, 1]}, (40, 40)),
        ({"PixelAspectRatio": [1, 3]}, (20, 120)),
        ({"PixelAspectRatio": [2, 1], "PixelSpacing": [1, 1]}, (20, 40)),
        ({"PixelSpacing": [1, 1.015]}, (20, 40)),
        ({"PixelSpacing": [1, 1.5]}, (20, 60)),
    ],
    ids=str,
)
def test_aspect_of_pixels(tmp_path: Path, elements: dict[str, object], size: tuple[int, int]) -> None:
    image = load_study(write(tmp_path / "a.dcm", np.zeros((20, 40), np.uint8), Modality="US", **elements)).images[0]
    assert image.size == size


def test_limits_hold_for_what_becomes_square(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", np.zeros((20, 40), np.uint8), PixelSpacing=[10, 0.1])
    assert "40 x 2000 pixels" in refusal(path, Limits(max_pixels=10_000))
