"""How far something long has come, told to whoever wants to know: a bar in a terminal, a line on a page. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Tell = Callable[[int, int], None]  # how many are done, of how many
Item = TypeVar("Item")

_listener: ContextVar[Tell | None] = ContextVar("progress", default=None)


@contextmanager
def telling(tell: Tell) -> Iterator[None]:
    """Have `tell` called for whatever goes on in this thread meanwhile; what it raises ends that."""
    before = _listener.set(tell)
    try:
        yield
    finally:
        _listener.reset(before)


@contextmanager
def bar(unit: str = "slice") -> Iterator[None]:
    """A bar on stderr, where that is a terminal, as soon as there is something to tell."""
    import sys

    from tqdm import tqdm

    bars: list[tqdm] = []

    def tell(done: int, of: int) -> None:
        if done == 0:
            bars.append(tqdm(total=of, unit=unit, file=sys.stderr, leave=False, disable=None))
        elif bars:
            bars[-1].update(done - bars[-1].n)
            if done == of:
                bars.pop().close()

    try:
        with telling(tell):
            yield
    finally:
        for one in bars:  # what was broken off
            one.close()


def told(items: Sequence[Item]) -> Iterator[Item]:
    """The items one after another; how many are done is told before each and at the end."""
    tell = _listener.get()
    for done, item in enumerate(items):
        if tell:
            tell(done, len(items))
        yield item
    if tell and items:
        tell(len(items), len(items))
