"""Images as shown, and their files' own pixels and the model's canvas, there and back."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from medvlm.geometry import Letterbox, Turn, any_within, resampled
from medvlm.model.instances import to_source
from medvlm.types import Region, decode_mask, mask_box

TURNS = list(product([False, True], repeat=3))


@pytest.mark.parametrize(("exchanged", "upside_down", "mirrored"), TURNS)
def test_there_and_back(exchanged: bool, upside_down: bool, mirrored: bool) -> None:
    pixels = np.arange(15, dtype=np.uint8).reshape(3, 5)
    turn = Turn((3, 5), (5, 3) if exchanged else (3, 5), exchanged, upside_down, mirrored)
    shown = turn.to_shown(pixels)
    assert shown.shape == turn.shown and np.array_equal(turn.to_stored(shown), pixels)
    assert np.array_equal(shown, pixels) == turn.identity


@pytest.mark.parametrize(("exchanged", "upside_down", "mirrored"), TURNS)
def test_a_region_in_the_files_own_pixels(exchanged: bool, upside_down: bool, mirrored: bool) -> None:
    """Rows three times as high as wide, made square for showing."""
    stored = np.zeros((10, 40), bool)
    stored[2:5, 7:25] = True
    turn = Turn((10, 40), (40, 30) if exchanged else (30, 40), exchanged, upside_down, mirrored)
    mask = turn.to_shown(stored)
    told = Region("liver", 0, mask_box(mask), mask, 0.9, turn=turn).to_json()
    assert mask.shape == turn.shown and told["mask"]["size"] == list(turn.shown)
    assert np.array_equal(decode_mask(told["stored"]["mask"]), stored)
    assert told["stored"]["box"] == pytest.approx([7, 2, 25, 5], abs=0.4)


def test_nothing_is_added_where_the_pixels_are_the_files() -> None:
    mask = np.ones((3, 5), bool)
    assert "stored" not in Region("liver", 0, mask_box(mask), mask, 0.9, turn=Turn((3, 5), (3, 5))).to_json()


# The canvas

CASES = [((40, 40), 64), ((30, 100), 64), ((333, 100), 64), ((7, 5), 96), ((1000, 3), 32), ((1, 1), 8), ((64, 64), 64)]


def disc(size: tuple[int, int]) -> np.ndarray:
    rows, columns = np.mgrid[: size[0], : size[1]]
    return ((rows + 0.5) / size[0] - 0.45) ** 2 + ((columns + 0.5) / size[1] - 0.55) ** 2 < 0.09


@pytest.mark.parametrize(("size", "side"), CASES)
def test_an_image_fits_its_canvas_and_lies_in_the_middle(size: tuple[int, int], side: int) -> None:
    canvas = Letterbox(size, side)
    height, width = canvas.fitted
    x, y = canvas.corner
    assert max(height, width) == side and min(height, width) == max(1, round(min(size) * side / max(size)))
    assert abs(side - width - 2 * x) <= 1 and abs(side - height - 2 * y) <= 1
    shown = canvas.image(np.full((*size, 3), 200, np.uint8))
    assert (shown[canvas.inside] == 200).all() and (shown > 0).sum() == 3 * height * width


@pytest.mark.parametrize(("size", "side"), CASES)
def test_points_and_boxes_come_back(size: tuple[int, int], side: int) -> None:
    canvas, (height, width) = Letterbox(size, side), size
    points = np.array([[0, 0], [width, height], [width / 3, height / 7]])
    np.testing.assert_allclose(canvas.points_back(canvas.points(points)), points, atol=1e-9)
    box = (width * 0.1, height * 0.2, width * 0.9, height * 0.95)
    assert canvas.box_back(canvas.box(box)) == pytest.approx(box)
    assert canvas.box_back(np.array([-9.0, -9.0, side + 9.0, side + 9.0])) == (0, 0, width, height)
    rows, columns = canvas.middles()
    middles = np.stack(np.broadcast_arrays(columns[None], rows[:, None]), -1).reshape(-1, 2)
    back = canvas.points_back(middles)
    np.testing.assert_allclose(back[0], [0.5, 0.5], atol=1e-9)
    np.testing.assert_allclose(back[-1], [width - 0.5, height - 0.5], atol=1e-9)


@pytest.mark.parametrize(("size", "side"), [case for case in CASES if min(case[0]) > 6])
def test_a_mask_comes_back(size: tuple[int, int], side: int) -> None:
    canvas, mask = Letterbox(size, side), disc(size)
    there = canvas.mask(mask)
    assert there.shape == (side, side) and not there[~_inside(canvas)].any()
    middle = canvas.points(np.array([0.55 * size[1], 0.45 * size[0]])).astype(int)
    assert there[middle[1], middle[0]]
    back = to_source(torch.from_numpy(there * 8.0 - 4.0), size, side)
    assert back.shape == size and (back & mask).sum() / (back | mask).sum() > (0.9 if max(size) <= side else 0.75)


def _inside(canvas: Letterbox) -> np.ndarray:
    inside = np.zeros((canvas.side, canvas.side), bool)
    inside[canvas.inside] = True
    return inside


def test_a_thin_stroke_is_not_lost_on_a_small_canvas() -> None:
    stroke = np.zeros((400, 200), bool)
    stroke[200, 20:180] = True
    there = Letterbox((400, 200), 40).mask(stroke)
    assert there.sum() == 16 and there[20, 12:28].all()


@pytest.mark.parametrize("size", [(3, 5), (7, 4), (20, 11), (1, 1)])
def test_a_place_is_on_where_any_pixel_is_that_it_touches(size: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).random((9, 13)) < 0.1
    pooled = torch.nn.functional.adaptive_max_pool2d(torch.from_numpy(mask)[None].float(), size)[0].numpy()
    assert np.array_equal(any_within(mask, size), pooled > 0)


def test_fine_stripes_turn_grey_and_not_to_other_stripes_where_an_image_is_made_smaller() -> None:
    stripes = np.broadcast_to((np.arange(300) % 2 * 255).astype(np.uint8), (300, 300))
    assert resampled(np.ascontiguousarray(stripes), (70, 70)).std() < 3
