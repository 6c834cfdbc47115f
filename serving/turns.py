"""The queue before the model: requests of several users side by side, each user's in order, for the page and the API together.

A few pieces of work are done at a time, each in a thread with its part of the cores. Long work steps aside for others between
its steps.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import InvalidStateError
from contextlib import suppress
from contextvars import copy_context
from functools import partial, wraps
from itertools import count
from queue import SimpleQueue
from typing import Any

from medvlm.cores import cores, share
from medvlm.errors import RequestError
from medvlm.memory import Tidier
from medvlm.progress import Tell, listener, pausing, telling

from .fairness import STEP, Job, Places, done

MOST = 32  # requests of the API that wait
MOST_OF_ONE = 8  # of one client
LONGEST = 600.0  # seconds that one piece of work may take; a report of a large volume takes two minutes
TIDIED_S = 5.0  # after which freed memory is given back; that takes 0.05 to 0.1 s
MOST_STUCK = 2  # threads that never came back from their work, beside which others go on
BESIDE = min(4, cores())  # pieces of work at a time
OVERDUE = "This took too long and was given up; ask about fewer images, or a single one."
ABANDONED = "Nobody waits for this any more."


class QueueFull(Exception):
    """Too many requests wait already."""


class Overdue(RequestError):
    """The work took longer than any may."""


class Abandoned(Exception):
    """The one who asked is gone; raised inside the work, after its next step."""


class Turns:
    """Threads that do pieces of work, `beside` at a time but one of a client. They end with the process, whatever they are at.

    Work that is done for longer than `longest` seconds fails with `Overdue` and loses its place: a thread cannot be stopped
    from without, so the work itself ends after its next step, or never.
    """

    def __init__(
        self, most: int = MOST, most_of_one: int = MOST_OF_ONE, longest: float = LONGEST, beside: int = BESIDE
    ):
        self.most, self.most_of_one, self.longest, self.closed = most, most_of_one, longest, False
        self.stuck: set[Job] = set()  # those that were given up and have not come back
        self._places = Places(beside)
        self._jobs: list[Job] = []  # of the API, those that are worked on included
        self._awaited: list[Job] = []  # of the page's tabs
        self._lock = threading.RLock()  # what waits for a result is told of it outside
        self._numbers, self._idle = count(), 0
        self._tidier = Tidier(TIDIED_S)
        self._begun: SimpleQueue[Job] = SimpleQueue()  # what idle threads take

    def __len__(self) -> int:
        return len(self._jobs)

    def submit(self, client: str, work: Callable[[], Any]) -> Job:
        """Queue `work` for a client. Raises `QueueFull`."""
        with self._lock:
            own = sum(client == other.client for other in self._jobs)
            if self.closed or len(self._jobs) >= self.most or own >= self.most_of_one:
                raise QueueFull
            job = Job(client, next(self._numbers))
            job.work = partial(self._fulfil, job, work, job.tell)
            job.future.add_done_callback(lambda _: self._forget(job))
            self._jobs.append(job)
            self._join(job)
        return job

    def wait(self, work: Callable[[], Any], tab: str = "", asker: Any = None) -> Any:
        """Have `work` done in its turn, for a tab, with the progress told to the listener of this thread, and wait for the
        result."""
        job = Job(tab, next(self._numbers), asker=asker)
        job.work = partial(copy_context().run, self._fulfil, job, work, listener())
        with self._lock:
            self._awaited.append(job)
            self._join(job)
        try:
            return job.future.result()
        finally:
            with self._lock:
                self._awaited.remove(job)
                self._places.withdraw(job)

    def abandon(self, gone: Any) -> None:
        """A tab was closed, or one of a client's askers has left: what is done or waits for it ends."""
        with self._lock:
            jobs = [job for job in self._awaited if gone in (job.client, job.asker)]
        for job in jobs:
            job.abandon()

    def answers(self, patience: float = 2.0) -> bool:
        """Whether work is done: some is going on that is not overdue, or an empty piece is done in `patience` seconds."""
        with self._lock:
            if self.closed or len(self.stuck) > MOST_STUCK:
                return False
            if self._places.working:
                return True
            job = Job(number=next(self._numbers))
            job.work = partial(self._fulfil, job, lambda: None, None)
            self._join(job)
        with suppress(TimeoutError):
            job.future.result(patience)
        return job.future.done()

    def close(self, patience: float = 10.0) -> None:
        """Do no more, end what is worked on after its next step, and wait `patience` seconds for that: where the process ends
        in the middle of a computation, torch aborts it."""
        with self._lock:
            self.closed = True
            jobs = [*self._jobs, *self._awaited]
        for job in jobs:
            job.abandon()
            job.go.set()
        end = time.monotonic() + patience
        while not all(job.future.done() for job in jobs) and time.monotonic() < end:
            time.sleep(0.01)

    def _forget(self, job: Job) -> None:
        with self._lock:
            self._jobs.remove(job)
            self._places.withdraw(job)

    def _join(self, job: Job) -> None:
        self._places.join(job)
        self._go_on()

    def _go_on(self) -> None:
        """Have those that are next begin, or go on with, what they wait for; within the lock."""
        while not self.closed and len(self.stuck) <= MOST_STUCK and (job := self._places.fill()):
            if job.begun:
                job.go.set()
                continue
            job.begun = True
            if self._idle:
                self._idle -= 1
            else:
                threading.Thread(target=self._work, daemon=True, name="medvlm-model").start()
            self._begun.put(job)

    def _work(self) -> None:
        while True:
            self._do(self._begun.get())  # so that nothing of it is held while this thread is idle

    def _do(self, job: Job) -> None:
        share(len(self._places.working))
        settle, job.work = job.work(), done  # what it worked on goes as soon as nobody else has it
        with self._lock:
            self._places.leave(job)
            self.stuck.discard(job)
            self._idle += 1
            if job.watch:
                job.watch.cancel()
                job.watch = None
            self._go_on()
        with suppress(InvalidStateError):  # it was given up meanwhile
            settle()
        self._tidier.tidy()

    def _fulfil(self, job: Job, work: Callable[[], Any], tell: Tell | None) -> Callable[[], None]:
        """Do a piece of work, unless nobody waits for it any more; returns what tells its result."""
        if not job.future.set_running_or_notify_cancel():
            return lambda: None
        self._watch(job)

        def told(done: int, of: int) -> None:
            check(job)
            if tell:
                tell(done, of)
            self._step_aside(job)

        try:
            with telling(told), pausing(partial(self._step_aside, job)):
                result = work()
            return partial(job.future.set_result, result)
        except BaseException as error:
            return partial(job.future.set_exception, error)

    def _step_aside(self, job: Job) -> None:
        """Between two steps of its work: let go first who is to, and wait for a place again."""
        check(job)
        with self._lock:
            aside = self._places.steps_aside(job)
            if aside:
                job.go.clear()
                self._go_on()
        if aside:
            job.go.wait()
            check(job)
        share(len(self._places.working))

    def _watch(self, job: Job) -> None:
        job.watch = threading.Timer(max(STEP, self.longest - job.seconds), self._look_after, (job,))
        job.watch.daemon = True
        job.watch.start()

    def _look_after(self, job: Job) -> None:
        """Fail work that is overdue, and have others do what waits, unless too many have got stuck."""
        with self._lock:
            if job.watch is None:  # it came to its end just now
                return
            if job.seconds < self.longest:  # it has waited meanwhile
                return self._watch(job)
            self._places.leave(job)
            self.stuck.add(job)
            self._go_on()
            job.watch = None
        with suppress(InvalidStateError):
            job.future.set_exception(Overdue(OVERDUE))


def check(job: Job) -> None:
    """Raises what ends work that nobody waits for any more."""
    if job.abandoned:
        raise Abandoned(ABANDONED)
    if job.future.done():
        raise Overdue(OVERDUE)


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
            return self._turns.wait(lambda: value(*args, **options), self._tab, self)

        return call

    def abandon(self) -> None:
        """End what was asked of it: nobody waits for that any more."""
        self._turns.abandon(self)
