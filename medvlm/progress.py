"""Progress of long work, reported to a listener: a bar in a terminal, a line on a page. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Tell = Callable[[int, int], None]  # how many are done, of how many
Item = TypeVar("Item")

_listener: ContextVar[Tell | None] = ContextVar("progress", default=None)
_between: ContextVar[Callable[[], None] | None] = ContextVar("between", default=None)


@contextmanager
def telling(tell: Tell) -> Iterator[None]:
    """Call `tell` with the progress of all work in this thread; an exception that it raises ends the work."""
    before = _listener.set(tell)
    try:
        yield
    finally:
        _listener.reset(before)


def listener() -> Tell | None:
    """What the progress of this thread's work is told to."""
    return _listener.get()


@contextmanager
def pausing(between: Callable[[], None]) -> Iterator[None]:
    """Call `between` where work in this thread says that it may wait; an exception that it raises ends the work."""
    before = _between.set(between)
    try:
        yield
    finally:
        _between.reset(before)


def pause() -> None:
    """Said between two steps of work, however short they are: other work may go first here."""
    if between := _between.get():
        between()


@contextmanager
def bar(unit: str = "slice") -> Iterator[None]:
    """A bar on stderr, if that is a terminal, from the first report of progress on."""
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
        for one in bars:  # left open where the work broke off
            one.close()


def tracked(items: Sequence[Item]) -> Iterator[Item]:
    """The items one after another; the number done is reported to the listener before each one and at the end."""
    tell = _listener.get()
    for done, item in enumerate(items):
        if tell:
            tell(done, len(items))
        yield item
    if tell and items:
        tell(len(items), len(items))
