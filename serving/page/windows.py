"""The values behind a picture, before any window, and the windows that it is read in, as the page's scripts take them."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image

from medvlm.errors import RequestError
from medvlm.perception.planes import Cut
from medvlm.studies.display import SOFT_TISSUE, apply_window, thinned, without_background
from medvlm.types import Image, Study

from .pictures import fitted
from .words import WORDS

SAMPLE = 50_000  # values that a window is made of

Window = tuple[float, float]  # values at and below the first are black, at and above the second white


@dataclass(frozen=True)
class Display:
    """How a user looks at an image: in a window of their own, or in the one that it comes in; inverted or not."""

    window: Window | None = None
    inverted: bool = False


CT: dict[str, Window] = {
    WORDS["windows.soft_tissue"]: SOFT_TISSUE,
    WORDS["windows.lung"]: (-1350.0, 150.0),
    WORDS["windows.bone"]: (-500.0, 1300.0),
    WORDS["windows.brain"]: (0.0, 80.0),
}  # Hounsfield units
SHARES = {
    WORDS["windows.full"]: (0, 100),
    WORDS["windows.contrast"]: (2, 98),
    WORDS["windows.dark"]: (0.5, 75),
    WORDS["windows.bright"]: (50, 99.9),
}


def windowed(study: Study, number: int, cut: Cut | None = None, index: int = 0) -> dict[str, Any]:
    """Of an image, or of the picture `index` of a cut through its volume: its values, unless these are its 8-bit pixels,
    their unit, the window that it is shown in and the ones that are offered."""
    image = study.images[number]
    numbers = image.pixels if image.values is None else image.values.numbers
    unit = image.values.unit if image.values else ""
    if numbers.ndim == 3:
        return {"values": None, "unit": "", "window": [0, 255], "negative": False, "presets": []}
    usual = (
        study.images[study.default] if study.is_volume else image
    )  # so that slices stay alike, those of air alone too
    values = usual.values.numbers if usual.values else usual.pixels
    window, negative = window_of(values, usual.pixels)
    offered = CT if unit == "HU" else by_shares(values)
    return {
        "values": None if image.values is None else packed(section(study, image, cut, index)),
        "unit": unit,
        "window": window,
        "negative": negative,
        "presets": [{"name": name, "low": low, "high": high} for name, (low, high) in offered.items()],
    }


def window_of(numbers: np.ndarray, pixels: np.ndarray) -> tuple[Window, bool]:
    """The window that values `(H, W)` are shown in as uint8 `pixels` `(H, W)`, by how these follow them, and whether low ones are
    white. What is stated in files may be a curve; this is its middle."""
    values, shown = (each.ravel()[:: (each.size // SAMPLE) | 1].astype(np.float64) for each in (numbers, pixels))
    inside = (shown > 0) & (shown < 255) & np.isfinite(values)
    known, first = np.unique(values[inside], return_index=True)
    if len(known) < 2:
        return extremes(values), False
    slope, start = np.polyfit(known, shown[inside][first], 1)
    if not slope:
        return extremes(values), False
    low, high = sorted((-start / slope, (255 - start) / slope))
    return (_neat(low, high - low), _neat(high, high - low)), bool(slope < 0)


def _neat(end: float, width: float) -> float:
    """The end of a window that was rounded when it was applied: a whole ten that is no farther off than that."""
    ten = 10.0 * round(end / 10)
    return ten if abs(end - ten) < min(1.1, width / 100) else round(end, 3)


def extremes(values: np.ndarray) -> Window:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def by_shares(numbers: np.ndarray) -> dict[str, Window]:
    """Windows for values of no known unit, by the shares of them that lie below their ends; the same one is named once."""
    flat = thinned(numbers)
    flat = flat[:: (len(flat) // SAMPLE) | 1]
    flat = without_background(flat) if flat.size else flat
    found: dict[Window, str] = {}
    for name, shares in SHARES.items() if flat.size else ():
        low, high = (float(value) for value in np.percentile(flat, shares))
        if high > low:
            found.setdefault((round(low, 3), round(high, 3)), name)
    return {name: window for window, name in found.items()}


def section(study: Study, image: Image, cut: Cut | None, index: int) -> np.ndarray:
    """The values of a picture `(H, W)` at the size that it is sent at, int16 or float32."""
    assert image.values is not None
    numbers, size = image.values.numbers, fitted(image.size)
    if cut is not None:
        numbers, size = cut.section([i.values.numbers for i in study.images if i.values], index), cut.shown
    if numbers.shape == size:
        return np.ascontiguousarray(numbers)
    scaled = PIL.Image.fromarray(numbers.astype(np.float32)).resize(size[::-1], PIL.Image.Resampling.BILINEAR)
    out = np.asarray(scaled)
    return np.rint(out).astype(np.int16) if numbers.dtype == np.int16 else out


def display_of(data: Any) -> Display:
    """What the viewer sends of it, which may be anything. Raises `RequestError`."""
    data = data if isinstance(data, dict) else {}
    window, inverted = data.get("window"), data.get("inverted") is True
    if window is None:
        return Display(None, inverted)
    numbers = isinstance(window, list) and len(window) == 2 and all(type(v) in (int, float) for v in window)
    if not numbers or not -1e9 < window[0] < window[1] < 1e9:
        raise RequestError(WORDS["windows.wrong"])
    return Display((float(window[0]), float(window[1])), inverted)


def displayed(image: Image, leaving: np.ndarray, display: Display | None) -> np.ndarray:
    """uint8 `(H, W)` or `(H, W, 3)`: an image as its user looks at it. What is blacked out in its `leaving` pixels stays black."""
    if display is None or display == Display():
        return leaving
    if display.window is None:
        out = 255 - image.pixels if display.inverted else image.pixels
    else:
        numbers = image.pixels if image.values is None else image.values.numbers
        negative = image.values is not None and window_of(numbers, image.pixels)[1]
        shown = apply_window(numbers, display.window)
        out = 255 - shown if display.inverted != negative else shown
    return np.where(leaving != image.pixels, 0, out).astype(np.uint8)


def packed(numbers: np.ndarray) -> dict[str, Any]:
    """Numbers `(H, W)` in the fewest bytes: int16 as differences along the rows, which wrap; float32 as they are."""
    whole = numbers.dtype == np.int16
    plain = np.diff(numbers, axis=1, prepend=np.int16(0)) if whole else numbers
    data = zlib.compress(plain.astype("<i2" if whole else "<f4").tobytes(), 1)
    return {"data": base64.b64encode(data).decode(), "whole": whole}
