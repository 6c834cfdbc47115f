"""Other planes through a volume: which there are, and their pictures, as `Study` shows slices. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import PIL.Image

from ..types import Study
from .volume import lattice_of

# Of the longest side of a voxel to its shortest: in a cut across thicker slices a row of pixels is so coarse that a thing as high
# as it is wide, of ten pixels, lies in two rows alone, and its outline is made of steps.
STRETCH = 4.0
# What the rows and the columns of a plane's pictures follow, of the patient's axes to the right, to the front and to the head,
# each from its far end: heads are up, fronts are up or on the left, and the patient's right is on the left.
PLANES = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}  # across, down, along


@dataclass(frozen=True)
class Cut:
    """How the pictures of a plane lie in the stack, whose axes are slice, row and column."""

    across: int  # axis that counts the pictures; 0 for the plane of the slices themselves
    down: int  # axis that the rows of a picture follow …
    along: int  # … and its columns
    turned: tuple[bool, bool]  # whether they follow it from its end
    count: int
    size: tuple[int, int]  # voxels `(H, W)`
    shown: tuple[int, int]  # `(H, W)` in square pixels, as large as a voxel's shortest side

    def picture(self, study: Study, index: int) -> np.ndarray:
        """uint8 `shown` or `(*shown, 3)`: one picture, of a plane that is not the slices' own."""
        picture = PIL.Image.fromarray(self.section([image.pixels for image in study.images], index))
        return np.asarray(picture.resize(self.shown[::-1], PIL.Image.Resampling.BILINEAR))

    def section(self, slices: Sequence[np.ndarray], index: int) -> np.ndarray:
        """One picture of slices `(H, W)` or `(H, W, 3)` in voxels, `size` or `(*size, 3)`."""
        cut = np.stack([numbers.take(index, axis=self.across - 1) for numbers in slices])
        cut = cut if self.down == 0 else cut.swapaxes(0, 1)
        for axis, turned in enumerate(self.turned):
            cut = np.flip(cut, axis) if turned else cut
        return np.ascontiguousarray(cut)


def planes_of(study: Study) -> dict[str, Cut]:
    """The planes that a study can be shown in; none but for volumes whose place in the patient is known and whose voxels are
    even enough."""
    axes = lattice_of(study).axes if study.is_volume else None
    if axes is None:
        return {}
    sides = np.linalg.norm(axes, axis=0)
    if sides.max() > STRETCH * sides.min():
        return {}
    way = axes / sides
    of = max(permutations(range(3)), key=lambda order: sum(abs(way[p, a]) for p, a in enumerate(order)))
    counts = np.array([len(study.images), *study.images[0].size])
    out = {}
    for name, (across, down, along) in PLANES.items():
        ends = [bool(way[p, of[p]] > 0) for p in (down, along)]
        size = counts[[of[down], of[along]]]
        shown = np.maximum(1, np.round(size * sides[[of[down], of[along]]] / sides.min()).astype(int))
        out[name] = Cut(
            of[across], of[down], of[along], (ends[0], ends[1]), int(counts[of[across]]),
            (int(size[0]), int(size[1])), (int(shown[0]), int(shown[1])),
        )  # fmt: skip
    return out
