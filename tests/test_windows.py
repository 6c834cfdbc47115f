"""Closer looks: windows, what lies in them, and prompts seen through them."""

import numpy as np
import pytest

from medvlm.model.prompts import BOX, NEGATIVE, POINTS, SCRIBBLE, Prompt
from medvlm.types import Image
from medvlm.windows import around, crop, hull, inside, points_within, shifted, tiles

SIZE = (120, 200)  # (H, W)


def test_a_window_is_a_square_around_its_box_cut_at_the_border():
    x0, y0, x1, y1 = around((90, 50, 110, 60), SIZE)
    assert x1 - x0 == y1 - y0 and 0.5 < 20 / (x1 - x0) < 0.6
    assert (x0 + x1) / 2 == pytest.approx(100, abs=1) and (y0 + y1) / 2 == pytest.approx(55, abs=1)
    assert around((0, 0, 20, 20), SIZE)[:2] == (0, 0) and around((180, 100, 200, 120), SIZE)[2:] == (200, 120)
    assert around((10, 10, 150, 100), SIZE) is None  # the whole image shows it as large
    assert around((10, 10, 150, 100), SIZE, 0.5) is None
    nx0, _, nx1, _ = around((90, 50, 110, 60), SIZE, 0.5)
    assert nx1 - nx0 == pytest.approx((x1 - x0) / 2, abs=2) and nx0 + nx1 == pytest.approx(x0 + x1, abs=1)


@pytest.mark.parametrize("size", [SIZE, (200, 120), (300, 300), (40, 300), (7, 9), (1, 1)])
def test_tiles_cover_the_image_and_are_few(size):
    seen = np.zeros(size, int)
    for window in tiles(size):
        x0, y0, x1, y1 = window
        assert 0 <= x0 < x1 <= size[1] and 0 <= y0 < y1 <= size[0]
        seen[y0:y1, x0:x1] += 1
    assert seen.min() >= 1 and len(tiles(size)) <= 9


def test_what_is_cut_out_lies_at_its_place():
    pixels = np.arange(SIZE[0] * SIZE[1], dtype=np.uint8).reshape(SIZE)
    window = (30, 20, 80, 60)
    part = crop(Image(pixels, (0.5, 0.5), "slice 3"), window)
    assert part.size == (40, 50) and part.spacing_mm == (0.5, 0.5) and part.pixels[0, 0] == pixels[20, 30]
    assert shifted((40, 30, 50, 45), window) == (10, 10, 20, 25)
    assert points_within([(40, 30, 1), (80, 30, 1), (30, 20, 0)], window) == [(10, 10, 1), (0, 0, 0)]
    assert hull((1, 5, 3, 9), (2, 0, 8, 6)) == (1, 0, 8, 9)
    assert inside((50, 50, 100, 100), SIZE).sum() == 58 * 58


def test_a_prompt_seen_through_a_window():
    window = (50, 20, 150, 120)
    assert Prompt(box=(60, 30, 80, 50)).within(window).box == (10, 10, 30, 30)
    points = Prompt(points=[(60, 30, 1), (100, 100, 1), (10, 10, 0)])
    assert points.within(window).points == [(10, 10, 1), (50, 80, 1)]
    assert points.extent == (60, 30, 101, 101)  # around what is wanted
    stroke = np.zeros(SIZE, bool)
    stroke[40:44, 60:90] = True
    drawn = Prompt(scribble=stroke)
    assert drawn.extent == (60, 40, 90, 44) and drawn.within(window).scribble[20:24, 10:40].all()


def test_a_prompt_is_painted_where_it_was_drawn():
    side = 80  # the image is 80 x 48 on the canvas, 16 down
    box, kind = Prompt(box=(100, 60, 200, 120)).maps(SIZE, side)
    assert kind == BOX and box.shape == (4, 20, 20)
    assert box[BOX, 10:16, 10:].all() and box.sum() == 60
    points, kind = Prompt(points=[(0, 0, 1), (199, 119, 0)]).maps(SIZE, side)
    assert kind == POINTS and points[POINTS, 4, 0] and points[NEGATIVE, 15, 19] and not points[BOX].any()
    stroke = np.zeros(SIZE, bool)
    stroke[60, 100] = True
    drawn, kind = Prompt(scribble=stroke).maps(SIZE, side)
    assert kind == SCRIBBLE and drawn[SCRIBBLE].sum() == 1 and drawn[SCRIBBLE, 10, 10] == 1


def test_what_a_click_is_not_on_goes_away():
    mask = np.zeros((20, 30), bool)
    mask[5:10, 5:10] = mask[5:10, 20:25] = True
    left = mask & (np.arange(30) < 15)
    stroke = np.zeros_like(mask)
    stroke[7, 6:9] = True
    assert (Prompt(points=[(6, 6, 1), (22, 6, 0)]).touched(mask) == left).all()
    assert (Prompt(scribble=stroke).touched(mask) == left).all()
    assert (Prompt(points=[(15, 15, 1)]).touched(mask) == mask).all()  # on none of them
