"""Who is next: at the model, of several users who wait, the one who had it least; beside it, nobody takes all places."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

STEP = 0.25  # seconds that work keeps its place before it steps aside for others …
LONG = 1.0  # … and after which other work of the same user goes first


def done() -> Callable[[], None]:
    """The work of one that has none left."""
    return lambda: None


@dataclass(eq=False)
class Job:
    """One request's work: its result, how far it is, and whether anybody still waits for it."""

    client: str = ""
    number: int = 0  # in the order in which they came
    work: Callable[[], Callable[[], None]] = done  # gives what tells its result
    future: Future[Any] = field(default_factory=Future)
    progress: tuple[int, int] | None = None  # done, of how many
    abandoned: bool = False
    begun: bool = False
    since: float | None = None  # when it got the place that it has …
    used: float = 0.0  # … and the seconds that it had one before
    go: threading.Event = field(default_factory=threading.Event)  # it has a place again
    asker: Any = None  # who of the client asked, and may leave alone
    watch: threading.Timer | None = None  # looks after it while it is worked on

    @property
    def held(self) -> float:
        """Seconds since it got the place that it has."""
        return 0.0 if self.since is None else time.monotonic() - self.since

    @property
    def seconds(self) -> float:
        """How long it was worked on so far."""
        return self.used + self.held

    def abandon(self) -> None:
        """Take it out of the queue, or end it after its next step."""
        self.abandoned = True
        self.future.cancel()

    def tell(self, done: int, of: int) -> None:
        self.progress = (done, of)


class Places:
    """The `count` pieces of work that are done at a time, one of a client, and those that wait to begin or to go on."""

    def __init__(self, count: int):
        self.count = count
        self.working: list[Job] = []
        self.waiting: list[Job] = []
        self._spent: dict[str, float] = {}  # seconds that a client had a place

    def join(self, job: Job) -> None:
        """Let it wait. Whoever comes anew stands between those who are there: what the others had before is not made up for,
        nor is what a client had while it was alone held against it."""
        there = {other.client for other in (*self.waiting, *self.working)}
        had = [self._had(client) for client in there] or [0.0]
        least, most = min(had), max(had)
        if not there:  # nobody is before or behind anybody
            self._spent.clear()
        self._spent = {client: spent for client, spent in self._spent.items() if client in there or spent > least}
        if job.client not in there:
            self._spent[job.client] = min(max(self._spent.get(job.client, 0.0), least), most)
        self.waiting.append(job)

    def fill(self) -> Job | None:
        """A place for whoever is next, if one is free and may be had."""
        job = self._next() if len(self.working) < self.count else None
        if job is not None:
            self.waiting.remove(job)
            self.working.append(job)
            job.since = time.monotonic()
        return job

    def steps_aside(self, job: Job) -> bool:
        """Whether one that has a place is to let another go first; then it waits again."""
        aside = job in self.working and job.held >= STEP and self._next(job) is not job
        if aside:
            self.leave(job)
            self.waiting.append(job)
        return aside

    def withdraw(self, job: Job) -> None:
        """It is not worked on any more where that has not begun, so that nothing of it is held until its turn comes."""
        if job in self.waiting and not job.begun:
            self.waiting.remove(job)

    def leave(self, job: Job) -> None:
        """It gives up its place, if it has one."""
        if job in self.working:
            job.used, held = job.seconds, job.held
            self._spent[job.client] += held
            self.working.remove(job)
            job.since = None

    def _had(self, client: str) -> float:
        return self._spent[client] + sum(job.held for job in self.working if job.client == client)

    def _next(self, leaving: Job | None = None) -> Job | None:
        """Of the clients that have no place, whoever had one least; of a client's work first what is not long, in order."""
        busy = {job.client for job in self.working if job is not leaving}
        may = [job for job in self.waiting if job.client not in busy]
        return min([*may, *([leaving] if leaving else [])], key=self._rank, default=None)

    def _rank(self, job: Job) -> tuple[float, bool, int]:
        return self._had(job.client), job.seconds >= LONG, job.number


class Shares:
    """The `count` places for work that needs no model, of which one user has `of_one` at most; who comes first is first."""

    def __init__(self, count: int, of_one: int):
        self._places, self._of_one = asyncio.Semaphore(count), of_one
        self._own: WeakValueDictionary[str, asyncio.Semaphore] = (
            WeakValueDictionary()
        )  # of those who have a place or wait

    async def take(self, user: str) -> Callable[[], None]:
        """Wait for a place; gives what gives it back, to be called in the event loop."""
        own = self._own.setdefault(user, asyncio.Semaphore(self._of_one))
        await own.acquire()
        try:
            await self._places.acquire()
        except BaseException:
            own.release()
            raise

        def give_back() -> None:
            own.release()
            self._places.release()

        return give_back
