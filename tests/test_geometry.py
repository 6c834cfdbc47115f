"""Images as shown and their files' own pixels, there and back."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from medvlm.geometry import Turn
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
