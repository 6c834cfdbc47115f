"""Where DICOM slices lie along their stack, and how large a pixel is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset

from ..geometry import Space
from .dicom_header import Frame, numbers
from .dicom_orientation import stack_normal
from .dicom_words import PROJECTIONS, SECTIONS

SAME_PLACE = 1e-2  # mm
_UNEVEN = 0.1  # of the median step between slices
_APART = 1.5  # thicknesses, from which on a gap between slices is worth a word
_CENTIMETRES = 3  # Physical Units X/Y Direction, PS3.3 C.8.5.5.1.15
_TISSUE = 1  # Region Spatial Format: 2D, PS3.3 C.8.5.5.1.1
_CALIBRATED = ("GEOMETRY", "FIDUCIAL")  # Pixel Spacing Calibration Type, PS3.3 10.7.1.2
_SMALLEST, _LARGEST = (
    0.005,
    5000.0,
)  # mm of a pixel, and of a side, of an image of the body; metres and micrometres lie outside
_MAGNIFIED = (1.0, 10.0)  # what a magnification can be

IMPOSSIBLE = "The files state a pixel size that cannot be: no size is told in millimetres."
AT_DETECTOR = "Sizes are measured at the detector: in the patient they are smaller."
AT_DETECTOR_OR_NOT = (
    "The files do not state where sizes are measured: if it is at the detector, they are smaller in the patient."
)


def depths(frames: Sequence[Frame]) -> np.ndarray | None:
    """Where slices of one orientation lie along their stack, in mm `(N,)`; None where the files do not say.

    The position along the normal (PS3.3 C.7.6.2.1.1) decides, without directions the position along the axis that
    varies most, without a position Slice Location.
    """
    if all(frame.position is not None for frame in frames):
        positions = np.array([frame.position for frame in frames])
        if frames[0].directions is not None:
            return positions @ stack_normal(frames[0].directions)
        return positions[:, int(np.ptp(positions, axis=0).argmax())]
    locations = [frame.location for frame in frames]
    return None if None in locations else np.array(locations, float)


def places(frames: Sequence[Frame]) -> dict[int, list[Frame]]:
    """Slices by where they lie, in the order of their stack; those at one place in the order of their numbers."""
    frames = sorted(frames, key=lambda frame: (frame.number, frame.index))
    found = depths(frames)
    if found is None:
        return {at: [frame] for at, frame in enumerate(frames)}
    out: dict[int, list[Frame]] = {}
    for depth, frame in zip(found, frames, strict=True):
        out.setdefault(round(float(depth) / SAME_PLACE), []).append(frame)
    return dict(sorted(out.items()))


def step_mm(frames: Sequence[Frame]) -> tuple[float | None, str | None]:
    """The distance between slices in order, in mm, None where it is unknown or varies; and what has to be said of it."""
    found = depths(frames)
    if found is None:
        return None, "The files do not state where slices lie: they are in the order of their numbers."
    steps = np.abs(np.diff(found))
    if not len(steps):
        return None, None
    step = float(np.median(steps))
    odd = steps[np.abs(steps - step) > max(_UNEVEN * step, 2 * SAME_PLACE)]
    if not len(odd):
        return step, _thin(frames[0].facts, step)
    differ = f"{len(odd)} of {len(steps)} distances between slices {'differs' if len(odd) == 1 else 'differ'}"
    missing = int(np.maximum(np.rint(odd / step) - 1, 0).sum()) if step > 0 else 0
    what = f"about {missing} {'slice' if missing == 1 else 'slices'} may be missing" if missing else "slices are uneven"
    return None, f"{differ} from the usual {step:.3g} mm: {what}."


def space_of(frames: Sequence[Frame]) -> Space | None:
    """Where evenly stacked slices lie, their rows and columns as the first two axes; None where the files do not say.

    A tilted gantry shears the stack, which the affine says too.
    """
    first, spacing = frames[0], spacing_mm(frames[0].facts)[0]
    if spacing is None or first.directions is None or any(frame.position is None for frame in frames):
        return None
    if len({frame.shape for frame in frames}) > 1:
        return None
    along_row, along_column = first.directions
    positions = np.array([frame.position for frame in frames])
    if len(frames) == 1:
        thickness = _positive([first.facts.get("SliceThickness")], 1)
        step = np.cross(along_row, along_column) * (1.0 if thickness is None else thickness[0])
    else:
        step = (positions[-1] - positions[0]) / (len(frames) - 1)
        even = positions[0] + np.arange(len(frames))[:, None] * step
        if np.abs(positions - even).max() > max(_UNEVEN * np.linalg.norm(step), 2 * SAME_PLACE) or not step.any():
            return None
    affine = np.eye(4)
    affine[:3] = np.stack([along_column * spacing[0], along_row * spacing[1], step, positions[0]], axis=1)
    return Space((*first.shape, len(frames)), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)  # LPS+ to RAS+


def _thin(facts: Dataset, step: float) -> str | None:
    thickness = _positive([facts.get("SliceThickness")], 1)
    if thickness is None or step < _APART * thickness[0]:
        return None
    return f"Slices of {thickness[0]:.3g} mm lie {step:.3g} mm apart: what lies between them is not seen."


def spacing_mm(facts: Dataset) -> tuple[tuple[float, float] | None, str | None]:
    """Millimetres per pixel `(row, column)` as stored and what has to be said of them; none where they cannot be true."""
    spacing, notice = _stated_spacing(facts)
    if spacing and str(facts.get("Modality") or "") in (*SECTIONS, *PROJECTIONS):
        longest = max(spacing[0] * int(facts.get("Rows") or 0), spacing[1] * int(facts.get("Columns") or 0))
        if min(spacing) < _SMALLEST or longest > _LARGEST:
            return None, IMPOSSIBLE
    return spacing, notice


def _stated_spacing(facts: Dataset) -> tuple[tuple[float, float] | None, str | None]:
    """As the files state them, PS3.3 10.7.1."""
    if facts.get("SequenceOfUltrasoundRegions"):
        return _ultrasound_spacing(facts), None
    stated = _positive(facts.get("PixelSpacing"))
    detector = _positive(facts.get("ImagerPixelSpacing"))
    spacing = detector if stated is None else stated
    if spacing is None:
        return None, None
    projection = detector is not None or str(facts.get("Modality") or "") in PROJECTIONS
    if not projection or str(facts.get("PixelSpacingCalibrationType") or "").upper() in _CALIBRATED:
        return _pair(spacing), None
    if detector is None:
        return _pair(spacing), AT_DETECTOR_OR_NOT
    if not np.allclose(spacing, detector, rtol=1e-3):  # calibrated, whoever did it
        return _pair(spacing), None
    factor = _magnification(facts)
    return (_pair(spacing), AT_DETECTOR) if factor is None else (_pair(detector / factor), None)


def pixel_shape(facts: Dataset) -> tuple[float, float]:
    """How high and wide a pixel is, in any one unit: by its spacing, else Pixel Aspect Ratio, PS3.3 C.7.6.3.1.7."""
    spacing = spacing_mm(facts)[0]
    if spacing is None:
        ratio = _positive(facts.get("PixelAspectRatio"))
        spacing = (1.0, 1.0) if ratio is None else _pair(ratio)
    return spacing


def _magnification(facts: Dataset) -> float | None:
    """How much larger the patient is at the detector: stated, or from the distances of the X-ray source."""
    stated = _positive([facts.get("EstimatedRadiographicMagnificationFactor")], 1)
    distances = _positive([facts.get("DistanceSourceToDetector"), facts.get("DistanceSourceToPatient")])
    for factor in (stated, None if distances is None else distances[:1] / distances[1:]):
        if factor is not None and _MAGNIFIED[0] <= factor[0] <= _MAGNIFIED[1]:
            return float(factor[0])
    return None


def _positive(value: object, count: int = 2) -> np.ndarray | None:
    found = numbers(value, count)
    return found if found is not None and (found > 0).all() else None


def _pair(values: np.ndarray) -> tuple[float, float]:
    return round(float(values[0]), 9), round(float(values[1]), 9)


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
