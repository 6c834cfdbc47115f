"""How far an event's work has come, told to the page while it goes on, and the button that stops it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from contextvars import copy_context
from functools import wraps
from threading import Thread
from typing import Any

import gradio as gr

from medvlm.errors import RequestError
from medvlm.progress import listener, telling

from .session import Session
from .words import WORDS

SOON_S, OFTEN_S = 0.8, 0.25  # what is over sooner shows no progress; how often is looked
LOOK_S = 2.0  # how often what waits looks whether its page is there still
STOPPED = WORDS["working.stopped"]


class Stopped(RequestError):
    """Its user stopped the work."""


class Effort:
    """The work of one event."""

    def __init__(self, what: str):
        self.what, self.done, self.of, self.stopped, self.began = what, 0, 0, False, time.monotonic()
        self.over = asyncio.Event()

    def tell(self, done: int, of: int) -> None:
        if self.stopped:
            raise Stopped(STOPPED)
        self.done, self.of = done, of

    async def ends(self, within: float) -> bool:
        """Wait for its end for some seconds; whether it has come."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.over.wait(), within)
        return self.over.is_set()

    def shown(self) -> str:
        return json.dumps({"what": self.what, "done": self.done, "of": self.of, "stopped": self.stopped})


def go_on() -> None:
    """Raises `Stopped` where the user of what this thread does has stopped it."""
    tell = listener()
    if tell:
        tell(0, 0)


def followed(
    handler: Callable[..., Any], what: str, gives: int, drop: bool = False, in_line: bool = False
) -> Callable[..., AsyncIterator[Any]]:
    """A listener that gives what `handler` does, `gives` values, and behind them its progress, again and again.

    Where it is stopped, the work ends at its next report of progress; with `drop`, which changes nothing, it is not waited for.
    What is `in_line` begins when all that came before it in its window's line is done, and never where its page is gone by then.
    It waits without a thread, of which Gradio has few for all users.
    """
    nothing = tuple(gr.skip() for _ in range(gives))

    @wraps(handler)
    async def follow(session: Session, *args: Any) -> AsyncIterator[tuple]:
        effort, desk, results, loop = Effort(what), session.desk, [], asyncio.get_running_loop()
        line = desk.line if in_line else []

        def work() -> None:
            try:
                with telling(effort.tell):
                    results.append(handler(session, *args))
            finally:
                line.remove(effort)
                with suppress(RuntimeError):  # the server has ended
                    loop.call_soon_threadsafe(effort.over.set)

        line.append(effort)
        try:
            while (first := line[0]) is not effort:
                if not await first.ends(LOOK_S):
                    yield *nothing, gr.skip()  # Gradio looks only then whether the page is there still
            Thread(target=copy_context().run, args=(work,), daemon=True).start()
        except BaseException:  # it is not, or no thread can begin
            line.remove(effort)
            effort.over.set()
            raise
        desk.efforts.append(effort)
        told = ""
        try:
            while not await effort.ends(OFTEN_S) and not (drop and effort.stopped):
                if time.monotonic() - effort.began > SOON_S and effort.shown() != told:
                    told = effort.shown()
                    yield *nothing, told
        finally:
            desk.efforts.remove(effort)
        result = results[0] if results else nothing
        yield *(result if gives > 1 or not results else (result,)), "{}" if told else gr.skip()

    return follow


def stop(session: Session) -> None:
    """The user stops all that is done for them."""
    for effort in list(session.desk.efforts):
        effort.stopped = True
