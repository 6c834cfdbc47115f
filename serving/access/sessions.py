"""Browsers, each known by a cookie that the server made, and the tabs that each has open.

Gradio knows a tab by a number that the browser chose and sends in addresses. So each number belongs to the browser that used
it first, and to nobody else.

Whether a session is over is what the store says, which replicas share; the tabs of a browser are this process's alone.
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
    tab_idle_s: float = 300.0  # until a tab that holds no line open is forgotten
    sessions: int = 1000
    tabs: int = 64
    tabs_of_one: int = 64  # of one user
    open_tabs_last: bool = True  # whether a tab that is only left open counts as use


@dataclass(eq=False)
class Tab:
    used: float
    streams: list[Callable[[], None]] = field(default_factory=list)  # each ends one


@dataclass(eq=False)
class Browser:
    """One that was given a cookie."""

    user: str
    used: float
    login: bool = False  # whether an account is behind it
    name: str = field(default_factory=lambda: secrets.token_hex(6))  # for logs; it opens nothing
    tabs: dict[str, Tab] = field(default_factory=dict)  # by Gradio's session hash

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
    """All browsers. `forget` is told each tab that is over, `close` each client whose session has ended."""

    def __init__(
        self,
        forget: Callable[[str], None] = lambda _: None,
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
        with self._lock:
            self.sweep()
            try:
                self._hold(digest(value), browser)
            except Refused:
                self._store.delete(_key(value))
                raise
        return value, browser

    def find(self, value: str | None, use: bool = True) -> Browser | None:
        """The browser with a cookie's value, whichever replica gave it; with `use` that counts as being there.

        Raises `Refused`, `StoreGone`.
        """
        if not value:
            return None
        record = self._store.get(_key(value))  # without the lock, for it may take a while
        if record and use:
            self._store.touch(self.terms.idle_s, _key(value))
        with self._lock:
            if record is None and digest(value) in self._browsers:
                self._end(digest(value))
            self.sweep()
            if record is None:
                return None
            if digest(value) not in self._browsers:
                self._hold(digest(value), Browser.of_record(record, self._now()))
            browser = self._browsers[digest(value)]
            if use:
                browser.used = self._now()
            return browser

    def end(self, value: str | None) -> None:
        """Log-out: nothing that the session held stays. Raises `StoreGone`."""
        if not value:
            return
        browser = self.find(value, use=False)
        self._store.delete(_key(value))
        with self._lock:
            if browser and digest(value) in self._browsers:
                self._end(digest(value))

    def tab(self, browser: Browser, hash: str) -> Tab:
        """The browser's tab of that hash, a new one where nobody has it yet. Raises `Refused`."""
        with self._lock:
            owner = next((one for one in self._browsers.values() if hash in one.tabs), None)
            if owner is None:
                self._check_room(browser)
                owner, browser.tabs[hash] = browser, Tab(self._now())
            if owner is not browser:
                raise Refused(403, FOREIGN)
            browser.tabs[hash].used = self._now()
            return browser.tabs[hash]

    def tabs_of(self, user: str) -> list[str]:
        with self._lock:
            return [hash for one in self._browsers.values() if one.user == user for hash in one.tabs]

    @contextmanager
    def stream(self, tab: Tab) -> Iterator[None]:
        """While a tab holds a line open: it is not forgotten, and the line ends with the session."""
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

    def leave(self, browser: Browser, hash: str) -> None:
        """The tab was closed."""
        with self._lock:
            if hash in browser.tabs:
                self._leave(browser, hash)

    def sweep(self) -> None:
        """End the sessions and forget the tabs that were not used for too long. Raises `StoreGone`."""
        with self._lock:
            now, terms = self._now(), self.terms
            for key, browser in list(self._browsers.items()):
                for hash, tab in list(browser.tabs.items()):
                    if not tab.streams and now - tab.used > terms.tab_idle_s:
                        self._leave(browser, hash)
                if now - browser.used > terms.idle_s:
                    if self._store.get(f"{SESSION}{key}"):  # it is used elsewhere
                        browser.used = now
                    else:
                        self._end(key)

    def check(self) -> None:
        """`sweep` now and then: open tabs count as use where they may, and what ended elsewhere ends here."""
        with suppress(StoreGone):  # then none is known to have ended
            for key, browser in self._browsers.items():
                if self.terms.open_tabs_last and any(tab.streams for tab in browser.tabs.values()):
                    self._store.touch(self.terms.idle_s, f"{SESSION}{key}")
            there = set(self._store.keys(SESSION))
            for key in [key for key in self._browsers if f"{SESSION}{key}" not in there]:
                self._end(key)
            self.sweep()

    def _hold(self, key: str, browser: Browser) -> None:
        """Raises `Refused` where there is no room."""
        if len(self._browsers) >= self.terms.sessions:
            empty = [(old, one) for old, one in self._browsers.items() if not one.tabs and not one.login]
            if not empty:
                raise Refused(429, CROWDED, WAIT)
            oldest = min(empty, key=lambda pair: pair[1].used)[0]
            self._store.delete(f"{SESSION}{oldest}")
            self._end(oldest)
        self._browsers[key] = browser
        self._sweeper.watch()

    def _check_room(self, browser: Browser) -> None:
        self.sweep()
        whole = sum(len(one.tabs) for one in self._browsers.values())
        if whole >= self.terms.tabs or len(self.tabs_of(browser.user)) >= self.terms.tabs_of_one:
            raise Refused(429, CROWDED, WAIT)

    def _end(self, key: str) -> None:
        browser = self._browsers.pop(key)
        for hash in list(browser.tabs):
            self._leave(browser, hash)
        self._close(browser.client)

    def _leave(self, browser: Browser, hash: str) -> None:
        tab = browser.tabs.pop(hash)
        for stop in list(tab.streams):
            stop()
        self._forget(hash)


def _key(value: str) -> str:
    return SESSION + digest(value)
