"""Regions of the slices of a volume → bodies: what hangs together across slices, without specks, and how large it is.

Pure functions over masks; torch-free. A body's count, volume and extent come from its pieces alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ..types import Body, Region, Study, mask_box

# What stands in one slice alone is a speck where its neighbours ought to show it too, or where it is next to nothing.
EVEN = 2.0  # pixels: slices that are no thicker show whatever can be seen at all more than once
WIDE = 2.0  # widths of a slice: what is wider than that across is mostly higher than one slice as well
CRUMB = 0.03  # of the largest body, for things of which there is one: smaller pieces beside it are no part of it


@dataclass(frozen=True)
class Lattice:
    """How far the voxels of a volume lie apart, as its images show them; None where that is not known.

    `step` is the distance between slices in mm, `pixel` that of rows and of columns; `axes` `(3, 3)` has in its columns where
    one slice, one row and one column on lie in the patient, in mm to the right, to the front and to the head (RAS+).
    """

    step: float | None = None
    pixel: tuple[float, float] | None = None
    axes: np.ndarray | None = None

    @property
    def voxel_ml(self) -> float | None:
        return None if self.step is None or self.pixel is None else self.step * self.pixel[0] * self.pixel[1] / 1000


def lattice_of(study: Study) -> Lattice:
    """The lattice of a volume. Slices that are uneven, or whose distance no file states, have no step."""
    image, step = study.images[0], study.metadata.get("slice_spacing_mm")
    if step is None or image.spacing_mm is None or any(i.spacing_mm != image.spacing_mm for i in study.images):
        return Lattice(None, image.spacing_mm)
    if study.space is None or not study.sides_known:
        return Lattice(step, image.spacing_mm)
    edges, turn = study.space.affine[:3, :3], image.turn
    rows, columns = (axis for axis in range(3) if axis != study.space.axis)
    down, right = edges[:, rows], edges[:, columns]  # from one stored row, or column, to the next
    if turn is not None:
        if turn.exchanged:
            down, right = right, down
        height, width = turn.stored[::-1] if turn.exchanged else turn.stored
        down = down * (height / turn.shown[0]) * (-1 if turn.upside_down else 1)
        right = right * (width / turn.shown[1]) * (-1 if turn.mirrored else 1)
    onward = edges[:, study.space.axis] * (-1 if study.space.reversed else 1)
    return Lattice(step, image.spacing_mm, np.stack([onward, down, right], axis=1))


@dataclass(frozen=True, eq=False)
class Piece:
    """One connected part of a region; `mask` is cut to its box, whose upper left corner is at `row` and `column`."""

    image: int
    region: int  # which of its image's regions
    row: int
    column: int
    mask: np.ndarray

    @property
    def area(self) -> int:
        """Pixels."""
        return int(self.mask.sum())

    def touches(self, other: Piece) -> bool:
        """Whether the two have pixels at one place, whatever their slices."""
        rows = max(self.row, other.row), min(self.row + len(self.mask), other.row + len(other.mask))
        ends = self.column + self.mask.shape[1], other.column + other.mask.shape[1]
        columns = max(self.column, other.column), min(ends)
        if rows[0] >= rows[1] or columns[0] >= columns[1]:
            return False
        mine, theirs = (
            piece.mask[rows[0] - piece.row : rows[1] - piece.row, columns[0] - piece.column : columns[1] - piece.column]
            for piece in (self, other)
        )
        return bool((mine & theirs).any())


def pieces_of(region: Region, image: int, number: int) -> list[Piece]:
    """The connected parts of a region's mask, or its box where it has none."""
    if region.mask is None:
        x0, y0, x1, y1 = (round(value) for value in region.box)
        return [Piece(image, number, y0, x0, np.ones((max(1, y1 - y0), max(1, x1 - x0)), bool))]
    x0, y0, x1, y1 = map(int, mask_box(region.mask))
    labelled, _ = ndimage.label(region.mask[y0:y1, x0:x1], np.ones((3, 3)))
    return [
        Piece(image, number, y0 + window[0].start, x0 + window[1].start, labelled[window] == at)
        for at, window in enumerate(ndimage.find_objects(labelled), 1)
    ]


def bodies_of(slices: Sequence[Sequence[Region]]) -> list[list[Piece]]:
    """The pieces of all regions, those together that hang together from slice to slice; largest first.

    Regions of one slice are apart unless another slice joins them, as two that were told apart may touch.
    """
    bodies: dict[int, list[Piece]] = {}  # by the number of the body, to which `home` leads
    home: dict[Piece, int] = {}
    before: list[Piece] = []
    for image, regions in enumerate(slices):
        here = [piece for number, region in enumerate(regions) for piece in pieces_of(region, image, number)]
        for piece in here:
            number = len(home)
            joined = {home[other] for other in before if other.touches(piece)}
            bodies[number] = [p for old in sorted(joined) for p in bodies.pop(old)] + [piece]
            for one in bodies[number]:
                home[one] = number
        before = here
    return sorted(bodies.values(), key=lambda body: -sum(piece.area for piece in body))


def cleaned(
    slices: Sequence[Sequence[Region]], lattice: Lattice, one: bool, smallest: float = 0.0
) -> tuple[list[list[Region]], Body | None]:
    """The regions of a thing, a list a slice, without specks, and the body that they make together (None for nothing).

    `one` for things of which there is one; bodies smaller than a ball of `smallest` mm across are specks too. Regions of which nothing is taken away are the same objects.
    """
    bodies = bodies_of(slices)
    most = sum(piece.area for piece in bodies[0]) if bodies else 0
    kept: list[list[Piece]] = []
    gone: dict[tuple[int, int], list[Piece]] = {}  # by image and region
    for body in bodies:
        if is_small(body, lattice, smallest) or is_speck(body, most, len(slices), lattice, one):
            for piece in body:
                gone.setdefault((piece.image, piece.region), []).append(piece)
        else:
            kept.append(body)
    left = [
        [_without(region, gone.get((image, number), [])) for number, region in enumerate(regions)]
        for image, regions in enumerate(slices)
    ]
    return [[region for region in here if region] for here in left], measured(kept, lattice) if kept else None


def is_small(body: Sequence[Piece], lattice: Lattice, smallest: float) -> bool:
    """Whether a body has less volume than a ball of `smallest` mm across, where distances are known."""
    if lattice.step is None or lattice.pixel is None:
        return False
    volume = sum(piece.area for piece in body) * lattice.pixel[0] * lattice.pixel[1] * lattice.step
    return bool(volume < np.pi / 6 * smallest**3)


def is_speck(body: Sequence[Piece], most: int, slices: int, lattice: Lattice, one: bool) -> bool:
    """Whether a body is none: see `EVEN`, `WIDE` and `CRUMB`. What stands in the first or last slice may go on beyond it."""
    first, last = body[0].image, body[-1].image
    area = sum(piece.area for piece in body)
    if first != last or slices < 2:
        return False
    if one and area < CRUMB * most:
        return True
    if first in (0, slices - 1) or lattice.step is None or lattice.pixel is None:
        return False
    if lattice.step <= EVEN * max(lattice.pixel):
        return True
    across = 2 * np.sqrt(area * lattice.pixel[0] * lattice.pixel[1] / np.pi)  # of a disc as large
    return bool(across > WIDE * lattice.step)


def _without(region: Region, gone: Sequence[Piece]) -> Region | None:
    """A region without some of its pieces; None where none is left."""
    if not gone:
        return region
    if region.mask is None:
        return None
    mask = region.mask.copy()
    for piece in gone:
        rows, columns = piece.mask.shape
        mask[piece.row : piece.row + rows, piece.column : piece.column + columns] &= ~piece.mask
    return replace(region, mask=mask, box=mask_box(mask)) if mask.any() else None


def measured(bodies: Sequence[Sequence[Piece]], lattice: Lattice) -> Body:
    """How large some bodies are together."""
    areas: dict[int, int] = {}
    for piece in (piece for body in bodies for piece in body):
        areas[piece.image] = areas.get(piece.image, 0) + piece.area
    voxel = lattice.voxel_ml
    return Body(
        (min(areas), max(areas)),
        max(areas, key=lambda image: (areas[image], -image)),
        len(bodies),
        None if voxel is None else sum(areas.values()) * voxel,
        None if lattice.axes is None else extent_mm([piece for body in bodies for piece in body], lattice.axes),
    )


def extent_mm(pieces: Sequence[Piece], axes: np.ndarray) -> tuple[float, float, float]:
    """How far voxels reach along the patient's axes (left to right, front to back, head to foot), from edge to edge."""
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for piece in pieces:
        rows = np.flatnonzero(piece.mask.any(axis=1))
        first = piece.mask[rows].argmax(axis=1)
        last = piece.mask.shape[1] - 1 - piece.mask[rows, ::-1].argmax(axis=1)
        for columns in (first, last):  # all between lies between
            at = np.stack([np.full(len(rows), piece.image), rows + piece.row, columns + piece.column]) * 1.0
            reached = axes @ at
            low, high = np.minimum(low, reached.min(axis=1)), np.maximum(high, reached.max(axis=1))
    x, y, z = (high - low + np.abs(axes).sum(axis=1)).tolist()  # half a voxel on either side
    return x, y, z
