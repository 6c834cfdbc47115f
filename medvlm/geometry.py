"""Where the pixels of a file lie in the image as shown, there and back. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from skimage.transform import resize


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
        """Stored pixels `(H, W)` or `(H, W, 3)` as shown; stretched smoothly where pixels are not square."""
        turned = np.swapaxes(pixels, 0, 1) if self.exchanged else pixels
        turned = turned[:: -1 if self.upside_down else 1, :: -1 if self.mirrored else 1]
        return np.ascontiguousarray(_stretched(turned, self.shown))

    def to_stored(self, pixels: np.ndarray) -> np.ndarray:
        """A mask, or pixels, of the image as shown back in the file's own rows and columns."""
        turned = pixels[:: -1 if self.upside_down else 1, :: -1 if self.mirrored else 1]
        turned = np.swapaxes(turned, 0, 1) if self.exchanged else turned
        return np.ascontiguousarray(_stretched(turned, self.stored))


def _stretched(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if pixels.shape[:2] == size:
        return pixels
    out = resize(pixels.astype(np.float32), (*size, *pixels.shape[2:]), order=1, mode="edge", anti_aliasing=True)
    return out >= 0.5 if pixels.dtype == bool else np.rint(out).astype(pixels.dtype)
