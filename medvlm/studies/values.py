"""What is kept of an image's values before any window, for a page that moves the window: small, and bounded."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from ..geometry import Turn
from ..types import Values
from .display import SOFT_TISSUE

_INT16 = np.iinfo(np.int16)


def compact(numbers: np.ndarray) -> np.ndarray:
    """Numbers of any type `(H, W)` as int16 where that holds them all, else as float32."""
    if numbers.dtype.kind == "f":
        whole = bool(np.isfinite(numbers).all()) and bool((np.rint(numbers) == numbers).all())
        if not whole:
            return numbers.astype(np.float32)
    if numbers.size and (numbers.min() < _INT16.min or numbers.max() > _INT16.max):
        return numbers.astype(np.float32)
    return numbers.astype(np.int16)


def offset_of(window: Sequence[float] | None, name: str | None) -> float | None:
    """What was added to Hounsfield units, by the window that they were given; None where it is another one."""
    return window[0] - SOFT_TISSUE[0] if window and name == "soft tissue" else None


class Kept:
    """The values of a study's images as they are read; none once they pass a limit."""

    def __init__(self, most: int, pixels: int, offset: float | None = None):
        """`most` bytes are kept of `pixels` values; `offset` was added to Hounsfield units, None where the values are others."""
        too_many = pixels * np.dtype(np.int16).itemsize >= most  # known before memory is taken
        self.left, self.offset = 0 if too_many else most, offset
        self._of: dict[Hashable, Values] = {}

    @property
    def wanted(self) -> bool:
        """Whether there is room for more."""
        return self.left > 0

    def add(self, image: Hashable, numbers: np.ndarray, turn: Turn | None = None) -> None:
        """Keep the numbers `(H, W)` of an image, as stored where a `turn` leads to the image as shown."""
        if not self.wanted:
            return
        if turn is not None and not turn.identity:
            whole = numbers.dtype.kind != "f"
            turned = turn.to_shown(numbers.astype(np.float32))
            numbers = np.rint(turned) if whole else turned
        small = compact(numbers - self.offset if self.offset else numbers)
        self.left -= small.nbytes
        if self.wanted:
            self._of[image] = Values(small, "" if self.offset is None else "HU")
        else:
            self._of.clear()

    def of(self, image: Hashable) -> Values | None:
        """The values of an image, if they are kept."""
        return self._of.get(image)
