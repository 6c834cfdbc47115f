"""What a user draws on a study themselves: a thing's outline on an image, or on slices of a volume and carried to others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medvlm.errors import RequestError
from medvlm.report.corrections import Corrections, apply
from medvlm.report.edits import AddRegion
from medvlm.types import Region, Report, Study
from medvlm.vocabulary import known_name

from .history import History
from .words import WORDS

EMPTY = Report([], [], [])  # what a person draws in, where nothing was drafted
UNNAMED = WORDS["drawing.unnamed"]


@dataclass(frozen=True, eq=False)
class Outline:
    """A thing by the images that show it. Where a person drew that it is not there, the mask is empty."""

    title: str
    regions: Mapping[int, Region]
    drawn: frozenset[int]  # the images that a person drew on; the others are carried from these
    label: str = ""  # what it is, once they have said it


class Outlines:
    """The states of an outline, which can be undone."""

    def __init__(self, title: str, region: Region):
        self.history = History(Outline(title, {region.image: region}, frozenset({region.image})))

    @property
    def now(self) -> Outline:
        return self.history.now

    @property
    def title(self) -> str:
        return self.now.title

    @property
    def regions(self) -> list[Region]:
        """What is there to show, in order."""
        return [region for _, region in sorted(self.now.regions.items()) if is_there(region)]

    def draw(self, title: str, region: Region) -> None:
        """Put what a person drew on an image in the place of what is on it."""
        now = self.now
        region = replace(region, label=now.label or region.label)
        self.history.push(
            replace(now, title=title, regions={**now.regions, region.image: region}, drawn=now.drawn | {region.image})
        )

    def name(self, label: str) -> None:
        """Say what it is. Raises `RequestError` for a label that the vocabulary does not have."""
        known = known_name(label)
        if known is None:
            raise RequestError(WORDS["corrections.unknown"].format(label=repr(label)))
        regions = {image: replace(region, label=known) for image, region in self.now.regions.items()}
        self.history.push(replace(self.now, regions=regions, label=known))

    def corrections(self) -> Corrections:
        """What was drawn, as it is saved. Raises `RequestError` where nobody has said what it is."""
        if not self.now.label:
            raise RequestError(UNNAMED)
        shown, drawn = [r for r in self.regions if r.mask is not None], self.now.drawn
        made = [AddRegion(self.now.label, r.image, r.box, r.mask, carried=r.image not in drawn) for r in shown]
        return Corrections.of(EMPTY, made)

    def report(self, study: Study) -> Report:
        """What was drawn, as a report that the reader made. Raises `RequestError`."""
        return apply(EMPTY, self.corrections(), study)

    def anchors(self) -> list[Region]:
        """What a person drew."""
        return [self.now.regions[image] for image in sorted(self.now.drawn)]

    def carried(self, regions: list[Region], study: Study) -> None:
        """Show what was carried from slice to slice; what a person drew stays, also that it is not there."""
        drawn = {region.image: region for region in self.anchors()}
        everywhere = {region.image: region for region in regions} | drawn
        title = carried_to([r for r in everywhere.values() if is_there(r)], study)
        named = {image: replace(r, label=self.now.label or r.label) for image, r in everywhere.items()}
        self.history.push(replace(self.now, title=title, regions=named))

    def step(self, by: int) -> None:
        """Undo (-1) or redo (1) one change, if there is one."""
        self.history.step(by)

    def mask(self, image: int) -> np.ndarray | None:
        """The outline on an image."""
        region = self.now.regions.get(image)
        return region.mask if region else None


def carried_to(regions: Sequence[Region], study: Study) -> str:
    """The slices on which something is that was carried."""
    first, last = (f(region.image for region in regions) + 1 for f in (min, max))
    if first == last:
        return WORDS["drawing.lost"].format(first=first, count=len(study.images))
    return WORDS["drawing.carried"].format(first=first, last=last, count=len(study.images))


def is_there(region: Region) -> bool:
    return region.mask is None or bool(region.mask.any())
