"""Studies that replicas share: each holds those that it is asked about, and takes them from the shelf where another opened them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fastapi import HTTPException

from medvlm.types import Study

from ..store import StoreGone, digest
from ..uploads import Inbox, Upload, needs_files
from .errors import ApiError
from .stored import Shelf, Stored
from .studies import GONE, Budget, Held, Studies

NO_ROOM = "The study does not fit on this machine's disk; make room there."


class SharedStudies(Studies):
    """What the shelf has is what there is; what this process holds is only read already.

    `opening`, `add`, `get`, `with_key` and `drop` raise `StoreGone`.
    """

    keeps_files = True

    def __init__(self, shelf: Shelf, inbox: Inbox, budget: Budget):
        super().__init__(lambda held: inbox.remove(held.upload), budget)
        self.shelf, self.inbox = shelf, inbox

    @contextmanager
    def opening(self, client: str, key: str = "") -> Iterator[None]:
        with super().opening(client, key), self.shelf.sending(client, key):
            yield

    def add(self, held: Held, folder: Path | None = None) -> Held:
        assert folder is not None
        key = digest(held.client, held.key) if held.key else ""
        stored = Stored(held.id, series=held.series, keep_text=held.study.keep_text, key=key, digest=held.digest)
        self.shelf.put(held.client, stored, folder)
        try:
            return super().add(held)
        except ApiError:
            self.shelf.drop(held.client, held.id)
            raise

    def get(self, client: str, name: str) -> Held:
        stored = self.shelf.find(client, name)
        with self._lock:
            held = self._held.get(name)
            if held and held.client == client:
                if stored:
                    held.used = self._now()  # also where the others alone were asked about it lately
                    return held
                self._let_go(held)  # it was closed at another replica
        if stored is None:
            raise ApiError(404, GONE)
        with super().opening(client):
            try:
                return self._add_once(self._read(client, stored))
            except OSError:
                raise HTTPException(507, NO_ROOM) from None

    def with_key(self, client: str, key: str) -> Held | None:
        id = self.shelf.with_key(client, key)
        try:
            return self.get(client, id) if id else None
        except ApiError as error:
            if error.status == 404:  # it was closed meanwhile
                return None
            raise

    def drop(self, held: Held) -> None:
        self.shelf.drop(held.client, held.id)
        super().drop(held)

    def leave(self, client: str) -> None:
        super().leave(client)
        with suppress(StoreGone):  # then it expires there
            self.shelf.leave(client)

    def check(self) -> None:
        """What was closed at another replica is let go here too."""
        with self._lock:  # those that the store knew before it is asked
            held = list(self._held.values())
        with suppress(StoreGone):  # then none is known to have been closed
            there = self.shelf.ids()
            with self._lock:
                for one in held:
                    if one.id not in there and not one.users:
                        self._let_go(one)
        self.sweep()

    def _add_once(self, held: Held) -> Held:
        """Hold a study, unless another request has read it at the same time. Raises `ApiError` (413, 429)."""
        with self._lock:
            kept = None
            try:
                kept = self._held.get(held.id) or super().add(held)
                return kept
            finally:
                if kept is not held:
                    self._close(held)

    def _read(self, client: str, stored: Stored) -> Held:
        """A study from the shelf. Raises `ApiError`, `HTTPException` (429), `OSError`."""
        folder = self.inbox.new()
        self.inbox.sent[folder.name] = Upload(client)
        self.inbox.claimed.add(folder.name)
        try:
            self.inbox.count(folder.name, stored.bytes)
            self.shelf.fetch(stored, folder)
            study: Study = self.inbox.read(folder.name, stored.series)
        except BaseException:
            self.inbox.remove(folder.name)
            raise
        study.keep_text = stored.keep_text
        upload = folder.name if needs_files(study) else ""
        return Held(client, study, upload, digest=stored.digest, series=stored.series, id=stored.id)
