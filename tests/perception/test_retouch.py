"""Strokes and clicks on a mask: honoured where they are, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from medvlm.errors import RequestError
from medvlm.perception.retouch import prompt_of, retouched, stroke, tip

SIZE = (100, 120)


def rectangle(x0, y0, x1, y1):
    out = np.zeros(SIZE, bool)
    out[y0:y1, x0:x1] = True
    return out


def test_a_thin_stroke_is_what_lies_under_it():
    assert np.argwhere(stroke([[5.9, 3.2]], 0, SIZE)).tolist() == [[3, 5]]
    line = stroke([[2.5, 2.5], [2.5, 8.5]], 0.5, SIZE)
    assert (line == rectangle(2, 2, 3, 9)).all()


def test_a_wide_stroke_is_as_wide_as_it_is_said_to_be():
    drawn = stroke([[50.5, 40.5], [80.5, 40.5]], 6, SIZE)
    assert drawn[40, 40:95].sum() == 30 + 1 + 2 * 6 and drawn[:, 60].sum() == 2 * 6 + 1
    assert stroke([[0, 0], [-50, -50]], 3, SIZE)[:4, :4].sum() > 8  # what leaves the image is cut


@pytest.mark.parametrize(
    ("points", "radius"),
    [(None, 1), ([], 1), ([[1]], 1), ([[1, float("nan")]], 1), ([["1", 2]], 1), ([[1, 2]], -1), ([[1, 2]], None)]
    + [([[1, 2]], 1e9), ([[-5, -5]], 1), ([[1, 2]] * 9_999, 1), ([[True, 2]], 1), ("ab", 1)],
)
def test_what_is_no_stroke_gets_a_sentence(points, radius):
    with pytest.raises(RequestError):
        stroke(points, radius, SIZE)


@pytest.mark.parametrize("found", [np.zeros(SIZE, bool), np.ones(SIZE, bool), rectangle(0, 0, 30, 100)])
def test_a_click_is_honoured_and_changes_nothing_far_away(found):
    """Whatever the model makes of it."""
    mask, yes, no = rectangle(20, 20, 80, 80), (90.4, 50.7, 1), (25.2, 70.9, 0)
    more = retouched(mask, found, tip(yes, SIZE), True)
    less = retouched(mask, found, tip(no, SIZE), False)
    assert more[50, 90] and (more & mask == mask).all()
    assert not less[70, 25] and (less & ~mask).sum() == 0
    for changed, (x, y, _), far in (
        (more ^ mask, yes, 20),
        (less ^ mask, no, 9),
    ):  # the outline is 11 and 5 pixels away
        rows, columns = np.nonzero(changed)
        assert changed.any() and np.hypot(rows + 0.5 - y, columns + 0.5 - x).max() <= far


def test_only_what_hangs_together_with_a_click_changes():
    mask, found = (
        rectangle(20, 20, 80, 80),
        rectangle(20, 20, 80, 80) | rectangle(80, 40, 90, 50) | rectangle(80, 54, 90, 60),
    )
    assert (retouched(mask, found, tip((85, 45, 1), SIZE), True) == (mask | rectangle(80, 40, 90, 50))).all()
    assert (retouched(mask, mask, tip((5, 5, 0), SIZE), False) == mask).all()  # beside it there is nothing to remove


def test_clicks_that_only_remove_are_asked_with_the_deepest_place_that_is_left():
    (x, y, inside), click = prompt_of([(50, 50, 0)], rectangle(20, 20, 80, 80))
    assert inside == 1 and click == (50, 50, 0) and np.hypot(x - 50, y - 50) > 5
    assert prompt_of([(50, 50, 0), (1, 1, 1)], rectangle(0, 0, 9, 9)) == [(50, 50, 0), (1, 1, 1)]
    assert prompt_of([(5, 5, 0)], rectangle(5, 5, 6, 6)) == []
