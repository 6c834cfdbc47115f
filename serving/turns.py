"""The queue before the model: one request at a time, in the order in which they came, for the page and the API together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import wraps
from queue import SimpleQueue
from typing import Any

from medvlm.progress import telling

MOST = 32  # requests of the API that wait
MOST_OF_ONE = 8  # of one client
ABANDONED = "Nobody waits for this any more."


class QueueFull(Exception):
    """Too many requests wait already."""


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
    """A thread that does one piece of work after another. It ends with the process, whatever it is at."""

    def __init__(self, most: int = MOST, most_of_one: int = MOST_OF_ONE):
        self.most, self.most_of_one, self.closed = most, most_of_one, False
        self._jobs: list[tuple[str, Job]] = []  # each with its client, the one that is worked on included
        self._lock = threading.Lock()
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True, name="medvlm-model")
        self._thread.start()

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

        def tracked() -> Any:
            with telling(job.tell):
                return work()

        job.future.add_done_callback(lambda _: self._leave(client, job))
        self._queue.put(lambda: _fulfil(job.future, tracked))
        return job

    def wait(self, work: Callable[[], Any]) -> Any:
        """Have `work` done in its turn, with the progress told to the listener of this thread, and wait for the result."""
        future: Future[Any] = Future()
        context = copy_context()
        self._queue.put(lambda: _fulfil(future, lambda: context.run(work)))
        return future.result()

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

    def _work(self) -> None:
        while True:
            work = self._queue.get()
            if self.closed:
                return
            work()


def _fulfil(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)


class InTurn:
    """An assistant whose methods wait for their turn, for those who call it from threads of their own."""

    def __init__(self, assistant: Any, turns: Turns):
        self._assistant, self._turns = assistant, turns

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._assistant, name)
        if not callable(value):
            return value

        @wraps(value)
        def call(*args: Any, **options: Any) -> Any:
            return self._turns.wait(lambda: value(*args, **options))

        return call
