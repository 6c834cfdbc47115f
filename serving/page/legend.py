"""A picture that is saved, with the names of its regions in margins beside it, so that none lies over the anatomy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from medvlm.report.overlay import Colour, draw_overlay
from medvlm.types import Region

from .words import WORDS

GROUND: Colour = (14, 16, 19)
LINE = 1.4  # height of a line of text in its font's size
LEAD = 1.5  # width, in the same, of the part of a leading line that lies in the margin


@dataclass
class Name:
    """A region's name in a margin, at the height `y` of its middle, and the ends of its region in that height's row."""

    text: str
    colour: Colour
    ends: tuple[float, float]  # x of the region's left and right edge …
    row: float  # … in this row
    y: float = 0.0

    @property
    def middle(self) -> float:
        return sum(self.ends) / 2


def labelled(
    pixels: np.ndarray,
    regions: Sequence[Region],
    opacity: float,
    colours: Mapping[str, Colour],
    marks: Sequence[str] = (),
) -> np.ndarray:
    """uint8 `(H, W + margins, 3)`: regions over pixels `(H, W)` or `(H, W, 3)`, and a line from each to its name beside the
    picture. Of more regions than there is room for, the largest are named, and how many more there are is said. `marks`: of each
    region what is said in the place of its score, or nothing."""
    drawn = draw_overlay(pixels, regions, opacity, colours, tagged=False)
    if not regions:
        return drawn
    height, width = drawn.shape[:2]
    size = max(12, max(height, width) // 50)
    font, step = PIL.ImageFont.load_default(size=size), LINE * size
    said = [f"{region.label} {mark or f'{region.score:.2f}'}" for region, mark in zip_longest(regions, marks)]
    largest = sorted(range(len(regions)), key=lambda i: regions[i].area, reverse=True)[: 2 * int(height // step)]
    left, right = sides([_name(said[i], regions[i], colours) for i in largest], width)
    rest = len(regions) - len(left) - len(right)
    if rest:
        right[-1] = Name(WORDS["viewer.more"].format(count=rest + 1), (255, 255, 255), right[-1].ends, right[-1].row)
    margins = [
        max((int(font.getlength(n.text) + (LEAD + 1) * size) for n in side), default=0) for side in (left, right)
    ]
    out = PIL.Image.new("RGB", (margins[0] + width + margins[1], height), GROUND)
    out.paste(PIL.Image.fromarray(drawn), (margins[0], 0))
    pen, thin = PIL.ImageDraw.Draw(out), max(1, size // 12)
    for side, at, edge in ((left, margins[0], -1), (right, margins[0] + width, 1)):
        spread(side, step, height)
        for name in side:
            end = margins[0] + name.ends[0 if edge < 0 else 1], name.row
            bend = at + edge * LEAD * size, name.y
            pen.line([end, (at + edge * thin, name.y), bend], fill=name.colour, width=thin)
            pen.text(
                (bend[0] + edge * size / 4, name.y), name.text, name.colour, font, anchor="rm" if edge < 0 else "lm"
            )
    return np.asarray(out)


def _name(text: str, region: Region, colours: Mapping[str, Colour]) -> Name:
    """The name of a region, with its ends in the row in its middle, by area."""
    x0, y0, x1, y1 = region.box
    ends, row = (float(x0), float(x1)), (y0 + y1) / 2
    if region.mask is not None and region.mask.any():
        rows, columns = np.nonzero(region.mask)
        row = float(np.sort(rows)[len(rows) // 2])
        there = columns[rows == row]
        ends = float(there.min()), float(there.max()) + 1
    return Name(text, colours[region.label], ends, row)


def sides(names: Sequence[Name], width: int) -> tuple[list[Name], list[Name]]:
    """Names by the margin that is nearer, from the top down; half of them at most in either, for room."""
    by_place = sorted(names, key=lambda name: name.middle)
    half = (len(names) + 1) // 2
    near = sum(name.middle < width / 2 for name in names)
    cut = min(max(near, len(names) - half), half) if len(names) > 4 else near
    left, right = by_place[:cut], by_place[cut:]
    return sorted(left, key=lambda name: name.row), sorted(right, key=lambda name: name.row)


def spread(names: Sequence[Name], step: float, height: int) -> None:
    """Set the heights of names so that they lie near their regions, `step` apart at least, inside `height`."""
    last = -step / 2
    for name in names:
        name.y = last = max(name.row, last + step)
    below = height + step / 2
    for name in reversed(names):
        name.y = below = min(name.y, below - step)
