"""An image on a page with its regions drawn over it, each with a tag that the text can name."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import PIL.Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.platypus import Flowable
from scipy import ndimage

from ...types import Image, Region
from ..overlay import MOST_TAGS, Colour, draw_overlay

FONT, BOLD = "Vera", "VeraBd"  # come with reportlab, and go into the file: it looks alike everywhere
SIDE = 1400  # pixels of the longer side of an image as it is drawn
COARSE = 120  # and as places for tags are sought in it
SIZE, HIGH = 5.6, 7.6  # points: of a tag's letters, and of the tag

Box = tuple[float, float, float, float]


class Drawn(Flowable):
    """An image as large as its room allows, with `regions` by their tags, which all belong to the image, in the `colours` of
    their labels."""

    def __init__(
        self,
        image: Image,
        regions: Mapping[str, Region],
        colours: Mapping[str, Colour],
        room: tuple[float, float],
    ):
        super().__init__()
        rows, columns = image.size
        self.scale = min(room[0] / columns, room[1] / rows)
        self.width, self.height = columns * self.scale, rows * self.scale
        self.image, self.regions, self.colours = image, regions, colours

    def draw(self) -> None:
        stream = io.BytesIO()
        PIL.Image.fromarray(self._overlay()).save(stream, "JPEG", quality=92, subsampling=0)
        self.canv.drawImage(ImageReader(stream), 0, 0, self.width, self.height)
        taken: list[Box] = []
        seen: dict[str, int] = {}
        for tag, region in self.regions.items():
            seen[region.label] = seen.get(region.label, 0) + 1
            if seen[region.label] <= MOST_TAGS:
                taken.append(self._place(tag, region, taken))
                self._tag(tag, taken[-1], [c / 255 for c in self.colours[region.label]])

    def _overlay(self) -> np.ndarray:
        """The image with its regions at the size in which it is drawn, so that lines have one width on paper."""
        old = self.image.size
        scale = SIDE / max(old)
        size = height, width = max(1, round(old[0] * scale)), max(1, round(old[1] * scale))
        rows, columns = (((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(size, old, strict=True))
        source = PIL.Image.fromarray(self.image.pixels)
        pixels = np.asarray(source.resize((width, height), PIL.Image.Resampling.BICUBIC))
        drawn = []
        for region in self.regions.values():
            x0, y0, x1, y1 = (float(v * scale) for v in region.box)
            mask = None if region.mask is None else region.mask[np.ix_(rows, columns)]
            drawn.append(replace(region, box=(x0, y0, x1, y1), mask=mask))
        return draw_overlay(pixels, drawn, colours=self.colours, tagged=False)

    def _place(self, tag: str, region: Region, taken: list[Box]) -> Box:
        """Room for a tag at the middle of its region, or near it where other tags are; points from the lower left."""
        x, y = _middle(region)
        wide = stringWidth(tag, BOLD, SIZE) + 3
        left, low = x * self.scale - wide / 2, self.height - y * self.scale - HIGH / 2
        steps = [(0, 0), *((i * s, j * t) for s in (1, 2, 3) for t in (1, 2, 3) for i, j in _AROUND)]
        boxes = []
        for right, up in steps:
            at_x = min(max(0.0, left + right * wide), self.width - wide)
            at_y = min(max(0.0, low + up * HIGH), self.height - HIGH)
            boxes.append((at_x, at_y, at_x + wide, at_y + HIGH))
        free = [box for box in boxes if not any(_meet(box, other) for other in taken)]
        return min(free or boxes, key=lambda box: abs(box[0] - left) + abs(box[1] - low))

    def _tag(self, tag: str, box: Box, colour: list[float]) -> None:
        canvas, (x0, y0, x1, y1) = self.canv, box
        canvas.setFillColorRGB(*colour)
        canvas.setStrokeColorRGB(0, 0, 0)
        canvas.setLineWidth(0.3)
        canvas.roundRect(x0, y0, x1 - x0, y1 - y0, 1.2, stroke=1, fill=1)
        canvas.setFillColorRGB(0, 0, 0)
        canvas.setFont(BOLD, SIZE)
        canvas.drawCentredString((x0 + x1) / 2, y0 + 1.9, tag)


_AROUND = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _middle(region: Region) -> tuple[float, float]:
    """The point deepest inside a region, in pixels; the upper left of a box, whose middle may show something else."""
    x0, y0, x1, y1 = region.box
    if region.mask is None or not region.mask.any():
        return x0, y0
    part = region.mask[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))]
    step = max(1, max(part.shape) // COARSE)
    thin = part[::step, ::step] if part[::step, ::step].any() else part
    step = step if thin is not part else 1
    row, column = np.unravel_index(ndimage.distance_transform_edt(np.pad(thin, 1)).argmax(), np.add(thin.shape, 2))
    return float(x0 + (column - 0.5) * step), float(y0 + (row - 0.5) * step)
