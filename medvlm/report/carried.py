"""A finding that a person drew on slices of a volume, carried to the others: what it is carried from, and the corrections of it.

A slice whose region was carried is never carried from; where it is carried anew, what was carried before goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import RequestError
from ..types import Region, Report, Study, mask_box
from .corrections import Corrections, places, regions_spoken_of
from .edits import AddRegion, Correction, RedrawRegion, RejectRegion

OfRegion = RedrawRegion | RejectRegion | AddRegion
DRAW_FIRST = "Draw the finding on a slice first: there is nothing of it to carry on."


def anchors(draft: Report, made: Sequence[Correction], study: Study, finding: int) -> list[Region]:
    """What a person drew of a finding, one region a slice, with an empty mask where they rejected all that there was.

    Raises `RequestError` where there is no such finding, or nothing of it was drawn.
    """
    regions, own = _own(draft, made, study, finding)
    last = _last(draft, made)
    drawn: dict[int, Region] = {}
    for number in sorted(own):
        one, region = last.get(number), regions[number]
        if one is not None and not one.carried and region.mask is not None:
            rejected = isinstance(one, RejectRegion)
            before = drawn.get(region.image)
            mask = np.zeros_like(region.mask) if rejected else region.mask
            mask = mask if before is None or before.mask is None else mask | before.mask
            drawn[region.image] = replace(region, mask=mask, box=mask_box(mask) if mask.any() else region.box)
    drafted = {regions[n].image for n in own if n < len(draft.regions) and (n not in last or last[n].carried)}
    kept = [r for r in drawn.values() if r.mask is not None and (r.mask.any() or r.image not in drafted)]
    if not any(r.mask is not None and r.mask.any() for r in kept):
        raise RequestError(DRAW_FIRST)
    return kept


def carried(
    draft: Report, made: Sequence[Correction], study: Study, finding: int, found: Sequence[Region]
) -> list[Correction]:
    """The corrections with what was `found` of a finding from slice to slice (`perception.carry`); what a person drew stays.

    On its slice a region takes the place of those of the finding that it meets. Raises `RequestError`.
    """
    drawn = {region.image for region in anchors(draft, made, study, finding)}
    kept = _without_carried(draft, made, study, finding)
    regions, own = _own(draft, kept, study, finding)
    alive = own & set(places(draft, Corrections.of(draft, kept), study))
    label = next(regions[n].label for n in sorted(own))
    out: list[Correction] = []
    for region in found:
        if region.image in drawn or region.mask is None:
            continue
        met = [n for n in sorted(alive) if regions[n].image == region.image and _meet(regions[n], region.mask)]
        box = mask_box(region.mask)
        out += [RedrawRegion(n, box, region.mask, carried=True) for n in met[:1]]
        out += [RejectRegion(n, carried=True) for n in met[1:]]
        out += [] if met else [AddRegion(label, region.image, box, region.mask, carried=True)]
    return [*kept, *out]


def origins(draft: Report, made: Sequence[Correction]) -> dict[int, str]:
    """Of each region that is not the draft's, by the number that corrections name it by: whether it is drawn or carried."""
    return {number: "carried" if one.carried else "drawn" for number, one in _last(draft, made).items()}


def _own(draft: Report, made: Sequence[Correction], study: Study, finding: int) -> tuple[dict[int, Region], set[int]]:
    """All regions by their numbers, and the numbers of those that show a finding."""
    regions, shown = regions_spoken_of(draft, Corrections.of(draft, made), study)
    if not 0 <= finding < len(shown) or not shown[finding]:
        raise RequestError(DRAW_FIRST)
    return regions, shown[finding]


def _last(draft: Report, made: Sequence[Correction]) -> dict[int, OfRegion]:
    """The last correction of each region that was corrected."""
    out: dict[int, OfRegion] = {}
    added = len(draft.regions)
    for one in made:
        if isinstance(one, AddRegion):
            out[added] = one
            added += 1
        elif isinstance(one, RedrawRegion | RejectRegion):
            out[one.region] = one
    return out


def _without_carried(draft: Report, made: Sequence[Correction], study: Study, finding: int) -> list[Correction]:
    """The corrections without those that carried a finding, unless a person drew over them; added regions are counted anew."""
    _, own = _own(draft, made, study, finding)
    gone = {number for number, one in _last(draft, made).items() if number in own and one.carried}
    numbers: dict[int, int] = {number: number for number in range(len(draft.regions))}
    out: list[Correction] = []
    added = new = len(draft.regions)
    for one in made:
        if isinstance(one, AddRegion):
            if added not in gone:
                numbers[added] = new
                new += 1
                out.append(one)
            added += 1
        elif isinstance(one, RedrawRegion | RejectRegion):
            out += [] if one.region in gone else [replace(one, region=numbers[one.region])]
        else:
            out.append(one)
    return out


def _meet(region: Region, mask: np.ndarray) -> bool:
    """Whether a region and a mask of its image have a pixel in common."""
    if region.mask is not None:
        return bool((region.mask & mask).any())
    x0, y0, x1, y1 = (round(v) for v in region.box)
    return bool(mask[y0:y1, x0:x1].any())
