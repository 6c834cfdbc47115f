"""Overlays: colours of labels, size, and where tags lie."""

from __future__ import annotations

import numpy as np

from medvlm.report.overlay import COLOURS, PALETTE, _luminance, colours, draw_overlay, enlarged, label_colours
from medvlm.types import Region, mask_box


def region(label: str, mask: np.ndarray) -> Region:
    return Region(label, 0, mask_box(mask), mask, 0.9)


def test_labels_have_their_colours_in_the_order_in_which_they_come():
    assert label_colours(["polyp", "mass", "polyp"]) == {"polyp": PALETTE[0], "mass": PALETTE[1]}
    many = label_colours(map(str, range(COLOURS + 1)))
    assert len(many) == COLOURS + 1 and many[str(COLOURS)] == PALETTE[0] and label_colours([]) == {}


def test_colours_are_told_apart_and_can_be_written_on():
    all_of_them = np.array(colours(), float)
    assert colours()[: len(PALETTE)] == PALETTE and len(set(colours())) == COLOURS
    assert min(abs(a - b).sum() for i, a in enumerate(all_of_them) for b in all_of_them[:i]) > 50
    assert ((_luminance(all_of_them) + 0.05) / 0.05 > 4.5).all()  # the contrast with black


def test_small_images_are_enlarged_with_their_regions():
    pixels, mask = np.zeros((60, 80, 3), np.uint8), np.zeros((60, 80), bool)
    mask[10:20, 30:50] = True
    large, (found,) = enlarged(pixels, [region("polyp", mask)])
    assert large.shape == (780, 1040, 3) and found.mask.shape == (780, 1040)
    assert found.box == mask_box(found.mask) == (390, 130, 650, 260)
    assert enlarged(np.zeros((1024, 9), np.uint8), [])[0].shape == (1024, 9)


def test_tags_hide_no_small_thing_and_no_other_tag():
    small, near = (np.zeros((400, 400), bool) for _ in range(2))
    small[200:216, 100:116] = True
    near[170:198, 60:200] = True  # where the tag would lie above it
    drawn = draw_overlay(np.zeros((400, 400), np.uint8), [region("polyp", small), region("ulcer", near)])
    polyp, ulcer = ((drawn == colour).all(2) for colour in list(label_colours(["polyp", "ulcer"]).values()))
    assert not polyp[near].any() and polyp[~small].sum() > 300  # the tag lies elsewhere
    assert not ulcer[small].any() and ulcer[~near].sum() > 300
