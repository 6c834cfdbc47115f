"""How far an event's work has come, told to the page while it goes on, and the button that stops it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from threading import Thread
from typing import Any

from medvlm.errors import RequestError
from medvlm.progress import listener, telling

from ..access.audit import place_of
from ..fairness import Shares
from .session import Data, Outputs, Session
from .words import WORDS

SOON_S, OFTEN_S = 0.8, 0.25  # what is over sooner shows no progress; how often is looked
STOPPED = WORDS["working.stopped"]

log = logging.getLogger("medvlm.serving")


class Stopped(RequestError):
    """Its user stopped the work."""


class Effort:
    """The work of one event."""

    def __init__(self, what: str):
        self.what, self.done, self.of, self.stopped, self.began = what, 0, 0, False, time.monotonic()
        self.waits = True  # until it is its turn
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

    def shown(self) -> dict[str, Any]:
        return {"what": self.what, "done": self.done, "of": self.of, "stopped": self.stopped}


def go_on() -> None:
    """Raises `Stopped` where the user of what this thread does has stopped it."""
    tell = listener()
    if tell:
        tell(0, 0)


@dataclass(frozen=True)
class Work:
    """What takes longer than a moment: a listener, and `what` is said of it beside its progress, if that is shown.

    What is `in_line` begins when all that came before it in its window's line is done, and never where its page is gone or it
    is stopped by then. Where it is stopped later, it ends at its next report of progress; with `drop`, which changes nothing,
    it is not waited for. `beside` has as many places as are worked on at a time, those that nobody waits for any more included.
    """

    handler: Callable[[Session, Data], Outputs]
    what: str = ""
    in_line: bool = True
    drop: bool = False
    beside: Shares | None = None


async def follow(work: Work, session: Session, data: Data, tell: Callable[[Outputs], None], user: str = "") -> None:
    """Tell the progress of a piece of work, again and again, and then what it gives. It waits without a thread, and is
    cancelled where its page is gone."""
    effort, desk, loop = Effort(work.what), session.desk, asyncio.get_running_loop()
    line: list[Effort] = desk.line if work.in_line else []
    results: list[Outputs] = []
    shown = None

    def do(end: Callable[[], None]) -> None:
        try:
            with telling(effort.tell):
                results.append(work.handler(session, data))
        except Exception as error:  # a fault of ours, whose message may quote a patient
            log.error("%s at %s", type(error).__name__, place_of(error))
            results.append({"refused": work.what})
        finally:
            line.remove(effort)
            with suppress(RuntimeError):  # the server has ended
                loop.call_soon_threadsafe(end)

    async def begin() -> None:
        give_back = await work.beside.take(user) if work.beside else lambda: None

        def end() -> None:
            effort.over.set()
            give_back()

        line.append(effort)
        try:
            while (first := line[0]) is not effort:
                await first.over.wait()
            if effort.stopped:
                raise Stopped(STOPPED)
            effort.waits = False
            Thread(target=copy_context().run, args=(do, end), daemon=True).start()
        except BaseException:  # nor does it begin where the page is gone, or no thread can
            line.remove(effort)
            end()
            raise

    desk.efforts.append(effort)
    try:
        await begin()
        while not await effort.ends(OFTEN_S) and not (work.drop and effort.stopped):
            if work.what and time.monotonic() - effort.began > SOON_S and effort.shown() != shown:
                shown = effort.shown()
                tell({"working": shown})
    except Stopped:
        return
    finally:
        desk.efforts.remove(effort)
    tell({**(results[0] if results else {}), **({"working": {}} if shown else {})})


def stop(session: Session) -> bool:
    """The user stops all that is done for them and that waits; whether anything has waited."""
    efforts, waiting = list(session.desk.efforts), session.desk.give_up(STOPPED)
    for effort in efforts:
        effort.stopped = True
    return waiting or any(effort.waits for effort in efforts)
