"""Pictures pasted into one are told apart, single ones are left whole, and nothing reaches across a seam."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from medvlm.records import read_records
from medvlm.seams import across, notice, parts

SAMPLE = Path(__file__).parent / "sample"


def images(name: str, count: int = 4) -> list[np.ndarray]:
    return [record.image for record in read_records(SAMPLE / name)[:count]]


def fitted(pixels: np.ndarray, size=(256, 256)) -> np.ndarray:
    return np.asarray(PIL.Image.fromarray(pixels).resize(size))


@pytest.mark.parametrize("name", ["slake", "dsb2018", "idrid", "retina_vessels", "brain_tumor_followup"])
def test_a_single_picture_is_one(name):
    assert [parts(pixels) for pixels in images(name)] == [[]] * len(images(name))


@pytest.mark.parametrize("gap", [0, 7])
@pytest.mark.parametrize("axis", [0, 1])
def test_two_pictures_are_two(axis, gap):
    a, b = (fitted(p) for p in images("idrid", 2))
    band = np.zeros((gap, 256, 3) if axis == 0 else (256, gap, 3), np.uint8)
    found = parts(np.concatenate([a, band, b], axis=axis))
    assert len(found) == 2
    first, second = (box if axis else (box[1], box[0], box[3], box[2]) for box in found)
    assert 200 < first[2] <= 262 and 250 + gap <= second[0] < 320  # black margins may count as the gap
    assert first[:2] == (0, 0) and second[2] == pytest.approx(512 + gap, abs=1)


def test_two_of_unequal_size_and_of_a_grey_file():
    a, b = (np.asarray(PIL.Image.fromarray(p).convert("L")) for p in images("slake", 2))
    a, b = fitted(a, (300, 300)), fitted(b, (180, 300))
    found = parts(np.concatenate([a, b], axis=1))
    assert len(found) == 2 and found[0][2] == pytest.approx(300, abs=8)


def test_what_is_said_and_what_reaches_across():
    beside, above = [(0, 0, 90, 100), (100, 0, 200, 100)], [(0, 0, 100, 90), (0, 100, 100, 200)]
    assert "two images side by side" in notice(beside) and "one above the other" in notice(above)
    assert "4 images" in notice([*beside, *beside])
    assert (
        across((60, 10, 140, 50), beside) and not across((10, 10, 91, 50), beside) and not across((10, 10, 190, 90), [])
    )


def test_a_blank_and_a_tiny_picture_are_one():
    assert (
        parts(np.full((80, 300), 7, np.uint8))
        == parts(np.zeros((3, 5, 3), np.uint8))
        == parts(np.zeros((1, 900), np.uint8))
        == []
    )
