"""States of one thing that a person changes on the page, to go back and forth among."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")

MOST_STATES = 50  # that can be gone back to; masks are large


class History(Generic[T]):
    """The states in order, the one that is shown, and the one that was saved last, if it is still there."""

    def __init__(self, first: T):
        self.states, self.at, self.saved = [first], 0, 0

    @property
    def now(self) -> T:
        return self.states[self.at]

    @property
    def unsaved(self) -> bool:
        return self.at != self.saved

    def push(self, state: T) -> None:
        """A new state in the place of those that were undone."""
        del self.states[self.at + 1 :]
        if self.saved > self.at:
            self.saved = -1
        self.states.append(state)
        gone = max(0, len(self.states) - MOST_STATES)
        del self.states[:gone]
        self.at, self.saved = len(self.states) - 1, max(-1, self.saved - gone)

    def step(self, by: int) -> bool:
        """Go one state back (-1) or forth (1); whether there was one."""
        there = by in (-1, 1) and 0 <= self.at + by < len(self.states)
        self.at += by if there else 0
        return there

    @property
    def steps(self) -> dict[str, bool]:
        """Whether there is something to undo and to redo."""
        return {"undo": self.at > 0, "redo": self.at + 1 < len(self.states)}
