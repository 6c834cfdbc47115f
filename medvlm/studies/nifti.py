"""NIfTI-1 and NIfTI-2 volumes as slices in radiological display."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ..errors import StudyError
from ..geometry import Space, Turn
from ..types import Image, Study
from .display import apply_window, default_image, unstated_window
from .files import Source
from .limits import Limits, reading
from .nifti_header import Grid, checked_shape, grid_of, has_colours, header_of, scale_of
from .values import Kept, offset_of

_THICK = 1.5  # an axis so many times coarser than the next one is the one that slices were acquired along
_SQUARE = 0.02  # pixels that are this much higher than wide still count as square
_SAMPLE = 4_000_000  # voxels that decide how the volume is shown

# Slice axis of RAS+ -> plane, slice order, directions of image columns (left to right) and rows (top to bottom), and
# the axes of RAS+ that rows and columns run against.
_PLANES = {
    2: ("axial", "inferior to superior", ("L", "P"), (1, 0)),
    1: ("coronal", "anterior to posterior", ("L", "F"), (2, 0)),
    0: ("sagittal", "left to right", ("P", "F"), (2, 1)),
}


@dataclass(frozen=True)
class _Slices:
    """Which slices of the voxels are shown, and how."""

    ras: int  # axis of RAS+ that they are stacked along
    axis: int  # and that of the voxels
    reversed: bool  # the last one of the file is shown first
    turn: Turn
    spacing: tuple[float, float] | None  # mm of a pixel as shown


def load(source: Source, limits: Limits) -> Study:
    """A volume as 8-bit slices across its coarsest axis (axial where none stands out).

    Axial and coronal slices show the patient's right on the image's left; anterior or superior is up. Sagittal slices
    show anterior on the left. Axial slices run from inferior to superior. Of several volumes the first is taken. What
    kind of image it is no NIfTI states.

    Raises:
        StudyError: the file is damaged or complex, has no numbers in it, or passes a limit.
    """
    with reading(source.name, "a NIfTI volume"):
        header, voxels = _read(source, limits)
        grid = grid_of(header)
        slices = _slices(voxels.shape[:3], grid)
        limits.check_size(source.name, *slices.turn.shown)
        count = voxels.shape[slices.axis]
        channels = 3 if voxels.ndim == 4 else 1
        limits.check_total(source.name, count, count * slices.turn.shown[0] * slices.turn.shown[1], channels)
        notices = list(grid.notices)
        volumes = int(np.prod(header.get_data_shape()[3:], dtype=np.int64))
        if volumes > 1:
            notices.insert(0, f"The first of {volumes} volumes is shown.")
        planes, facts = _shown(voxels, slices, scale_of(header), source.name, notices)
        kept = _kept(voxels, slices, scale_of(header), facts, limits)
    turn = None if slices.turn.identity else slices.turn
    images = [
        Image(pixels, slices.spacing, f"slice {number} of {count}", turn) for number, pixels in enumerate(planes, 1)
    ]
    for number, image in enumerate(images):
        image.values = kept.of(number)
    plane, order, directions, _ = _PLANES[slices.ras]
    metadata: dict[str, Any] = {
        "format": "NIfTI",
        "plane": plane,
        "slice_order": order,
        "orientation": list(directions),
        "voxel_axis": slices.axis,  # of the file's array, that the images are slices across
        "voxels_reversed": slices.reversed,
        **facts,
    }
    if grid.zooms is not None:
        metadata["slice_spacing_mm"] = round(float(grid.zooms[slices.axis]), 3)
    return Study(
        images,
        default=default_image(images),
        kind="volume" if count > 1 else "picture",
        metadata=metadata,
        notices=notices,
        sides_known=grid.sides_known,
        space=Space(voxels.shape[:3], grid.affine_mm, slices.axis, slices.reversed),
    )


def _read(source: Source, limits: Limits) -> tuple[Any, np.ndarray]:
    """The header and the first volume's voxels, `(X, Y, Z)` or `(X, Y, Z, 3)`, as the file has them."""
    with open(source.path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(source.path, "rb") if packed else open(source.path, "rb") as file:
        block = file.read(540)
        header = header_of(block, source.name)
        shape = checked_shape(header, source.name, limits)
        file.seek(max(int(header["vox_offset"]), 352))  # some programs write 0
        return header, _voxels(file, shape, header.get_data_dtype(), has_colours(header))  # type: ignore[arg-type]


def _voxels(file: BinaryIO, shape: tuple[int, int, int], dtype: np.dtype, colours: bool) -> np.ndarray:
    """Voxels read slab by slab, since the widest numbers of a large volume would not fit; x runs fastest in a file."""
    x, y, z = shape
    kept: np.dtype = np.dtype(np.float32) if dtype.kind == "f" and dtype.itemsize > 4 else dtype.newbyteorder("=")
    shown = (z, y, x, 3) if colours else (z, y, x)
    out = np.empty(shown, np.uint8 if colours else kept)
    for k in range(z):
        slab = file.read(x * y * dtype.itemsize)
        values = np.frombuffer(slab, np.uint8 if colours else dtype)
        out[k] = values.reshape(y, x, -1)[..., :3] if colours else values.reshape(y, x)
    return out.transpose(2, 1, 0, *range(3, out.ndim))


def _slices(shape: tuple[int, ...], grid: Grid) -> _Slices:
    """The slices across the coarsest axis, each as radiologists see it."""
    axes, edges = grid.axes, grid.edges
    voxel = {int(ras): at for at, ras in enumerate(axes[:, 0])}  # axis of RAS+ -> of voxels
    ras = _slice_axis([shape[voxel[a]] for a in range(3)], edges[[voxel[a] for a in range(3)]])
    row, column = (voxel[a] for a in _PLANES[ras][3])
    exchanged = row > column
    rows, columns = shape[row], shape[column]
    high, wide = float(edges[row]), float(edges[column])
    if abs(high / wide - 1) > _SQUARE:
        finer = min(high, wide)
        rows, columns = max(1, round(rows * high / finer)), max(1, round(columns * wide / finer))
    turn = Turn(
        (shape[min(row, column)], shape[max(row, column)]),
        (rows, columns),
        exchanged,
        upside_down=bool(axes[row, 1] > 0),  # both run against RAS+ as shown
        mirrored=bool(axes[column, 1] > 0),
    )
    spacing = None
    if grid.zooms is not None:
        spacing = round(high * shape[row] / rows, 6), round(wide * shape[column] / columns, 6)
    at = voxel[ras]
    return _Slices(ras, at, bool(axes[at, 1] > 0) == (ras == 1), turn, spacing)


def _slice_axis(shape: list[int], zooms: np.ndarray) -> int:
    """The axis of RAS+ that slices are stacked along, for shape and voxel size along RAS+."""
    flat = [axis for axis in range(3) if shape[axis] == 1]
    if len(flat) == 1:
        return flat[0]
    by_size = np.argsort(zooms, kind="stable")
    return int(by_size[2]) if zooms[by_size[2]] > _THICK * zooms[by_size[1]] else 2


def _shown(
    voxels: np.ndarray, slices: _Slices, scale: tuple[float, float], name: str, notices: list[str]
) -> tuple[list[np.ndarray], dict[str, Any]]:
    """8-bit slices in their order, and how the numbers were shown; what has to be said is added to `notices`."""
    stack = np.moveaxis(voxels, slices.axis, 0)
    order = range(len(stack) - 1, -1, -1) if slices.reversed else range(len(stack))
    if voxels.ndim == 4:
        return [slices.turn.to_shown(stack[at]) for at in order], {}
    sampled = _scaled(_thin(voxels), scale)
    finite = np.isfinite(sampled)
    if not finite.any():
        finite = np.isfinite(voxels)
        if not finite.any():
            raise StudyError(f"{name} holds no valid number, only NaN: export the volume again.")
        sampled = _scaled(voxels[finite], scale)
    window, window_name, notice = unstated_window(sampled)
    notices += [notice] if notice else []
    planes, broken = [], False
    for at in order:
        values = _scaled(stack[at], scale)
        if values.dtype.kind == "f" and not (good := np.isfinite(values)).all():
            broken = True
            values = np.where(good, values, np.nan)
        planes.append(slices.turn.to_shown(apply_window(values, window)))
    if broken:
        notices.append("Invalid numbers (NaN) are shown black.")
    return planes, {"window": [round(value, 3) for value in window], "window_name": window_name}


def _kept(
    voxels: np.ndarray, slices: _Slices, scale: tuple[float, float], facts: dict[str, Any], limits: Limits
) -> Kept:
    """The values of all slices, by their number as shown, where they are wanted."""
    offset = offset_of(facts.get("window"), facts.get("window_name"))
    kept = Kept(limits.max_value_bytes if voxels.ndim == 3 else 0, voxels.size, offset)
    stack = np.moveaxis(voxels, slices.axis, 0)
    for number, plane in enumerate(reversed(stack) if slices.reversed else stack):
        if not kept.wanted:
            break
        kept.add(number, _scaled(plane, scale), slices.turn)
    return kept


def _thin(voxels: np.ndarray) -> np.ndarray:
    """Evenly spread voxels, `(N,)`."""
    flat = voxels.T.ravel()  # in the file's order, which takes no copy
    return flat[:: (len(flat) // _SAMPLE) | 1]


def _scaled(values: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    slope, inter = scale
    if (slope, inter) == (1.0, 0.0):
        return values
    return values.astype(np.float32) * np.float32(slope) + np.float32(inter)
