"""What is not used is let go also when nobody asks for anything."""

from __future__ import annotations

import threading
from collections.abc import Callable

SHARES = 4  # of the idle time: so often is looked


class Sweeper:
    """Calls `sweep` again and again for as long as it is `busy`: there is something to sweep, which `lock` guards."""

    def __init__(self, lock: threading.RLock, idle_s: float, sweep: Callable[[], None], busy: Callable[[], bool]):
        self._lock, self._sweep, self._busy = lock, sweep, busy
        self._every = max(0.05, idle_s / SHARES)
        self._timer: threading.Timer | None = None

    def watch(self) -> None:
        """Begin where there is something to sweep, unless it has begun. Called under the lock."""
        if self._timer is None and self._busy():
            self._timer = threading.Timer(self._every, self._swept)
            self._timer.daemon = True
            self._timer.start()

    def _swept(self) -> None:
        try:
            self._sweep()  # takes the lock itself, for as long as it has to
        finally:
            with self._lock:
                self._timer = None
                self.watch()
