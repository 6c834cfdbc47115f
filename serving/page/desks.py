"""The desks of all windows, by the browser that each belongs to: a page that is loaded anew finds its open studies again.

A window names itself by a random number that it keeps while it is open; the number opens nothing to another browser. A tab that
is doubled keeps the number: both show one desk, and only the page that came last changes it, since the other may show what is not
there any more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..access.clients import user_of
from ..sweeper import Sweeper
from ..uploads import Inbox
from .session import Desk, Session

PARTED_S = 300.0  # seconds for which what was open in a window is kept once it is closed: it may only be loaded anew


@dataclass(eq=False)
class _Place:
    """A desk, and the pages that show it, by Gradio's hashes."""

    desk: Desk
    pages: set[str] = field(default_factory=set)
    latest: str = ""  # of the pages
    parted: float = 0.0


class Desks:
    def __init__(self, inbox: Inbox, parted_s: float = PARTED_S, now: Callable[[], float] = time.monotonic):
        self._inbox, self._parted_s, self._now = inbox, parted_s, now
        self._places: dict[tuple[str, str], _Place] = {}  # by client and window
        self._lock = threading.RLock()
        self._sweeper = Sweeper(self._lock, parted_s, self.sweep, lambda: bool(self._places))

    def enter(self, session: Session, client: str, window: str, page: str) -> None:
        """Give a page that was just loaded the desk of its window."""
        with self._lock:
            self.sweep()
            place = self._places.setdefault((client, window), _Place(session.desk))
            place.pages.add(page)
            place.latest = page
            if place.desk is not session.desk:
                fresh = [one for one in session.desk.tabs if one.study is not None]  # opened before this was asked
                place.desk.tabs += fresh
                place.desk.now = fresh[-1] if fresh else place.desk.now
                place.desk.waiting += session.desk.waiting
                session.desk = place.desk
            self._sweeper.watch()

    def overtaken(self, page: str) -> bool:
        """Whether another page shows the desk of this one since."""
        with self._lock:
            return any(page in place.pages and page != place.latest for place in self._places.values())

    def part(self, session: Session | None, page: str) -> None:
        """A page was closed or is loaded anew: its desk is kept for a while, where a window has it."""
        with self._lock:
            place = next((one for one in self._places.values() if page in one.pages), None)
            if place is None:
                if session is not None:
                    self._drop(session.desk)
                return
            place.pages.discard(page)
            place.parted = self._now()

    def leave(self, client: str) -> None:
        """Log-out: nothing of it stays."""
        with self._lock:
            for key in [key for key in self._places if key[0] == client]:
                self._drop(self._places.pop(key).desk)

    def sweep(self) -> None:
        """Forget what was open in windows that are closed."""
        with self._lock:
            late = self._now() - self._parted_s
            for key, place in list(self._places.items()):
                if not place.pages and place.parted <= late:
                    self._drop(self._places.pop(key).desk)

    def parted(self, user: str | None = None) -> list[Desk]:
        """Those that no page shows, of one user or of all."""
        with self._lock:
            return [
                place.desk
                for (client, _), place in self._places.items()
                if not place.pages and user in (None, user_of(client))
            ]

    def _drop(self, desk: Desk) -> None:
        held = desk.uploads
        desk.clear()
        self._inbox.release(held, ())
