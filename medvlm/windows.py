"""Closer looks: windows of an image, shown to the model at a larger scale, and their places in the whole. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from .types import Box, Image

Window = tuple[int, int, int, int]  # x0, y0, x1, y1 in whole pixels, half-open

SHARE = 0.55  # of a window's side that what it was made for takes
WORTH = 0.8  # of the image's longer side: a window larger than this shows nothing new
TILE = 0.4  # a tile's side, of the image's longer one
OVERLAP = 0.1  # of a tile's side, at least
CLOSER = 6 / 7  # of the side at which a whole image is encoded: that for a window around what was drawn
STRIDE = 32  # pixels of which a side is a multiple


def closer_side(side: int) -> int:
    """The side in pixels at which windows are encoded that are looked at beside a whole image at `side`."""
    return STRIDE * round(CLOSER * side / STRIDE)


def around(box: Box, size: tuple[int, int], scale: float = 1.0) -> Window | None:
    """A square window around a box in an image `(H, W)`, cut at its borders; `None` where the whole image does.

    Where it is encoded at `scale` times the side of the whole image, it is narrower by as much, and shows the box as large.
    """
    x0, y0, x1, y1 = box
    side = max(x1 - x0, y1 - y0, 4) / SHARE
    if side > WORTH * max(size):
        return None
    side *= scale
    x, y = (x0 + x1 - side) / 2, (y0 + y1 - side) / 2
    low = max(0, math.floor(x)), max(0, math.floor(y))
    return (*low, min(size[1], math.ceil(x + side)), min(size[0], math.ceil(y + side)))


def tiles(size: tuple[int, int]) -> list[Window]:
    """Overlapping square windows that cover an image `(H, W)`: nine, fewer for a narrow one."""
    side = math.ceil(max(size) * TILE)

    def starts(length: int) -> list[int]:
        room = max(0, length - side)
        steps = math.ceil(room / (side * (1 - OVERLAP)))
        return [round(i * room / max(1, steps)) for i in range(steps + 1)]

    return [(x, y, min(size[1], x + side), min(size[0], y + side)) for y in starts(size[0]) for x in starts(size[1])]


def crop(image: Image, window: Window) -> Image:
    """The part of an image in a window, as an image."""
    x0, y0, x1, y1 = window
    return replace(image, pixels=image.pixels[y0:y1, x0:x1])


def hull(a: Box, b: Box) -> Box:
    """The smallest box around two."""
    return (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))


def shifted(box: Box, window: Window) -> Box:
    """A box of the whole image in the pixels of a window."""
    x, y = window[:2]
    return (box[0] - x, box[1] - y, box[2] - x, box[3] - y)


def points_within(points: Iterable[tuple[float, float, int]], window: Window) -> list[tuple[float, float, int]]:
    """Clicks (x, y, sign) of the whole image in the pixels of a window; those outside are gone."""
    x0, y0, x1, y1 = window
    return [(x - x0, y - y0, sign) for x, y, sign in points if x0 <= x < x1 and y0 <= y < y1]


def inside(box: Box, size: tuple[int, int], slack: float = 0.08) -> np.ndarray:
    """Bool `(H, W)`: a box widened by a share of its sides."""
    x0, y0, x1, y1 = box
    dx, dy = (x1 - x0) * slack, (y1 - y0) * slack
    out = np.zeros(size, bool)
    out[max(0, int(y0 - dy)) : int(np.ceil(y1 + dy)), max(0, int(x0 - dx)) : int(np.ceil(x1 + dx))] = True
    return out
