"""The desks of all windows, by the browser that each belongs to: a page that is loaded anew finds its open studies again.

A window names itself by a random number that it keeps while it is open; the number opens nothing to another browser. A tab that
is doubled keeps the number: both show one desk, and only the page that came last changes it, since the other may show what is not
there any more.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from ..access.clients import user_of
from ..access.sessions import FOREIGN, Refused
from ..sweeper import Sweeper
from ..uploads import Inbox
from .session import Session

PARTED_S = 300.0  # seconds for which what was open in a window is kept once it is closed: it may only be loaded anew
MOST_UNREAD = 256 * 2**20  # bytes of the results that wait for a page; more than the largest file that is saved there
NUMBERS = count(1)  # of results, of all pages: what one has read says nothing of another that was loaded in its place


@dataclass(frozen=True)
class Result:
    """What a page is sent when something is done for it, as JSON; `passing` says how far that has come."""

    number: int
    text: bytes
    passing: bool = False


@dataclass(eq=False)
class Page:
    """A page as it was loaded once: whose, what it shows, what is worked on for it, and the results that it has not read yet."""

    id: str
    client: str
    session: Session
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    ready: deque[Result] = field(default_factory=deque)
    dropped: int = 0  # the number of the last result that was given up unread
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        self.news.set()

    def put(self, text: bytes, passing: bool = False) -> None:
        """A result to be sent: of those that pass the latest alone, and of all of them the last `MOST_UNREAD` bytes."""
        if passing and self.ready and self.ready[-1].passing:
            self.ready.pop()
        self.ready.append(Result(next(NUMBERS), text, passing))
        while self.nbytes > MOST_UNREAD and len(self.ready) > 1:
            self.dropped = self.ready.popleft().number
        self.news.set()

    def read(self, number: int) -> None:
        """The page has the results up to this one."""
        while self.ready and self.ready[0].number <= number:
            self.ready.popleft()

    @property
    def nbytes(self) -> int:
        """Bytes of the results that it has not read."""
        return sum(len(result.text) for result in list(self.ready))

    def end(self) -> None:
        """It was closed: what is worked on or waits for it is given up."""
        for task in list(self.tasks):
            with suppress(RuntimeError):  # the server has ended
                task.get_loop().call_soon_threadsafe(task.cancel)


asking: ContextVar[Page] = ContextVar("asking")  # the page whose event is worked on


@dataclass(eq=False)
class _Place:
    """A window, and the pages that show it."""

    session: Session = field(default_factory=Session)
    pages: dict[str, Page] = field(default_factory=dict)
    latest: str = ""  # of the pages
    until: float = 0.0  # when it is forgotten, once no page shows it


class Desks:
    def __init__(self, inbox: Inbox, parted_s: float = PARTED_S, now: Callable[[], float] = time.monotonic):
        self._inbox, self._parted_s, self._now = inbox, parted_s, now
        self._places: dict[tuple[str, str], _Place] = {}  # by client and window
        self._shown: dict[str, _Place] = {}  # by page
        self._lock = threading.RLock()
        self._sweeper = Sweeper(self._lock, parted_s, self.sweep, lambda: bool(self._places))

    def join(self, client: str, window: str, id: str, anew: bool = False) -> Page:
        """The page of a client with the desk of its window; `anew` where it was loaded just now. Raises `Refused`."""
        with self._lock:
            if id in self._shown and self._shown[id].pages[id].client != client:
                raise Refused(403, FOREIGN)
            place = self._shown.get(id) or self._places.setdefault((client, window), _Place())
            self._shown[id] = place
            if anew or not place.latest:
                place.latest = id
            self._sweeper.watch()
            return place.pages.setdefault(id, Page(id, client, place.session))

    def page(self, id: str) -> Page | None:
        with self._lock:
            return self._shown[id].pages[id] if id in self._shown else None

    def study(self, id: str) -> str:
        """The key of the study that a page shows."""
        page = self.page(id)
        return page.session.key if page else ""

    def overtaken(self, id: str) -> bool:
        """Whether another page shows the desk of this one since."""
        with self._lock:
            return id in self._shown and self._shown[id].latest != id

    def waiting(self, user: str) -> int:
        """Events of a user's pages that wait, are worked on, or have results that were not read."""
        with self._lock:
            pages = [page for place in self._places.values() for page in place.pages.values()]
        return sum(len(page.tasks) + len(page.ready) for page in pages if user_of(page.client) == user)

    def held(self, user: str | None = None) -> int:
        """Bytes of the pixels that are open and of results that were not read, of one user or of all, in windows that were closed
        a moment ago too."""
        with self._lock:
            return sum(
                place.session.desk.nbytes + sum(page.nbytes for page in place.pages.values())
                for (client, _), place in self._places.items()
                if user in (None, user_of(client))
            )

    def part(self, id: str, lost: bool = False) -> None:
        """A page was closed or is loaded anew: its desk is kept for a while, if there is something on it. One that was `lost`, as
        while the machine before it slept, may come back as long as its client's session lasts."""
        with self._lock:
            place = self._shown.pop(id, None)
            if place is None:
                return
            desk = place.session.desk
            kept = desk.now.study is not None or bool(desk.efforts)  # such as one that opens a study; they end with it
            place.pages.pop(id).end()
            place.until = math.inf if lost else self._now() + self._parted_s
            gone = [] if kept or place.pages else self._taken(lambda _, other: other is place)
        self._free(gone)

    def leave(self, client: str) -> None:
        """Log-out: nothing of it stays."""
        with self._lock:
            gone = self._taken(lambda owner, _: owner == client)
        self._free(gone)

    def sweep(self) -> None:
        """Forget what was open in windows that are closed."""
        with self._lock:
            now = self._now()
            gone = self._taken(lambda _, place: not place.pages and place.until <= now)
        self._free(gone)

    def let_go(self, user: str) -> None:
        """Make room: forget what was open in windows of a user that no page shows any more."""
        with self._lock:
            gone = self._taken(lambda owner, place: not place.pages and user_of(owner) == user)
        self._free(gone)

    def _taken(self, over: Callable[[str, _Place], bool]) -> list[_Place]:
        """The windows that are over, by their client and themselves, which nobody finds any more; within the lock."""
        keys = [key for key, place in self._places.items() if over(key[0], place)]
        for key in keys:
            for page in self._places[key].pages.values():
                self._shown.pop(page.id, None)
                page.end()
        return [self._places.pop(key) for key in keys]

    def _free(self, places: list[_Place]) -> None:
        """Let go of what was open; outside the lock, for which the event loop waits, since it may be large."""
        for place in places:
            held = place.session.desk.uploads
            place.session.desk.clear()
            self._inbox.release(held, ())
