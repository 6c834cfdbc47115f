"""Memory of a process that computes on the CPU."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8  # of mallopt(3)


def keep_freed_memory() -> None:
    """Let glibc keep what was freed instead of giving it back to the system and faulting it in anew at each pass.

    All threads share one heap, so that what one has freed serves the next. Does nothing under another C library.
    """
    if (mallopt := _of_libc("mallopt")) is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_TOP_PAD, 2**26)
        mallopt(M_ARENA_MAX, 1)


@contextmanager
def loading() -> Iterator[None]:
    """While modules and weights are loaded. What they make stays, so no cycles are sought in it, now or later: that would take a
    quarter of the time, and half a second of a server's now and then."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def give_back() -> None:
    """Give the system back what was freed; it takes up to 0.1 s, and what is needed again is faulted in anew."""
    if (trim := _of_libc("malloc_trim")) is not None:
        trim(0)


class Tidier:
    """Gives the system back what was freed, at most once in `every` seconds: several threads that free what is large and small
    leave a heap of holes, which else grows for hours."""

    def __init__(self, every: float):
        self.every, self._last, self._lock = every, time.monotonic(), threading.Lock()

    def tidy(self) -> None:
        """To be called when a piece of work is done."""
        with self._lock:
            if time.monotonic() - self._last < self.every:
                return
            self._last = time.monotonic()
        threading.Thread(target=give_back, daemon=True).start()  # the next piece of work does not wait for it


def resident() -> int:
    """Bytes of this process that are in memory now; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def most_resident() -> int:
    """The most bytes of this process that were in memory at a time."""
    import resource  # which Windows lacks

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024  # kilobytes on Linux


def _of_libc(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
