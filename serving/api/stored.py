"""The studies of several replicas: the files of each lie in the store that they share, and each replica reads those that it is
asked about. Ids and digests are all that keys hold; a client's keys begin alike, so nobody else's study is ever looked at."""

from __future__ import annotations

import json
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, cast

from ..access.clients import user_of
from ..store import Store, StoreGone, digest
from .errors import ApiError
from .studies import GONE, ON_ITS_WAY, WAIT, Budget

PIECE = 8 * 2**20  # bytes of a value
SENDING_S = 60.0  # that another upload with the same key waits, at most: the replica that took the first may have ended
MOST = 2**30  # bytes of one user's files
TOO_LARGE = "The files are larger than one user's may be here; send fewer images."
FULL = "Your studies take all the room that one user has here; close one, or try again later."


@dataclass(frozen=True)
class Stored:
    """What replicas have to know of a study, to read it from its files."""

    id: str
    bytes: int = 0  # of its files
    pieces: int = 0  # that these lie in
    series: int | None = None
    keep_text: bool = False
    key: str = ""  # Idempotency-Key, as a digest, and …
    digest: str = ""  # … of what was sent with it
    opened: float = 0.0  # by the clock, to tell which came first

    @property
    def keys(self) -> list[str]:
        """In the store, but for that of this record."""
        return [_piece(self.id, number) for number in range(self.pieces)] + ([f"key:{self.key}"] if self.key else [])


class Shelf:
    """Studies' files in a store, until nobody asked about them for a while. Every method raises `StoreGone`."""

    def __init__(self, store: Store, budget: Budget, most: int = MOST):
        """`most` is the bytes of one user; what replicas take at the very same moment may pass it."""
        self.store, self.idle_s, self.studies_of_one, self.most = store, budget.idle_s, budget.studies_of_one, most

    def put(self, client: str, new: Stored, folder: Path) -> None:
        """Keep a folder's files as those of a study, whose `bytes` and `pieces` are counted here.

        Raises `ApiError` (413, 429) where there is no room.
        """
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        self._make_room(client, size)
        pieces = _Pieces(self.store, new.id, self.idle_s)
        try:
            with tarfile.open(mode="w|", fileobj=cast(IO[bytes], pieces), bufsize=PIECE) as tar:
                for path in sorted(folder.iterdir()):
                    tar.add(path, path.name, filter=_plain)
            stored = replace(new, bytes=size, pieces=pieces.count, opened=time.time())
            if new.key:
                self.store.put(f"key:{new.key}", new.id.encode(), self.idle_s)
            self.store.put(_name(client, new.id), json.dumps(asdict(stored)).encode(), self.idle_s)  # now it is whole
        except BaseException:
            with suppress(StoreGone):
                self.store.delete(*(_piece(new.id, number) for number in range(pieces.count)))
            raise

    def find(self, client: str, id: str) -> Stored | None:
        """A study of a client's, which counts as use."""
        name = _name(client, id)
        record = self.store.get(name)
        stored = Stored(**json.loads(record)) if record else None
        return stored if stored and self.store.touch(self.idle_s, name, *stored.keys) else None

    def with_key(self, client: str, key: str) -> str | None:
        """The id of the client's study that was sent with an Idempotency-Key."""
        id = self.store.get(f"key:{digest(client, key)}") if key else None
        return id.decode() if id else None

    @contextmanager
    def sending(self, client: str, key: str) -> Iterator[None]:
        """While an upload with an Idempotency-Key is on its way. Raises `ApiError` (409) where another is."""
        name = f"sending:{digest(client, key)}"
        if key and not self.store.put(name, b"", SENDING_S, new=True):
            raise ApiError(409, ON_ITS_WAY, retry_after=1)
        try:
            yield
        finally:
            if key:
                with suppress(StoreGone):
                    self.store.delete(name)

    def fetch(self, stored: Stored, folder: Path) -> None:
        """Write the files of a study into a folder. Raises `ApiError` (404) where they have gone meanwhile."""
        pieces = _Pieces(self.store, stored.id, self.idle_s)
        with tarfile.open(mode="r|", fileobj=cast(IO[bytes], pieces), bufsize=PIECE) as tar:
            tar.extractall(folder, filter="data")

    def drop(self, client: str, id: str) -> None:
        """Nothing of a study stays."""
        record = self.store.get(_name(client, id))
        if record:
            self.store.delete(_name(client, id), *Stored(**json.loads(record)).keys)

    def ids(self) -> set[str]:
        """Of all studies."""
        return {name.rpartition(":")[2] for name in self.store.keys("study:")}

    def leave(self, client: str) -> None:
        """Nothing of a client stays."""
        for name in self.store.keys(_name(client)):
            self.drop(client, name.rpartition(":")[2])

    def _make_room(self, client: str, size: int) -> None:
        """Drop those of the client's own studies that were opened first, as many as have to go for another one."""
        if size > self.most:
            raise ApiError(413, TOO_LARGE)
        records = {name: self.store.get(name) for name in self.store.keys(f"study:{digest(user_of(client))}:")}
        held = {name: Stored(**json.loads(record)) for name, record in records.items() if record}
        own = sorted((name for name in held if name.startswith(_name(client))), key=lambda name: held[name].opened)
        going = []
        while len(held) >= self.studies_of_one or sum(stored.bytes for stored in held.values()) + size > self.most:
            if not own:
                raise ApiError(429, FULL, retry_after=WAIT)
            going.append(held.pop(own.pop(0)).id)
        for id in going:
            self.drop(client, id)


class _Pieces:
    """A file that is written, or read, from its start to its end, in values of a store."""

    def __init__(self, store: Store, id: str, seconds: float):
        self.store, self.id, self.seconds, self.count = store, id, seconds, 0

    def write(self, piece: bytes) -> int:
        self.store.put(_piece(self.id, self.count), bytes(piece), self.seconds)
        self.count += 1
        return len(piece)

    def read(self, _: int) -> bytes:
        piece = self.store.get(_piece(self.id, self.count))
        if piece is None:
            raise ApiError(404, GONE)
        self.count += 1
        return piece


def _name(client: str, id: str = "") -> str:
    return f"study:{digest(user_of(client))}:{digest(client)}:{id}"


def _piece(id: str, number: int) -> str:
    return f"piece:{id}:{number}"


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without whose file it was, and when."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member
