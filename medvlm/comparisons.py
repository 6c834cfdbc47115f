"""Questions that name their answers: which of several things is larger, which side is abnormal, one or the other. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .mentions import label_of
from .records.vocabulary import LABELS

HERE = r"(?:here|(?:in|on|of|about) (?:this|the) (?:image|picture|scan|slice|film|study))"
THING = r"(?:one|organ|structure|part|thing|side|area)"
SIZE = re.compile(
    rf"(?:{HERE},? )?(?:which|what)(?: {THING})? (?:is|looks|appears) (?:the )?"
    rf"(?:(bigger|larger|biggest|largest)|smaller|smallest)(?: {THING})?(?: {HERE})? ?[,:;]? ?(.+)"
)
SIDE = re.compile(
    rf"(?:{HERE},? )?(?:which|what) ((?:\w+ ){{1,4}}?)(?:is|looks|appears|seems) (abnormal|normal)(?: {HERE})?"
    r" ?[,:;]? ?(?:the )?(left or (?:the )?right|right or (?:the )?left)?"
)
HALVES = frozenset("side hemisphere half".split())  # of which there are two: left and right need not be named
CHOICE = re.compile(rf"(?:{HERE},? )?(?:which|what|where|(?:is|was) (?:it|this|that))\b")
ONE_OF = re.compile(r"(?:is|was) (?:it|this|that)(?: image| picture| scan| study)?(?: (?:an?|the))? ")
WHETHER = re.compile(r"(?:(?:is|are|was|were) (?:there|any)|any|can|could|do you|have you)\b|.* or not$")
ARTICLE = re.compile(r"(?:the|an?) ")


@dataclass(frozen=True)
class Comparison:
    """Which of several things is larger, or smaller: the words for each, with the labels that make it up."""

    options: dict[str, tuple[str, ...]]
    smaller: bool


def plain(text: str) -> str:
    """In lower case with single spaces, without the question mark at the end."""
    return " ".join(text.lower().split()).rstrip(" ?.!")


def listed(text: str) -> list[str]:
    """The members of "a, b or c"."""
    return [ARTICLE.sub("", piece, count=1) for piece in re.split(r",\s*or |\s*,\s*|\s+or ", text)]


def size_question(text: str) -> Comparison | None:
    """The things that a question such as "which is bigger, the liver or the spleen?" compares, if it is one."""
    match = SIZE.fullmatch(plain(text))
    options = {words: made_of(words) for words in listed(match[2])} if match else {}
    return Comparison(options, match[1] is None) if match and len(options) > 1 and all(options.values()) else None


def made_of(words: str) -> tuple[str, ...]:
    """The labels that a name stands for: its own, and those of both sides of what comes in pairs."""
    single = words[:-1] if words.endswith("s") else words
    own = label_of(words)
    sides = [side for side in (f"left {single}", f"right {single}") if side in LABELS]
    return tuple(dict.fromkeys([own, *sides] if own else sides))


@dataclass(frozen=True)
class SideQuestion:
    """Which side is abnormal, or normal; of the organ that some labels make up, or of the whole image."""

    normal: bool
    organ: tuple[str, ...]


def side_question(text: str) -> SideQuestion | None:
    """Which side a question such as "which lung is abnormal, left or right?" asks for, if it is one."""
    match = SIDE.fullmatch(plain(text))
    if match is None or not (match[3] or HALVES & set(match[1].split())):
        return None
    organ = tuple(label for word in match[1].split() for label in made_of(word))
    return SideQuestion(match[2] == "normal", organ)


def lets_choose(text: str) -> bool:
    """Whether a question names its answers, as "is the mass cystic or solid?" does, so that it is not answered yes or no."""
    question = plain(text)
    return " or " in question and not WHETHER.match(question)


def offered(text: str, answers: Iterable[str]) -> list[str]:
    """The known answers among which a question lets choose, as "which was made, MRI, CT or X-ray?" does; else none."""
    question, known = plain(text), {answer.lower(): answer for answer in answers}
    if " or " not in question or not CHOICE.match(question):
        return []
    *before, last = listed(question)
    words = last.split()
    if len(words) == 2 and f"{before[-1].split()[-1]} {words[1]}" in known:  # "left or right lung"
        before[-1] = f"{before[-1]} {words[1]}"
    elif last not in known and words[0] in known:  # "T1 or T2 weighted"
        last = words[0]
    options = [last]
    while before and before[-1] in known:
        options.insert(0, before.pop())
    start = before[-1] if before else ""
    if ONE_OF.sub("", start) in known:
        options.insert(0, ONE_OF.sub("", start))
    elif len(options) == 1:  # no comma parts the options from the question
        options.insert(0, next((" ".join(start.split()[-n:]) for n in (4, 3, 2, 1) if _ends(start, n, known)), ""))
    found = [known[option] for option in dict.fromkeys(options) if option in known]
    return found if len(found) == len(options) > 1 else []


def _ends(text: str, count: int, known: dict[str, str]) -> bool:
    return " ".join(text.split()[-count:]) in known
