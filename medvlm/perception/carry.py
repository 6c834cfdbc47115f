"""What was drawn on one slice of a volume carried to its neighbours, from slice to slice, until it vanishes. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import ndimage

from ..errors import RequestError
from ..types import Region, Study

SHARED = 0.5  # overlap (IoU) of two slices' masks below which the next one has another thing, which ends this one
INSIDE = (
    0.5  # of the depth of a mask's deepest pixel: what lies deeper is the scribble that asks for it in the next slice
)

Segment = Callable[..., list[Region]]  # `Finder.segment`


def carry(study: Study, drawn: Sequence[Region], segment: Segment) -> list[Region]:
    """The regions of a thing in all slices, from those `drawn` on some, which stay as they are: one a slice, in order.

    Each slice is prompted with the core of the mask before, outward from the nearest drawn one. A drawn region with an empty
    mask says that the thing is not there: nothing is carried over it. Raises `RequestError` where nothing is drawn to carry.
    """
    anchors = {region.image: region for region in drawn if region.mask is not None}
    if not study.is_volume:
        raise RequestError("Only what is drawn on a slice of a volume can be carried to its neighbours.")
    if not any(region.mask.any() for region in anchors.values() if region.mask is not None):
        raise RequestError("Draw an outline on a slice first: there is none to carry on.")
    found = dict(anchors)
    for at in sorted(anchors):
        for step in (-1, 1):
            for region in onward(study, anchors[at], step, reach(at, step, anchors, len(study.images)), segment):
                found[region.image] = region
    return [region for _, region in sorted(found.items()) if region.mask is not None and region.mask.any()]


def reach(at: int, step: int, anchors: Mapping[int, Any], count: int) -> range:
    """The slices that a drawn one is carried to on one side: up to the end, or half way to the next drawn one."""
    others = [other for other in anchors if (other - at) * step > 0]
    if not others:
        return range(at + step, count if step > 0 else -1, step)
    gap = min(abs(other - at) for other in others) - 1
    near = (gap + (step > 0)) // 2  # the slice in the middle is the lower one's
    return range(at + step, at + step * (near + 1), step)


def onward(study: Study, start: Region, step: int, slices: range, segment: Segment) -> Iterator[Region]:
    """What is found in slices one after another, each from the mask before it, until it vanishes."""
    before = start
    for at in slices:
        assert before.mask is not None
        if not before.mask.any():
            return
        found = segment(study, at, scribble=core(before.mask))
        if not found or overlap(found[0].mask, before.mask) < SHARED:
            return
        before = replace(found[0], label=start.label, phrase=start.phrase)
        yield before


def core(mask: np.ndarray) -> np.ndarray:
    """The inner part of a mask `(H, W)`, bool, which the next slice most likely shares."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return depth > INSIDE * depth.max()


def overlap(mask: np.ndarray | None, other: np.ndarray) -> float:
    return 0.0 if mask is None else float((mask & other).sum() / max(1, (mask | other).sum()))
