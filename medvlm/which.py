"""Which images of a study a question is about, by the words for them: "image 2", "the second film", "this slice". Torch-free."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import RequestError
from .types import Study

_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth".split()
_NOUN = (
    r"(?:images?|imgs?|films?|pictures?|pics?|photos?|photographs?|slices?|frames?|views?|scans?|radiographs?|x-?rays?)"
)
_NUMBER = r"(?:(?:no\.?|nr\.?|number|#) ?)?(\d{1,4})(?!\d|[.,]\d| ?(?:mm|cm|%|x))"
_LISTED = re.compile(rf"\b{_NOUN} ?{_NUMBER}((?:(?:,| and| or| to| vs\.?|,? and)? ?(?:{_NOUN} )?#?\d{{1,4}}\b)*)")
_ORDINAL = re.compile(rf"\b({'|'.join(_ORDINALS)}|last|(\d{{1,4}})(?:st|nd|rd|th)) {_NOUN}\b")
_THIS = re.compile(rf"\b(?:this|current|shown|displayed|present) (?:\w+ )?{_NOUN}\b")


@dataclass(frozen=True)
class Meant:
    """The images that a question names (indices), whether it says that it means the one in view, and the question without
    their numbers, as each of them is asked."""

    named: tuple[int, ...] = ()
    shown: bool = False
    question: str = ""


def names_image(question: str) -> bool:
    """Whether a question names an image by its number."""
    text = " ".join(question.lower().split())
    return bool(_LISTED.search(text) or _ORDINAL.search(text))


def images_meant(question: str, study: Study) -> Meant:
    """What the words of a question say of the images that it is about; nothing named is a question about all of them.

    Raises `RequestError` where it names an image that the study does not have.
    """
    text = " ".join(question.lower().split())
    count = len(study.images)
    numbers = [int(n) for match in _LISTED.finditer(text) for n in (match[1], *re.findall(r"\d+", match[2]))]
    for match in _ORDINAL.finditer(text):
        numbers.append(count if match[1] == "last" else int(match[2] or _ORDINALS.index(match[1]) + 1))
    for number in numbers:
        if not 1 <= number <= count:
            there = "one image" if count == 1 else f"{count} images"
            raise RequestError(f"The study has {there}; there is no image {number}: name another one.")
    named = tuple(sorted({number - 1 for number in numbers}))
    bare = _ORDINAL.sub("the image", _LISTED.sub("the image", text)).replace("the the image", "the image")
    return Meant(named, bool(_THIS.search(text)), bare if named else question)
