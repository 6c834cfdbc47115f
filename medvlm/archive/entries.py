"""What is asked of an archive and what it says of studies and series, checked: answers are others' words."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from ..errors import RequestError

NO_IMAGES = frozenset("SEG SR PR KO DOC RTSTRUCT RTPLAN RTDOSE RTRECORD REG FID RWV AU ECG HD PLAN SMR".split())


@dataclass(frozen=True)
class Rule:
    """Which studies are meant; what is not set matches all."""

    modality: str | None = None  # as DICOM writes it, such as CT
    body_part: str | None = None  # as series state it, such as CHEST; those that do not are not meant
    since: str | None = None  # dates as YYYYMMDD
    until: str | None = None
    patient_id: str | None = field(default=None, repr=False)
    patient_name: str | None = field(default=None, repr=False)  # words of it, in any order

    @property
    def filters(self) -> dict[str, str]:
        """As a search for studies takes them; the body part is known of series alone."""
        out = {"ModalitiesInStudy": self.modality} if self.modality else {}
        out |= {"PatientID": _pattern(self.patient_id)} if self.patient_id else {}
        out |= {"PatientName": f"*{_pattern(max(_words(self.patient_name), key=len))}*"} if self.patient_name else {}
        return out | ({"StudyDate": f"{self.since or ''}-{self.until or ''}"} if self.since or self.until else {})

    def means(self, study: ArchivedStudy) -> bool:
        """Whether a study is one of these as far as is told of it: some archives overlook filters that they do not know."""
        name = _folded(study.patient["name"])
        return (
            (self.modality is None or not study.modalities or self.modality in study.modalities)
            and (self.patient_id is None or self.patient_id == study.patient["id"])
            and all(_folded(word) in name for word in _words(self.patient_name))
            and (not study.date or (self.since or "") <= study.date <= (self.until or "99999999"))
        )

    def takes(self, series: ArchivedSeries) -> bool:
        """Whether a series holds images that are meant."""
        return (
            series.modality not in NO_IMAGES
            and self.modality in (None, series.modality)
            and (self.body_part is None or self.body_part == series.body_part)
        )


@dataclass(frozen=True)
class ArchivedSeries:
    uid: str
    modality: str
    body_part: str


@dataclass(frozen=True)
class ArchivedStudy:
    """What an archive says of a study."""

    uid: str
    date: str  # YYYYMMDD, or empty
    modalities: tuple[str, ...]
    images: int | None  # all of its objects
    patient: dict[str, str] = field(repr=False)  # name, id, description

    @property
    def day(self) -> str:
        """Its date as 2026-01-31, or empty."""
        return f"{self.date[:4]}-{self.date[4:6]}-{self.date[6:]}" if self.date else ""

    @property
    def name(self) -> str:
        """For files and lists: the same for the same study, and tells nobody which it is."""
        return f"study-{digest(self.uid)[:12]}"


def digest(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()


def check_uid(text: str, name: str = "--study") -> str:
    """Raises `RequestError` for what cannot be a UID."""
    if not _is_uid(text):
        raise RequestError(f"{name} takes an Instance UID, such as medvlm fetch lists: digits and points.")
    return text


def check_patient(text: str, what: str) -> str | None:
    """A patient's id or a part of the name to search for; `None` where there is none. Raises `RequestError`."""
    text = text.strip()
    if len(text) > 64 or any(sign in "\\*?" or not sign.isprintable() for sign in text):
        raise RequestError(f"{what} has up to 64 letters and digits, without \\, * and ?.")
    return text if _words(text) else None


def _is_uid(text: str) -> bool:
    return (
        len(text) <= 64 and re.fullmatch(r"[0-9]+(\.[0-9]+)*", text) is not None
    )  # ".." would lead elsewhere in an address


def uid_of(data: Dataset, keyword: str) -> str:
    uid = str(data.get(keyword, ""))
    if not _is_uid(uid):
        raise ValueError(keyword)
    return uid


def study_of(found: Dataset) -> ArchivedStudy:
    modalities = found.get("ModalitiesInStudy") or ()
    several = [modalities] if isinstance(modalities, str) else modalities
    count, date = found.get("NumberOfStudyRelatedInstances"), str(found.get("StudyDate") or "")
    shown = {"name": "PatientName", "id": "PatientID", "description": "StudyDescription"}
    return ArchivedStudy(
        uid_of(found, "StudyInstanceUID"),
        date if re.fullmatch(r"\d{8}", date) else "",
        tuple(sorted(filter(None, map(_plain, several)))),
        None if count is None else int(count),
        {name: _printable(found.get(keyword)) for name, keyword in shown.items()},
    )


def _words(name: str | None) -> list[str]:
    """The words of a name, which DICOM parts by ^."""
    return re.split(r"[\s,^=]+", name.strip(" ,^=")) if name and name.strip(" ,^=") else []


def _pattern(text: str) -> str:
    """What a search is sent for a text: `means` compares the rest, which some archives do not decode."""
    return re.sub(r"[^A-Za-z0-9._-]+", "*", text)


def _folded(text: str) -> str:
    """Without accents and capitals, as archives compare names."""
    return "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign)).casefold()


def word_of(data: Dataset, keyword: str) -> str:
    return _plain(data.get(keyword))


def _plain(value: object) -> str:
    """A code as DICOM writes them, without what has no place in one."""
    return re.sub(r"[^A-Z0-9 _]", "", str(value or "").upper())[:16].strip()


def _printable(value: object) -> str:
    """Text for a terminal, which may not be told to do anything."""
    return "".join(c for c in str(value or "") if c.isprintable())[:64]
