"""Text that is burned into pixels: found, boxed, and blacked out of every picture that leaves.

The OCR (PP-OCR in the package rapidocr, which carries its model and asks no network) says where there is text; what it
reads decides whether a box may stay, and is forgotten at once: it is kept, written and understood nowhere.

What may stay names nobody: single characters (side marks such as L and R, and most of what is taken for text in tissue), the
side marks in `_STAYS`, and lengths in cm or mm, which are shorter than any id. All other text of two or more letters or digits is blacked out, although most
of it is a machine's settings: what could be a name, an id or a date cannot be told from these. On 33 images of 33 public data
sets, 90 of 93 names, ids and dates that were drawn on them were covered (`benchmarks/burned_in.py`); on the images as they were
it made 28 boxes, 22 of them in the four sets that carry writing. So a few are missed: whoever hands pictures on has to look.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from math import ceil, floor
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import PIL.Image

from ..errors import RequestError
from ..types import Image, Study

Spot = tuple[int, int, int, int]  # x0, y0, x1, y1 of a box in pixels, half-open

MISSING = (
    "Text in the pixels, which may name the patient, can only be found with rapidocr: pip install "
    "'medvlm-assistant[privacy]', or let it stay with --keep-text."
)
_STAYS = re.compile(r"(lt?|rt?|left|right|[\d.,]{0,5}\s*[cm]m)", re.IGNORECASE)
_SURE = 0.4  # of the OCR, that it reads text at all; the texts above were all read with more than 0.55
_BESIDE, _ABOVE = 0.5, 0.25  # of a text's height, by which its box grows: letters at an end are missed at times
_MOST_LOOKS = 3  # what the first one leaves over is found by the second
_WHOLE, _LARGEST = (
    1000,
    4000,
)  # pixels of a side: a larger image is looked at in tiles too; one larger yet is made smaller
_TILE, _OVERLAP = 800, 160
_EDGE = 24  # levels of 255 across two pixels: what is less sharp is no text that could be read
_PARAMS = {
    "Global.log_level": "critical",
    "Global.text_score": 0.0,
    "Det.box_thresh": 0.3,
}

_found: WeakKeyDictionary[Image, tuple[Spot, ...]] = WeakKeyDictionary()
_lock = Lock()  # the OCR keeps what it works on


def leaving_pixels(study: Study, image: int) -> np.ndarray:
    """The pixels of an image of a study as they may leave: uint8 `(H, W)` or `(H, W, 3)`, text blacked out unless
    `study.keep_text`. Raises `RequestError` where the OCR is not installed."""
    one = study.images[image]
    return one.pixels if study.keep_text else blacked_out(one.pixels, text_boxes(one))


def text_boxes(image: Image) -> tuple[Spot, ...]:
    """Boxes of the text that must not leave with an image, sought once in its life. Raises `RequestError`."""
    if image not in _found:
        _found[image] = tuple(find_text(image.pixels))
    return _found[image]


def find_text(pixels: np.ndarray) -> list[Spot]:
    """Boxes of the text that must not leave with uint8 pixels `(H, W)` or `(H, W, 3)`. Raises `RequestError`.

    A large image is looked at as a whole, made smaller, and in tiles: text that is small beside it is missed otherwise.
    """
    out: list[Spot] = []
    for most in (_WHOLE, _LARGEST):
        scale = min(1.0, most / max(pixels.shape[:2]))
        seen = pixels if scale == 1 else _smaller(pixels, scale)
        for x0, y0, x1, y1 in _tiles(seen):
            spots = _looks(seen[y0:y1, x0:x1])
            out += [_placed(spot, (x0, y0), scale, pixels.shape) for spot in spots]
        if max(pixels.shape[:2]) <= _WHOLE:
            break
    return out


def blacked_out(pixels: np.ndarray, boxes: list[Spot] | tuple[Spot, ...], black: float = 0) -> np.ndarray:
    """A copy of pixels `(H, W)` or `(H, W, 3)` with boxes filled; the pixels themselves where there is no box."""
    if not boxes:
        return pixels
    out = pixels.copy()
    for x0, y0, x1, y1 in boxes:
        out[y0:y1, x0:x1] = black
    return out


def identifies(text: str) -> bool:
    """Whether a text could name somebody: it has two letters or digits, and is no mark of a side or a scale."""
    return sum(letter.isalnum() for letter in text) >= 2 and not _STAYS.fullmatch(text.strip())


def check_installed() -> None:
    """Raises `RequestError` where the OCR is not installed."""
    _reader()


def _tiles(pixels: np.ndarray) -> Iterator[Spot]:
    """Overlapping tiles of a large image in which something is sharp enough to be text; a smaller image as it is."""
    height, width = pixels.shape[:2]
    if max(height, width) <= _WHOLE:
        yield 0, 0, width, height
        return
    for y0 in _starts(height):
        for x0 in _starts(width):
            tile = pixels[y0 : y0 + _TILE, x0 : x0 + _TILE].astype(np.int16)
            if (
                max(np.abs(tile[2:] - tile[:-2]).max(initial=0), np.abs(tile[:, 2:] - tile[:, :-2]).max(initial=0))
                >= _EDGE
            ):
                yield x0, y0, min(width, x0 + _TILE), min(height, y0 + _TILE)


def _starts(length: int) -> range:
    return range(0, max(1, length - _OVERLAP), _TILE - _OVERLAP)


def _smaller(pixels: np.ndarray, scale: float) -> np.ndarray:
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    return np.asarray(PIL.Image.fromarray(pixels).resize((width, height), PIL.Image.Resampling.BOX))


def _placed(spot: Spot, corner: tuple[int, int], scale: float, shape: tuple[int, ...]) -> Spot:
    """A box of a tile as one of the image, rounded outwards."""
    x0, y0, x1, y1 = (value + corner[at % 2] for at, value in enumerate(spot))
    right, low = min(shape[1], ceil(x1 / scale)), min(shape[0], ceil(y1 / scale))
    return floor(x0 / scale), floor(y0 / scale), right, low


def _looks(pixels: np.ndarray) -> list[Spot]:
    """Boxes of text; it is looked for again with these blacked out until there is no more."""
    out: list[Spot] = []
    for _ in range(_MOST_LOOKS):
        more = list(_look(blacked_out(pixels, out)))
        out += more
        if not more:
            break
    return out


def _look(pixels: np.ndarray) -> Iterator[Spot]:
    colour = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    with _lock:
        read = _reader()(np.ascontiguousarray(colour[..., ::-1]))  # it takes BGR
    for corners, text, sure in zip(read.boxes, read.txts, read.scores, strict=True) if read.txts else ():
        if sure >= _SURE and identifies(text):
            yield _grown(np.asarray(corners), pixels.shape)


def _grown(corners: np.ndarray, shape: tuple[int, ...]) -> Spot:
    """The upright box around four corners, somewhat larger, within the image."""
    low, high = corners.min(axis=0), corners.max(axis=0)
    height = min(high - low)
    along = np.array([_BESIDE, _ABOVE]) if high[0] - low[0] >= high[1] - low[1] else np.array([_ABOVE, _BESIDE])
    (x0, y0), (x1, y1) = np.floor(low - height * along), np.ceil(high + height * along)
    return max(0, int(x0)), max(0, int(y0)), min(shape[1], int(x1)), min(shape[0], int(y1))


@cache
def _reader() -> Any:
    try:
        import onnxruntime  # noqa: F401
        from rapidocr import RapidOCR
    except ImportError:
        raise RequestError(MISSING) from None
    return RapidOCR(params=_PARAMS)
