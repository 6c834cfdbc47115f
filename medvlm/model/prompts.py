"""Drawn prompts, and as maps: float32 `(4, size, size)` with a box, positive points, negative points and a scribble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..geometry import Letterbox, any_within
from ..types import Box, mask_box
from ..windows import Window, points_within, shifted

BOX, POINTS, NEGATIVE, SCRIBBLE = range(4)
POINT_RADIUS = 2.5  # cells of the map


@dataclass
class Prompt:
    """A box, points or a scribble, of which one is given, in the pixels of an image."""

    box: Box | None = None
    points: Sequence[tuple[float, float, int]] | None = None  # x, y, 1 positive or 0 negative
    scribble: np.ndarray | None = None  # bool (H, W)

    @property
    def extent(self) -> Box:
        """The box around what is marked as wanted."""
        if self.box is not None:
            return self.box
        if self.points is not None:
            x, y = zip(*((x, y) for x, y, sign in self.points if sign), strict=True)
            return (min(x), min(y), max(x) + 1, max(y) + 1)
        return mask_box(self.required_scribble)

    @property
    def required_scribble(self) -> np.ndarray:
        """The scribble of a prompt that is neither a box nor points. Raises `ValueError` for a prompt of none."""
        if self.scribble is None:
            raise ValueError("A prompt needs a box, points or a scribble.")
        return self.scribble

    def touched(self, mask: np.ndarray) -> np.ndarray:
        """The parts of a mask `(H, W)` that a click or scribble is on; all of it where none is."""
        parts, _ = ndimage.label(mask)
        if self.points is not None:
            marked = {int(parts[int(y), int(x)]) for x, y, sign in self.points if sign}
        else:
            marked = set(parts[self.required_scribble].tolist())
        wanted = sorted(marked - {0})
        return np.isin(parts, wanted) if wanted else mask

    def erased(self, size: tuple[int, int], radius: float) -> np.ndarray:
        """Bool `(H, W)`: around the negative clicks, to a radius in shares of the longer side; positive clicks are spared."""
        out = np.zeros(size, bool)
        rows, columns = np.ogrid[: size[0], : size[1]]
        for wanted in (0, 1):
            reach = max(size) * radius if not wanted else 0.5
            for x, y, _ in (p for p in self.points or () if p[2] == wanted):
                out[(columns - int(x)) ** 2 + (rows - int(y)) ** 2 <= reach**2] = not wanted
        return out

    def within(self, window: Window) -> Prompt:
        """The same prompt in the pixels of a window; what lies outside is gone."""
        x0, y0, x1, y1 = window
        if self.box is not None:
            return Prompt(box=shifted(self.box, window))
        if self.points is not None:
            return Prompt(points=points_within(self.points, window))
        return Prompt(scribble=self.required_scribble[y0:y1, x0:x1])

    def maps(self, size: tuple[int, int], side: int) -> tuple[np.ndarray, int]:
        """The prompt's map `(4, side / 4, side / 4)` on the model's canvas for an image `(H, W)`, and its channel."""
        canvas = Letterbox(size, side)
        out = np.zeros((4, side // 4, side // 4), np.float32)
        if self.box is not None:
            paint_box(out, canvas.box(self.box), side)
            return out, BOX
        if self.points is not None:
            for x, y, positive in self.points:
                place = canvas.points(np.array([x, y]))
                paint_point(out, place[0], place[1], bool(positive), side)
            return out, POINTS
        out[SCRIBBLE] = any_within(canvas.mask(self.required_scribble), (side // 4, side // 4))
        return out, SCRIBBLE


def paint_box(prompt: np.ndarray, box, side: int) -> None:
    """Fill a box (pixels of a canvas of `side`) into a prompt."""
    size = prompt.shape[-1]
    x0, y0, x1, y1 = np.clip(np.asarray(box, float) * size / side, 0, size)
    prompt[BOX, int(y0) : max(int(np.ceil(y1)), int(y0) + 1), int(x0) : max(int(np.ceil(x1)), int(x0) + 1)] = 1


def paint_point(prompt: np.ndarray, x: float, y: float, positive: bool, side: int) -> None:
    """Paint a disc around a click (pixels of a canvas of `side`) into a prompt."""
    size = prompt.shape[-1]
    rows, columns = np.mgrid[:size, :size]
    near = (columns + 0.5 - x * size / side) ** 2 + (rows + 0.5 - y * size / side) ** 2 <= POINT_RADIUS**2
    prompt[POINTS if positive else NEGATIVE][near] = 1
