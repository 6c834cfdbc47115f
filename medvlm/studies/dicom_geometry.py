"""Where DICOM frames lie in the patient: series, order, spacing, and refusal of what does not fit together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from pydicom.dataset import Dataset

from ..errors import StudyError
from .dicom_header import Frame, numbers
from .files import natural_key

_SAME_DIRECTION = 1e-3  # of unit vectors' components; scanners round to about 1e-6
_SAME_PLACE = 1e-2  # mm
_UNEVEN = 0.1  # of the median step between slices
_PROJECTIONS = ("CR", "DX", "RG", "MG", "PX", "IO", "RF", "XA", "DG")
_CENTIMETRES = 3  # Physical Units X/Y Direction, PS3.3 C.8.5.5.1.15
_TISSUE = 1  # Region Spatial Format: 2D, PS3.3 C.8.5.5.1.1


def choose_series(frames: Sequence[Frame], name: str, notes: list[str]) -> list[Frame]:
    """The frames of the largest series; pictures without a place in the patient (views) all stay together.

    Raises:
        StudyError: several patients.
    """
    patients = {str(frame.facts.get("PatientID") or "") for frame in frames} - {""}
    if len(patients) > 1:
        raise StudyError(f"{name} holds images of {len(patients)} patients: give the files of one patient.")
    if not any(frame.placed for frame in frames):
        return list(frames)
    series: dict[str, list[Frame]] = {}
    for frame in frames:
        series.setdefault(str(frame.facts.get("SeriesInstanceUID") or ""), []).append(frame)
    chosen = max(series.values(), key=len)
    if len(series) > 1:
        notes.append(f"The largest of {len(series)} series is shown ({len(chosen)} of {len(frames)} images).")
    return chosen


def order_slices(frames: Sequence[Frame], name: str, notes: list[str]) -> tuple[list[Frame], float | None]:
    """Slices by their position along the normal, PS3.3 C.7.6.2.1.1, and the step between them in mm.

    Raises:
        StudyError: slices differ in size, direction or spacing, or some have no position.
    """
    check_alike(frames, name)
    normal = np.cross(*frames[0].directions)

    def depth(frame: Frame) -> float:
        return float(np.dot(normal, frame.position))

    ordered = sorted(frames, key=lambda frame: (round(depth(frame) / _SAME_PLACE), frame.number, frame.index))
    places = [list(group) for _, group in groupby(ordered, key=lambda frame: round(depth(frame) / _SAME_PLACE))]
    most = max(len(place) for place in places)
    if most > 1:
        notes.append(f"Up to {most} images share a position (phases or echoes): the first of each is shown.")
    kept = [place[0] for place in places]
    steps = np.diff([depth(frame) for frame in kept])
    if not len(steps):
        return kept, None
    step = float(np.median(steps))
    if np.abs(steps - step).max() > _UNEVEN * step:
        notes.append("The distance between slices varies: slices may be missing.")
        return kept, None
    return kept, step


def check_alike(frames: Sequence[Frame], name: str) -> None:
    """Raise `StudyError` unless all slices share size, direction and spacing."""
    shapes = sorted({frame.shape for frame in frames})
    if len(shapes) > 1:
        (h, w), (other_h, other_w) = shapes[:2]
        raise StudyError(
            f"{name} mixes slices of {w} x {h} and {other_w} x {other_h} pixels in one series: give slices of one size."
        )
    if not all(frame.placed for frame in frames):
        raise StudyError(f"{name} mixes slices with and without a position in one series: give only the slices.")
    first = frames[0]
    if any(np.abs(frame.directions - first.directions).max() > _SAME_DIRECTION for frame in frames):
        raise StudyError(
            f"{name} mixes slices of different orientation in one series: give slices of one orientation (no scouts)."
        )
    if len({frame.facts.get("SamplesPerPixel") for frame in frames}) > 1:
        raise StudyError(f"{name} mixes grey and colour slices in one series: give only one kind.")
    spacings = [numbers(frame.facts.get("PixelSpacing"), 2) for frame in frames]
    if len({spacing is None for spacing in spacings}) > 1 or (
        spacings[0] is not None and any(np.abs(s - spacings[0]).max() > 1e-3 for s in spacings)
    ):
        raise StudyError(f"{name} mixes slices of different pixel spacing in one series: give slices of one spacing.")


def order_views(frames: Sequence[Frame]) -> list[Frame]:
    """Views and frames without a position: by instance number, file name and frame."""
    return sorted(frames, key=lambda frame: (frame.number, natural_key(frame.source.name), frame.index))


def spacing_mm(facts: Dataset) -> tuple[tuple[float, float] | None, str | None]:
    """Millimetres per pixel `(row, column)` and what has to be said of them, PS3.3 10.7.1."""
    if facts.get("SequenceOfUltrasoundRegions"):
        return _ultrasound_spacing(facts), None
    spacing = numbers(facts.get("PixelSpacing"), 2)
    detector = numbers(facts.get("ImagerPixelSpacing"), 2)
    projection = str(facts.get("Modality") or "") in _PROJECTIONS
    note = None
    if spacing is None and detector is not None:
        spacing = detector
        projection = True
    if spacing is None or not (spacing > 0).all():
        return None, None
    if projection and detector is not None and np.allclose(spacing, detector):
        note = "Measured at the detector: sizes in the patient are smaller."
    return (float(spacing[0]), float(spacing[1])), note


def _ultrasound_spacing(facts: Dataset) -> tuple[float, float] | None:
    """Only where all regions are tissue in centimetres at one scale, PS3.3 C.8.5.5."""
    scales = set()
    for region in facts.SequenceOfUltrasoundRegions:
        units = (region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection"))
        if units != (_CENTIMETRES, _CENTIMETRES) or region.get("RegionSpatialFormat") != _TISSUE:
            return None
        deltas = numbers((region.get("PhysicalDeltaY"), region.get("PhysicalDeltaX")), 2)
        if deltas is None or not deltas.all():
            return None
        scales.add((round(abs(float(deltas[0])) * 10, 6), round(abs(float(deltas[1])) * 10, 6)))
    return scales.pop() if len(scales) == 1 else None


def orientation(frame: Frame) -> list[str] | None:
    """The patient's direction to the image's right and bottom, such as `["L", "P"]`; PS3.3 C.7.6.1.1.1."""
    directions = frame.directions
    if directions is None:
        stated = [str(v).upper() for v in frame.facts.get("PatientOrientation") or []]
        return stated if len(stated) == 2 and all(v and set(v) <= set("LRAPHF") for v in stated) else None
    letters = ("LR", "PA", "HF")  # of increasing and decreasing x, y, z of DICOM's LPS+
    axes = np.abs(directions).argmax(axis=1)
    return [letters[axis][int(vector[axis] < 0)] for axis, vector in zip(axes, directions, strict=True)]
