"""The archive that the server was started with: its studies are listed, opened, and reported into, by all who may come in.

Nobody but who starts the server names an address, and what a user asks for is checked before it becomes part of one.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import HTTPException

from medvlm.archive import needs
from medvlm.archive.entries import ArchivedStudy, Rule, check_patient, check_uid
from medvlm.archive.reported import store_report
from medvlm.errors import RequestError
from medvlm.types import Report, Study

from .access import audit
from .access.clients import user_of
from .uploads import Inbox, Upload

if TYPE_CHECKING:
    from medvlm.archive.dicomweb import Archive

AT_ONCE = 4  # requests to the archive; each holds a thread for as long as the archive takes
MOST_LISTED = 100
BUSY = "The archive is being asked by many at this moment; try again in a few seconds."
NO_ARCHIVE = "This server has no archive; it needs to be started with --dicomweb URL."
NO_STUDY = "The archive has no such study any more; search again."
NO_IMAGES = "The archive has no images there that can be opened; choose another study or series."


@dataclass
class Dicomweb:
    connect: Callable[[], Archive]  # anew for each request, since sessions are not shared by threads
    inbox: Inbox

    def __post_init__(self) -> None:
        self._free = threading.BoundedSemaphore(AT_ONCE)

    def find(self, rule: Rule, client: str) -> tuple[list[ArchivedStudy], bool]:
        """The studies of a rule, the latest first, and whether there are more than these.

        Raises `MedVLMError` and, where many ask at once, `HTTPException` (429), as all that ask the archive do.
        """
        with self._asked() as archive:
            found = list(islice(archive.studies(rule), MOST_LISTED + 1))
        audit.note(user_of(client), "archive-list")
        return sorted(found[:MOST_LISTED], key=lambda study: study.date, reverse=True), len(found) > MOST_LISTED

    def bring(self, client: str, study: str, series: str | None = None) -> str:
        """Fetch a study, or one series of it, as an upload of a client's; its name in the inbox.

        Raises `MedVLMError`, and `HTTPException` (429) also where the client has no room for it.
        """
        check_uid(study, "The archive")
        check_uid(series or study, "The archive")
        with self._asked() as archive:
            known = next(archive.studies(Rule(), study), None)
            if known is None:
                raise RequestError(NO_STUDY)
            chosen = [one for one in archive.series(study) if Rule().takes(one) and series in (None, one.uid)]
            if not chosen:
                raise RequestError(NO_IMAGES)
            folder = self.inbox.new()
            self.inbox.sent[folder.name] = Upload(client)
            self.inbox.claimed.add(folder.name)  # else it would be swept where the archive takes long
            title = "+".join(known.modalities) or "Study"
            inside = folder / f"{title} {known.day}".rstrip()  # the page's title
            try:
                archive.fetch(known, inside, chosen)
                self.inbox.count(folder.name, sum(path.stat().st_size for path in inside.iterdir()))
            except BaseException:
                self.inbox.remove(folder.name)
                raise
        audit.note(user_of(client), "archive-fetch", study)
        return folder.name

    def store(self, client: str, report: Report, study: Study) -> int:
        """Store a report in the record of its study; how many objects. Raises `MedVLMError`."""
        with self._asked() as archive, tempfile.TemporaryDirectory(dir=self.inbox.folder) as scratch:
            count = store_report(archive, report, study, Path(scratch) / "made")
        audit.note(user_of(client), "archive-store")
        return count

    @contextmanager
    def _asked(self) -> Iterator[Archive]:
        if not self._free.acquire(blocking=False):
            raise HTTPException(429, BUSY, {"retry-after": "3"})
        try:
            yield self.connect()
        finally:
            self._free.release()


def archives_at(url: str) -> Callable[[], Archive]:
    """What connects to the archive at a DICOMweb address, with the environment's credentials. Raises `RequestError`."""
    try:
        from medvlm.archive.dicomweb import Archive
    except ModuleNotFoundError as error:
        raise needs(error) from error
    Archive(url)  # what is wrong with the address or the credentials is told at the start
    return lambda: Archive(url)


def rule_of(name: str = "", patient: str = "", modality: str = "", since: str = "", until: str = "") -> Rule:
    """What a user searches for; what is empty matches all. Raises `RequestError`."""
    code = modality.strip().upper()
    if code and not (code.isascii() and code.isalnum() and len(code) <= 16):
        raise RequestError("A modality is a word as DICOM writes it, such as CT.")
    try:
        first, last = (date.fromisoformat(day).strftime("%Y%m%d") if day else None for day in (since, until))
    except ValueError:
        raise RequestError("A date is written as 2026-01-31.") from None
    return Rule(
        code or None,
        since=first,
        until=last,
        patient_id=check_patient(patient, "A patient's id"),
        patient_name=check_patient(name, "A name"),
    )
