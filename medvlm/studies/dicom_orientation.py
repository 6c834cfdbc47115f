"""How a DICOM image is turned to the display that readers expect, and what its file says of sides.

Slices are shown head first and supine, as radiologists do: axial ones with the patient's left at the right and the back
at the bottom, coronal ones with the left at the right, sagittal ones with the front at the left. Films stand upright;
frontal ones have the patient's left at the right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..geometry import Turn
from .dicom_header import Frame, many
from .dicom_words import PROJECTIONS, SECTIONS

_LETTERS = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "H": (2, 1), "F": (2, -1)}  # axis and sign in LPS+
_OPPOSITE = str.maketrans("LRPAHF", "RLAPFH")
_SIDES = {"R": "right", "L": "left", "B": "both"}
_VIEWS = ("AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "LATERAL", "CC", "MLO", "ML", "LM", "LMO", "XCCL", "XCCM")
_SQUARE = 0.02  # pixels that are this much higher than wide still count as square


@dataclass(frozen=True)
class Plane:
    """A plane of the body as it is shown."""

    name: str
    order: str  # of its slices
    letters: tuple[str, str]  # the patient's direction to the image's right and bottom


# by the axis of LPS+ that the slices are stacked along
PLANES = {
    2: Plane("axial", "inferior to superior", ("L", "P")),
    1: Plane("coronal", "anterior to posterior", ("L", "F")),
    0: Plane("sagittal", "left to right", ("P", "F")),
}


def axis_of(directions: np.ndarray) -> int:
    """The axis of LPS+ that a plane with these directions `(2, 3)` of rows and columns lies across, most nearly."""
    return int(np.abs(np.cross(*directions)).argmax())


def plane_of(frame: Frame) -> Plane | None:
    """The plane of a slice; None for films and where the file does not say."""
    directions = _of_slice(frame)
    return None if directions is None else PLANES[axis_of(directions)]


def stack_normal(directions: np.ndarray) -> np.ndarray:
    """The unit vector `(3,)` along which slices follow one another in their plane's order."""
    normal = np.cross(*directions)
    axis = axis_of(directions)
    forward = -1 if axis == 0 else 1  # sagittal slices run towards the right, against x
    return normal / np.linalg.norm(normal) * forward * np.sign(normal[axis])


def turn_of(frame: Frame, pixel: tuple[float, float]) -> Turn:
    """From a frame's pixels, `pixel` high and wide in any unit, to the image as shown with square pixels."""
    exchanged, upside_down, mirrored = _turned(frame)
    rows, columns = frame.shape[::-1] if exchanged else frame.shape
    high, wide = pixel[::-1] if exchanged else pixel
    if abs(high / wide - 1) > _SQUARE:
        finer = min(high, wide)
        rows, columns = max(1, round(rows * high / finer)), max(1, round(columns * wide / finer))
    return Turn(frame.shape, (rows, columns), exchanged, upside_down, mirrored)


def orientation(frame: Frame) -> list[str] | None:
    """The patient's direction to the right and to the bottom of the image as shown, such as `["L", "P"]`."""
    plane = plane_of(frame)
    if plane:
        return list(plane.letters)
    stated = stated_letters(frame)
    if stated is None:
        return None
    exchanged, upside_down, mirrored = _turned(frame)
    right, down = stated[::-1] if exchanged else stated
    return [right.translate(_OPPOSITE) if mirrored else right, down.translate(_OPPOSITE) if upside_down else down]


def sides_known(frame: Frame) -> bool:
    """Whether the file says where the patient's left and right are in the image as shown."""
    if plane_of(frame) or laterality(frame) in ("right", "left"):
        return True
    shown = orientation(frame)
    return shown is not None and shown[0][0] in "LAP"


def laterality(frame: Frame) -> str | None:
    """right, left or both: the side of the body that is shown, PS3.3 10.6 and C.7.3.1."""
    stated = (frame.facts.get(key) for key in ("FrameLaterality", "ImageLaterality", "Laterality"))
    return next((_SIDES[side] for side in map(str, filter(None, stated)) if side in _SIDES), None)


def view(frame: Frame) -> str | None:
    """View Position, if it is a known one."""
    stated = str(frame.facts.get("ViewPosition") or "").strip().upper()
    return stated if stated in _VIEWS else None


def stated_letters(frame: Frame) -> tuple[str, str] | None:
    """Patient Orientation along rows and columns, PS3.3 C.7.6.1.1.1; None where it is missing or makes no sense."""
    stated = [str(value).strip().upper() for value in many(frame.facts.get("PatientOrientation"))]
    if len(stated) != 2 or not all(value and set(value) <= set(_LETTERS) for value in stated):
        return None
    right, down = stated
    return (right, down) if _LETTERS[right[0]][0] != _LETTERS[down[0]][0] else None


def _of_slice(frame: Frame) -> np.ndarray | None:
    """Directions `(2, 3)` of a slice of CT, MR and the like."""
    if frame.code in PROJECTIONS:
        return None
    if frame.directions is not None:
        return frame.directions
    return _vectors(frame) if frame.code in SECTIONS else None


def _vectors(frame: Frame) -> np.ndarray | None:
    """Patient Orientation as vectors `(2, 3)`: the first letter weighs most."""
    stated = stated_letters(frame)
    if stated is None:
        return None
    vectors = np.zeros((2, 3))
    for vector, letters in zip(vectors, stated, strict=True):
        for place, letter in enumerate(letters):
            axis, sign = _LETTERS[letter]
            vector[axis] += sign * 0.5**place
    return vectors


def _turned(frame: Frame) -> tuple[bool, bool, bool]:
    """Whether rows and columns are exchanged, then rows turned upside down, then columns mirrored."""
    slices = _of_slice(frame)
    directions = _vectors(frame) if slices is None and frame.code in PROJECTIONS else slices
    if directions is None:
        return False, False, False
    axis = axis_of(directions)
    if (
        slices is None and axis == 2
    ):  # films along the body's length, such as a breast from above, have no usual upright
        return False, False, False
    (right, right_sign), (down, down_sign) = (_LETTERS[letter] for letter in PLANES[axis].letters)
    row, column = directions
    kept, crossed = abs(row[right]) + abs(column[down]), abs(row[down]) + abs(column[right])
    exchanged = bool(crossed > kept)
    if exchanged:
        row, column = column, row
    mirrored = row[right] * right_sign < 0
    if slices is None and (
        axis == 0 or frame.code == "MG"
    ):  # lateral views and breasts keep their horizontal direction
        mirrored = False
    return exchanged, bool(column[down] * down_sign < 0), bool(mirrored)
