"""How far an event's work has come, told to the page while it goes on, and the button that stops it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextvars import copy_context
from functools import wraps
from threading import Thread
from typing import Any

import gradio as gr

from medvlm.errors import RequestError
from medvlm.progress import listener, telling

from .session import Session

SOON_S, OFTEN_S = 0.8, 0.25  # what is over sooner shows no progress; how often is looked
STOPPED = "Stopped."


class Stopped(RequestError):
    """Its user stopped the work."""


class Effort:
    """The work of one event."""

    def __init__(self, what: str):
        self.what, self.done, self.of, self.stopped, self.began = what, 0, 0, False, time.monotonic()

    def tell(self, done: int, of: int) -> None:
        if self.stopped:
            raise Stopped(STOPPED)
        self.done, self.of = done, of

    def shown(self) -> str:
        return json.dumps({"what": self.what, "done": self.done, "of": self.of, "stopped": self.stopped})


def go_on() -> None:
    """Raises `Stopped` where the user of what this thread does has stopped it."""
    tell = listener()
    if tell:
        tell(0, 0)


def followed(handler: Callable[..., Any], what: str, gives: int, drop: bool = False) -> Callable[..., Iterator[Any]]:
    """A listener that gives what `handler` does, `gives` values, and behind them its progress, again and again.

    Where it is stopped, the work ends at its next report of progress; with `drop`, which changes nothing, it is not waited for.
    """

    @wraps(handler)
    def follow(session: Session, *args: Any) -> Iterator[tuple]:
        effort, results = Effort(what), []

        def work() -> None:
            with telling(effort.tell):
                results.append(handler(session, *args))

        thread = Thread(target=copy_context().run, args=(work,), daemon=True)
        session.desk.efforts.append(effort)
        told = ""
        try:
            thread.start()
            while thread.is_alive() and not (drop and effort.stopped):
                thread.join(OFTEN_S)
                if time.monotonic() - effort.began > SOON_S and effort.shown() != told and thread.is_alive():
                    told = effort.shown()
                    yield *(gr.skip() for _ in range(gives)), told
        finally:
            session.desk.efforts.remove(effort)
        result = results[0] if results else tuple(gr.skip() for _ in range(gives))
        yield *(result if gives > 1 or not results else (result,)), "{}" if told else gr.skip()

    return follow


def stop(session: Session) -> None:
    """The user stops all that is done for them."""
    for effort in list(session.desk.efforts):
        effort.stopped = True
