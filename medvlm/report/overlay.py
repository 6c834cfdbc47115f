"""Regions drawn over an image."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import cycle
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from scipy import ndimage

from ..types import Box, Region, mask_box

Colour = tuple[int, int, int]

PALETTE: tuple[Colour, ...] = (
    (255, 176, 0), (64, 190, 255), (255, 97, 136), (120, 220, 130), (190, 150, 255), (255, 230, 110),
    (70, 220, 210), (255, 140, 90),
)  # fmt: skip
COLOURS = 32  # that are told apart
LEAST_LUMINANCE = 0.22  # black on it, and it on black, has a contrast of 5.4
MOST_TAGS = 12  # of one label; more would hide the image
SMALL, DEAR = (
    0.02,
    8,
)  # share of the image from which on a region is large; what hiding a pixel of smaller ones, or of a tag, weighs
LEAST_SIDE = 1024  # pixels of the longer side of an overlay that a person looks at

Rectangle = tuple[int, int, int, int]


def label_colours(labels: Iterable[str]) -> dict[str, Colour]:
    """A colour a label, in the order in which labels first come; those of more labels than there are colours come again."""
    return dict(zip(dict.fromkeys(labels), cycle(colours()), strict=False))


@cache
def colours() -> tuple[Colour, ...]:
    """The palette, and then always the bright colour that is farthest from all before."""
    choice = [
        colorsys.hls_to_rgb(hue / 36, lightness, saturation)
        for lightness, saturation in ((0.58, 1.0), (0.74, 0.9), (0.62, 0.5), (0.87, 0.8))
        for hue in range(36)
    ]
    candidates = np.rint(255 * np.array(choice))
    candidates = candidates[_luminance(candidates) >= LEAST_LUMINANCE]
    out = [np.array(colour, float) for colour in PALETTE]
    while len(out) < COLOURS:
        nearest = np.min([_apart(candidates, colour) for colour in out], axis=0)
        out.append(candidates[nearest.argmax()])
    return tuple((int(r), int(g), int(b)) for r, g, b in out)


def _luminance(colours: np.ndarray) -> np.ndarray:
    """The relative luminance of colours `(N, 3)`, as WCAG 2 has it."""
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def _apart(colours: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How unlike colours `(N, 3)` are to another one, squared: red and blue weigh by how red both are, as for the eye."""
    red = (colours[:, 0] + other[0]) / 512
    return ((colours - other) ** 2 * np.stack([2 + red, np.full_like(red, 4), 3 - red], axis=1)).sum(axis=1)


def enlarged(pixels: np.ndarray, regions: Sequence[Region], least: int = LEAST_SIDE) -> tuple[np.ndarray, list[Region]]:
    """An image and its regions, a whole number of times as large, so that its longer side has at least `least` pixels."""
    times = -(-least // max(pixels.shape[:2]))
    if times == 1:
        return pixels, list(regions)
    size = (pixels.shape[1] * times, pixels.shape[0] * times)
    large = np.asarray(PIL.Image.fromarray(pixels).resize(size, PIL.Image.Resampling.BICUBIC))
    return large, [_larger(region, times) for region in regions]


def _larger(region: Region, times: int) -> Region:
    x0, y0, x1, y1 = (float(v * times) for v in region.box)
    mask = None if region.mask is None else region.mask.repeat(times, axis=0).repeat(times, axis=1)
    return replace(region, box=(x0, y0, x1, y1), mask=mask)


def draw_overlay(
    pixels: np.ndarray,
    regions: Sequence[Region],
    opacity: float = 0.3,
    colours: Mapping[str, Colour] | None = None,
    tagged: bool = True,
) -> np.ndarray:
    """Translucent masks, thin outlines (boxes where there is no mask) and label tags over uint8 pixels.

    Takes `(H, W)` or `(H, W, 3)` and returns a new uint8 `(H, W, 3)`. All `regions` belong to this image; `colours` are by
    label, chosen for the image alone where they are left out.
    """
    canvas = (pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)).astype(np.float32)
    colours = colours or label_colours(region.label for region in regions)
    line = max(1, round(max(canvas.shape[:2]) / 500))
    for region in regions:
        if region.mask is not None and region.mask.any():
            colour = np.asarray(colours[region.label], np.float32)
            left, top, right, bottom = map(int, mask_box(region.mask))
            mask, part = region.mask[top:bottom, left:right], canvas[top:bottom, left:right]
            part[mask] = (1 - opacity) * part[mask] + opacity * colour
            part[mask & ~ndimage.binary_erosion(mask, iterations=line)] = colour
    picture = PIL.Image.fromarray(canvas.round().astype(np.uint8))
    draw = PIL.ImageDraw.Draw(picture)
    font = PIL.ImageFont.load_default(size=max(10, max(canvas.shape[:2]) // 50))
    tags: dict[str, int] = {}
    taken = np.zeros(canvas.shape[:2], np.uint8)  # how much is lost where a tag hides it
    for region in regions:
        if region.mask is not None:
            small = region.mask.sum() < SMALL * region.mask.size
            taken[region.mask] = np.maximum(taken[region.mask], DEAR if small else 1)
    for region in regions:
        x0, y0, x1, y1 = region.box
        if region.mask is None:
            draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colours[region.label], width=line)
        tags[region.label] = tags.get(region.label, 0) + 1
        if tagged and tags[region.label] <= MOST_TAGS:
            _tag(draw, f"{region.label} {region.score:.2f}", region.box, colours[region.label], font, taken)
    return np.asarray(picture)


def _tag(draw: PIL.ImageDraw.ImageDraw, text: str, box: Box, colour: Colour, font: Any, taken: np.ndarray) -> None:
    """A filled label beside a box, inside the image, where it hides the least of what is `taken` `(H, W)`, as it then is too."""
    width, height = (int(side) + 4 for side in draw.textbbox((0, 0), text, font=font)[2:])
    x0, y0, x1, y1 = min(
        _beside(box, (width, height), taken.shape), key=lambda at: taken[at[1] : at[3], at[0] : at[2]].sum()
    )
    draw.rectangle((x0, y0, x1, y1 - 1), fill=colour)
    draw.text((x0 + 2, y0 + 1), text, fill=(0, 0, 0), font=font)
    taken[y0:y1, x0:x1] = DEAR


def _beside(box: Box, size: tuple[int, int], image: tuple[int, ...]) -> list[Rectangle]:
    """Where a label of `size` (width, height) may lie beside a box in an image `(H, W)`, the usual places first."""
    (width, height), (x0, y0, x1, y1) = size, (round(v) for v in box)
    columns, lines = (x0, x1 - width, (x0 + x1 - width) // 2), (y0, y1 - height, (y0 + y1 - height) // 2)
    corners = [(x, y) for y in (y0 - height, y1) for x in columns]
    corners += [(x, y) for x in (x1, x0 - width) for y in lines]
    corners += [(x, y) for y in (y0 - 2 * height, y1 + height) for x in columns]
    inside = [(max(0, min(x, image[1] - width)), max(0, min(y, image[0] - height))) for x, y in corners]
    return [(x, y, x + width, y + height) for x, y in inside]
