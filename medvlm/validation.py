"""Checks on what a person asks for. Each returns the clean value or raises `RequestError` with what to do."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import RequestError
from .languages import surely_foreign
from .types import Box, Study
from .vocabulary import known_name

MAX_QUESTION = 4000  # characters
MAX_PHRASE = 200  # characters
MAX_POINTS = 100

# Cyrillic, Chinese and so on; Greek stays, since medicine writes alpha and beta.
DENIES = re.compile(
    r"(?:there is |there are )?(?:no|not|without|absence of|lack of|free of)(?: an?| any| the| visible)* (.+)", re.I
)

LATIN_ENOUGH = ("LATIN", "GREEK", "MICRO", "FEMININE", "MASCULINE", "KELVIN", "ANGSTROM", "MODIFIER", "FULLWIDTH LATIN")


def _foreign(text: str) -> str:
    letters = (c for c in text if c.isalpha())
    return "".join(c for c in letters if not unicodedata.name(c, "").startswith(LATIN_ENOUGH))


def _text(text: Any, what: str, limit: int, example: str) -> str:
    if not isinstance(text, str):
        raise RequestError(f"The {what} must be text.")
    if len(text) > limit:
        raise RequestError(f"The {what} has {len(text):,} characters; shorten it to {limit:,} or fewer.")
    text = " ".join("".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Cs") else c for c in text).split())
    if not any(c.isalnum() for c in text):
        raise RequestError(f"The {what} is empty; write one, for example “{example}”.")
    if _foreign(text):
        raise RequestError(f"Ask in English: the {what} is in a script that the model was not trained on.")
    return text


def check_question(text: Any) -> str:
    """A question of 1 to 4,000 characters that is not surely in another language than English, blanks tidied."""
    text = _text(text, "question", MAX_QUESTION, "Which organ is shown?")
    if surely_foreign(text):
        raise RequestError("Ask in English: the question is in a language that the model was not trained on.")
    return text


def check_phrase(text: Any) -> str:
    """A phrase of 1 to 200 characters in Latin script that names what to find, blanks tidied."""
    text = _text(text, "phrase", MAX_PHRASE, "left lung")
    denied = None if known_name(text) else DENIES.fullmatch(text)
    if denied:
        raise RequestError(f"Name what to find, not what is missing: write “{known_name(denied[1]) or denied[1]}”.")
    return text


def check_sensitivity(value: float | None) -> float | None:
    """A share above 0 and at most 1, or `None` for the usual point."""
    if value is not None and not 0 < value <= 1:
        raise RequestError(
            f"A sensitivity of {value:g} cannot be asked for: name one above 0 and at most 1, such as 0.9."
        )
    return value


def check_options(options: Any) -> list[str]:
    """Two or more different answers to choose among."""
    if not isinstance(options, (list, tuple)) or len(options) < 2:
        raise RequestError("Give at least two options to choose among, as a list of texts.")
    options = [_text(option, "option", MAX_PHRASE, "yes") for option in options]
    if len(set(options)) < len(options):
        raise RequestError("Two of the options are the same; name each once.")
    return options


def _numbers(values: Any, count: int) -> tuple[float, ...] | None:
    if isinstance(values, str) or not isinstance(values, (Sequence, np.ndarray)) or len(values) != count:
        return None
    if any(isinstance(v, (bool, str)) for v in values):
        return None
    try:
        numbers = tuple(float(v) for v in values)
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if all(math.isfinite(v) for v in numbers) else None


def are_fractions(numbers: Sequence[float]) -> bool:
    """Whether the numbers of a box or a point are shares of an image's size: within 0..1 and not all whole, or the box of a
    whole image. A point in the corner pixel, such as 0,0, is one in pixels."""
    within = all(0 <= v <= 1 for v in numbers)
    return within and (any(v % 1 for v in numbers) or list(numbers) == [0, 0, 1, 1])


def _no_fractions(what: str, numbers: Sequence[float], size: tuple[int, int]) -> None:
    """Raises `RequestError` for a box or a point in shares of the image, which says what it would be in pixels."""
    if are_fractions(numbers) and max(size) > 1:
        pixels = ",".join(f"{round(v * size[1 - i % 2])}" for i, v in enumerate(numbers))
        raise RequestError(
            f"The {what} {_listed(numbers)} looks like fractions of the image; give pixels, such as {pixels}: "
            f"x from 0 to {size[1]} and y from 0 to {size[0]}."
        )


def _listed(numbers: Sequence[float]) -> str:
    return ",".join(f"{v:g}" for v in numbers)


def check_box(box: Any, size: tuple[int, int]) -> Box:
    """A box `[x0, y0, x1, y1]` in pixels inside an image of `size` `(H, W)`."""
    numbers, (height, width) = _numbers(box, 4), size
    if numbers is None:
        raise RequestError("A box is four numbers x0,y0,x1,y1 in pixels.")
    x0, y0, x1, y1 = numbers
    _no_fractions("box", numbers, size)
    if x1 < x0 or y1 < y0:
        swapped = _listed((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))
        raise RequestError(
            f"The corners of the box {_listed(numbers)} are exchanged; give the top left one before the bottom right one: {swapped}."
        )
    if x1 == x0 or y1 == y0:
        raise RequestError(f"The box {_listed(numbers)} has no area; give x1 above x0 and y1 above y0.")
    if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
        raise RequestError(f"The box {_listed(numbers)} lies outside the image; {_inside(size)}.")
    if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
        raise RequestError(f"The box {_listed(numbers)} leaves the image; {_inside(size)}.")
    if x1 - x0 < 1 or y1 - y0 < 1:
        raise RequestError(
            f"The box {_listed(numbers)} is smaller than a pixel; draw it around the whole of what you want."
        )
    return x0, y0, x1, y1


def _inside(size: tuple[int, int]) -> str:
    return f"keep x within 0..{size[1]} and y within 0..{size[0]}"


def check_points(points: Any, size: tuple[int, int]) -> list[tuple[float, float, int]]:
    """Points `(x, y, 1 or 0)` inside an image of `size` `(H, W)`, at least one of them positive (1)."""
    height, width = size
    if isinstance(points, str) or not isinstance(points, (Sequence, np.ndarray)) or not len(points):
        raise RequestError("Give at least one point as x, y and 1 (inside) or 0 (outside).")
    if len(points) > MAX_POINTS:
        raise RequestError(f"{len(points)} points are too many; give {MAX_POINTS} or fewer.")
    checked = []
    for point in points:
        numbers = _numbers(point, 3)
        if numbers is None or numbers[2] not in (0, 1):
            raise RequestError("A point is x, y and 1 (inside) or 0 (outside).")
        x, y, sign = numbers
        _no_fractions("point", (x, y), size)
        if not (0 <= x < width and 0 <= y < height):
            raise RequestError(
                f"The point {x:g},{y:g} is outside the image; keep x below {width} and y below {height}, from 0 on."
            )
        checked.append((x, y, int(sign)))
    if not any(sign for _, _, sign in checked):
        raise RequestError("All points are negative; give at least one point inside what you want.")
    return checked


def check_scribble(scribble: Any, size: tuple[int, int]) -> np.ndarray:
    """A non-empty bool scribble `(H, W)` of the image's own size."""
    scribble = np.asarray(scribble)
    if scribble.shape != tuple(size):
        shape = " x ".join(str(n) for n in scribble.shape[::-1]) or "no"
        raise RequestError(f"The scribble is {shape} pixels; draw it at the image's size, {size[1]} x {size[0]}.")
    if not scribble.any():
        raise RequestError("The scribble is empty; draw over what you want.")
    return scribble.astype(bool)


def check_rle(code: Any, size: tuple[int, int]) -> np.ndarray:
    """The bool mask `(H, W)` of a COCO compressed run-length code, read with care: it may come from anybody."""
    if not isinstance(code, dict) or code.get("size") != list(size):
        raise RequestError(f'A mask of this image is {{"size": [{size[0]}, {size[1]}], "counts": "…"}}.')
    counts, run, shift = code.get("counts"), 0, 0
    runs: list[int] = []
    for character in counts if isinstance(counts, str) else "":
        digit = ord(character) - 48
        if not 0 <= digit < 64 or shift > 30:
            break
        run |= (digit & 31) << shift
        shift += 5
        if not digit & 32:
            run -= (1 << shift) if digit & 16 else 0  # the last digit's high bit is the sign
            runs.append(run + (runs[-2] if len(runs) > 2 else 0))
            run, shift = 0, 0
            if runs[-1] < 0 or runs[-1] > size[0] * size[1]:
                break
    if sum(runs) != size[0] * size[1] or min(runs, default=-1) < 0 or shift:
        raise RequestError("The counts are no COCO run-length code of a mask of this size; use pycocotools.")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size, order="F")


def check_one_prompt(box: Any = None, points: Any = None, scribble: Any = None) -> None:
    """Exactly one of box, points and scribble is given."""
    given = sum(prompt is not None for prompt in (box, points, scribble))
    if given != 1:
        raise RequestError(f"Give exactly one prompt, a box, points or a scribble; {given or 'none'} given.")


def check_image(index: int | None, study: Study) -> int:
    """The index of an image in a study; `None` means its default image."""
    if index is None:
        return study.default
    if not isinstance(index, int) or not 0 <= index < len(study.images):
        raise RequestError(f"The study has images 0 to {len(study.images) - 1}; there is no image {index}.")
    return index
