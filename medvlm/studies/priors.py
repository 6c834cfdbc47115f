"""Which of two studies is the earlier one, and whether they are of one patient, as their headers say.

Ids and dates stay in the process that reads files: what leaves it is whether the ids are the same, and the days between.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from os import PathLike
from pathlib import Path

import pydicom

from ..errors import MedVLMError, RequestError
from ..sampling import evenly_spaced
from .files import collect
from .limits import DEFAULT, Limits
from .worker import Job, run

Paths = Sequence[str | PathLike[str]]

LOOKED_AT = 16  # files of a study whose headers are read; those of one study say the same
_DATES = (("AcquisitionDate", "AcquisitionTime"), ("SeriesDate", "SeriesTime"), ("StudyDate", "StudyTime"))
_TAGS = ["PatientID", "IssuerOfPatientID", *(keyword for pair in _DATES for keyword in pair)]


@dataclass(frozen=True)
class Relation:
    """How a study stands to another one."""

    same_patient: bool | None  # None where an id is unknown
    days: float | None  # that the first is later than the second; None where a date is unknown

    @property
    def turned(self) -> Relation:
        """How the other one stands to it."""
        return Relation(self.same_patient, None if self.days is None else -self.days)


def relate(study: Paths, prior: Paths, limits: Limits = DEFAULT) -> Relation:
    """How the files of a study stand to those of a prior; nothing is known where they are no DICOM.

    Raises `StudyError` as `load_study` does.
    """
    here = str(Path.cwd())
    job = Job(f"{__name__}:relation", (list(study), list(prior), limits), "The study", 60, limits.max_memory, here)
    told = run(job, 0)[0]
    if isinstance(told, MedVLMError):
        raise told
    return Relation(*told)


def in_order(
    study: Paths, prior: Paths, other_patient: bool = False, as_given: bool = False, limits: Limits = DEFAULT
) -> tuple[bool, list[str]]:
    """Whether a study and its prior have to be exchanged, and what has to be said of both, a sentence each.

    The headers' dates decide the order, unless it is taken `as_given` or one of the two has none. Raises `RequestError` where
    the ids say that they are of two patients, unless `other_patient`.
    """
    relation = relate(study, prior, limits)
    if relation.same_patient is False and not other_patient:
        raise RequestError(
            "The prior is of another patient, as the ids in the headers say: give one of the same patient, or compare all the "
            "same with --other-patient."
        )
    exchanged = relation.days is not None and relation.days < 0 and not as_given
    return exchanged, remarks_on(relation.turned if exchanged else relation, exchanged)


def remarks_on(relation: Relation, exchanged: bool = False) -> list[str]:
    """What has to be said of a study that stands so to its prior, a sentence each; `exchanged` where the dates decided it."""
    remarks = [_of_order(relation.days, exchanged)]
    if relation.same_patient is None:
        remarks.append("The files do not say whether both are of one patient.")
    elif not relation.same_patient:
        remarks.append("The two are of different patients, as the ids in the headers say.")
    return remarks


def days_in_words(days: float) -> str:
    """Such as "12 days"."""
    return f"{days:,.0f} day{'' if round(days) == 1 else 's'}" if days >= 0.5 else "less than a day"


def _of_order(days: float | None, exchanged: bool) -> str:
    if days is None:
        return "Which of the two is the earlier one is as it was given: the files do not both state a date."
    count = days_in_words(abs(days))
    if days < 0:
        return f"By the dates in the headers the prior is {count} later than the image; they are compared as they were given."
    swapped = ", so the two were exchanged" if exchanged else ""
    return f"The prior is {count} earlier than the image, by the dates in the headers{swapped}."


def relation(study: Paths, prior: Paths, limits: Limits) -> tuple[bool | None, float | None]:
    """`Relation` in this process, as plain values."""
    with tempfile.TemporaryDirectory(prefix="medvlm-") as scratch:
        told = [_told(paths, limits, Path(scratch) / name) for paths, name in ((study, "0"), (prior, "1"))]
    (patients, dates), (other_patients, other_dates) = told
    same = patients == other_patients if len(patients) == len(other_patients) == 1 else None
    if same is False and {issuer for _, issuer in patients} != {issuer for _, issuer in other_patients}:
        same = None  # ids of two places say nothing of each other
    days = (dates[0] - other_dates[0]).total_seconds() / 86400 if dates and other_dates else None
    return same, days


def _told(paths: Paths, limits: Limits, scratch: Path) -> tuple[set[tuple[str, str]], list[datetime]]:
    """The ids of patients, each with who gave it, and the dates, in order, in the headers of some files."""
    sources = [s for s in collect([Path(p) for p in paths], limits, scratch).sources if s.kind == "dicom"]
    patients, dates = set(), []
    for source in evenly_spaced(sources, LOOKED_AT):
        try:
            header = pydicom.dcmread(source.path, stop_before_pixels=True, specific_tags=list(_TAGS), force=True)
            patient = str(header.get("PatientID") or "").strip()
            if patient:
                patients.add((patient, str(header.get("IssuerOfPatientID") or "").strip()))
            dates += [date] if (date := _date(header)) else []
        except Exception:  # whatever pydicom raises on damage; what is read of the file otherwise tells
            continue
    return patients, sorted(dates)


def _date(header: pydicom.Dataset) -> datetime | None:
    """The most exact date that a header states."""
    for day, time in _DATES:
        digits = str(header.get(day) or "").strip().replace(".", "")
        clock = str(header.get(time) or "").strip().replace(":", "")[:6]
        for text, form in ((digits + clock, "%Y%m%d%H%M%S"), (digits, "%Y%m%d")):
            try:
                return datetime.strptime(text, form)
            except ValueError:
                continue
    return None
