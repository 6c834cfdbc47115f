"""What one user may take of the server: writes a second, uploads and requests at a time, bytes held; and how slow a body may be."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import HTTPException
from starlette.types import Message, Receive

from .sessions import Refused

BULKY = r"/uploads|/v1/studies|/v1/chat/completions"  # whose bodies may hold whole studies
FAST = "That is too much at once; wait a moment and try again."
MANY = "Too many uploads at a time; send one after another."
FULL = "So many images are open that there is no room for another; close one of your tabs, or try again later."
SLOW = "The upload came too slowly or stopped; send it again."
LONG = "The upload took longer than half an hour; send fewer files at a time."


@dataclass(frozen=True)
class Allowance:
    per_second: float = 50.0  # writes of one user, drawing with a brush included …
    burst: float = 300.0  # … and how many at once after a rest
    at_once: int = 32  # writes of one user that are being answered
    bulky_at_once: int = 4  # those of them with whole studies in them, of one user …
    bulky_at_once_of_all: int = 16
    waiting: int = 40  # events of one user's tabs that wait or are worked on
    held: int = 2 * 2**30  # bytes of pixels in one user's tabs …
    held_of_all: int = 4 * 2**30

    def full(self, own: int, of_all: int, more: int = 1) -> bool:
        """Whether so many more bytes are too many where one user and all of them hold these."""
        return own + more > self.held or of_all + more > self.held_of_all


class Rate:
    """A token bucket for each of many: `burst` at once, `per_second` over time."""

    def __init__(self, per_second: float, burst: float, now: Callable[[], float] = time.monotonic, most: int = 10_000):
        self.per_second, self.burst, self.most, self._now = per_second, burst, most, now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when they were counted
        self._lock = threading.Lock()

    def take(self, who: str, count: float = 1.0) -> float:
        """0 if it is allowed, else in how many seconds it will be."""
        with self._lock:
            left = self._filled(who)
            missing = count - left
            self._left[who] = (left if missing > 0 else -missing, self._now())
            self._left.move_to_end(who)
            while len(self._left) > self.most:
                self._left.popitem(last=False)
            return max(0.0, missing / self.per_second)

    def give_back(self, who: str, count: float = 1.0) -> None:
        with self._lock:
            self._left[who] = (min(self.burst, self._filled(who) + count), self._now())

    def _filled(self, who: str) -> float:
        left, since = self._left.get(who, (self.burst, self._now()))
        return min(self.burst, left + (self._now() - since) * self.per_second)


class Ration:
    """Keeps each user's writes within their allowance."""

    def __init__(self, allowance: Allowance | None = None):
        self.allowance = allowance or Allowance()
        self._rate = Rate(self.allowance.per_second, self.allowance.burst)
        self._now: Counter[str] = Counter()  # writes that are being answered
        self._bulky: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def write(self, user: str, path: str) -> Iterator[None]:
        """While a write is answered. Raises `Refused` (429)."""
        wait = self._rate.take(user)
        if wait:
            raise Refused(429, FAST, 1 + int(wait))
        bulky, most = bool(re.fullmatch(BULKY, path)), self.allowance
        with self._lock:
            if self._now[user] >= most.at_once:
                raise Refused(429, FAST, 2)
            if bulky and (self._bulky[user] >= most.bulky_at_once or self._bulky.total() >= most.bulky_at_once_of_all):
                raise Refused(429, MANY, 2)
            self._count(user, bulky, 1)
        try:
            yield
        finally:
            with self._lock:
                self._count(user, bulky, -1)

    def _count(self, user: str, bulky: bool, step: int) -> None:
        self._now[user] += step
        self._bulky[user] += step * bulky
        self._now, self._bulky = +self._now, +self._bulky  # without those at zero


class Paced:
    """`receive` of a body that has to come at a pace; only the time that is waited for it counts.

    Raises `HTTPException` (408) for one that stops, trickles, or takes too long all in all.
    """

    STALL_S = 20.0  # seconds without a byte
    GRACE_S, LEAST = 30.0, 16 * 2**10  # seconds, after which so many bytes a second are asked for
    LONGEST_S = 1800.0  # seconds for all of it

    def __init__(self, receive: Receive, now: Callable[[], float] = time.monotonic):
        self.receive, self.whole, self.waited, self.taken = receive, False, 0.0, 0
        self._now = now

    async def __call__(self) -> Message:
        if self.whole:  # what comes now is that the client has left, whenever that is
            return await self.receive()
        began = self._now()
        try:
            async with asyncio.timeout(self.STALL_S):
                message = await self.receive()
        except TimeoutError:
            raise HTTPException(408, SLOW) from None
        self.waited += self._now() - began
        self.taken += len(message.get("body", b""))
        self.whole = not message.get("more_body", False)
        if not self.whole and self.waited > self.LONGEST_S:
            raise HTTPException(408, LONG)
        if not self.whole and self.waited > self.GRACE_S and self.taken < self.LEAST * self.waited:
            raise HTTPException(408, SLOW)
        return message
