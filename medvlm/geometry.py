"""Where the pixels of a file lie in the image as shown, there and back. Torch-free."""

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


def _stretched(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if pixels.shape[:2] == size:
        return pixels
    values = pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels
    out = PIL.Image.fromarray(np.ascontiguousarray(values)).resize(size[::-1], PIL.Image.Resampling.BILINEAR)
    return np.asarray(out) > 127 if pixels.dtype == bool else np.asarray(out)
