"""Uploads: a private folder outside Gradio's cache, each upload under a name that cannot be guessed, gone once read."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
import time
from pathlib import Path, PurePosixPath

from fastapi import FastAPI, HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from medvlm.errors import RequestError
from medvlm.studies import Limits, load_study
from medvlm.types import Study

UNCLAIMED = 600  # seconds until an upload that no page asked for is removed
HEADER = "x-medvlm"  # a foreign site cannot send it without asking first, so it cannot upload
ROUTE = "/uploads"


class Inbox:
    """The folder that uploads lie in between their arrival and their reading."""

    def __init__(self, folder: Path, limits: Limits | None = None):
        self.folder, self.limits = folder, limits or Limits()

    def new(self) -> Path:
        """A fresh folder of an unguessable name, for this user's eyes only; forgotten ones are swept away."""
        for old in self.folder.iterdir():
            if time.time() - old.stat().st_mtime > UNCLAIMED:
                shutil.rmtree(old, ignore_errors=True)
        return Path(tempfile.mkdtemp(prefix=f"{secrets.token_urlsafe(24)}-", dir=self.folder))

    def read(self, name: str) -> Study:
        """Read an upload as a study and remove its files. Raises `StudyError` and `RequestError`."""
        if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name) or not (self.folder / name).is_dir():
            raise RequestError("The upload is not there any more; open the files again.")
        folder = self.folder / name
        try:
            given: list[Path] = []
            for part in sorted(folder.iterdir()):
                given += part.iterdir() if part.name.isdigit() else [part]  # a single file's place, or a whole folder
            return load_study(given, self.limits)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def receive(self, request: Request) -> dict[str, str]:
        """Store the files of a multipart request; the reply names the upload."""
        if HEADER not in request.headers:
            raise HTTPException(403, "Open files on the page itself.")
        length = request.headers.get("content-length", "")
        if not length.isdigit() or int(length) > self.limits.max_total_bytes:
            raise HTTPException(
                413, f"That is more than {self.limits.max_total_bytes / 2**30:.3g} GiB; give one series."
            )
        limit = self.limits.max_files
        try:
            form = await request.form(max_files=limit, max_fields=10)
        except HTTPException as error:  # how Starlette says that a form is broken or too large
            raise HTTPException(
                400, f"The upload is damaged or has more than {limit} files; give one series."
            ) from error
        try:
            files = [part for part in form.getlist("files") if isinstance(part, UploadFile)]
            if not files:
                raise HTTPException(400, "No file was given; choose at least one.")
            folder = await run_in_threadpool(self.new)
            await run_in_threadpool(_store, files, folder)
        finally:
            await form.close()
        return {"upload": folder.name}


def add_route(app: FastAPI, inbox: Inbox) -> None:
    app.add_api_route(ROUTE, inbox.receive, methods=["POST"], include_in_schema=False)


def _store(files: list[UploadFile], folder: Path) -> None:
    """Single files keep their own names, which messages quote; of a folder only its own name is kept beside them.

    Each lies in a numbered folder: nothing of what a browser calls a file can leave the inbox or hide another file.
    """
    for number, file in enumerate(files):
        parts = PurePosixPath((file.filename or "").replace("\\", "/")).parts
        top = folder / _clean(parts[0], "folder") if len(parts) > 1 else folder
        place = top / f"{number:06d}"
        place.mkdir(parents=True)
        with open(place / _clean(parts[-1] if parts else "", "file"), "wb") as target:
            shutil.copyfileobj(file.file, target, 2**20)


def _clean(name: str, instead: str) -> str:
    """A name that every file system takes."""
    name = "".join(c for c in name if c.isprintable() and c not in '/\\:*?"<>|').lstrip(".").strip()
    name = name.encode("utf-8", "ignore").decode()[-60:]
    return instead if not name or name.isdigit() else name
