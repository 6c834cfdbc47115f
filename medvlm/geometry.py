"""Where pixels lie: those of a file in the image as shown, those of an image on the model's canvas; there and back. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import PIL.Image


@dataclass(frozen=True)
class Turn:
    """How a file's pixels became the image as shown: rows and columns exchanged, then mirrored, then made square.

    `stored` and `shown` are sizes `(H, W)` in pixels: of the file, and of the image.
    """

    stored: tuple[int, int]
    shown: tuple[int, int]
    exchanged: bool = False  # rows and columns
    upside_down: bool = False  # rows, after the exchange
    mirrored: bool = False  # columns, after the exchange

    @property
    def identity(self) -> bool:
        """Whether the file's pixels are the image's."""
        return self.stored == self.shown and not (self.exchanged or self.upside_down or self.mirrored)

    def to_shown(self, pixels: np.ndarray) -> np.ndarray:
        """Stored pixels, uint8 or bool `(H, W)` or `(H, W, 3)`, as shown; stretched smoothly where pixels are not square."""
        turned = np.swapaxes(pixels, 0, 1) if self.exchanged else pixels
        turned = turned[:: -1 if self.upside_down else 1, :: -1 if self.mirrored else 1]
        return np.ascontiguousarray(_stretched(turned, self.shown))

    def to_stored(self, pixels: np.ndarray) -> np.ndarray:
        """A mask, or pixels, of the image as shown back in the file's own rows and columns."""
        turned = pixels[:: -1 if self.upside_down else 1, :: -1 if self.mirrored else 1]
        turned = np.swapaxes(turned, 0, 1) if self.exchanged else turned
        return np.ascontiguousarray(_stretched(turned, self.stored))

    def box_to_stored(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """A box `[x0, y0, x1, y1]` of the image as shown in the file's own columns and rows."""
        (height, width), (x0, y0, x1, y1) = self.shown, box
        if self.mirrored:
            x0, x1 = width - x1, width - x0
        if self.upside_down:
            y0, y1 = height - y1, height - y0
        if self.exchanged:
            x0, y0, x1, y1, height, width = y0, x0, y1, x1, width, height
        down, right = self.stored[0] / height, self.stored[1] / width
        return x0 * right, y0 * down, x1 * right, y1 * down


@dataclass(frozen=True, eq=False)
class Space:
    """Where the images of a stack lie in the patient: each is a plane of one array of voxels, the file's own.

    `affine` `(4, 4)` takes indices of voxels to mm, RAS+.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    axis: int = 2  # of the array, that images are planes across
    reversed: bool = False  # the first image is the last plane

    def plane(self, image: int) -> int:
        """The index along `axis` of an image."""
        return self.shape[self.axis] - 1 - image if self.reversed else image


def _stretched(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if pixels.shape[:2] == size:
        return pixels
    values = pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels
    out = PIL.Image.fromarray(np.ascontiguousarray(values)).resize(size[::-1], PIL.Image.Resampling.BILINEAR)
    return np.asarray(out) > 127 if pixels.dtype == bool else np.asarray(out)


@dataclass(frozen=True)
class Letterbox:
    """An image of `size` `(H, W)`, scaled to fit, in the middle of a square canvas of `side` pixels, which is what a model sees.

    Coordinates are in pixels of the image or of the canvas; points are `(N, 2)` as x, y and boxes `[x0, y0, x1, y1]`. Maps
    of logits come back in `model.instances`.
    """

    size: tuple[int, int]
    side: int

    @property
    def fitted(self) -> tuple[int, int]:
        """Height and width of the image on the canvas."""
        scale = self.side / max(self.size)
        return max(1, round(self.size[0] * scale)), max(1, round(self.size[1] * scale))

    @property
    def corner(self) -> tuple[int, int]:
        """The image's upper left corner on the canvas: x, y."""
        height, width = self.fitted
        return (self.side - width) // 2, (self.side - height) // 2

    @property
    def inside(self) -> tuple[slice, slice]:
        """The rows and the columns of the canvas that the image takes."""
        (x, y), (height, width) = self.corner, self.fitted
        return slice(y, y + height), slice(x, x + width)

    def image(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 `(H, W)` or `(H, W, 3)` on a black canvas: uint8 `(side, side, 3)`."""
        canvas = np.zeros((self.side, self.side, 3), np.uint8)
        canvas[self.inside] = np.atleast_3d(resampled(pixels, self.fitted))
        return canvas

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """Bool `(H, W)` on the canvas, bool `(side, side)`: a place is on where any of its pixels is."""
        canvas = np.zeros((self.side, self.side), bool)
        canvas[self.inside] = any_within(mask, self.fitted)
        return canvas

    def points(self, points: np.ndarray) -> np.ndarray:
        """Points of the image on the canvas."""
        height, width = self.fitted
        return points * np.array([width / self.size[1], height / self.size[0]]) + self.corner

    def points_back(self, points: np.ndarray) -> np.ndarray:
        """Points of the canvas in the image, or outside of it."""
        height, width = self.fitted
        return (points - np.array(self.corner)) * np.array([self.size[1] / width, self.size[0] / height])

    def box(self, box: np.ndarray | tuple[float, float, float, float]) -> np.ndarray:
        """A box of the image on the canvas, float `(4,)`."""
        return self.points(np.reshape(box, (2, 2))).ravel()

    def box_back(self, box: np.ndarray) -> tuple[float, float, float, float]:
        """A box of the canvas in the image, clipped to it."""
        corners = self.points_back(np.reshape(box, (2, 2))).clip(0, self.size[::-1])
        (x0, y0), (x1, y1) = corners.tolist()
        return x0, y0, x1, y1

    def middles(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the middles of the image's rows and columns lie on the canvas: floats `(H,)` and `(W,)`."""
        (x, y), (height, width) = self.corner, self.fitted
        rows = (np.arange(self.size[0]) + 0.5) * height / self.size[0] + y
        return rows, (np.arange(self.size[1]) + 0.5) * width / self.size[1] + x


def resampled(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 `(H, W)` or `(H, W, 3)` at another `size` `(H, W)`, as everything is that a model sees, in training too: smooth
    where it is enlarged, and without moiré where it is made smaller."""
    picture = PIL.Image.fromarray(pixels)
    return np.asarray(picture.resize(size[::-1], PIL.Image.Resampling.BICUBIC, reducing_gap=2))


def any_within(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bool `(H, W)` at another `size`: a place is on where any pixel is that it touches."""
    for axis, count in enumerate(size):
        length, places = mask.shape[axis], np.arange(count)
        starts, ends = places * length // count, -(-(places + 1) * length // count)
        passed = np.insert(mask.cumsum(axis), 0, 0, axis)
        mask = passed.take(ends, axis) > passed.take(starts, axis)
    return mask
