"""Where a prior lies in the image of today: two studies of one kind → an affine map between their pixels, and how good it is.

SimpleITK finds the map by mutual information, which does not mind other windows and exposures: rigid where both spacings
are known and are those of slices, with one scale for films (they magnify) and where a spacing is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from ..errors import RequestError
from ..types import Image, Study, mask_box

LEAST, LEAST_FILM = (
    0.75,
    0.4,
)  # quality from which places in two studies are compared, in slices and volumes, and in films:
# of the train splits' pairs all slices at one place had 0.85 or more, and other sequences and places 0.69 or less; upright
# films laid on films that stand on their heads had 0.4 or less
SIDE = 256  # pixels of the longer side that one picture is aligned at
VOXELS = 96  # of the longest side that a volume is aligned at
MOST_TURN = 30.0  # degrees, beyond which a map is no other position of a patient but a failure
MOST_SCALE = 1.6
FLAT = ("x-ray", "mammography")  # projections, whose magnification changes with the patient's distance
SAME = 0.02  # of quality that a map has to gain on leaving all where it is


@dataclass(frozen=True)
class Alignment:
    """From the current study's pixels to the prior's.

    `matrix` `(4, 4)` takes (slice, row, column, 1) of the current study to that of the prior; a picture is its only slice.
    `current` and `prior` are the shapes `(slices, rows, columns)` of both stacks, `images` and `prior_images` the indices in
    their studies that the slices have.
    """

    matrix: np.ndarray
    current: tuple[int, int, int]
    prior: tuple[int, int, int]
    images: tuple[int, ...]
    prior_images: tuple[int, ...]
    quality: float  # correlation of the two, aligned, in 0..1
    least: float = LEAST  # quality from which places in the two are compared
    scaled: bool = False  # whether the prior is made larger or smaller too

    @property
    def usable(self) -> bool:
        """Whether places in the two can be compared."""
        return self.quality >= self.least

    @property
    def grain(self) -> float:
        """Pixels of the current study that a pixel of the prior covers, at least 1."""
        return max(1.0, float(abs(np.linalg.det(self.matrix[1:3, 1:3]))) ** -0.5)

    def carry(self, masks: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
        """Masks `(H, W)` of prior images, by their index, in the current study: by image, those of its images that show some."""
        there = {self.prior_images.index(i): mask for i, mask in masks.items() if i in self.prior_images and mask.any()}
        if not there:
            return {}
        low, high = self._reach(there)
        if (low >= high).any():
            return {}
        stack = np.zeros(self.prior, np.float32)
        for place, mask in there.items():
            stack[place] = mask
        shift = self.matrix.copy()
        shift[:3, 3] += self.matrix[:3, :3] @ low
        carried = moved(stack, shift, tuple(high - low)) > 0.5  # type: ignore[arg-type]
        out = {}
        for place, part in enumerate(carried, int(low[0])):
            if part.any():
                out[self.images[place]] = np.zeros(self.current[1:], bool)
                out[self.images[place]][low[1] : high[1], low[2] : high[2]] = part
        return out

    def _reach(self, there: Mapping[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The first voxels of the current study that masks by slice of the prior may come to lie on, and those behind the last."""
        boxes = [mask_box(mask) for mask in there.values()]
        first = min(there) - 1, min(b[1] for b in boxes) - 1, min(b[0] for b in boxes) - 1
        last = max(there) + 1, max(b[3] for b in boxes), max(b[2] for b in boxes)
        corners = np.array(
            [(z, y, x, 1) for z in (first[0], last[0]) for y in (first[1], last[1]) for x in (first[2], last[2])]
        )
        at = (np.linalg.inv(self.matrix) @ corners.T)[:3]
        low = np.maximum(np.floor(at.min(axis=1)), 0).astype(int)
        return low, np.minimum(np.ceil(at.max(axis=1)) + 1, self.current).astype(int)

    def seen(self, examined: Sequence[int]) -> dict[int, np.ndarray]:
        """Where the current images show what `examined` images of the prior show too."""
        return self.carry({index: np.ones(self.prior[1:], bool) for index in examined})


def moved(stack: np.ndarray, matrix: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Floats `(slices, rows, columns)` sampled where `matrix` takes the voxels of `shape`; 0 outside."""
    if stack.shape[0] == shape[0] == 1:
        flat = ndimage.affine_transform(stack[0], matrix[1:3, 1:3], matrix[1:3, 3], shape[1:], order=1)
        return flat[None]
    return ndimage.affine_transform(stack, matrix[:3, :3], matrix[:3, 3], shape, order=1)


def align(current: Study, prior: Study, modality: str = "") -> Alignment:
    """The map between two studies of one kind: of their whole volumes, or of the pictures that they show first.

    Raises `RequestError` where one is a volume and the other is not, and where SimpleITK is missing.
    """
    volumes = [study.is_volume for study in (current, prior)]
    if volumes[0] != volumes[1]:
        words = ["a volume" if volume else "a single picture" for volume in volumes]
        raise RequestError(f"The image is {words[0]} and the prior {words[1]}: give a prior of the same form.")
    indices = [tuple(range(len(s.images))) if volumes[0] else (s.default,) for s in (current, prior)]
    images = [[s.images[i] for i in at] for s, at in zip((current, prior), indices, strict=True)]
    steps = [_step(study) for study in (current, prior)] if volumes[0] else [1.0, 1.0]
    known = all(image.spacing_mm for part in images for image in part[:1]) and all(steps)
    stacks = [grey(part) for part in images]
    scales = [
        _spacing(part, step) if known else _even(stack) for part, step, stack in zip(images, steps, stacks, strict=True)
    ]
    scaled = not known or modality in FLAT
    matrix, quality = find_map(stacks[0], stacks[1], scales[0], scales[1], free_scale=scaled)
    least = LEAST_FILM if modality in FLAT else LEAST
    shapes = [(len(stack), *stack.shape[1:]) for stack in stacks]
    return Alignment(matrix, shapes[0], shapes[1], indices[0], indices[1], quality, least, scaled)  # type: ignore[arg-type]


def _step(study: Study) -> float | None:
    return study.metadata.get("slice_spacing_mm")


def grey(images: Sequence[Image]) -> np.ndarray:
    """Floats `(slices, rows, columns)`."""
    return np.stack([image.rgb.mean(axis=2, dtype=np.float32) for image in images])


def _spacing(images: Sequence[Image], step: float | None) -> tuple[float, float, float]:
    return (step or 1.0, *(images[0].spacing_mm or (1.0, 1.0)))


def _even(stack: np.ndarray) -> tuple[float, float, float]:
    """A spacing with which every picture has the same diagonal, and every volume the same depth."""
    size = 100 / math.hypot(*stack.shape[1:])
    return 100 / stack.shape[0], size, size


def find_map(
    current: np.ndarray,
    prior: np.ndarray,
    spacing: tuple[float, float, float],
    prior_spacing: tuple[float, float, float],
    free_scale: bool,
) -> tuple[np.ndarray, float]:
    """The map `(4, 4)` between voxels of two stacks, floats `(slices, rows, columns)`, and its quality in 0..1.

    The best of several starts is kept, and whatever is no better than the plain middle-to-middle map is not kept at all.
    """
    sitk = _sitk()
    flat = current.shape[0] == prior.shape[0] == 1
    fixed, moving = (_image(sitk, s, sp, flat) for s, sp in ((current, spacing), (prior, prior_spacing)))

    def judged(transform: Any) -> float:
        return _quality(sitk, fixed, moving, transform) if _plausible(transform) else 0.0

    starts = _starts(sitk, fixed, moving, flat, free_scale)
    coarse = max((_registered(sitk, fixed, moving, start, [4]) for start in starts), key=judged)
    fine = _registered(sitk, fixed, moving, coarse, [2, 1])
    best = max((starts[0], coarse, fine), key=lambda t: judged(t) + (SAME if t is starts[0] else 0))
    return _voxel_map(best, spacing, prior_spacing, flat), judged(best)


def check_installed() -> None:
    """Raise `RequestError` where the library that aligns is missing, before anything is read for it."""
    _sitk()


def _sitk() -> Any:
    try:
        import SimpleITK
    except ImportError as error:
        raise RequestError("Comparing with a prior needs SimpleITK; pip install 'medvlm-assistant[priors]'.") from error
    return SimpleITK


def _image(sitk: Any, stack: np.ndarray, spacing: tuple[float, float, float], flat: bool) -> Any:
    """As SimpleITK has it, smoothed and thinned out to what is aligned fast."""
    most = SIDE if flat else VOXELS
    factors = [max(1, round(n / most)) for n in stack.shape]
    smooth = ndimage.gaussian_filter(stack, [f / 2 if f > 1 else 0 for f in factors])
    # Every n-th voxel, from the first: the middle of the first stays where it is, so that no shift has to be put right.
    thin = smooth[tuple(slice(None, None, f) for f in factors)]
    image = sitk.GetImageFromArray(np.ascontiguousarray(thin[0] if flat else thin, np.float32))
    image.SetSpacing([s * f for s, f in zip(spacing[::-1], factors[::-1], strict=True)][: 2 if flat else 3])
    return image


def _starts(sitk: Any, fixed: Any, moving: Any, flat: bool, free_scale: bool) -> list[Any]:
    """Middle on middle, then centre of mass on centre of mass; of films nearer and further too."""
    kinds = {
        (True, True): sitk.Similarity2DTransform,
        (True, False): sitk.Euler2DTransform,
        (False, True): sitk.Similarity3DTransform,
        (False, False): sitk.Euler3DTransform,
    }
    hows = sitk.CenteredTransformInitializerFilter.GEOMETRY, sitk.CenteredTransformInitializerFilter.MOMENTS
    starts = []
    for scale in (1.0, 0.8, 1.25) if flat and free_scale else (1.0,):
        for how in hows:
            kind = kinds[flat, free_scale]
            start = kind(sitk.CenteredTransformInitializer(fixed, moving, kind(), how))
            if scale != 1:
                start.SetScale(scale)
            starts.append(start)
    return starts


def _registered(sitk: Any, fixed: Any, moving: Any, start: Any, levels: list[int]) -> Any:
    """The start, improved at each level, which thins the images out so much; the start itself where the two do not meet."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.5 if fixed.GetDimension() == 2 else 0.1, seed=1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.01, 200, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(levels)
    method.SetSmoothingSigmasPerLevel([level / 2 for level in levels])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetInitialTransform(type(start)(start), inPlace=False)
    method.SetNumberOfThreads(1)  # sums in another order give another result
    try:
        return type(start)(_linear(method.Execute(fixed, moving)))
    except RuntimeError:  # no overlap
        return start


def _linear(transform: Any) -> Any:
    return transform.GetNthTransform(0) if "Composite" in transform.GetName() else transform


def _plausible(transform: Any) -> bool:
    matrix = np.array(transform.GetMatrix()).reshape(2 * (math.isqrt(len(transform.GetMatrix())),))
    scale = abs(np.linalg.det(matrix)) ** (1 / len(matrix))
    turn = matrix / scale
    cosine = turn[0, 0] if len(turn) == 2 else (np.trace(turn) - 1) / 2
    return 1 / MOST_SCALE < scale < MOST_SCALE and math.degrees(math.acos(np.clip(cosine, -1, 1))) < MOST_TURN


def _quality(sitk: Any, fixed: Any, moving: Any, transform: Any) -> float:
    """Correlation of what stands out from its surroundings, over all of the current study, at a coarse scale."""
    here = sitk.GetArrayFromImage(fixed)
    there = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, transform, sitk.sitkLinear, 0.0))
    a, b = (_edges(x) for x in (here, there))
    norm = math.sqrt(float((a * a).sum() * (b * b).sum()))
    return max(0.0, float((a * b).sum()) / norm) if norm > 1e-6 else 0.0


def _edges(stack: np.ndarray) -> np.ndarray:
    size = max(stack.shape) / 64
    blurred = ndimage.gaussian_filter(stack, size)
    return blurred - ndimage.gaussian_filter(stack, 4 * size)


def _voxel_map(
    transform: Any, spacing: tuple[float, float, float], prior_spacing: tuple[float, float, float], flat: bool
) -> np.ndarray:
    """A transform of points in mm (x, y(, z)) as a map of (slice, row, column)."""
    count = 2 if flat else 3
    origin = np.array(transform.TransformPoint([0.0] * count))
    axes = np.array([transform.TransformPoint(list(row)) for row in np.eye(count)]) - origin
    linear, shift = axes.T[::-1, ::-1], origin[::-1]
    here, there = (np.array(s[3 - count :]) for s in (spacing, prior_spacing))
    matrix = np.eye(4)
    matrix[3 - count : 3, 3 - count : 3] = linear * here / there[:, None]
    matrix[3 - count : 3, 3] = shift / there
    return matrix
