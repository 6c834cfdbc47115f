"""Which of the registry's labels a text speaks of."""

from __future__ import annotations

import re

from .vocabulary import known_name

LONGEST = 6  # words


def mentioned(text: str) -> list[str]:
    """The labels named in a text, longest names first at each place, each once, in the order of the text."""
    return read(text)[0]


def read(text: str) -> tuple[list[str], list[str]]:
    """The labels named in a text, as `mentioned` gives them, and its other words in lower case."""
    parts = _parts(text)
    return list(dict.fromkeys(name for name, _ in parts if name)), [word for name, word in parts if not name]


def around(text: str) -> tuple[list[str], list[str]]:
    """The words before the first label named in a text, and those after it that are in no label; in lower case."""
    parts = _parts(text)
    first = next((i for i, (name, _) in enumerate(parts) if name), len(parts))
    return [word for _, word in parts[:first]], [word for name, word in parts[first:] if not name]


def _parts(text: str) -> list[tuple[str | None, str]]:
    """A text cut into labels, each with the words that name it, and single words without one."""
    words = re.findall(r"[a-z0-9'-]+", text.lower())
    parts: list[tuple[str | None, str]] = []
    while words:
        for length in range(min(LONGEST, len(words)), 0, -1):
            name = label_of(" ".join(words[:length]))
            if name or length == 1:
                parts.append((name, " ".join(words[:length])))
                words = words[length:]
                break
    return parts


def label_of(words: str) -> str | None:
    """A label by its name or synonym, in the singular or a plain plural."""
    return known_name(words) or (known_name(words[:-1]) if words.endswith("s") else None)
