"""Microscope slides: one picture cut into tiles, a frame each, PS3.3 C.8.12.4."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .dicom_header import Frame, whole


def slide_size(frames: Sequence[Frame]) -> tuple[int, int] | None:
    """`(H, W)` of the picture that the frames of a file are tiles of; None where they are no tiles."""
    facts = frames[0].facts
    height, width = (whole(facts.get(f"TotalPixelMatrix{side}"), 0) for side in ("Rows", "Columns"))
    return (height, width) if len(frames) > 1 and min(height, width) > 0 else None


def put_together(tiles: dict[Frame, np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """The picture `(H, W)` or `(H, W, 3)` of `size` from tiles as shown; where none lies it is black.

    Args:
        tiles: in the order of the file, in which they follow one another row by row where they state no place.
    """
    example = next(iter(tiles.values()))
    out = np.zeros((*size, *example.shape[2:]), example.dtype)
    for frame, tile in reversed(tiles.items()):  # of several at one place (depths of focus) the first one stays
        row, column = _place(frame, size[1])
        part = out[row : row + tile.shape[0], column : column + tile.shape[1]] if min(row, column) >= 0 else out[:0]
        part[:] = tile[: part.shape[0], : part.shape[1]]
    return out


def _place(frame: Frame, width: int) -> tuple[int, int]:
    """First row and column of a tile."""
    stated = [whole(frame.facts.get(f"{side}PositionInTotalImagePixelMatrix"), 0) for side in ("Row", "Column")]
    if min(stated) > 0:  # counted from 1
        return stated[0] - 1, stated[1] - 1
    rows, columns = frame.shape
    across = -(-width // columns)
    return frame.index // across * rows, frame.index % across * columns
