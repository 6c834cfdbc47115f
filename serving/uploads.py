"""Uploads: a private folder outside Gradio's cache, each upload under a name that cannot be guessed, gone once read."""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request
from starlette.concurrency import run_in_threadpool

from medvlm.errors import RequestError
from medvlm.studies import Limits, load_study, warm
from medvlm.types import Study

from .access.clients import client_of, user_of
from .multipart import FilesForm, check_length
from .sweeper import Sweeper

UNCLAIMED = 600  # seconds until an upload that no page asked for is removed
MOST_VALUES = (
    256 * 2**20
)  # bytes of an open study's values, which the page's windows are made of: 512 slices of 512 x 512
MOST_ON_DISK = 4 * 2**30  # bytes of one user's uploads, those that come just now included
NO_ROOM = "Your uploads take all the room that one user has here; close what you do not need, or try again later."
DISK_FULL = "The upload cannot be written to this machine's disk; make room there, then send it again."
HEADER = "x-medvlm"  # a foreign site cannot send it without asking first, so it cannot upload
ROUTE = "/uploads"
NAME = r"[\w-]{1,100}"  # of an upload


def needs_files(study: Study) -> bool:
    """Whether the files of a study stay: other series can be opened from them, or DICOM is written with their headers."""
    return len(study.series) > 1 or any(image.origin is not None for image in study.images)


@dataclass
class Upload:
    client: str  # who sent it
    bytes: int = 0  # that have come
    since: float = field(default_factory=time.monotonic)  # its last bytes came


class Inbox:
    """The folder that uploads lie in between their arrival and their reading."""

    def __init__(self, folder: Path, limits: Limits | None = None, unclaimed_s: float = UNCLAIMED):
        self.folder, self.limits = folder, limits or Limits()
        self.claimed: set[str] = set()  # by an open study that still needs their files
        self.sent: dict[str, Upload] = {}
        self._unclaimed_s, self._lock = unclaimed_s, threading.RLock()
        self._sweeper = Sweeper(self._lock, unclaimed_s, self.sweep, lambda: not self.claimed.issuperset(self.sent))
        warm()

    def new(self) -> Path:
        """A fresh folder of an unguessable name, for this user's eyes only."""
        return Path(tempfile.mkdtemp(prefix=f"{secrets.token_urlsafe(24)}-", dir=self.folder))

    def read(self, name: str, series: int | None = None, values: bool = False, keep: bool = False) -> Study:
        """Read an upload as a study, with its images' `values` where they are wanted, and remove its files, unless they are
        needed again or are to be kept.

        Raises `StudyError` and `RequestError`.
        """
        with self._lock:  # nothing is swept between the look and the claim
            given = self.files(name)
            self.claimed.add(name)
        stays = keep or series is not None
        try:
            limits = replace(self.limits, max_value_bytes=MOST_VALUES) if values else self.limits
            study = load_study(given, limits, series)
            stays = keep or needs_files(study)
            return study
        finally:
            if not stays:
                self.remove(name)

    def files(self, name: str) -> list[Path]:
        """The files and folders of an upload. Raises `RequestError`."""
        if not isinstance(name, str) or not re.fullmatch(NAME, name) or not (self.folder / name).is_dir():
            raise RequestError("The upload is not there any more; open the files again.")
        given: list[Path] = []
        for part in sorted((self.folder / name).iterdir()):
            given += part.iterdir() if part.name.isdigit() else [part]  # a single file's place, or a whole folder
        return given

    def title(self, name: str) -> str:
        """What its sender calls an upload: the name of the file or folder; empty where there are several, or none any more."""
        try:
            names = {path.name for path in self.files(name)}
        except RequestError:
            return ""
        return names.pop() if len(names) == 1 else ""

    def remove(self, name: str) -> None:
        """Remove the files of an upload, if there are any."""
        self.claimed.discard(name)
        self.sent.pop(name, None)
        if re.fullmatch(NAME, name):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def sweep(self) -> None:
        """Remove the uploads that nobody opened."""
        with self._lock:
            late, sent = time.monotonic() - self._unclaimed_s, list(self.sent.items())
            gone = [self._away(name) for name, one in sent if name not in self.claimed and one.since <= late]
        for path in gone:  # the event loop waits for the lock, and this may take long
            shutil.rmtree(path, ignore_errors=True)

    def _away(self, name: str) -> Path:
        """Where an upload lies that nobody can open any more."""
        self.sent.pop(name, None)
        path = self.folder / f"gone-{secrets.token_urlsafe(24)}"
        with contextlib.suppress(OSError):
            (self.folder / name).rename(path)
        return path

    def release(self, held: Iterable[str], needed: Collection[str]) -> None:
        """Remove the files of those uploads that are needed no more."""
        for name in set(held) - set(needed):
            self.remove(name)

    def owner(self, name: str) -> str | None:
        """The client that sent an upload."""
        return self.sent[name].client if name in self.sent else None

    def leave(self, client: str) -> None:
        """Remove all that a client sent: it has logged out."""
        self.release([name for name, upload in list(self.sent.items()) if upload.client == client], ())

    def count(self, name: str, more: int) -> None:
        """Some more bytes of an upload have come. Raises `HTTPException` (429) where its user has too many."""
        upload = self.sent.get(name)
        if upload is None:  # its sender has logged out
            raise HTTPException(400, "The upload was given up; send it again.")
        upload.bytes += more
        upload.since = time.monotonic()
        user = user_of(upload.client)
        if sum(u.bytes for u in list(self.sent.values()) if user_of(u.client) == user) > MOST_ON_DISK:
            raise HTTPException(429, NO_ROOM, {"retry-after": "60"})

    async def receive(self, request: Request) -> dict[str, str]:
        """`store` for the page."""
        if HEADER not in request.headers:
            raise HTTPException(403, "Open files on the page itself.")
        return await self.store(request)

    async def store(self, request: Request) -> dict[str, str]:
        """Store the files of a multipart request; the reply names the upload. Raises `HTTPException`."""
        length = request.headers.get("content-length", "")
        if length.isdigit():
            check_length(int(length), self.limits)  # before anything is taken
        try:
            folder = await run_in_threadpool(self.new)
        except OSError:
            raise HTTPException(507, DISK_FULL) from None
        with self._lock:
            self.sent[folder.name] = Upload(client_of(request))
            self._sweeper.watch()
        try:
            form = FilesForm(request.headers.get("content-type", ""), folder, self.limits)
            with contextlib.closing(form):
                async for chunk in request.stream():
                    self.count(folder.name, len(chunk))
                    await run_in_threadpool(form.take, chunk)
                form.finish()
        except BaseException as error:  # also where the browser is gone
            await run_in_threadpool(self.remove, folder.name)
            if isinstance(error, OSError):
                raise HTTPException(507, DISK_FULL) from None
            raise
        return {"upload": folder.name}


def add_route(app: FastAPI, inbox: Inbox) -> None:
    app.add_api_route(ROUTE, inbox.receive, methods=["POST"], include_in_schema=False)
