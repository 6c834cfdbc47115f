"""What replicas of the server share: small records that expire, in this process's memory or, for several replicas, in Redis."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

from medvlm.errors import RequestError

CONNECT_S, ANSWER_S = 1.0, 5.0  # seconds that Redis may take to connect, and to answer
MOST_COUNTED = 10_000  # counters that one process remembers
AGAIN = 5  # seconds after which it is worth trying again
DOWN = "The store of this service does not answer; try again in a few seconds."
CROWDED = "The store of this service has no room left; close a study, or try again later."
NO_URL = "The store is named by a URL such as redis://HOST:6379/0 or rediss://USER:PASSWORD@HOST:6380/0; correct --store or MEDVLM_STORE."


class StoreGone(Exception):
    """The store does not answer, or has no room; it says so in one sentence."""


class Store(Protocol):
    """Values by key, each until it expires. Keys hold digests and ids alone. Every method raises `StoreGone`."""

    shared: bool  # whether other replicas see it

    def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, value: bytes, seconds: float, new: bool = False) -> bool:
        """Keep a value; with `new` only where there is none. Whether it was kept."""

    def touch(self, seconds: float, *keys: str) -> bool:
        """Keep values for another while. Whether all are there."""

    def delete(self, *keys: str) -> None: ...

    def count(self, key: str, step: int, seconds: float) -> tuple[int, float]:
        """Count on from 0; the sum, and in how many seconds it is forgotten: `seconds` after the first."""

    def keys(self, prefix: str) -> list[str]:
        """Those that begin so. It looks at every key, so it is not for every request."""


def digest(*parts: str) -> str:
    """What stands for names in a key."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


class Memory:
    """Of one process."""

    shared = False

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self._now, self._lock = now, threading.Lock()
        self._values: dict[str, tuple[bytes, float]] = {}  # each with when it expires
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        with self._lock:
            return self._values[key][0] if self._has(key) else None

    def put(self, key: str, value: bytes, seconds: float, new: bool = False) -> bool:
        with self._lock:
            for old in [old for old in self._values if not self._has(old)]:
                del self._values[old]
            if new and key in self._values:
                return False
            self._values[key] = value, self._now() + seconds
            return True

    def touch(self, seconds: float, *keys: str) -> bool:
        with self._lock:
            there = [key for key in keys if self._has(key)]
            for key in there:
                self._values[key] = self._values[key][0], self._now() + seconds
            return len(there) == len(keys)

    def delete(self, *keys: str) -> None:
        with self._lock:
            for key in keys:
                self._values.pop(key, None)

    def count(self, key: str, step: int, seconds: float) -> tuple[int, float]:
        with self._lock:
            now = self._now()
            count, until = self._counts.get(key, (0, 0.0))
            if until <= now:
                count, until = 0, now + seconds
            self._counts[key] = count + step, until
            self._counts.move_to_end(key)
            while len(self._counts) > MOST_COUNTED:
                self._counts.popitem(last=False)
            return count + step, until - now

    def keys(self, prefix: str) -> list[str]:
        with self._lock:
            return [key for key in self._values if key.startswith(prefix) and self._has(key)]

    def _has(self, key: str) -> bool:
        return key in self._values and self._values[key][1] > self._now()


class Redis:
    """Of all replicas that name the same server."""

    shared = True

    def __init__(self, url: str, name: str = "medvlm"):
        """`name` begins all keys. Nothing is asked of the server yet. Raises `RequestError` for what is no URL of one."""
        try:
            import redis
        except ImportError:
            raise RequestError("The store needs redis; pip install 'medvlm-assistant[replicas]'.") from None
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        if not re.match(r"(rediss?|unix)://", url):
            raise RequestError(NO_URL)
        try:
            self._redis: Any = redis.Redis.from_url(
                url,
                socket_connect_timeout=CONNECT_S,
                socket_timeout=ANSWER_S,
                retry=Retry(NoBackoff(), 1),  # a connection that was closed meanwhile is made anew, and no more
            )
            self._redis.connection_pool.make_connection()  # which asks nothing, but takes no options that it does not know
        except (ValueError, TypeError):
            raise RequestError(NO_URL) from None
        self._name, self._full, self._fault = f"{name}:", redis.exceptions.OutOfMemoryError, redis.RedisError

    def get(self, key: str) -> bytes | None:
        return self._ask(lambda r: r.get(self._name + key))

    def put(self, key: str, value: bytes, seconds: float, new: bool = False) -> bool:
        return bool(self._ask(lambda r: r.set(self._name + key, value, px=_ms(seconds), nx=new)))

    def touch(self, seconds: float, *keys: str) -> bool:
        return all(self._all(lambda r: [r.pexpire(self._name + key, _ms(seconds)) for key in keys]))

    def delete(self, *keys: str) -> None:
        if keys:
            self._ask(lambda r: r.delete(*(self._name + key for key in keys)))

    def count(self, key: str, step: int, seconds: float) -> tuple[int, float]:
        name = self._name + key
        _, count, left = self._all(
            lambda r: (r.set(name, 0, px=_ms(seconds), nx=True), r.incrby(name, step), r.pttl(name))
        )
        return count, left / 1000

    def keys(self, prefix: str) -> list[str]:
        found = self._ask(lambda r: set(r.scan_iter(f"{self._name}{prefix}*", count=1000)))
        return [key.decode().removeprefix(self._name) for key in found]

    def _all(self, ask: Callable[[Any], Any]) -> list[Any]:
        """The answers to several questions, which are asked at once."""

        def asked(redis: Any) -> list[Any]:
            with redis.pipeline() as pipe:
                ask(pipe)
                return pipe.execute()

        return self._ask(asked)

    def _ask(self, ask: Callable[[Any], Any]) -> Any:
        try:
            return ask(self._redis)
        except self._full:
            raise StoreGone(CROWDED) from None
        except (self._fault, OSError):
            raise StoreGone(DOWN) from None


def open_store(url: str | None) -> Store:
    """The store that a URL names, else this process's own memory. Raises `RequestError`."""
    return Redis(url) if url else Memory()


def answers(store: Store) -> bool:
    """Whether a store does."""
    try:
        store.get("")
    except StoreGone:
        return False
    return True


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))
