"""A language model that writes sentences, not calls, and how its reply is parsed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ..errors import RequestError
from ..report.sentences import sentences

MOST_CHARACTERS = 2000  # of a reply that are looked at
MOST_NAME = 60  # characters of a model's name
SHOWN = "shown"  # the source of an answer in the words of a model that was sent the image


class Teller(Protocol):
    """A language model that answers a chat, by its name."""

    @property
    def called(self) -> str: ...

    def tell(self, chat: Sequence[dict[str, Any]], most: int) -> str:
        """Its reply of at most `most` tokens; nothing where it says nothing usable. Raises `LanguageError`."""
        ...


def printable(text: str, most: int = MOST_CHARACTERS) -> str:
    """Text from outside as one line without control characters, cut to `most` characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:most]).split())


def replied(text: str) -> list[str]:
    """The sentences of a reply, after the model's thoughts, if it tells them."""
    try:
        return sentences(printable(text.rpartition("</think>")[2]))
    except RequestError:  # too many
        return []


def named(teller: Teller) -> str:
    """A model's name as it is shown."""
    return printable(teller.called, MOST_NAME) or "the language model"


def ended(sentence: str) -> str:
    """A sentence with a full stop, as what was split at a semicolon lacks it."""
    return sentence if sentence.endswith((".", "!")) else f"{sentence.rstrip(' ;,:')}."
