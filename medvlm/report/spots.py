"""What hangs together in one study: spots of masks, carried from one study to the other, met and measured. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..types import Measurement, Region, Report, Study
from .alignment import Alignment
from .measurements import area, diameters

NEAR = 0.01  # of the image's longer side, by which spots that are one may miss each other
BOX_AREA = "area of its box"

Masks = dict[int, np.ndarray]  # image -> bool (H, W)


@dataclass
class Spot:
    """What hangs together in one study."""

    regions: list[int]
    masks: Masks  # in the current study's pixels
    shown: float  # share of it that the other study shows
    boxed: bool = False  # whether a box stands for some of its outlines


def spots_of(report: Report, regions: Sequence[int], study: Study, single: bool) -> list[Spot]:
    """Regions that lie on each other, in one image or in neighbouring slices of a volume, are one spot; all of a `single`."""
    masks = [mask_of(report.regions[r], study) for r in regions]
    images = [report.regions[r].image for r in regions]

    def one(i: int, j: int) -> bool:
        apart = abs(images[i] - images[j])
        if apart > int(study.is_volume):
            return False
        both = int((masks[i] & masks[j]).sum())
        # Neighbouring slices hang together where they touch; in one image two regions may touch and be told apart.
        return both > 0 if apart else 2 * both > min(masks[i].sum(), masks[j].sum())

    pairs = [(i, j) for i in range(len(regions)) for j in range(i) if single or one(i, j)]
    return [
        Spot(
            [regions[i] for i in group],
            united((images[i], masks[i]) for i in group),
            1.0,
            any(report.regions[regions[i]].mask is None for i in group),
        )
        for group in _groups(len(regions), pairs)
    ]


def mask_of(region: Region, study: Study) -> np.ndarray:
    """A region's mask, or its box where it has none."""
    if region.mask is not None:
        return region.mask
    x0, y0, x1, y1 = (round(v) for v in region.box)
    mask = np.zeros(study.images[region.image].size, bool)
    mask[max(0, y0) : y1, max(0, x0) : x1] = True
    return mask


def united(masks: Iterable[tuple[int, np.ndarray]]) -> Masks:
    out: Masks = {}
    for image, mask in masks:
        out[image] = out[image] | mask if image in out else mask
    return out


def share_within(masks: Masks, within: Masks) -> float:
    """The share of some masks that lies in others."""
    total = sum(mask.sum() for mask in masks.values())
    shown = sum((mask & within[i]).sum() for i, mask in masks.items() if i in within)
    return float(shown / total) if total else 0.0


def carried(spot: Spot, alignment: Alignment, examined: Sequence[int]) -> tuple[Masks, float]:
    """A spot of the prior in those images of today that were looked at, and how much of it these show."""
    kept = {i: mask for i, mask in alignment.carry(spot.masks).items() if i in examined}
    voxel = 1 / abs(np.linalg.det(alignment.matrix[:3, :3]))  # of the prior, in those of today
    total = voxel * sum(mask.sum() for mask in spot.masks.values())
    shown = sum(mask.sum() for mask in kept.values())
    return kept, min(1.0, float(shown / total)) if total else 0.0


def met(mine: Sequence[Spot], theirs: Sequence[Spot], study: Study) -> list[tuple[list[Spot], list[Spot]]]:
    """Spots of now with those of the prior that they lie on; where they lie on none, with those close by."""
    pairs = {(i, j) for i, a in enumerate(mine) for j, b in enumerate(theirs) if _meet(a.masks, b.masks)}
    far = round(NEAR * max(max(image.size) for image in study.images))
    alone = set(range(len(mine))) - {i for i, _ in pairs}, set(range(len(theirs))) - {j for _, j in pairs}
    wide = {j: {i: _grown(m, far) for i, m in theirs[j].masks.items()} for j in (alone[1] if alone[0] else ())}
    pairs |= {(i, j) for i in alone[0] for j in alone[1] if _meet(mine[i].masks, wide[j])}
    groups = _groups(len(mine) + len(theirs), [(i, len(mine) + j) for i, j in pairs])
    return [
        ([mine[i] for i in g if i < len(mine)], [theirs[i - len(mine)] for i in g if i >= len(mine)]) for g in groups
    ]


def _meet(a: Mapping[int, np.ndarray], b: Mapping[int, np.ndarray]) -> bool:
    return any((mask & b[i]).any() for i, mask in a.items() if i in b)


def _grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    return ndimage.distance_transform_edt(~mask) <= pixels if mask.any() else mask


def _groups(count: int, pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Numbers below `count` that pairs join, in the order of their first."""
    rows, columns = [a for a, _ in pairs], [b for _, b in pairs]
    joined = coo_array((np.ones(len(pairs)), (rows, columns)), (count, count))
    found = connected_components(joined, directed=False)[1] if count else np.zeros(0, int)
    return [np.flatnonzero(found == number).tolist() for number in dict.fromkeys(found.tolist())]


def rim(masks: Masks) -> int:
    """Pixels on the outlines."""
    return int(sum((mask & ~ndimage.binary_erosion(mask)).sum() for mask in masks.values()))


def sizes_of(masks: Masks, study: Study, boxed: bool) -> list[Measurement]:
    """The longest diameter and the area in the image that has most of it, or, of a volume, its volume, which comes last."""
    if not masks:
        return []
    most = max(masks, key=lambda i: masks[i].sum())
    spacing = study.images[most].spacing_mm
    found = [m for m in diameters(masks[most], spacing) if m.name == "longest diameter"]
    if not study.is_volume:
        size = area(masks[most], spacing)
        return [Measurement(BOX_AREA, size.value, size.unit)] if boxed else [*found, size]
    voxels, step = sum(int(mask.sum()) for mask in masks.values()), study.metadata.get("slice_spacing_mm")
    if not (spacing and step):
        return [*found, Measurement("volume", voxels, "voxels")]
    return [*found, Measurement("volume", voxels * spacing[0] * spacing[1] * step / 1000, "ml")]
