"""What is sent to the page of a prior: its picture where it lies on the open image, and its regions."""

from __future__ import annotations

from typing import Any

from medvlm.report.prior import laid, laid_values, told
from medvlm.report.spots import mask_of, united
from medvlm.studies.priors import days_in_words
from medvlm.types import Region, mask_box

from .open_study import Prior
from .pictures import MAX_SIDE, picture_url
from .session import Session
from .windows import packed
from .words import WORDS


def beside(prior: Prior, image: int, unit: str = "") -> dict[str, Any]:
    """The prior as it lies on an image of the open study; without a picture where that image is not compared, and without the
    values behind it where they are not of the `unit` of that image's own."""
    assert prior.alignment is not None
    pixels = laid(prior.study, prior.alignment, image, MAX_SIDE)
    src = None if pixels is None else picture_url(pixels, (pixels.shape[1], pixels.shape[0]))
    of = prior.study.images[prior.image].values
    values = laid_values(prior.study, prior.alignment, image, MAX_SIDE) if unit and of and of.unit == unit else None
    series = [one.to_json() for one in prior.study.series] if prior.upload else []
    out = {"key": prior.key, "title": title(prior), "src": src, "values": None, "series": series}
    return out if values is None else out | {"values": packed(values), "shown": values.shape[::-1]}


def title(prior: Prior) -> str:
    """Such as "Prior, 12 days earlier"."""
    days = prior.relation.days
    if days is None:
        return WORDS["prior.name"]
    return WORDS["prior.earlier" if days >= 0 else "prior.later"].format(days=days_in_words(abs(days)))


def earlier_regions(session: Session) -> tuple[list[Region], dict[str, list[int]]]:
    """The regions of the prior where they lie on the open study, where the layer is a report that was compared with it, and
    which of them the sentences of change speak of, by their texts."""
    top, prior, study = session.layer, session.prior, session.study
    comparison = top.report.comparison if top and top.report else None
    if comparison is None or top is None or prior is None or study is None or top.prior != prior.key:
        return [], {}
    regions: list[Region] = []
    numbers: dict[tuple[int, ...], range] = {(): range(0)}
    for of in {tuple(change.prior_regions): None for change in comparison.changes if change.prior_regions}:
        shown = carried([comparison.prior.regions[r] for r in of], prior)
        numbers[of] = range(len(regions), len(regions) + len(shown))
        regions += shown
    spoken_of = {
        text: sorted({n for change in changes for n in numbers[tuple(change.prior_regions)]})
        for text, changes in told(comparison, study).items()
    }
    return regions, spoken_of


def carried(regions: list[Region], prior: Prior) -> list[Region]:
    """Regions of the prior that are one thing, one on each image of the open study that they lie on."""
    assert prior.alignment is not None
    masks = prior.alignment.carry(united((r.image, mask_of(r, prior.study)) for r in regions))
    drawn = any(r.mask is not None for r in regions)
    score = max(r.score for r in regions)
    return [
        Region(regions[0].label, image, mask_box(mask), mask if drawn else None, score) for image, mask in masks.items()
    ]
