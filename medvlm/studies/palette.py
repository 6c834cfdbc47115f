"""DICOM's palettes to colours of 8 bits, whatever width their entries are said to have; PS3.3 C.7.6.3.1.5 and C.7.9."""

from __future__ import annotations

from itertools import islice

import numpy as np
from pydicom.dataset import Dataset

from ..errors import StudyError

_CHANNELS = ("Red", "Green", "Blue")
_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2  # kinds of segments, PS3.3 C.7.9.2


def palette_colours(stored: np.ndarray, facts: Dataset, name: str, big_endian: bool = False) -> np.ndarray:
    """Stored values `(H, W)` as colours, uint8 `(H, W, 3)`; values beyond a table take its first or last entry.

    Raises:
        StudyError: the file holds no palette.
    """
    descriptors = [facts.get(f"{channel}PaletteColorLookupTableDescriptor") for channel in _CHANNELS]
    if any(descriptor is None or len(descriptor) != 3 for descriptor in descriptors):
        raise StudyError(f"{name} takes its colours from a palette that it does not hold: export it as RGB.")
    order = ">" if big_endian else "<"
    tables = [_entries(facts, c, d, order, name) for c, d in zip(_CHANNELS, descriptors, strict=True)]
    tables = _eight_bits(tables, int(descriptors[0][2]))
    channels = []
    for table, (_, first, _) in zip(tables, descriptors, strict=True):
        start = int(first) - 2**16 if int(first) >= 2**15 and stored.min() < 0 else int(first)  # signed, as unsigned
        channels.append(table[np.clip(stored.astype(np.int64) - start, 0, len(table) - 1)])
    return np.stack(channels, axis=-1)


def _eight_bits(tables: list[np.ndarray], bits: int) -> list[np.ndarray]:
    """Entries of 16 bits by their high byte; but entries that are all below 256 are 8 bits wide, whatever is said."""
    top = max(int(table.max()) for table in tables)
    shift = 0 if top < 256 else max(bits, top.bit_length()) - 8
    return [(table >> shift).astype(np.uint8) for table in tables]


def _entries(facts: Dataset, channel: str, descriptor: list[int], order: str, name: str) -> np.ndarray:
    """One channel's table, uint16 `(N,)`, as its bytes and not its descriptor tell their width."""
    count = int(descriptor[0]) or 2**16
    raw = facts.get(f"{channel}PaletteColorLookupTableData")
    if raw:
        wide = len(raw) >= 2 * count or (len(raw) < count and int(descriptor[2]) > 8)
        return (_words(raw, order) if wide else _bytes(raw, order))[:count]
    raw = facts.get(f"Segmented{channel}PaletteColorLookupTableData")
    if not raw:
        raise StudyError(f"{name} takes its colours from a palette that it does not hold: export it as RGB.")
    wide = int(descriptor[2]) > 8
    for width in (wide, not wide):
        table = _expanded(_words(raw, order) if width else _bytes(raw, order), 2 if width else 1, count)
        if len(table) == count:
            return table
    raise ValueError("the segments do not add up to a table")


def _words(raw: bytes, order: str) -> np.ndarray:
    return np.frombuffer(raw[: len(raw) // 2 * 2], f"{order}u2").astype(np.uint16)


def _bytes(raw: bytes, order: str) -> np.ndarray:
    """Two entries a word; the first is the low byte of either byte order."""
    return _words(raw, order).astype("<u2").view(np.uint8).astype(np.uint16)


def _expanded(codes: np.ndarray, width: int, most: int) -> np.ndarray:
    """The table that segments of `width` bytes a code describe, at most `most` entries; empty if they are none."""
    table: list[int] = []
    segments = _segments(codes, 0, width)
    try:
        for kind, values in segments:
            if kind == _DISCRETE:
                table += values
            elif kind == _LINEAR:
                length, end = values
                table += np.rint(np.linspace(table[-1], end, length + 1)[1:]).astype(int).tolist()
            if len(table) > most:
                return np.zeros(0, np.uint16)
    except IndexError:
        return np.zeros(0, np.uint16)
    return np.array(table, np.uint16)


def _segments(codes: np.ndarray, at: int, width: int, nested: bool = False):  # type: ignore[no-untyped-def]
    """`(kind, values)` of each segment from `at` on, copies of earlier ones in their place."""
    while at + 1 < len(codes):
        kind, length = int(codes[at]), int(codes[at + 1])
        at += 2
        if kind == _DISCRETE:
            yield kind, codes[at : at + length].tolist()
            at += length
        elif kind == _LINEAR:
            yield kind, (length, int(codes[at]))
            at += 1
        elif kind == _INDIRECT and not nested:
            parts = 4 // width  # the offset in bytes, low part first
            offset = sum(int(codes[at + n]) << (8 * width * n) for n in range(parts))
            yield from islice(_segments(codes, offset // width, width, nested=True), length)
            at += parts
        else:
            raise IndexError
