"""Studies of the last minutes: a client sends its whole conversation with each question, and the images in it once more."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from medvlm.types import Study

KEPT_SECONDS = 600  # after the last question
MOST_BYTES = 2**28  # of pixels


@dataclass(frozen=True)
class Kept:
    client: str  # whose it is
    study: Study
    used: float  # seconds, monotonic

    @property
    def bytes(self) -> int:
        return sum(image.pixels.nbytes for image in self.study.images)


class Recent:
    """Reads studies by `read`, unless the same client sent the very same images lately: then what is known of them is known
    still."""

    def __init__(self, read: Callable[[tuple[str, ...]], Study]):
        self.read, self.kept, self.lock = read, OrderedDict[tuple[str, bytes], Kept](), threading.Lock()
        self.reading: dict[object, str] = {}  # the clients of those that are read just now

    def study(self, client: str, images: tuple[str, ...]) -> Study:
        """The study that a client's data URLs make. Raises what `read` does."""
        key = client, b"".join(hashlib.sha256(image.encode()).digest() for image in images)
        mark = object()
        with self.lock:
            kept = self.kept.get(key)
            self.reading[mark] = client
        try:
            study = kept.study if kept else self.read(images)
            with self.lock:
                if mark in self.reading:  # else its client has left meanwhile
                    self._keep(key, Kept(client, study, time.monotonic()))
            return study
        finally:
            with self.lock:
                self.reading.pop(mark, None)

    def _keep(self, key: tuple[str, bytes], new: Kept) -> None:
        self.kept[key] = new
        self.kept.move_to_end(key)
        while sum(kept.bytes for kept in self.kept.values()) > MOST_BYTES:
            del self.kept[next(key for key, kept in self.kept.items() if kept.client == new.client)]  # nobody else's

    def leave(self, client: str) -> None:
        """Forget the studies of a client, whose session has ended, those that are read just now too."""
        with self.lock:
            self.reading = {mark: one for mark, one in self.reading.items() if one != client}
        self._forget(lambda kept: kept.client == client)

    def sweep(self) -> None:
        """Forget the studies that were not asked about for a while."""
        self._forget(lambda kept: time.monotonic() - kept.used >= KEPT_SECONDS)

    def _forget(self, gone: Callable[[Kept], bool]) -> None:
        with self.lock:
            for key in [key for key, kept in self.kept.items() if gone(kept)]:
                del self.kept[key]
