"""Questions that name their answers: which of several things is larger, which side is abnormal, one or the other. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .mentions import label_of
from .records.vocabulary import LABELS

LARGER = re.compile(r"\b(?:bigger|larger|greater|biggest|largest)\b")
SMALLER = re.compile(r"\b(?:smaller|smallest)\b")
CUTS = re.compile(
    r"[,:;?!.]|\b(?:or|than|bigger|larger|greater|biggest|largest|smaller|smallest|in (?:this|the) (?:image|picture|scan)|(?:the|a|an|is|are))\b"
)
ARTICLE = re.compile(r"^(?:the|an?) ")
SIDES = re.compile(r"\b(?:left or (?:the )?right|right or (?:the )?left)\b")
STATE = re.compile(r"\b(ab)?normal\b")


@dataclass(frozen=True)
class Comparison:
    """Which of several things is larger, or smaller: the words for each, with the labels that make it up."""

    options: dict[str, tuple[str, ...]]
    smaller: bool


def size_question(text: str) -> Comparison | None:
    """The things that a question such as "which is bigger, the liver or the spleen?" compares, if it is one."""
    question = " ".join(text.lower().split())
    larger, smaller = LARGER.search(question), SMALLER.search(question)
    if bool(larger) == bool(smaller) or " or " not in question:
        return None
    named = {words: labels for part in CUTS.split(question) if (labels := made_of(words := part.strip()))}
    return Comparison(named, bool(smaller)) if len(named) > 1 else None


def made_of(words: str) -> tuple[str, ...]:
    """The labels that a name stands for: its own, and those of both sides of what comes in pairs."""
    single = words[:-1] if words.endswith("s") else words
    own = label_of(words) if words else None
    sides = [side for side in (f"left {single}", f"right {single}") if side in LABELS]
    return tuple(dict.fromkeys([own, *sides] if own else sides))


def side_question(text: str) -> str | None:
    """ "abnormal" or "normal" where a question asks which of left and right is so, else `None`."""
    question = text.lower()
    state = STATE.search(question)
    asks = SIDES.search(question) and re.search(r"\b(?:which|what)\b", question)
    return state[0] if state and asks else None


def offered(text: str, answers: Iterable[str]) -> list[str]:
    """The known answers among which a question lets choose, "MRI, CT or X-ray"; empty where it does not."""
    head, comes, last = " ".join(text.lower().split()).rpartition(" or ")
    if not comes:
        return []
    known = sorted(answers, key=len, reverse=True)
    last = ARTICLE.sub("", last)
    options = [a for a in known if re.match(rf"{re.escape(a.lower())}(?!\w)", last)][:1]
    for piece in reversed(head.split(",") if options else []):
        found = next((a for a in known if re.search(rf"(?<!\w){re.escape(a.lower())}\s*$", piece)), None)
        if found is None:
            break
        options.insert(0, found)
        if piece.strip() != found.lower():  # what stands before it is the question
            break
    return options if len(options) > 1 else []
