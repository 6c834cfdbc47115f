"""Stored values to 8-bit grey as a screen shows them, for every format."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..types import Image

Window = tuple[float, float]  # values at and below the first are black, at and above the second white

CT_WINDOWS: dict[str | None, Window] = {"brain": (0.0, 80.0)}  # Hounsfield units
SOFT_TISSUE: Window = (-160.0, 240.0)

_SAMPLE = 2_000_000  # values that percentiles are taken from


def apply_window(values: np.ndarray, window: Window) -> np.ndarray:
    """Map `values` of any shape linearly from `window` to 0..255, rounded, as uint8."""
    low, high = window
    if high <= low:
        return np.where(values > low, 255, 0).astype(np.uint8)
    scaled = (values.astype(np.float32) - low) * (255.0 / (high - low))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def percentile_window(values: np.ndarray) -> Window:
    """The 0.5th to 99.5th percentile of the finite values; the full range where these two are equal."""
    flat = values.ravel()
    flat = flat[:: (len(flat) // _SAMPLE) | 1]  # an odd step, so as not to follow columns
    flat = flat[np.isfinite(flat)] if flat.dtype.kind == "f" else flat
    if not flat.size:
        return 0.0, 0.0
    low, high = (float(v) for v in np.percentile(flat, (0.5, 99.5)))
    return (low, high) if high > low else (float(flat.min()), float(flat.max()))


def looks_like_hounsfield(values: np.ndarray) -> bool:
    """Air lies near -1000 HU, where no other modality's values reach."""
    return values.size > 0 and float(np.nanmin(values)) < -500


def default_window(values: np.ndarray, ct: bool, body_part: str | None = None) -> tuple[Window, str]:
    """The window for values whose file states none, and its name."""
    if ct and looks_like_hounsfield(values):
        return CT_WINDOWS.get(body_part, SOFT_TISSUE), "brain" if body_part in CT_WINDOWS else "soft tissue"
    return percentile_window(values), "0.5 to 99.5 percentile"


def default_image(images: Sequence[Image]) -> int:
    """The image with the most tissue (not black) in the middle third, nearest to the middle among equals."""
    middle = len(images) // 2
    reach = len(images) // 6
    near = range(middle - reach, middle + reach + 1) if len(images) > 2 else range(1)
    candidates = [index for index in near if 0 <= index < len(images)]

    def tissue(index: int) -> tuple[float, int]:
        return round(float(np.mean(images[index].pixels[::4, ::4] > 32)), 3), -abs(index - middle)

    return max(candidates, key=tissue)


def sample(count: int, most: int) -> list[int]:
    """At most `most` of the indices 0..count-1, evenly spread, first and last included."""
    if count <= most:
        return list(range(count))
    return [round(float(index)) for index in np.linspace(0, count - 1, most)]
