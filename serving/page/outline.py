"""What a user draws on a study themselves: a thing's outline on an image, or on slices of a volume and carried to others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medvlm.types import Region, Study

from .history import History


@dataclass(frozen=True, eq=False)
class Outline:
    """A thing by the images that show it. Where a person drew that it is not there, the mask is empty."""

    title: str
    regions: Mapping[int, Region]
    drawn: frozenset[int]  # the images that a person drew on; the others are carried from these


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
        self.history.push(Outline(title, {**now.regions, region.image: region}, now.drawn | {region.image}))

    def anchors(self) -> list[Region]:
        """What a person drew."""
        return [self.now.regions[image] for image in sorted(self.now.drawn)]

    def carried(self, regions: list[Region], study: Study) -> None:
        """Show what was carried from slice to slice; what a person drew stays, also that it is not there."""
        drawn = {region.image: region for region in self.anchors()}
        everywhere = {region.image: region for region in regions} | drawn
        first, last = (f(i for i, r in everywhere.items() if is_there(r)) + 1 for f in (min, max))
        title = f"Carried: slices {first} to {last} of {len(study.images)}"
        title = title if first < last else f"Slice {first} of {len(study.images)}: carried on, it is lost at once"
        self.history.push(Outline(title, everywhere, self.now.drawn))

    def step(self, by: int) -> None:
        """Undo (-1) or redo (1) one change, if there is one."""
        self.history.step(by)

    def mask(self, image: int) -> np.ndarray | None:
        """The outline on an image."""
        region = self.now.regions.get(image)
        return region.mask if region else None


def is_there(region: Region) -> bool:
    return region.mask is None or bool(region.mask.any())
