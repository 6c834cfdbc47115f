"""Which of the registry's labels a text speaks of."""

from __future__ import annotations

import re

from .records.vocabulary import known_name

LONGEST = 6  # words


def mentioned(text: str) -> list[str]:
    """The labels named in a text, longest names first at each place, each once, in the order of the text."""
    return read(text)[0]


def read(text: str) -> tuple[list[str], list[str]]:
    """The labels named in a text, as `mentioned` gives them, and its other words in lower case."""
    words = re.findall(r"[a-z0-9'-]+", text.lower())
    found: list[str] = []
    rest: list[str] = []
    i = 0
    while i < len(words):
        for length in range(min(LONGEST, len(words) - i), 0, -1):
            name = label_of(" ".join(words[i : i + length]))
            if name:
                found.append(name)
                i += length
                break
        else:
            rest.append(words[i])
            i += 1
    return list(dict.fromkeys(found)), rest


def label_of(words: str) -> str | None:
    """A label by its name or synonym, in the singular or a plain plural."""
    return known_name(words) or (known_name(words[:-1]) if words.endswith("s") else None)


def around(text: str) -> tuple[list[str], list[str]]:
    """The words before the first label named in a text, and those after it that are in no label; in lower case."""
    words = re.findall(r"[a-z0-9'-]+", text.lower())
    for start in range(len(words)):
        for length in range(min(LONGEST, len(words) - start), 0, -1):
            if label_of(" ".join(words[start : start + length])):
                return words[:start], read(" ".join(words[start + length :]))[1]
    return words, []
