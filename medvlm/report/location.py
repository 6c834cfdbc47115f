"""Where a region lies, in words that its box and the masks beside it can show."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..conversation.places import phrase, words_for
from ..types import Region

INSIDE = 0.7  # share of a region's pixels that puts it inside an organ


def locate(region: Region, size: tuple[int, int]) -> str:
    """Where a region lies in an image `(H, W)`, such as "in the upper left of the image", as a conversation says it.

    The sides are the image's, not the patient's; a label that names a side gets none.
    """
    words = words_for(region, size, mirrored=False)
    if {"left", "right"} & set(region.label.split()):
        words = " ".join(word for word in words.split() if word in ("upper", "lower"))
    return phrase(words, mirrored=False) if words else ""


def container(region: Region, organs: Mapping[str, np.ndarray]) -> str | None:
    """The smallest organ of `organs` (label → mask) that holds the region, if any does."""
    if region.mask is None or not region.mask.any():
        return None
    total = region.mask.sum()
    holding = [name for name, mask in organs.items() if (mask & region.mask).sum() >= INSIDE * total]
    return min(holding, key=lambda name: organs[name].sum(), default=None)
