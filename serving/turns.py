"""The queue before the model: one request at a time, in the order in which they came, for the page and the API together."""

from __future__ import annotations

import threading
from collections import Counter
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


@dataclass
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
        self.most, self.most_of_one = most, most_of_one
        self._waiting: Counter[str] = Counter()  # requests of each client, the one that is worked on included
        self._lock = threading.Lock()
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        threading.Thread(target=self._work, daemon=True, name="medvlm-model").start()

    def __len__(self) -> int:
        return self._waiting.total()

    def submit(self, client: str, work: Callable[[], Any]) -> Job:
        """Queue `work` for a client. Raises `QueueFull`."""
        with self._lock:
            if self._waiting.total() >= self.most or self._waiting[client] >= self.most_of_one:
                raise QueueFull
            self._waiting[client] += 1
        job = Job()

        def tracked() -> Any:
            with telling(job.tell):
                return work()

        job.future.add_done_callback(lambda _: self._leave(client))
        self._queue.put(lambda: _fulfil(job.future, tracked))
        return job

    def wait(self, work: Callable[[], Any]) -> Any:
        """Have `work` done in its turn, with the progress told to the listener of this thread, and wait for the result."""
        future: Future[Any] = Future()
        context = copy_context()
        self._queue.put(lambda: _fulfil(future, lambda: context.run(work)))
        return future.result()

    def _leave(self, client: str) -> None:
        with self._lock:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]

    def _work(self) -> None:
        while True:
            self._queue.get()()


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
