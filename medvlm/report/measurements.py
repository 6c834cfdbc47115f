"""Sizes from masks: bool `(H, W)` with a spacing of `(row, column)` mm a pixel, or `None` for plain pixels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist, squareform
from skimage.measure import find_contours

from ..types import Measurement, Region

Spacing = tuple[float, float] | None


def _scale(spacing: Spacing) -> tuple[np.ndarray, str]:
    return np.asarray(spacing or (1.0, 1.0), float), "mm" if spacing else "px"


def area(mask: np.ndarray, spacing: Spacing = None) -> Measurement:
    """The mask's area in mm2 or px2."""
    scale, unit = _scale(spacing)
    return Measurement("area", float(mask.sum() * scale.prod()), unit + "2")


def diameters(mask: np.ndarray, spacing: Spacing = None) -> list[Measurement]:
    """The longest diameter and the longest one at a right angle to it, of the convex hull; empty for an empty mask."""
    if not mask.any():
        return []
    scale, unit = _scale(spacing)
    points = np.concatenate(find_contours(np.pad(mask, 1).astype(float), 0.5)) * scale
    points = points[ConvexHull(points).vertices]  # in order around the hull
    apart = squareform(pdist(points))
    i, j = np.unravel_index(apart.argmax(), apart.shape)
    along = (points[j] - points[i]) / apart[i, j]
    t, s = points @ along, points @ np.array([-along[1], along[0]])
    return [
        Measurement("longest diameter", float(apart[i, j]), unit),
        Measurement("perpendicular diameter", _longest_chord(t, s), unit),
    ]


def _longest_chord(t: np.ndarray, s: np.ndarray) -> float:
    """Longest chord along `s` of a convex polygon with corners `(t, s)`: its length is concave, so a corner has it."""
    t1, s1 = np.roll(t, -1), np.roll(s, -1)
    at = t[:, None]  # a chord through each corner, against each edge
    flat = np.isclose(t, t1)
    share = (at - t) / np.where(flat, 1.0, t1 - t)
    crossed = ~flat & (share > -1e-9) & (share < 1 + 1e-9)
    cut = s + share * (s1 - s)
    longest = np.where(crossed, cut, -np.inf).max(1) - np.where(crossed, cut, np.inf).min(1)
    return float(max(longest.max(), np.abs(s1 - s)[flat].max(initial=0.0)))


def box_size(box: tuple[float, float, float, float], spacing: Spacing = None) -> list[Measurement]:
    """Width and height of a box, where no mask is known."""
    scale, unit = _scale(spacing)
    x0, y0, x1, y1 = box
    return [Measurement("width", (x1 - x0) * scale[1], unit), Measurement("height", (y1 - y0) * scale[0], unit)]


def head_circumference(mask: np.ndarray, spacing: Spacing = None) -> Measurement | None:
    """Perimeter of the ellipse with the filled mask's second moments (Ramanujan's second formula); `None` if empty."""
    filled = ndimage.binary_fill_holes(mask)
    if not filled.any():
        return None
    scale, unit = _scale(spacing)
    points = np.argwhere(filled) * scale
    # A pixel is a small square: it adds its own variance, side squared over 12, to that of the centres.
    covariance = np.cov(points.T, bias=True) + np.diag(scale**2 / 12)
    a, b = 2 * np.sqrt(np.linalg.eigvalsh(covariance))[::-1]
    h = ((a - b) / (a + b)) ** 2
    return Measurement("head circumference", float(np.pi * (a + b) * (1 + 3 * h / (10 + np.sqrt(4 - 3 * h)))), unit)


def cardiothoracic_ratio(heart: np.ndarray, left_lung: np.ndarray, right_lung: np.ndarray) -> Measurement | None:
    """Heart width over the widest inner chest width, from outer lung edge to outer lung edge in one row."""
    columns = np.flatnonzero(heart.any(axis=0))
    rows = left_lung.any(axis=1) & right_lung.any(axis=1)
    if not len(columns) or not rows.any():
        return None
    lungs = (left_lung | right_lung)[rows]
    chest = lungs.shape[1] - lungs[:, ::-1].argmax(axis=1) - lungs.argmax(axis=1)
    return Measurement("cardiothoracic ratio", float((columns[-1] + 1 - columns[0]) / chest.max()), "ratio")


def cup_to_disc_ratio(cup: np.ndarray, disc: np.ndarray) -> Measurement | None:
    """Height of the optic cup over the height of the disc."""
    cup_rows, disc_rows = np.flatnonzero(cup.any(axis=1)), np.flatnonzero(disc.any(axis=1))
    if not len(cup_rows) or not len(disc_rows):
        return None
    ratio = (cup_rows[-1] + 1 - cup_rows[0]) / (disc_rows[-1] + 1 - disc_rows[0])
    return Measurement("vertical cup-to-disc ratio", float(ratio), "ratio")


def measure(
    region: Region, beside: Mapping[str, np.ndarray], spacing: Spacing = None, modality: str = ""
) -> list[Measurement]:
    """All that is measured of a region. `beside` holds the masks of its image by label, for the ratios."""
    if region.mask is None:
        return box_size(region.box, spacing)
    found: list[Measurement | None] = [*diameters(region.mask, spacing), area(region.mask, spacing)]
    if region.label == "fetal head":
        found.append(head_circumference(region.mask, spacing))
    if region.label == "heart" and modality == "x-ray" and {"left lung", "right lung"} <= beside.keys():
        found.append(cardiothoracic_ratio(region.mask, beside["left lung"], beside["right lung"]))
    if region.label == "optic cup" and "optic disc" in beside:
        found.append(cup_to_disc_ratio(region.mask, beside["optic disc"]))
    return [m for m in found if m is not None]
