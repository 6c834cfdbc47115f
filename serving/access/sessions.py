"""Browsers, each known by a cookie that the server made, and the tabs that each has open.

A tab is known by a number that its page drew and sends in addresses. So each number belongs to the browser that used it
first, and to nobody else.

Whether a session is over is what the store says, which replicas share; the tabs of a browser are this process's alone. The store
may take seconds to answer, so nothing is asked of it under the lock, for which the event loop waits.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from ..store import Memory, Store, StoreGone, digest
from ..sweeper import Sweeper

SESSION = "session:"  # before the digest of a cookie, in the store
WAIT = 30  # seconds after which there may be room again
FOREIGN = "This tab belongs to another session; load the page again."
OVER = "The session of this tab is over; load the page again."
CROWDED = "Too many tabs are open on this server; close one, or try again later."


class Refused(Exception):
    """A sentence, with its status and in how many seconds it is worth trying again, if at all."""

    def __init__(self, status: int, message: str, retry_after: int | None = None):
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after


@dataclass(frozen=True)
class Terms:
    """How many sessions and tabs there may be, and for how long."""

    idle_s: float = 3600.0  # until a session that is not used ends
    tab_idle_s: float = 150.0  # until a tab that says nothing is forgotten; hidden ones may speak once a minute
    sessions: int = 1000
    sessions_of_one: int = 100  # of one user, whose oldest ones without a tab make room
    tabs: int = 64
    tabs_of_one: int = 64  # of one user
    open_tabs_last: bool = True  # whether a tab that is only left open counts as use


@dataclass(eq=False)
class Tab:
    used: float
    streams: list[Callable[[], None]] = field(default_factory=list)  # requests that are being answered; each ends one


@dataclass(eq=False)
class Browser:
    """One that was given a cookie."""

    user: str
    used: float
    login: bool = False  # whether an account is behind it
    name: str = field(default_factory=lambda: secrets.token_hex(6))  # for logs; it opens nothing
    tabs: dict[str, Tab] = field(default_factory=dict)  # by their pages' numbers

    @property
    def client(self) -> str:
        """Whose its studies are."""
        return f"{self.user} session {self.name}"

    def record(self) -> bytes:
        """What other replicas are told of it."""
        return json.dumps({"user": self.user, "login": self.login, "name": self.name}).encode()

    @classmethod
    def of_record(cls, record: bytes, used: float) -> Browser:
        return cls(used=used, **json.loads(record))


class Sessions:
    """All browsers. `forget` is told each tab that is over, and whether it was merely not heard of for long, `close` each client whose session has ended."""

    def __init__(
        self,
        forget: Callable[[str, bool], None] = lambda tab, lost: None,
        close: Callable[[str], None] = lambda _: None,
        terms: Terms | None = None,
        now: Callable[[], float] = time.monotonic,
        store: Store | None = None,
    ):
        self.terms, self._forget, self._close, self._now = terms or Terms(), forget, close, now
        self._store = store or Memory(now)
        self._browsers: dict[str, Browser] = {}  # by the digest of the cookie, so that a look-up's time tells nothing
        self._lock = threading.RLock()
        self._sweeper = Sweeper(
            self._lock, min(self.terms.idle_s, self.terms.tab_idle_s), self.check, lambda: bool(self._browsers)
        )

    def __len__(self) -> int:
        return len(self._browsers)

    def start(self, user: str, login: bool = False) -> tuple[str, Browser]:
        """A new session: the cookie's value, which nobody can guess, and the browser. Raises `Refused`, `StoreGone`."""
        value = secrets.token_urlsafe(32)
        browser = Browser(user, self._now(), login)
        self._store.put(_key(value), browser.record(), self.terms.idle_s)  # first: what it does not know is over
        try:
            return value, self._hold(digest(value), browser)
        except Refused:
            self._store.delete(_key(value))
            raise

    def find(self, value: str | None, use: bool = True) -> Browser | None:
        """The browser with a cookie's value, whichever replica gave it; with `use` that counts as being there.

        Raises `Refused`, `StoreGone`.
        """
        if not value:
            return None
        record = self._store.get(_key(value))
        if record is None:
            self._end(digest(value))
            return None
        if use:
            self._store.touch(self.terms.idle_s, _key(value))
        browser = self._hold(digest(value), Browser.of_record(record, self._now()))
        if use:
            browser.used = self._now()
        return browser

    def end(self, value: str | None) -> Browser | None:
        """Log-out: nothing that the session held stays. The browser, if there was one. Raises `Refused`, `StoreGone`."""
        browser = self.find(value, use=False)
        if value and browser:
            self._store.delete(_key(value))
            self._end(digest(value))
        return browser

    def tab(self, browser: Browser, hash: str, new: bool = True) -> Tab | None:
        """The browser's tab of that hash; where nobody has it yet a `new` one, or none. Raises `Refused`."""
        with self._lock:
            owner = next((one for one in self._browsers.values() if hash in one.tabs), None)
            if owner is None and not new:
                return None
            if owner is None and browser in self._browsers.values():  # else it has ended while the request came
                self._check_room(browser)
                owner, browser.tabs[hash] = browser, Tab(self._now())
            if owner is not browser:
                raise Refused(403, FOREIGN)
            browser.tabs[hash].used = self._now()
            return browser.tabs[hash]

    def stay(self, client: str, hash: str) -> None:
        """Hold the tab of a client, if that is still there. Raises `Refused`."""
        with self._lock:
            browser = next((one for one in self._browsers.values() if one.client == client), None)
            if browser is None:
                raise Refused(403, OVER)
            self.tab(browser, hash)

    def tabs_of(self, user: str) -> list[str]:
        with self._lock:
            return [hash for one in self._browsers.values() if one.user == user for hash in one.tabs]

    @contextmanager
    def stream(self, tab: Tab) -> Iterator[None]:
        """While a tab waits for a reply: it is not forgotten, and the reply ends with the session."""
        task, loop, stopped = asyncio.current_task(), asyncio.get_running_loop(), threading.Event()
        assert task is not None

        def stop() -> None:
            stopped.set()
            loop.call_soon_threadsafe(task.cancel)

        with self._lock:
            tab.streams.append(stop)
        try:
            yield
        except asyncio.CancelledError:
            if not stopped.is_set():
                raise
            task.uncancel()
        finally:
            with self._lock:
                tab.used = self._now()
                tab.streams.remove(stop)

    def leave(self, client: str, hash: str) -> None:
        """A client has closed a tab."""
        with self._lock:
            for browser in self._browsers.values():
                if browser.client == client and hash in browser.tabs:
                    self._leave(browser, hash)

    def sweep(self) -> None:
        """Forget the tabs that were not used for too long."""
        with self._lock:
            late = self._now() - self.terms.tab_idle_s
            for browser in self._browsers.values():
                for hash in [hash for hash, tab in browser.tabs.items() if not tab.streams and tab.used < late]:
                    self._leave(browser, hash, lost=True)

    def check(self) -> None:
        """`sweep` now and then: open tabs count as use where they may, and what the store says is over ends here."""
        self.sweep()
        with self._lock:  # those that the store knew before it is asked
            held = dict(self._browsers)
            shown = [key for key, one in held.items() if one.tabs]
        with suppress(StoreGone):  # then none is known to have ended
            for key in shown if self.terms.open_tabs_last else ():
                self._store.touch(self.terms.idle_s, f"{SESSION}{key}")
            there = set(self._store.keys(SESSION))
            for key in held:
                if f"{SESSION}{key}" not in there:
                    self._end(key)

    def _hold(self, key: str, browser: Browser) -> Browser:
        """The browser that is held under a key, else this one from now on. Raises `Refused` where there is no room."""
        oldest = None
        with self._lock:
            if key in self._browsers:
                return self._browsers[key]
            own = {old for old, one in self._browsers.items() if one.user == browser.user}
            many = len(own) >= self.terms.sessions_of_one
            if many or len(self._browsers) >= self.terms.sessions:
                may = own if many else own | {old for old, one in self._browsers.items() if not one.login}
                empty = [old for old in may if not self._browsers[old].tabs]
                if not empty:
                    raise Refused(429, CROWDED, WAIT)
                oldest = min(empty, key=lambda old: self._browsers[old].used)
                gone = self._browsers.pop(oldest)
            self._browsers[key] = browser
            self._sweeper.watch()
        if oldest:
            self._store.delete(f"{SESSION}{oldest}")
            self._close(gone.client)
        return browser

    def _check_room(self, browser: Browser) -> None:
        self.sweep()
        whole = sum(len(one.tabs) for one in self._browsers.values())
        if whole >= self.terms.tabs or len(self.tabs_of(browser.user)) >= self.terms.tabs_of_one:
            raise Refused(429, CROWDED, WAIT)

    def _end(self, key: str) -> None:
        with self._lock:
            browser = self._browsers.pop(key, None)
            if browser is None:
                return
            for hash in list(browser.tabs):
                self._leave(browser, hash)
        self._close(browser.client)

    def _leave(self, browser: Browser, hash: str, lost: bool = False) -> None:
        tab = browser.tabs.pop(hash)
        for stop in list(tab.streams):
            stop()
        self._forget(hash, lost)


def _key(value: str) -> str:
    return SESSION + digest(value)
