"""Words that are a slip of the finger away from one of the registry's. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

from .records.vocabulary import LABELS

SWAPPED, CHANGED = 5, 8  # letters from which two swapped ones, or one that is missing, doubled or another, are a slip


@cache
def _words() -> frozenset[str]:
    return frozenset(
        word
        for label in LABELS.values()
        for name in (label.name, *label.synonyms)
        for word in re.findall(r"[a-z]+", name.lower())
    )


def spelled(text: str, common: Callable[[str], bool]) -> str:
    """A text in which each word that is nobody's, and by one slip a single word of the registry's, is that word.

    `common` tells everyday words, which stay as they are. The first letter is taken to be right.
    """
    return re.sub(r"[a-z]+", lambda match: _spelled(match[0], common), text)


def _spelled(word: str, common: Callable[[str], bool]) -> str:
    if len(word) < SWAPPED or word in _words() or common(word) or word.endswith("s") and word[:-1] in _words():
        return word
    found = {slip for slip in _slips(word) if slip in _words()}
    return found.pop() if len(found) == 1 else word


def _slips(word: str) -> Iterator[str]:
    """What a word may have been before one slip (Damerau, 1964)."""
    places = range(1, len(word) + 1)
    yield from (word[: i - 1] + word[i] + word[i - 1] + word[i + 1 :] for i in places if 2 <= i < len(word))
    if len(word) < CHANGED:
        return
    letters = "abcdefghijklmnopqrstuvwxyz"
    yield from (word[:i] + word[i + 1 :] for i in places if i < len(word))
    yield from (word[:i] + letter + word[i:] for i in places for letter in letters)
    yield from (word[:i] + letter + word[i + 1 :] for i in places if i < len(word) for letter in letters)
