"""The grammar of calls, letter by letter: which texts can still become a program that a question allows. Torch-free.

A text is of the form that `text_of` writes. A thing in it is a known label or some words of the question, or of the turn
before, as they stand there but for a plural "s"; so whatever writes such a text can name nothing that nobody spoke of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .grammar import CHOICES, MOST_CALLS, OPEN, THINGS, TOOLS, Program, split, text_of

MOST_COPIED = 8  # words of a question in a row that may name one thing
YES_NO = ("yes", "no")  # values that "is=" takes whatever the image
NUMBERS = ("over", "under")  # what they are followed by is copied


@dataclass(frozen=True)
class Spot:
    """A place between two parts of a program: what was written before it, as far as it matters for what may follow."""

    calls: int = 0  # that were begun
    tool: str = ""  # that is open; none before and between calls
    after: str = ""  # the kind of the last part: "(", "|", "thing", "word", "=", "value", "not", ")", or nothing
    things: int = 0
    keys: frozenset[str] = frozenset()  # of the modifiers
    key: str = ""  # of the modifier that is being written
    at: int = -1  # the word that was copied last …
    copied: int = 0  # … and how many were in a row


State = frozenset[tuple[str, Spot]]  # what is still to be written of a part, and where that leads


def copyable(text: str) -> list[str]:
    """The words of a text that a thing may be named by, and its percent signs."""
    return [word for part in text.split("%") for word in (*split(part), "%")][:-1]


class Legal:
    """The programs that may be written for one question, after the turn `before`; `values` are those that "is=" may take."""

    def __init__(self, question: str, before: Program = (), values: Sequence[str] = ()):
        self.words = [*copyable(question), "", *copyable(text_of(before))]  # nothing is copied across the gap
        self.values = tuple(dict.fromkeys((*YES_NO, *values)))
        self._ways: dict[State, dict[str, State]] = {}

    def start(self) -> State:
        """The state before anything is written."""
        return frozenset([("", Spot())])

    def ways(self, state: State) -> dict[str, State]:
        """The letters that may come next, each with the state behind it."""
        if state not in self._ways:
            behind: dict[str, set[tuple[str, Spot]]] = {}
            for rest, spot in state:
                for part, to in [(rest, spot)] if rest else self.follow(spot):
                    behind.setdefault(part[0], set()).add((part[1:], to))
            self._ways[state] = {letter: frozenset(there) for letter, there in behind.items()}
        return self._ways[state]

    def step(self, state: State, text: str) -> State:
        """The state after `text` is written too; empty where no program goes on so."""
        for letter in text:
            state = self.ways(state).get(letter, frozenset())
        return state

    def done(self, state: State) -> bool:
        """Whether what is written is a whole program."""
        return any(not rest and spot.after == ")" for rest, spot in state)

    def follow(self, spot: Spot) -> Iterator[tuple[str, Spot]]:
        """The parts that may stand at a spot, each with the spot behind it."""
        if not spot.tool:
            yield from self._begin(spot)
            return
        tool, name = TOOLS[spot.tool], spot.tool
        if spot.at >= 0:
            yield from self._copy(spot, " ", [spot.at + 1])
        if spot.after in ("|", "=") or (spot.after == "(" and tool.most):
            yield from self._thing(spot)
        if spot.after in ("|", "=") or (spot.after == "(" and tool.least):
            return
        if spot.after == "thing" and spot.things < tool.most:
            yield " | ", replace(spot, after="|", at=-1)
        if tool.words and spot.after in ("(", "thing"):
            comma = ", " if spot.things else ""
            yield from ((f"{comma}{word}", Spot(spot.calls, name, "word", spot.things)) for word in tool.words)
            return
        if spot.after not in ("(", "not"):
            yield from self._modifier(spot)
            yield ", not", replace(spot, after="not", at=-1)
        yield ")", Spot(spot.calls, after=")")

    def _begin(self, spot: Spot) -> Iterator[tuple[str, Spot]]:
        if spot.calls < MOST_CALLS:
            between = "; " if spot.calls else ""
            yield from ((f"{between}{name}(", Spot(spot.calls + 1, name, "(")) for name in TOOLS)

    def _modifier(self, spot: Spot) -> Iterator[tuple[str, Spot]]:
        for key in (*CHOICES, *OPEN):
            if key in spot.keys:
                continue
            behind = replace(spot, keys=spot.keys | {key}, at=-1, key=key)
            if key in CHOICES:
                yield from ((f", {key}={word}", replace(behind, after="value")) for word in CHOICES[key])
            else:
                yield f", {key}=", replace(behind, after="=")

    def _thing(self, spot: Spot) -> Iterator[tuple[str, Spot]]:
        """A thing, or the value of an open modifier."""
        value = spot.after == "="
        names = () if value and spot.key in NUMBERS else self.values if value and spot.key == "is" else THINGS
        behind = replace(spot, after="value") if value else replace(spot, after="thing", things=spot.things + 1)
        yield from ((thing, behind) for thing in names)
        yield from self._copy(replace(behind, copied=0), "", range(len(self.words)))

    def _copy(self, spot: Spot, between: str, places: Sequence[int]) -> Iterator[tuple[str, Spot]]:
        """The words at some places, in the singular and the plural. "not" begins no thing, as it denies the call."""
        for at in places:
            word = self.words[at] if at < len(self.words) else ""
            if word and spot.copied < MOST_COPIED and (between or word != "not"):
                behind, bare = replace(spot, at=at, copied=spot.copied + 1), word.rstrip("s")
                yield from ((between + form, behind) for form in {word, bare, f"{bare}s"} if form)


def is_prefix(text: str, question: str, before: Program = (), values: Sequence[str] = ()) -> bool:
    """Whether a text can be gone on with to a program that the question allows."""
    legal = Legal(question, before, values)
    return bool(legal.step(legal.start(), text))


def is_legal(program: Program, question: str, before: Program = (), values: Sequence[str] = ()) -> bool:
    """Whether a program is whole and names nothing but known labels and words of the question."""
    legal = Legal(question, before, values)
    return legal.done(legal.step(legal.start(), text_of(program)))
