"""Keeps the server up: a process of its own serves, and is started anew where it ends, gets stuck or answers no more.

The address stays the supervisor's, so whoever connects while there is no worker waits, and nobody is refused. The supervisor
imports neither the model nor the page.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from medvlm.errors import MedVLMError, ModelError, RequestError
from medvlm.memory import keep_freed_memory

from .folder import sweep_all

BACKLOG = 2048  # connections that wait for a worker
STOPS = (signal.SIGINT, signal.SIGTERM)
STUCK = b'"Stuck"'  # of the health's 503; another 503 says that too many are connected, which is no fault
NEVER_UP = "The server ended {} times in a row before it was up, the last time since {}; what it said stands above."


@dataclass(frozen=True)
class Patience:
    """How long the supervisor waits, in seconds, and for how many workers."""

    look: float = 1.0  # between two looks
    start: float = 600.0  # for a worker's first answer: its imports may come from a slow disk
    answer: float = 30.0  # for any later one
    stop: float = 15.0  # for the end of a worker that was told to stop, before it is killed
    workers: int = 5  # in a row that end before their first answer
    settled: float = 60.0  # after which a worker's end is no sign that the next one's is near
    pause: float = 8.0  # at most, before a worker is started after one that had not settled


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises `RequestError` where the address is taken or not ours."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RequestError(
            f"The page cannot use {host}:{port} ({reason}); choose another address with --port."
        ) from error
    return bound


def supervise(
    work: Callable[..., None], host: str, port: int, patience: Patience | None = None, **settings: Any
) -> None:
    """Run `work(host=, port=, bound=, **settings)` in another process, again and again until Ctrl-C or SIGTERM.

    All of it has to pickle. Raises the `MedVLMError` that `work` ended with, `RequestError` where the address cannot be
    used, and `ModelError` where worker after worker ends before it has answered.
    """
    patience, failed, restarts, pause = patience or Patience(), 0, 0, 0.0
    settings |= {"host": host, "port": port}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sweep_all()  # at once: a worker begins with imports that take long
    with contextlib.closing(listen(host, port)) as bound:
        bound.listen(BACKLOG)
        while True:
            worker, began = Worker(work, bound, settings), time.monotonic()
            try:
                worker.start()
                reason = worker.watch(patience)
            except KeyboardInterrupt:
                return
            finally:
                worker.stop(patience.stop)
            failed = 0 if worker.answered else failed + 1
            if failed == patience.workers:
                raise ModelError(NEVER_UP.format(failed, reason))
            print(f"medvlm: the server is started anew, since {reason}.", file=sys.stderr, flush=True)
            restarts += 1
            os.environ["MEDVLM_RESTARTS"] = str(restarts)  # for its metrics
            if time.monotonic() - began > patience.settled:
                pause = 0.0
            try:
                time.sleep(pause)
            except KeyboardInterrupt:
                return
            pause = min(patience.pause, 2 * pause or 0.5)


class Worker:
    """A process that serves on `bound`. It ends with ours: at the end of the `line` between the two it stops by itself."""

    def __init__(self, work: Callable[..., None], bound: socket.socket, settings: dict[str, Any]):
        self.bound, self.answered = bound, False
        context = multiprocessing.get_context("spawn")
        self.line, self._theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(work, settings | {"bound": bound}, self._theirs))

    def start(self) -> None:
        with self._theirs, _held_back():
            self.process.start()

    def watch(self, patience: Patience) -> str:
        """Why the worker is of no use any more, as soon as it is. Raises the `MedVLMError` that it ended with."""
        heard, stuck = time.monotonic(), False
        while True:
            left = heard + (patience.answer if self.answered else patience.start) - time.monotonic()
            if left < 0:
                return "its model did not come back from its work" if stuck else "it did not answer"
            reply = self._health(left)
            stuck = STUCK in reply
            if reply and not stuck:
                heard, self.answered = time.monotonic(), True
            if wait([self.process.sentinel, self.line], patience.look):
                return self._ended()

    def _ended(self) -> str:
        with contextlib.suppress(EOFError):
            raise self.line.recv()
        self.process.join(1)
        code = self.process.exitcode or 0
        return f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with code {code}"

    def stop(self, patience: float) -> None:
        """End the process, in order if it can, and remove what it left where it could not."""
        if self.process.pid is None:  # it was not even started
            return
        try:
            self.process.terminate()
            self.process.join(patience)
        finally:  # also after a second Ctrl-C
            self.process.kill()
            self.process.join()
            self.line.close()
            sweep_all()

    def _health(self, patience: float) -> bytes:
        """What `/v1/health` says; nothing where the worker ends, or does not answer in so many seconds."""
        host, port = self.bound.getsockname()[:2]
        if ipaddress.ip_address(host).is_unspecified:
            host = "::1" if ":" in host else "127.0.0.1"
        asked = http.client.HTTPConnection(host, port, timeout=patience)
        with contextlib.closing(asked), contextlib.suppress(OSError, http.client.HTTPException):
            asked.request("GET", "/v1/health", headers={"Host": "localhost"})
            if asked.sock in wait([asked.sock, self.process.sentinel], patience):
                return asked.getresponse().read(2**16)
        return b""


def _work(work: Callable[..., None], settings: dict[str, Any], line: Connection) -> None:
    """What the worker's process does. A `MedVLMError` goes through the line; of other faults only the kind is told, since
    their messages may quote a patient."""
    os.setpgrp()  # Ctrl-C is for the supervisor, which then ends us
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_end_with, args=(line,), daemon=True).start()
    keep_freed_memory()
    warnings.simplefilter("ignore", FutureWarning)  # of libraries to their own authors
    try:
        with contextlib.redirect_stdout(sys.stderr):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
            work(**settings)
    except KeyboardInterrupt:
        pass
    except MedVLMError as error:
        line.send(error)
    except Exception as error:
        if os.environ.get("MEDVLM_DEBUG"):
            raise
        print(f"medvlm: a fault of ours ({type(error).__name__}); MEDVLM_DEBUG=1 shows where.", file=sys.stderr)
        sys.exit(1)


def _end_with(line: Connection) -> None:
    """End this process when the one that started it has ended, in order if possible."""
    with contextlib.suppress(EOFError, OSError):
        line.recv()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(Patience.stop)
    os._exit(1)


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Signals that stop wait meanwhile, in the process that is started too: it lets them through once it can be stopped."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
