"""Outlines of labels, in the truth and in what was found. Masks are bool `(H, W)`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..records import Record
from ..types import Region


def outlines(record: Record) -> dict[str, np.ndarray]:
    """Label → the union of its instances, for every label with an outline that is not empty."""
    masks = ((region.label, region.mask) for region in record.regions)
    return {label: mask > 0 for label, mask in masks if mask is not None and mask.any()}


def union(regions: Iterable[Region], size: tuple[int, int]) -> np.ndarray:
    """All that regions outline in an image of `size` `(H, W)`; a box alone is no outline."""
    out = np.zeros(size, bool)
    for region in regions:
        if region.mask is not None:
            out |= region.mask
    return out
