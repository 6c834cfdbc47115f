"""NIfTI headers: what they state of size, scale and orientation, with the oddities that programs write into them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np

from ..errors import StudyError
from .limits import Limits

_MAX_OFFSET = 16 * 2**20  # header extensions before the voxels
_UNITS_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # xyzt_units & 7: unknown, m, mm, micrometre
_LARGEST_VOXEL = 100.0  # mm
_DEGREE = np.cos(np.deg2rad(1.0))  # directions that lie nearer to one another are the same
_SAME_SIZE = 0.01  # of a voxel's edge
_COLOURS = (np.dtype([(c, "u1") for c in "RGB"]), np.dtype([(c, "u1") for c in "RGBA"]))
UNSTATED = "The file does not state its orientation: left and right may be exchanged."


@dataclass(frozen=True)
class Grid:
    """How voxels lie in the patient."""

    affine: np.ndarray  # `(4, 4)` to RAS+
    zooms: np.ndarray | None  # `(3,)` mm along the voxel axes, None where unknown
    sides_known: bool
    notices: list[str]

    @property
    def axes(self) -> np.ndarray:
        """`(3, 2)`: for each voxel axis the axis of RAS+ that it runs along, and 1 or -1 for its direction."""
        return nib.orientations.io_orientation(self.affine).astype(int)

    @property
    def affine_mm(self) -> np.ndarray:
        """`affine` in mm, whatever unit the file has; as it is where its voxels have no size."""
        if self.zooms is None:
            return self.affine
        unit = self.zooms[0] / nib.affines.voxel_sizes(self.affine)[0]
        return np.diag([unit, unit, unit, 1.0]) @ self.affine

    @property
    def edges(self) -> np.ndarray:
        """`(3,)` lengths of a voxel's edges, in any unit."""
        return nib.affines.voxel_sizes(self.affine) if self.zooms is None else self.zooms


def header_of(block: bytes, name: str) -> Any:
    """nibabel's header of a file that starts with `block`."""
    if block[4:7] == b"ni2" or block[344:347] == b"ni1":
        raise StudyError(f"{name} is one half of a header and image pair: convert it to a single .nii file.")
    if block[4:7] == b"n+2":
        return nib.Nifti2Header(block[:540], check=False)
    return nib.Nifti1Header(block[:348], check=False)


def checked_shape(header: Any, name: str, limits: Limits) -> tuple[int, int, int]:
    """The first volume's shape, checked against the limits before a voxel is read."""
    dimensions = [int(n) for n in header.get_data_shape()]
    if len(dimensions) < 2 or min(dimensions) < 1:
        raise StudyError(f"{name} holds no voxels: export the volume again.")
    if header.get_data_dtype().kind not in "iuf" and not has_colours(header):
        raise StudyError(f"{name} holds complex numbers, not a grey volume: export it as plain numbers.")
    x, y, z = (*dimensions, 1)[:3]
    limits.check_total(name, min(x, y, z), x * y * z, 3 if has_colours(header) else 1)
    for height, width in ((x, y), (x, z), (y, z)):
        limits.check_size(name, height, width)
    if not 0 <= float(header["vox_offset"]) <= _MAX_OFFSET:
        raise StudyError(f"{name} has a broken header: export the volume again.")
    return x, y, z


def has_colours(header: Any) -> bool:
    """Whether a voxel is red, green and blue, perhaps with an opacity."""
    return header.get_data_dtype().newbyteorder("=") in _COLOURS


def scale_of(header: Any) -> tuple[float, float]:
    """What voxels are multiplied with, and what is added then; a slope of 0 or NaN means none."""
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if not np.isfinite(slope) or slope == 0:
        return 1.0, 0.0
    return slope, inter if np.isfinite(inter) else 0.0


def grid_of(header: Any) -> Grid:
    """Where the voxels lie: as sform says, else qform, else along the axes of the patient, which is a guess."""
    header, sized = _mended(header)
    sform = _stated(header, "sform")
    qform = _stated(header, "qform") if sized else None
    notices: list[str] = []
    sides_known = True
    if sform is not None and qform is not None and not _agree(sform, qform):
        sides_known = _sides(sform) == _sides(qform)
        notices.append("The file states two orientations that disagree (sform and qform); the sform is used.")
        if not sides_known:
            notices.append("The two orientations differ in left and right: sides may be exchanged.")
    affine = sform if sform is not None else qform
    if affine is None:
        affine, sides_known = header.get_base_affine(), False
        notices.append(UNSTATED)
    zooms = nib.affines.voxel_sizes(affine) * _UNITS_MM.get(int(header["xyzt_units"]) & 7, 1.0)
    if (sform is None and not sized) or zooms.max() > _LARGEST_VOXEL:
        notices.append("The file does not state a voxel size that can be: no size is told in millimetres.")
        return Grid(affine, None, sides_known, notices)
    return Grid(affine, zooms, sides_known, notices)


def _mended(header: Any) -> tuple[Any, bool]:
    """A header whose voxel size is positive, and whether it was stated at all."""
    header = header.copy()
    sizes = header["pixdim"][1:4].astype(float)
    sized = bool((np.isfinite(sizes) & (sizes != 0)).all())
    header["pixdim"][1:4] = np.where(np.isfinite(sizes) & (sizes != 0), np.abs(sizes), 1.0)
    header["pixdim"][0] = -1.0 if header["pixdim"][0] < 0 else 1.0
    return header, sized


def _stated(header: Any, which: str) -> np.ndarray | None:
    """The sform or the qform, `(4, 4)`; None where there is none that places voxels."""
    if not int(header[f"{which}_code"]):
        return None
    try:
        affine = np.asarray(getattr(header, f"get_{which}")(), dtype=float)
    except (ValueError, nib.spatialimages.HeaderDataError):
        return None
    edges = affine[:3, :3]
    lengths = np.linalg.norm(edges, axis=0)
    if not np.isfinite(affine).all() or not (lengths > 0).all() or abs(np.linalg.det(edges / lengths)) < 1e-3:
        return None
    return affine


def _agree(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two affines give voxels the same directions and sizes; where the first one lies does not matter."""
    a, b = nib.affines.voxel_sizes(one), nib.affines.voxel_sizes(other)
    cosines = ((one[:3, :3] / a) * (other[:3, :3] / b)).sum(axis=0)
    return bool((cosines > _DEGREE).all() and (np.abs(a / b - 1) < _SAME_SIZE).all())


def _sides(affine: np.ndarray) -> tuple[int, int]:
    """The voxel axis that runs most nearly from left to right, and its direction."""
    axes = nib.orientations.io_orientation(affine).astype(int)
    axis = int(np.flatnonzero(axes[:, 0] == 0)[0])
    return axis, int(axes[axis, 1])
