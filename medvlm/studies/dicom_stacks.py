"""Slices sorted into stacks: alike in geometry and kind, of one series, and one slice at each place."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from .dicom_geometry import depths, places
from .dicom_header import Frame, numbers, whole

_SAME_DIRECTION = 1e-3  # of unit vectors' components; scanners round to about 1e-6
_OTHER_DIRECTION = 0.1  # of these components, from which on it is another plane
_SAME_SPACING = 1e-3  # mm
_FAR = 1.5  # steps between two parts of one stack
_OVERLAP = 1.5  # slices a place, from which on a part is a phase and not a piece of the stack

# Words of Image Type and Frame Type that tell apart what lies at the same place, PS3.3 C.7.6.1.1.2, C.8.13.3.1
_KINDS = set(
    "DERIVED MPR MIP MINIP P PHASE R REAL I IMAGINARY ADC FA TRACEW SUB SUBTRACTION WATER FAT W F IP OP IN_PHASE OUT_PHASE".split()
)
_TIMES = (
    *("TemporalPositionIdentifier", "TemporalPositionIndex", "EchoNumbers", "EchoTime", "EffectiveEchoTime"),
    *("DiffusionBValue", "AcquisitionNumber", "TriggerTime", "NominalCardiacTriggerDelayTime"),
)

Key = TypeVar("Key", bound=Hashable)


def grouped(frames: Iterable[Frame], key: Callable[[Frame], Key]) -> dict[Key, list[Frame]]:
    """Frames by a key, in the order in which the keys come up."""
    out: dict[Key, list[Frame]] = {}
    for frame in frames:
        out.setdefault(key(frame), []).append(frame)
    return out


def series_of(frame: Frame) -> tuple[str, str]:
    """Study and series of a frame; never shown."""
    return str(frame.facts.get("StudyInstanceUID") or ""), str(frame.facts.get("SeriesInstanceUID") or "")


def alike(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Slices of one modality, kind, size, direction and pixel spacing each."""
    exact = grouped(frames, lambda frame: (_kind(frame), _numbers(frame)))
    near: list[tuple[Hashable, np.ndarray, list[Frame]]] = []
    for (kind, values), group in exact.items():
        found = next((known for known in near if known[0] == kind and _close(known[1], np.array(values))), None)
        if found:
            found[2].extend(group)
        else:
            near.append((kind, np.array(values), list(group)))
    return [group for _, _, group in near]


def by_direction(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Placed slices that lie in about one direction each, whatever their size."""
    out: list[tuple[np.ndarray, list[Frame]]] = []
    for frame in frames:
        directions = frame.directions
        assert directions is not None
        found = next((group for known, group in out if np.abs(known - directions).max() < _OTHER_DIRECTION), None)
        if found is None:
            out.append((directions, [frame]))
        else:
            found.append(frame)
    return [group for _, group in out]


def joined(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Slices that are alike by series; series that are pieces of one acquisition count as one.

    Some scanners give each slice, or each piece of a stack, a Series Instance UID of its own.
    """
    out: list[list[Frame]] = []
    parts = sorted(grouped(frames, series_of).values(), key=lambda part: (min(f.number for f in part), _middle(part)))
    for part in parts:
        whole_ = next((known for known in out if _continues(known, part)), None)
        if whole_:
            whole_.extend(part)
        else:
            out.append(list(part))
    return out


def phases(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Slices with at most one at each place: times, echoes or diffusion weights apart, the most complete one first."""
    found = _phases(frames)
    return sorted(found, key=lambda stack: -len(stack))


def _phases(frames: Sequence[Frame]) -> list[list[Frame]]:
    stack = places(frames)
    most = max(len(place) for place in stack.values())
    if most == 1:
        return [[frame for place in stack.values() for frame in place]]
    for keyword in _TIMES:
        parts = grouped(frames, lambda frame, keyword=keyword: _number(frame, keyword))  # type: ignore[misc]
        covered = sum(len(places(part)) for part in parts.values()) if 1 < len(parts) <= most else 0
        if covered >= _OVERLAP * len(stack):
            return [found for _, part in sorted(parts.items()) for found in _phases(part)]
    return [[place[rank] for place in stack.values() if rank < len(place)] for rank in range(most)]


def _kind(frame: Frame) -> Hashable:
    facts = frame.facts
    placed = (
        frame.position is not None,
        frame.directions is not None,
        frame.location is not None or frame.position is not None,
    )
    return frame.code, frame.shape, whole(facts.get("SamplesPerPixel"), 1), frame.types & _KINDS, placed


def _numbers(frame: Frame) -> tuple[float, ...]:
    directions = frame.directions
    spacing = numbers(frame.facts.get("PixelSpacing"), 2)
    return (
        *(np.zeros(6) if directions is None else directions.ravel()).tolist(),
        *(np.zeros(2) if spacing is None else spacing).tolist(),
    )


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.abs(a[:6] - b[:6]).max() <= _SAME_DIRECTION and np.abs(a[6:] - b[6:]).max() <= _SAME_SPACING)


def _number(frame: Frame, keyword: str) -> float:
    found = numbers([frame.facts.get(keyword)], 1)
    return -np.inf if found is None else float(found[0])


def _middle(frames: Sequence[Frame]) -> float:
    found = depths(frames)
    return 0.0 if found is None else float(found.mean())


def _continues(known: Sequence[Frame], part: Sequence[Frame]) -> bool:
    """Whether two series, alike in geometry, are pieces of one stack: single slices, or neighbours of one number."""
    first, other = known[0].facts, part[0].facts
    if any(first.get(key) != other.get(key) for key in ("StudyInstanceUID", "FrameOfReferenceUID")):
        return False
    there, here = depths(known), depths(part)
    if there is None or here is None or not set(places(known)).isdisjoint(places(part)):
        return False
    if len(part) == 1 and len(set(map(series_of, known))) == len(known):
        return True
    if first.get("SeriesNumber") in (None, "") or first.get("SeriesNumber") != other.get("SeriesNumber"):
        return False
    apart = max(float(here.min() - there.max()), float(there.min() - here.max()))
    usual = [np.median(np.diff(np.sort(found))) for found in (there, here) if len(found) > 1]
    return 0 < apart <= _FAR * max(map(float, usual), default=0.0)
