"""NIfTI-1 and NIfTI-2 volumes as slices in radiological display."""

from __future__ import annotations

import gzip
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.volumeutils import array_from_file

from ..errors import StudyError
from ..types import Image, Study
from .display import apply_window, default_image, default_window, looks_like_hounsfield
from .files import Source
from .limits import Limits, reading

_MAX_OFFSET = 16 * 2**20  # header extensions before the voxels
_THICK = 1.5  # an axis so many times coarser than the next one is the one that slices were acquired along
_UNITS_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # xyzt_units & 7: unknown, m, mm, micrometre

# Slice axis of RAS+ voxels -> plane, slice order, directions of image columns (left to right) and rows (top to bottom).
_PLANES = {
    2: ("axial", "inferior to superior", ("L", "P")),
    1: ("coronal", "anterior to posterior", ("L", "F")),
    0: ("sagittal", "left to right", ("P", "F")),
}


def load(source: Source, limits: Limits) -> Study:
    """A volume as 8-bit slices across its coarsest axis (axial where none stands out).

    Axial and coronal slices show the patient's right on the image's left; anterior or superior is up. Sagittal slices
    show anterior on the left. Axial slices run from inferior to superior. Of several volumes the first is taken.

    Raises:
        StudyError: the file is damaged, colour or complex, has no numbers in it, or passes a limit.
    """
    notes: list[str] = []
    with reading(source.name, "a NIfTI volume"):
        values, zooms = _canonical(source, limits, notes)
    finite = np.isfinite(values)
    if finite.mean() < 0.5:
        raise StudyError(f"{source.name} holds mostly invalid numbers (NaN): export the volume again.")
    if not finite.all():
        values = np.where(finite, values, values[finite].min())
        notes.append("Invalid numbers (NaN) are shown black.")

    ct = looks_like_hounsfield(values)
    window, window_name = default_window(values, ct)
    axis = _slice_axis(values.shape, zooms)
    plane, order, directions = _PLANES[axis]
    slices = _slices(apply_window(values, window), axis)
    columns, rows = ((0, 1), (0, 2), (1, 2))[2 - axis]
    spacing = (round(float(zooms[rows]), 6), round(float(zooms[columns]), 6))
    images = [
        Image(np.ascontiguousarray(pixels), spacing, f"slice {number} of {len(slices)}")
        for number, pixels in enumerate(slices, 1)
    ]
    metadata: dict[str, Any] = {
        "format": "NIfTI",
        "plane": plane,
        "slice_order": order,
        "orientation": list(directions),
        "slice_spacing_mm": round(float(zooms[axis]), 3),
        "window": [round(value, 3) for value in window],
        "window_name": window_name,
    }
    if notes:
        metadata["note"] = " ".join(notes)
    kind = "volume" if len(images) > 1 else "picture"
    return Study(images, "ct" if ct else None, default=default_image(images), kind=kind, metadata=metadata)


def _canonical(source: Source, limits: Limits, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Scaled values in RAS+ order, float32 `(X, Y, Z)`, and the voxel size in mm, `(3,)`."""
    with open(source.path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(source.path, "rb") if packed else open(source.path, "rb") as file:
        header = _header(file.read(540), source.name)
        shape = _check_shape(header, source.name, limits)
        if len(header.get_data_shape()) > 3 and np.prod(header.get_data_shape()[3:]) > 1:
            notes.append(f"The first of {int(np.prod(header.get_data_shape()[3:]))} volumes is shown.")
        # voxels are stored x fastest, so the first volume is the first block
        raw = array_from_file(shape, header.get_data_dtype(), file, int(header["vox_offset"]), mmap=False)
    slope, intercept = header.get_slope_inter()
    values = raw.astype(np.float32)
    if slope is not None:
        values = values * np.float32(slope) + np.float32(intercept or 0)

    if not int(header["sform_code"]) and not int(header["qform_code"]):
        notes.append("The file does not state its orientation: left and right may be exchanged.")
    affine = header.get_best_affine()
    orientation = nib.orientations.io_orientation(affine)
    zooms = nib.affines.voxel_sizes(affine) * _UNITS_MM.get(int(header["xyzt_units"]) & 7, 1.0)
    if not np.isfinite(orientation).all() or not np.isfinite(zooms).all() or not (zooms > 0).all():
        raise StudyError(f"{source.name} has a broken orientation matrix: export the volume again.")
    canonical = np.empty(3)
    canonical[orientation[:, 0].astype(int)] = zooms
    return nib.orientations.apply_orientation(values, orientation), canonical


def _header(block: bytes, name: str) -> Any:
    if block[4:7] == b"ni2" or block[344:347] == b"ni1":
        raise StudyError(f"{name} is one half of a header and image pair: convert it to a single .nii file.")
    if block[4:7] == b"n+2":
        return nib.Nifti2Header(block[:540], check=False)
    return nib.Nifti1Header(block[:348], check=False)


def _check_shape(header: Any, name: str, limits: Limits) -> tuple[int, int, int]:
    """The first volume's shape, checked against the limits before a voxel is read."""
    dimensions = [int(n) for n in header.get_data_shape()]
    if len(dimensions) < 2 or min(dimensions) < 1:
        raise StudyError(f"{name} holds no voxels: export the volume again.")
    if header.get_data_dtype().kind not in "iuf":
        raise StudyError(f"{name} holds colours or complex numbers, not a grey volume: export it as plain numbers.")
    x, y, z = (*dimensions, 1)[:3]
    limits.check_total(name, min(x, y, z), x * y * z)
    for height, width in ((x, y), (x, z), (y, z)):
        limits.check_size(name, height, width)
    if not 0 <= float(header["vox_offset"]) <= _MAX_OFFSET:
        raise StudyError(f"{name} has a broken header: export the volume again.")
    return x, y, z


def _slice_axis(shape: tuple[int, ...], zooms: np.ndarray) -> int:
    """The axis of RAS+ voxels that slices are stacked along."""
    flat = [axis for axis in range(3) if shape[axis] == 1]
    if len(flat) == 1:
        return flat[0]
    by_size = np.argsort(zooms)
    return int(by_size[2]) if zooms[by_size[2]] > _THICK * zooms[by_size[1]] else 2


def _slices(volume: np.ndarray, axis: int) -> list[np.ndarray]:
    """Slices `(H, W)` of RAS+ voxels `(X, Y, Z)` in the display that `_PLANES` describes."""
    right, anterior, superior = slice(None, None, -1), slice(None, None, -1), slice(None, None, -1)
    if axis == 2:
        return [volume[right, anterior, index].T for index in range(volume.shape[2])]
    if axis == 1:
        return [volume[right, index, superior].T for index in reversed(range(volume.shape[1]))]
    return [volume[index, anterior, superior].T for index in range(volume.shape[0])]
