"""The studies that the API holds: under names that cannot be guessed, within a budget, for as long as they are used."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from medvlm.types import Study

from ..access.clients import user_of
from ..sweeper import Sweeper
from .errors import ApiError

GONE = "There is no such study here; it was closed, was not used for too long, or made room for a newer one: send it again."
FULL = "The server holds as many studies as it may; try again later."
ON_ITS_WAY = "An upload with this Idempotency-Key is on its way; wait for it."
WAIT = 30  # seconds after which room may have been made


@dataclass(frozen=True)
class Budget:
    """What may be held at a time. Bytes are those of the pixels."""

    studies: int = 32
    bytes: int = 2 * 2**30
    studies_of_one: int = 8  # of one user
    bytes_of_one: int = 2**30
    opening: int = 8  # uploads at a time
    opening_of_one: int = 4
    idle_s: float = 1800  # until a study that nobody asks about is closed


@dataclass(eq=False)
class Held:
    """A study that a client opened."""

    client: str
    study: Study
    upload: str = ""  # of the inbox, whose files are still needed
    key: str = ""  # Idempotency-Key, and …
    digest: str = ""  # … of what was sent with it
    series: int | None = None  # that was asked for
    id: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    used: float = 0.0  # when it was asked about last
    users: int = 0  # requests that are at it

    @property
    def bytes(self) -> int:
        return sum(image.pixels.nbytes for image in self.study.images)


class Studies:
    """All studies that this process holds. Where a client opens one too many, its own least recently used are closed, never another's."""

    keeps_files = False  # whether `add` is to be given a study's files

    def __init__(
        self, close: Callable[[Held], None], budget: Budget | None = None, now: Callable[[], float] = time.monotonic
    ):
        """`close` is called with each study that is let go."""
        self.budget, self._close, self._now = budget or Budget(), close, now
        self._held: dict[str, Held] = {}
        self._opening: Counter[str] = Counter()
        self._keys: set[tuple[str, str]] = set()  # of uploads on their way
        self._lock = threading.RLock()
        self._sweeper = Sweeper(self._lock, self.budget.idle_s, self.check, lambda: bool(self._held))

    def __len__(self) -> int:
        return len(self._held)

    @property
    def bytes(self) -> int:
        with self._lock:
            return sum(held.bytes for held in self._held.values())

    @contextmanager
    def opening(self, client: str, key: str = "") -> Iterator[None]:
        """While a client sends a study. Raises `ApiError` where too many are sent at once, or one with the same key."""
        user = user_of(client)
        with self._lock:
            if (client, key) in self._keys:
                raise ApiError(409, ON_ITS_WAY, retry_after=1)
            most, most_of_one = self.budget.opening, self.budget.opening_of_one
            if self._opening.total() >= most or self._opening[user] >= most_of_one:
                raise ApiError(429, "Too many uploads at a time; send one after another.", retry_after=2)
            self._opening[user] += 1
            self._keys |= {(client, key)} if key else set()
        try:
            yield
        finally:
            with self._lock:
                self._opening[user] -= 1
                self._opening += Counter()  # without those at zero
                self._keys.discard((client, key))

    def add(self, held: Held, folder: Path | None = None) -> Held:
        """Hold a study, whose files are in `folder`. Raises `ApiError` (413, 429) where there is no room for it."""
        with self._lock:
            self.sweep()
            if held.bytes > min(self.budget.bytes_of_one, self.budget.bytes):
                raise ApiError(
                    413, "The study has more pixels than the server holds for one client; send fewer images."
                )
            for old in self._making_room(held):
                self._let_go(old)
            held.used = self._now()
            self._held[held.id] = held
            self._sweeper.watch()
            return held

    def _making_room(self, held: Held) -> list[Held]:
        """The client's own studies that have to go for another one, the longest unused first. Raises `ApiError` (429)."""
        idle = [h for h in self._held.values() if h.client == held.client and not h.users]
        idle.sort(key=lambda h: h.used)
        for count in range(len(idle) + 1):
            rest = [h for h in self._held.values() if h not in idle[:count]]
            if self._fit([*rest, held], held.client):
                return idle[:count]
        raise ApiError(429, FULL, retry_after=WAIT)

    def _fit(self, studies: list[Held], client: str) -> bool:
        own, budget = [h for h in studies if user_of(h.client) == user_of(client)], self.budget
        return (
            len(studies) <= budget.studies
            and len(own) <= budget.studies_of_one
            and sum(h.bytes for h in studies) <= budget.bytes
            and sum(h.bytes for h in own) <= budget.bytes_of_one
        )

    def get(self, client: str, name: str) -> Held:
        """The client's study of that id. Raises `ApiError` (404), also for another's."""
        with self._lock:
            self.sweep()
            held = self._held.get(name)
            if held is None or held.client != client:
                raise ApiError(404, GONE)
            held.used = self._now()
            return held

    def with_key(self, client: str, key: str) -> Held | None:
        """The client's study that was sent with an Idempotency-Key, if it is still held."""
        with self._lock:
            return next((h for h in self._held.values() if key and (h.client, h.key) == (client, key)), None)

    @contextmanager
    def using(self, *studies: Held) -> Iterator[None]:
        """While studies are worked on: they are not closed for being idle, nor to make room."""
        with self._lock:
            for held in studies:
                held.users += 1
        try:
            yield
        finally:
            with self._lock:
                for held in studies:
                    held.users -= 1
                    held.used = self._now()

    def drop(self, held: Held) -> None:
        """Let a study go: it was closed."""
        self._let_go(held)

    def leave(self, client: str) -> None:
        """Let go all that a client opened: it has logged out."""
        with self._lock:
            for held in [held for held in self._held.values() if held.client == client]:
                self._let_go(held)

    def sweep(self) -> None:
        """Let go what was not used for too long."""
        with self._lock:
            for held in list(self._held.values()):
                if not held.users and self._now() - held.used > self.budget.idle_s:
                    self._let_go(held)

    def check(self) -> None:
        """What is done now and then without a request."""
        self.sweep()

    def _let_go(self, held: Held) -> None:
        with self._lock:
            if self._held.pop(held.id, None):
                self._close(held)
