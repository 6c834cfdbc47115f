"""Stored values to 8-bit grey as a screen shows them, for every format."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..types import Image
from .hounsfield import ct_offset, guessed_offset, hounsfield_offset

Window = tuple[float, float]  # values at and below the first are black, at and above the second white

CT_WINDOWS: dict[str | None, Window] = {"brain": (0.0, 80.0)}  # Hounsfield units
SOFT_TISSUE: Window = (-160.0, 240.0)

PERCENTILES = "0.5 to 99.5 percentile"  # the name of that window

_SAMPLE = 2_000_000  # values that percentiles are taken from
_BACKGROUND = 0.05  # share of one lowest number from which on it is background
_NEAR = 0.5  # of the width of what is not background


def apply_window(values: np.ndarray, window: Window) -> np.ndarray:
    """Map `values` of any shape linearly from `window` to 0..255, rounded, as uint8; NaN is black."""
    low, high = window
    if high <= low:
        return np.where(values > low, 255, 0).astype(np.uint8)
    scaled = np.clip((values.astype(np.float32) - low) * (255.0 / (high - low)), 0, 255)
    return np.rint(np.nan_to_num(scaled, copy=False) if values.dtype.kind == "f" else scaled).astype(np.uint8)


def thinned(values: np.ndarray) -> np.ndarray:
    """Finite values of an array of any shape, evenly spread over it, enough for percentiles, `(N,)`."""
    flat = values.ravel()
    flat = flat[:: (len(flat) // _SAMPLE) | 1]  # an odd step, so as not to follow columns
    return flat[np.isfinite(flat)] if flat.dtype.kind == "f" else flat


def percentile_window(values: np.ndarray) -> Window:
    """The 0.5th to 99.5th percentile of what is not background; the full range where these two are equal.

    It starts at a background that is not far off, such as the zero around a head.
    """
    flat = thinned(values)
    if not flat.size:
        return 0.0, 0.0
    inside = without_background(flat)
    low, high = (float(v) for v in np.percentile(inside, (0.5, 99.5)))
    lowest = float(flat.min())
    if inside is not flat and low - lowest <= _NEAR * (high - low):
        low = lowest
    return (low, high) if high > low else (lowest, float(flat.max()))


def without_background(values: np.ndarray) -> np.ndarray:
    """Values without the lowest one, where that stands for so many that it is no measurement."""
    inside = values[values > values.min()]
    return inside if 0 < len(inside) < (1 - _BACKGROUND) * len(values) else values


def default_window(values: np.ndarray, ct: bool, body_part: str | None = None) -> tuple[Window, str]:
    """The window for values whose file states none, and its name.

    Args:
        ct: whether the file says that they are of a CT; without this no window of CT is taken.
    """
    offset = ct_offset(values) if ct else None
    if offset is None:
        return percentile_window(values), PERCENTILES
    return _moved(CT_WINDOWS.get(body_part, SOFT_TISSUE), offset), "brain" if body_part in CT_WINDOWS else "soft tissue"


def unstated_window(values: np.ndarray, hounsfield: bool | float | None = None) -> tuple[Window, str, str | None]:
    """The window for numbers of an unnamed kind of image, its name, and what has to be said of it.

    Args:
        hounsfield: whether they are Hounsfield units, as the user says, or what was added to these; None to judge
            by their histogram.
    """
    if hounsfield is None:
        offset = hounsfield_offset(values)
        start = "The file does not say what kind of image it is; its numbers look like Hounsfield units"
    elif isinstance(hounsfield, bool):
        offset = guessed_offset(values) if hounsfield else None
        start = "As you said, the numbers are taken for Hounsfield units"
    else:
        offset = float(hounsfield)
        start = "As you said, the numbers are taken for Hounsfield units"
    if offset is None:
        return percentile_window(values), PERCENTILES, None
    added = f" plus {offset:g}" if offset else ""
    return _moved(SOFT_TISSUE, offset), "soft tissue", f"{start}{added} and are shown in a soft tissue window."


def _moved(window: Window, offset: float) -> Window:
    return window[0] + offset, window[1] + offset


def default_image(images: Sequence[Image]) -> int:
    """The image with the most tissue (not black) in the middle third, nearest to the middle among equals."""
    middle = len(images) // 2
    reach = len(images) // 6
    near = range(middle - reach, middle + reach + 1) if len(images) > 2 else range(1)
    candidates = [index for index in near if 0 <= index < len(images)]

    def tissue(index: int) -> tuple[float, int]:
        return round(float(np.mean(images[index].pixels[::4, ::4] > 32)), 3), -abs(index - middle)

    return max(candidates, key=tissue)
