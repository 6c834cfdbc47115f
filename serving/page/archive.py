"""What the page's events around the archive do: its studies are searched and opened, and a report goes into a study's record."""

from __future__ import annotations

from fastapi import HTTPException

from medvlm.archive.entries import ArchivedStudy
from medvlm.archive.reported import check_storable
from medvlm.errors import RequestError

from ..access import audit
from ..dicomweb import MOST_LISTED, Dicomweb, rule_of
from .desks import asking
from .handlers import Handlers, told
from .session import Data, Outputs, Session
from .words import WORDS

NOTHING = WORDS["archive.nothing"]
MORE = WORDS["archive.more"].format(most=MOST_LISTED)
NO_REPORT = WORDS["corrections.no_report"]
NOT_OPENED = WORDS["archive.not_opened"]
SEARCHED = ("name", "patient", "modality", "since", "until")


class ArchivePanel:
    """The listeners of the page for the archive; all that belongs to a user is in `Session`."""

    def __init__(self, dicomweb: Dicomweb, do: Handlers):
        self.dicomweb, self.do = dicomweb, do

    def archive_search(self, session: Session, data: Data) -> Outputs:
        """The studies that match what was typed."""
        try:
            asked = {name: str(data.get(name) or "") for name in SEARCHED}
            studies, more = self.dicomweb.find(rule_of(**asked), asking.get().client)
        except Exception as error:
            return panel(sentence(error), [])
        return panel(MORE if more else "" if studies else NOTHING, [row(study) for study in studies])

    def archive_open(self, session: Session, data: Data) -> Outputs:
        """A study of the archive in a tab of its own."""
        try:
            upload = self.dicomweb.bring(asking.get().client, str(data.get("study")))
        except Exception as error:  # what is open stays as it is
            return panel(sentence(error))
        inbox, before = self.do.inbox, session.study
        shown = self.do.open(session, lambda: inbox.read(upload, values=True), upload)
        opened = session.study is not before
        return shown | panel("" if opened else NOT_OPENED, opened=opened)

    def archive_store(self, session: Session) -> Outputs:
        """The report that is shown, with what was corrected in it, in the record of its study."""
        study, top = session.study, session.layer
        try:
            if study is None or top is None or top.report is None:
                raise RequestError(NO_REPORT)
            check_storable(study)
            count = self.dicomweb.store(asking.get().client, top.report, study)
        except Exception as error:
            return panel(sentence(error))
        return panel(WORDS["archive.stored_one" if count == 1 else "archive.stored"].format(count=count))


def sentence(error: Exception) -> str:
    if isinstance(error, HTTPException):
        audit.failed(error.status_code)
        return error.detail
    return told(error)


def panel(note: str = "", studies: list[dict[str, str]] | None = None, opened: bool = False) -> Outputs:
    """What the panel's script is told: a note, studies to list, and whether one was opened."""
    return {"archive": {"note": note, "studies": studies, "opened": opened}}


def row(study: ArchivedStudy) -> dict[str, str]:
    """A study as it is listed."""
    return {
        "study": study.uid,
        "date": study.day,
        "name": " ".join(study.patient["name"].replace("^", " ").split()),
        "id": study.patient["id"],
        "description": study.patient["description"],
        "modalities": " ".join(study.modalities),
        "objects": "" if study.images is None else str(study.images),
    }
