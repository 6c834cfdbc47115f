"""Where a region lies, in words that its box and the masks beside it can show."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..types import Region

SPANS = 0.6  # a region this much of the image's width or height is in no third of it
INSIDE = 0.7  # share of a region's pixels that puts it inside an organ


def _third(low: float, high: float, length: int, words: tuple[str, str, str]) -> str:
    if (high - low) / length > SPANS:
        return ""
    return words[min(2, int(3 * (low + high) / 2 / length))]


def locate(region: Region, size: tuple[int, int]) -> str:
    """The image's third that holds the box's middle, such as "in the upper left of the image".

    The sides are the image's, not the patient's; a label that names a side gets none. Widespread regions say so.
    """
    (height, width), (x0, y0, x1, y1) = size, region.box
    row = _third(y0, y1, height, ("upper", "middle", "lower"))
    sided = {"left", "right"} & set(region.label.split())
    column = "" if sided else _third(x0, x1, width, ("left", "centre", "right"))
    if not row and not column:
        return "" if sided else "across most of the image"
    if (row, column) == ("middle", "centre"):
        return "in the centre of the image"
    if not column or column == "centre":
        return {"middle": "at mid-height of the image", "": "in the middle of the image"}.get(
            row, f"in the {row} part of the image"
        )
    return f"on the {column} side of the image" if row in ("", "middle") else f"in the {row} {column} of the image"


def container(region: Region, organs: Mapping[str, np.ndarray]) -> str | None:
    """The smallest organ of `organs` (label → mask) that holds the region, if any does."""
    if region.mask is None or not region.mask.any():
        return None
    total = region.mask.sum()
    holding = [name for name, mask in organs.items() if (mask & region.mask).sum() >= INSIDE * total]
    return min(holding, key=lambda name: organs[name].sum(), default=None)
