"""A person's strokes and clicks on a mask: what lies under them is added or removed, what lies far away stays. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.draw import polygon2mask

from ..errors import RequestError
from ..types import mask_box

REACH = (0.5, 1.5)  # how far around a touch a mask changes, in the outline's distance from it: removing, adding
TIP = 0.01  # of an image's longer side: radius of what a click changes at least
MOST_POINTS, MOST_RADIUS = 5_000, 500.0  # of a stroke, pixels

Click = tuple[float, float, int]  # x, y, 1 on the thing or 0 beside it


def stroke(points: Any, radius: Any, size: tuple[int, int]) -> np.ndarray:
    """bool `(H, W)`: the pixels right under a line through points (x, y), and those whose centres lie within `radius` pixels of
    these. Raises `RequestError` for what is no line, or does not touch the image."""
    line = _line(points)
    if not _is_number(radius) or not 0 <= radius <= MOST_RADIUS:
        raise RequestError(f"The radius of a stroke is a number of pixels from 0 to {MOST_RADIUS:g}.")
    height, width = size
    steps = [np.linspace(a, b, int(np.abs(b - a).max() * 2) + 2) for a, b in zip(line, line[1:], strict=False)]
    x, y = np.floor(np.concatenate([line, *steps])).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    if not inside.any():
        raise RequestError("Draw on the image itself.")
    out = np.zeros(size, bool)
    out[y[inside], x[inside]] = True
    return _grown(out, float(radius))


def enclosed(points: Any, size: tuple[int, int]) -> np.ndarray:
    """bool `(H, W)`: the pixels whose centres lie in a polygon of points (x, y), and those right under its line. Raises
    `RequestError` as `stroke` does."""
    line = stroke([*points, points[0]] if isinstance(points, list) and points else points, 0, size)
    corners = np.asarray(points, float)[:, ::-1] - 0.5
    return line | polygon2mask(size, corners) if len(corners) > 2 else line


def tip(click: Click, size: tuple[int, int]) -> np.ndarray:
    """bool `(H, W)`: what a click changes at least."""
    return stroke([click[:2]], TIP * max(size), size)


def retouched(mask: np.ndarray, found: np.ndarray, touch: np.ndarray, add: bool) -> np.ndarray:
    """A mask with what a click or a stroke adds to it, or removes: all bool `(H, W)`.

    `found` is what the model finds with it. Of what that would change, the part that hangs together with `touch` and lies near
    it is taken, and `touch` itself is always. What is near goes by how far away the mask's outline is, since people click in
    the middle of what is wrong.
    """
    if not mask.any():
        return found | touch if add else mask
    change = found & ~mask if add else mask & ~found
    near = _grown(touch, REACH[add] * _depth(touch, mask))
    part = (change & near) | touch if add else (change & near) | (touch & mask)
    pieces, _ = ndimage.label(part)
    part = np.isin(pieces, np.setdiff1d(pieces[touch], [0]))
    return mask | part if add else mask & ~part


def prompt_of(clicks: Sequence[Click], mask: np.ndarray) -> list[Click]:
    """Clicks as a prompt; before those that only remove, the deepest place of the mask that is meant. Empty where they leave
    nothing of it."""
    if any(inside for _, _, inside in clicks):
        return list(clicks)
    left = mask.copy()
    for click in clicks:
        left &= ~tip(click, mask.shape)
    if not left.any():
        return []
    depth = ndimage.distance_transform_edt(np.pad(left, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return [(float(x) + 0.5, float(y) + 0.5, 1), *clicks]


def _depth(touch: np.ndarray, mask: np.ndarray) -> float:
    """Pixels from a touch to the outline of a mask, inside it or outside; of those of a stroke the median."""
    outline = mask & ~ndimage.binary_erosion(mask)
    apart, _ = cKDTree(np.argwhere(outline)).query(np.argwhere(touch))
    return float(np.median(apart)) + 1


def _grown(mask: np.ndarray, radius: float) -> np.ndarray:
    """A mask with all within `radius` pixels of it."""
    out, r = mask.copy(), int(np.ceil(radius))
    if radius < 1:
        return out
    x0, y0, x1, y1 = map(int, mask_box(mask))
    part = np.s_[max(0, y0 - r) : y1 + r, max(0, x0 - r) : x1 + r]
    out[part] = ndimage.distance_transform_edt(~mask[part]) <= radius
    return out


def _line(points: Any) -> np.ndarray:
    """Points as an array `(N, 2)`."""
    fits = isinstance(points, list) and 0 < len(points) <= MOST_POINTS
    if not fits or not all(
        isinstance(p, list | tuple) and len(p) == 2 and all(_is_number(v) and abs(v) < 1e6 for v in p) for p in points
    ):
        raise RequestError(f"A stroke is a list of 1 to {MOST_POINTS:,} points, each x and y.")
    return np.array(points, float)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
