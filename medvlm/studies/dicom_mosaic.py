"""Mosaics: the slices of a volume tiled row by row into one frame, as functional MR series are stored."""

from __future__ import annotations

from itertools import pairwise
from math import ceil

import numpy as np
from pydicom.dataset import Dataset

from .dicom_header import MOSAIC_COUNT, Frame, many, numbers

_MOST = 16  # tiles along a side
_SMALLEST = 16  # pixels of a tile's side
_ALIKE = 0.5  # correlation of neighbouring slices


def is_mosaic(frame: Frame) -> bool:
    """Whether Image Type says that the frame holds many slices."""
    return "MOSAIC" in frame.types and frame.tile is None


def stated_tiles(frame: Frame) -> list[Frame] | None:
    """The slices of a mosaic whose header states their number; None where it does not."""
    value = next(iter(many(frame.facts.get(MOSAIC_COUNT) and frame.facts[MOSAIC_COUNT].value)), None)
    count = int.from_bytes(value[:2], "little") if isinstance(value, bytes) else value
    if not isinstance(count, int) or count < 2:
        return None
    return _cut(frame, ceil(count**0.5), count)


def found_tiles(frame: Frame, stored: np.ndarray) -> list[Frame] | None:
    """The slices of a mosaic as its stored values `(H, W)` show them, empty tiles at the end left out."""
    sides = [side for side in range(2, _MOST + 1) if _divides(frame, side)]
    matrix = max((int(v) for v in many(frame.facts.get("AcquisitionMatrix"))), default=0)
    stated = [side for side in sides if matrix * side in frame.shape]
    scores = {side: _likeness(_split(stored, side)) for side in stated or sides}
    side = max(scores, key=lambda side: scores[side], default=0)
    if not side or scores[side] < _ALIKE:
        return None
    filled = [at for at, tile in enumerate(_split(stored, side)) if tile.min() != tile.max()]
    return _cut(frame, side, filled[-1] + 1)


def _divides(frame: Frame, side: int) -> bool:
    return all(length % side == 0 and length // side >= _SMALLEST for length in frame.shape)


def _split(stored: np.ndarray, side: int) -> list[np.ndarray]:
    return [tile for row in np.split(stored, side, axis=0) for tile in np.split(row, side, axis=1)]


def _likeness(tiles: list[np.ndarray]) -> float:
    """The mean correlation of tiles that follow one another."""
    flat = [tile.ravel().astype(np.float32) for tile in tiles]
    flat = [tile - tile.mean() for tile in flat if tile.min() != tile.max()]
    found = [float(a @ b / np.sqrt((a @ a) * (b @ b))) for a, b in pairwise(flat)]
    return float(np.mean(found)) if found else 0.0


def _cut(frame: Frame, side: int, count: int) -> list[Frame] | None:
    """`count` tiles of `side` times `side`, each with the place that it has in the patient."""
    if count > side * side or not _divides(frame, side):
        return None
    height, width = (length // side for length in frame.shape)
    return [
        Frame(
            frame.source, frame.index, _facts(frame, side, at), (at // side * height, at % side * width, height, width)
        )
        for at in range(count)
    ]


def _facts(frame: Frame, side: int, at: int) -> Dataset:
    """The header with the position of one slice.

    The position that a mosaic states is that of a slice as large as the whole mosaic, so each slice lies nearer to the
    middle; slices follow one another along the normal.
    """
    facts = Dataset()  # elements are shared, so one is replaced and not changed
    facts.update({element.tag: element for element in frame.facts if element.keyword != "ImagePositionPatient"})
    spacing = numbers(frame.facts.get("PixelSpacing"), 2)
    if frame.position is None or frame.directions is None or spacing is None:
        return facts
    row, column = frame.directions
    height, width = (length * (side - 1) / side / 2 for length in frame.shape)
    corner = frame.position + row * width * spacing[1] + column * height * spacing[0]
    step = numbers([frame.facts.get("SpacingBetweenSlices") or frame.facts.get("SliceThickness") or 1], 1)
    place = corner + np.cross(row, column) * at * (1.0 if step is None else abs(step[0]))
    facts.ImagePositionPatient = [round(float(v), 4) for v in place]
    return facts
