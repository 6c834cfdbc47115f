"""The queue before the model: one request at a time, in the order in which they came, for the page and the API together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial, wraps
from queue import SimpleQueue
from typing import Any

from medvlm.errors import RequestError
from medvlm.progress import Tell, listener, telling

MOST = 32  # requests of the API that wait
MOST_OF_ONE = 8  # of one client
LONGEST = 600.0  # seconds that one piece of work may take; a report of a large volume takes two minutes
MOST_STUCK = 2  # threads that never came back from their work, beside which another goes on
OVERDUE = "This took too long and was given up; ask about fewer images, or a single one."
ABANDONED = "Nobody waits for this any more."


class QueueFull(Exception):
    """Too many requests wait already."""


class Overdue(RequestError):
    """The work took longer than any may."""


class Abandoned(Exception):
    """The one who asked is gone; raised inside the work, at its next report of progress."""


@dataclass(eq=False)
class Job:
    """One request's work: its result, how far it is, and whether anybody still waits for it."""

    future: Future[Any] = field(default_factory=Future)
    progress: tuple[int, int] | None = None  # done, of how many
    abandoned: bool = False

    def abandon(self) -> None:
        """Take it out of the queue, or end it at its next report of progress."""
        self.abandoned = True
        self.future.cancel()

    def tell(self, done: int, of: int) -> None:
        if self.abandoned:
            raise Abandoned(ABANDONED)
        self.progress = (done, of)


class Turns:
    """A thread that does one piece of work after another. It ends with the process, whatever it is at.

    Work that takes longer than `longest` seconds fails with `Overdue`, and another thread goes on with what waits: a thread
    cannot be stopped from without, so the work itself ends at its next report of progress, or never.
    """

    def __init__(self, most: int = MOST, most_of_one: int = MOST_OF_ONE, longest: float = LONGEST):
        self.most, self.most_of_one, self.longest, self.closed = most, most_of_one, longest, False
        self.stuck: set[threading.Thread] = set()  # those that were given up and have not come back
        self._jobs: list[tuple[str, Job]] = []  # each with its client, the one that is worked on included
        self._awaited: list[tuple[str, Job]] = []  # each with its tab
        self._lock = threading.RLock()  # what waits for a result is told of it within the lock
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread = self._begin()

    def __len__(self) -> int:
        return len(self._jobs)

    def submit(self, client: str, work: Callable[[], Any]) -> Job:
        """Queue `work` for a client. Raises `QueueFull`."""
        job = Job()
        with self._lock:
            own = sum(client == other for other, _ in self._jobs)
            if self.closed or len(self._jobs) >= self.most or own >= self.most_of_one:
                raise QueueFull
            self._jobs.append((client, job))

        job.future.add_done_callback(lambda _: self._leave(client, job))
        self._queue.put(lambda: self._fulfil(job, work, job.tell))
        return job

    def wait(self, work: Callable[[], Any], tab: str = "") -> Any:
        """Have `work` done in its turn, for a tab, with the progress told to the listener of this thread, and wait for the
        result."""
        job, context, tell = Job(), copy_context(), listener()
        with self._lock:
            self._awaited.append((tab, job))
        try:
            self._queue.put(lambda: context.run(self._fulfil, job, work, tell))
            return job.future.result()
        finally:
            with self._lock:
                self._awaited.remove((tab, job))

    def abandon(self, tab: str) -> None:
        """A tab was closed: what is done or waits for it ends."""
        with self._lock:
            jobs = [job for other, job in self._awaited if other == tab]
        for job in jobs:
            job.abandon()

    def answers(self, patience: float = 2.0) -> bool:
        """Whether the thread does its work: it is at some that is not overdue, or comes for an empty piece in `patience` seconds."""
        if self.closed or len(self.stuck) > MOST_STUCK or not self._thread.is_alive():
            return False
        if self._busy:
            return True
        here = threading.Event()
        self._queue.put(here.set)
        return here.wait(patience) or self._busy

    def close(self, patience: float = 10.0) -> None:
        """Do no more, end what is worked on at its next report of progress, and wait `patience` seconds for that: where the
        process ends in the middle of a computation, torch aborts it."""
        with self._lock:
            self.closed, jobs = True, list(self._jobs)
        for _, job in jobs:
            job.abandon()
        self._queue.put(lambda: None)
        self._thread.join(patience)

    def _leave(self, client: str, job: Job) -> None:
        with self._lock:
            self._jobs.remove((client, job))

    def _begin(self) -> threading.Thread:
        thread = threading.Thread(target=self._work, daemon=True, name="medvlm-model")
        self._busy = False
        self._thread = thread
        thread.start()
        return thread

    def _work(self) -> None:
        while True:
            work = self._queue.get()
            if self.closed:
                return
            work()
            if threading.current_thread() is not self._thread:  # another has taken its place
                return

    def _fulfil(self, job: Job, work: Callable[[], Any], tell: Tell | None) -> None:
        """Do a piece of work, unless nobody waits for it any more."""
        if not job.future.set_running_or_notify_cancel():
            return
        thread = threading.current_thread()
        watch = threading.Timer(self.longest, self._give_up, (job, thread))
        watch.daemon = True
        watch.start()
        self._busy = True

        def told(done: int, of: int) -> None:
            if job.abandoned:
                raise Abandoned(ABANDONED)
            if job.future.done():
                raise Overdue(OVERDUE)
            if tell:
                tell(done, of)

        try:
            with telling(told):
                result = work()
            settle: Callable[[], None] = partial(job.future.set_result, result)
        except BaseException as error:
            settle = partial(job.future.set_exception, error)
        watch.cancel()
        with suppress(InvalidStateError):  # it was given up meanwhile
            settle()
        with self._lock:
            self.stuck.discard(thread)
            if thread is self._thread:
                self._busy = False

    def _give_up(self, job: Job, thread: threading.Thread) -> None:
        """Fail work that is overdue, and have another thread do what waits, unless too many have got stuck."""
        with self._lock, suppress(InvalidStateError):  # it came to its end just now
            job.future.set_exception(Overdue(OVERDUE))
            self.stuck.add(thread)
            if len(self.stuck) <= MOST_STUCK and not self.closed:
                self._begin()


class InTurn:
    """An assistant whose methods wait for their turn, for those who call it from threads of their own."""

    def __init__(self, assistant: Any, turns: Turns, tab: str = ""):
        self._assistant, self._turns, self._tab = assistant, turns, tab

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._assistant, name)
        if not callable(value):
            return value

        @wraps(value)
        def call(*args: Any, **options: Any) -> Any:
            return self._turns.wait(lambda: value(*args, **options), self._tab)

        return call
