"""Drawn prompts as maps: float32 `(4, size, size)` with a box, positive points, negative points and a scribble."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

BOX, POINTS, NEGATIVE, SCRIBBLE = range(4)
POINT_RADIUS = 2.5  # cells of the map


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


def shrink_any(mask: np.ndarray, size: int) -> np.ndarray:
    """A bool mask `(side, side)` to float32 `(size, size)`: a place is on where any of its pixels is."""
    return F.adaptive_max_pool2d(torch.from_numpy(mask)[None].float(), size)[0].numpy()
