"""Regions drawn over an image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from scipy import ndimage

from ..types import Region, mask_box

Colour = tuple[int, int, int]

PALETTE: tuple[Colour, ...] = (
    (255, 176, 0), (64, 190, 255), (255, 97, 136), (120, 220, 130), (190, 150, 255), (255, 230, 110),
    (70, 220, 210), (255, 140, 90),
)  # fmt: skip
MOST_TAGS = 12  # of one label; more would hide the image


def label_colours(labels: Iterable[str]) -> dict[str, Colour]:
    """A colour a label, in the order in which labels first come; those of more labels than there are colours come again."""
    return dict(zip(dict.fromkeys(labels), cycle(PALETTE), strict=False))


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
    for region in regions:
        x0, y0, x1, y1 = region.box
        if region.mask is None:
            draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colours[region.label], width=line)
        tags[region.label] = tags.get(region.label, 0) + 1
        if tagged and tags[region.label] <= MOST_TAGS:
            _tag(draw, f"{region.label} {region.score:.2f}", (x0, y0), colours[region.label], font, picture.size)
    return np.asarray(picture)


def _tag(draw, text: str, corner: tuple[float, float], colour: Colour, font, size: tuple[int, int]) -> None:
    """A filled label just above a corner, kept inside the image."""
    _, _, width, height = draw.textbbox((0, 0), text, font=font)
    x = max(0, min(corner[0], size[0] - width - 4))
    y = max(0, min(corner[1] - height - 4, size[1] - height - 4))
    draw.rectangle((x, y, x + width + 4, y + height + 3), fill=colour)
    draw.text((x + 2, y + 1), text, fill=(0, 0, 0), font=font)
