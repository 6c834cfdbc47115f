"""Drawn prompts: for which instances they are made, how boxes, clicks and scribbles are drawn, what a guess from them reaches.

Clicks follow the interactive protocol of RITM (Sofiiuk et al. 2021): the first at the innermost point of the instance,
each next one at the innermost point of the deepest error, positive in what was missed, negative in what was too much.
Unlike there, the edge of an error is also where a click was already, so that no click is given twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from zlib import crc32

import numpy as np
from scipy import ndimage

from ..records import Record
from ..types import Box, mask_box
from .metrics import dice

Click = tuple[float, float, int]  # x and y in pixels, 1 positive or 0 negative

KINDS = ("box", "click", "clicks4", "scribble")
PER_LABEL = 3  # instances of a label in an image
MIN_AREA = 64  # pixels of the stored image
ANGLES = 24  # directions tried for a scribble
COVERED = 0.8  # of a chord's length, under the scribble
BRUSH = 0.01  # radius of the scribble, as a share of the image's longer side
LEFT_OUT = frozenset(  # so thin or scattered that one box or click does not say what is meant
    (
        "retinal vessels", "retinal arteries", "retinal veins", "airways", "tubing", "monitoring probe",
        "endotracheal tube", "central venous line", "nasogastric tube",
        "microaneurysms", "haemorrhages", "hard exudates", "soft exudates",
    )
)  # fmt: skip


# Which instances


def chosen_instances(record: Record, seed: int = 0) -> list[tuple[str, int]]:
    """At most `PER_LABEL` (label, instance id) of each label, sampled by the seed and the record's key alone."""
    instances = []
    for label in dict.fromkeys(region.label for region in record.regions):
        rng = np.random.default_rng([seed, crc32(f"{record.key}/{label}".encode())])
        ids = rng.permutation(np.flatnonzero(_areas(record, label)[1:] >= MIN_AREA) + 1)[:PER_LABEL]
        instances += [(label, int(i)) for i in sorted(ids)]
    return instances


def _areas(record: Record, label: str) -> np.ndarray:
    """Pixels of the background and of each instance id `(256,)`; all 0 for a label without masks or left out."""
    region = None if label in LEFT_OUT else record.region(label)
    mask = region.mask if region else None
    return np.zeros(256, int) if mask is None else np.bincount(mask.ravel(), minlength=256)


def instance_mask(record: Record, label: str, number: int) -> np.ndarray:
    """The bool mask `(H, W)` of one instance that `chosen_instances` named."""
    region = record.region(label)
    mask = region.mask if region else None
    assert mask is not None
    return mask == number


# Drawing


def innermost(mask: np.ndarray) -> tuple[float, int, int]:
    """Depth in pixels, x and y of the point furthest from a mask's edge, the image's border being one; depth 0 if empty."""
    x0, y0, x1, y1 = (int(v) for v in mask_box(mask))
    depth = ndimage.distance_transform_edt(np.pad(mask[y0:y1, x0:x1], 1))
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return float(depth[y, x]), int(x) + x0 - 1, int(y) + y0 - 1


def first_click(truth: np.ndarray) -> Click:
    """The middle of the innermost pixel, as a positive click."""
    _, x, y = innermost(truth)
    return x + 0.5, y + 0.5, 1


def correction(found: np.ndarray, truth: np.ndarray, clicks: Sequence[Click] = ()) -> Click | None:
    """The click after `clicks`, at the innermost point of the deepest error; `None` where nothing is wrong."""
    fresh = np.ones_like(truth)
    for x, y, _ in clicks:
        fresh[int(y), int(x)] = False
    missed, extra = innermost(truth & ~found & fresh), innermost(found & ~truth & fresh)
    depth, x, y = max(missed, extra, key=lambda error: error[0])
    return (x + 0.5, y + 0.5, int(missed[0] >= extra[0])) if depth else None


def scribble(truth: np.ndarray) -> np.ndarray:
    """A stroke along the longest chord through the innermost point, its ends left free: bool `(H, W)`, inside the mask.

    A straight line, as the line scribbles of ScribblePrompt (Wong et al. 2024), but always the same one.
    """
    (height, width), (_, x, y) = truth.shape, innermost(truth)
    padded, steps = np.pad(truth, 1), np.arange(height + width)
    angles = np.pi * np.arange(2 * ANGLES)[:, None] / ANGLES

    def cells(angle: Any, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns in the padded mask."""
        rows = np.clip(np.rint(y + step * np.sin(angle)), -1, height) + 1
        return rows.astype(int), (np.clip(np.rint(x + step * np.cos(angle)), -1, width) + 1).astype(int)

    reach = padded[cells(angles, steps)].argmin(1)  # the first step outside, in each direction
    best = int((reach[:ANGLES] + reach[ANGLES:]).argmax())
    back, ahead = ((reach[i] - 1) * COVERED for i in (best + ANGLES, best))
    stroke = np.zeros_like(padded)
    stroke[cells(angles[best], np.arange(-int(back), int(ahead) + 1))] = True
    radius = max(1, round(BRUSH * max(truth.shape)))
    return ndimage.binary_dilation(stroke[1:-1, 1:-1], iterations=radius) & truth


# What a guess from the drawing alone reaches


def mean_radii(records: Iterable[Record]) -> dict[str, float]:
    """Label → mean radius of its instances as discs of equal area, as a share of the root of the image's area."""
    radii: dict[str, list[float]] = defaultdict(list)
    for record in records:
        for label in dict.fromkeys(region.label for region in record.regions):
            areas = _areas(record, label)
            kept = areas[1:][areas[1:] >= MIN_AREA]
            radii[label] += np.sqrt(kept / np.pi / max(areas.sum(), 1)).tolist()
    return {label: float(np.mean(values)) for label, values in radii.items() if values}


def filled_box(box: Box, size: tuple[int, int]) -> np.ndarray:
    """Bool `(H, W)`: all of a box with whole sides."""
    x0, y0, x1, y1 = (int(v) for v in box)
    out = np.zeros(size, bool)
    out[y0:y1, x0:x1] = True
    return out


def filled_ellipse(box: Box, size: tuple[int, int]) -> np.ndarray:
    """Bool `(H, W)`: the ellipse that fits into a box, which may leave the image."""
    x0, y0, x1, y1 = box
    y, x = np.ogrid[: size[0], : size[1]]
    return ((2 * x + 1 - x0 - x1) / (x1 - x0)) ** 2 + ((2 * y + 1 - y0 - y1) / (y1 - y0)) ** 2 <= 1


def guesses(truth: np.ndarray, radius: float | None) -> dict[str, dict[str, float]]:
    """Kind of prompt → Dice of trivial guesses: the filled box and ellipse, a disc of `radius` pixels on click or scribble."""

    def disc(x: float, y: float) -> dict[str, float]:
        if radius is None:
            return {}
        box = (x - radius, y - radius, x + radius, y + radius)
        return {"mean disc": dice(filled_ellipse(box, truth.shape), truth)}

    box, (x, y, _) = mask_box(truth), first_click(truth)
    rows, columns = np.nonzero(scribble(truth))
    return {
        "box": {
            "filled box": dice(filled_box(box, truth.shape), truth),
            "filled ellipse": dice(filled_ellipse(box, truth.shape), truth),
        },
        "click": disc(x, y),
        "clicks4": disc(x, y),
        "scribble": disc(columns.mean() + 0.5, rows.mean() + 0.5),
    }
