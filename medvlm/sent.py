"""What comes back from those that it was sent to, such as the answers of a history: checked before it is believed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .errors import RequestError

MOST_PIXELS, MOST_SIDE = 64_000_000, 1_000_000  # of a mask that somebody sent, and of a side of its image


def checked_field(data: dict[str, Any], what: str, name: str, kind: tuple[type, ...], otherwise: Any = None) -> Any:
    """A field of an object that somebody sent, `otherwise` where it is left out or null. Raises `RequestError` where it is
    of none of some types, or a number that is not finite; a field without another value must be there."""
    value = data.get(name)
    if value is None and otherwise is not None:
        return otherwise
    right = isinstance(value, kind) and (not isinstance(value, bool) or bool in kind)
    if not right or (isinstance(value, float) and not math.isfinite(value)):
        words = {str: "text", list: "a list", bool: "true or false", dict: "an object"}
        raise RequestError(
            f"The {name} of {what} must be {words.get(kind[0], 'a number')}; send back what was answered."
        )
    return value


def checked_object(data: Any, what: str) -> dict[str, Any]:
    """An object that somebody sent. Raises `RequestError` where it is none."""
    if not isinstance(data, dict):
        raise RequestError(f"{what[0].upper()}{what[1:]} must be an object; send back what was answered.")
    return data


def checked_mask(code: Any) -> np.ndarray:
    """The bool mask `(H, W)` of a region that somebody sent. Raises `RequestError` where it is none, or too large."""
    from .validation import check_rle

    size = checked_field(checked_object(code, "the mask of a region"), "a region's mask", "size", (list,))
    whole = len(size) == 2 and all(type(n) is int and n > 0 for n in size)
    if not whole or size[0] * size[1] > MOST_PIXELS:
        raise RequestError(f"The size of a region's mask must be two whole numbers of pixels, {MOST_PIXELS:,} at most.")
    return check_rle(code, (size[0], size[1]))
