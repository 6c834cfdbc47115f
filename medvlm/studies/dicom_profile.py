"""DICOM headers without the patient: the Basic Application Level Confidentiality Profile of PS3.15 E.2.

What is to be done with an attribute comes from the table of `dicomanonymizer` (PS3.15 E.1-1 of 2024b), applied here in
sequences too. Beyond it: dates are not removed but moved back by one number of days a patient (the option Retain Longitudinal
Temporal Information With Modified Dates, but for birth), every UID that is not the standard's own is replaced, and so that
nothing is missed, names are emptied, free text and addresses of which the table says nothing, pixels in items, bulk data that is no pixels,
private and unknown elements go, and texts that are left are searched for the patient's own names and numbers.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset

from ..errors import RequestError
from .dicom_header import many

MISSING = "De-identification needs dicom-anonymizer: pip install 'medvlm-assistant[privacy]'."
METHOD = "medvlm: PS3.15 basic profile"
OPTIONS = {  # CID 7050
    "113100": "Basic Application Confidentiality Profile",
    "113101": "Clean Pixel Data Option",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
}
_STANDARD = "1.2.840.10008."  # UIDs that name classes, syntaxes and codes, not things of a patient
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_IDS = (
    "PatientID",
    "OtherPatientIDs",
    "AccessionNumber",
    "PatientBirthDate",
    "AdmissionID",
    "StudyID",
    "PatientTelephoneNumbers",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
)
_TEXTS = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
_FREE = ("LT", "ST", "UT", "UR")  # of these, which hold whole sentences or addresses
_BULK = ("OB", "OD", "OF", "OL", "OV", "OW", "UN")
_TABLES = ("PaletteColorLookupTableData", "LUTData")  # ends of the keywords of bulk data that pixels are shown by
_SHORTEST = 3  # letters of a name or number that is searched for: shorter ones are parts of anything
_MOST_DAYS = 3650

Action = Callable[[Dataset, tuple[int, int]], None]


@dataclass(frozen=True)
class Person:
    """What stands for a patient: a name that says nothing, and the days by which dates move back."""

    name: str
    days: int

    @classmethod
    def of(cls, header: Dataset, key: bytes) -> Person:
        """The same for all files of a patient under one key, which nobody has afterwards."""
        known = next(
            (str(header.get(k)) for k in ("PatientID", "PatientName", "StudyInstanceUID") if header.get(k)), ""
        )
        digest = hmac.digest(key, known.encode(), "sha256")
        return cls(f"ANON-{digest[:4].hex().upper()}", 1 + int.from_bytes(digest[4:8]) % _MOST_DAYS)


def check_installed() -> None:
    """Raises `RequestError` where the library with the table is not there."""
    _table()


def clean(data: Dataset, key: bytes, pixels_clean: bool) -> None:
    """Take the patient out of a file's header and file meta information, in place.

    Args:
        key: secret; under the same one a patient's files stay together, and so do references among them.
        pixels_clean: whether text in the pixels has been blacked out, which is then stated.

    Raises `RequestError` where the library is not installed.
    """
    person, words = Person.of(data, key), _own_words(data)
    _clean(data, person, key, words)
    data.PatientName = data.PatientID = person.name
    data.PatientIdentityRemoved = "YES"
    data.LongitudinalTemporalInformationModified = "MODIFIED"
    data.DeidentificationMethod = METHOD
    data.DeidentificationMethodCodeSequence = [
        _code(value, name) for value, name in OPTIONS.items() if pixels_clean or value != "113101"
    ]
    if pixels_clean:
        data.BurnedInAnnotation = "NO"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = data.file_meta.TransferSyntaxUID
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    data.file_meta, data.preamble = meta, bytes(128)  # any program may have written into these 128 bytes


def _clean(data: Dataset, person: Person, key: bytes, words: re.Pattern[str] | None) -> None:
    for tag in list(data.keys()):
        element = data[tag]
        action = _table().get((tag.group, tag.element))
        if _is_removed(element) or (element.VR in _FREE and not action):
            del data[tag]
        elif element.VR == "PN":
            element.value = ""  # some must be there, if empty
        elif element.VR == "UI":
            element.value = [_uid(str(uid), key) for uid in many(element.value)] or None
        elif element.VR in ("DA", "DT"):
            element.value = "" if "Birth" in element.keyword else [_moved(str(v), person) for v in many(element.value)]
        elif element.VR == "SQ":
            if action and action.__name__ in ("delete", "empty", "delete_or_empty"):
                del data[tag]
                continue
            for item in element.value:
                for keyword in _PIXELS:  # of a small copy, in which no text was sought
                    item.pop(keyword, None)
                _clean(item, person, key, words)
        else:
            if action and (element.VR != "TM" or "Birth" in element.keyword):
                action(data, (tag.group, tag.element))
            if element.keyword == "SpecificCharacterSet":  # other texts cannot be read without it
                continue
            if tag in data and data[tag].VR in _TEXTS and words and any(map(words.search, _strings(data[tag]))):
                data[tag].value = ""


def _is_removed(element: DataElement) -> bool:
    """Whether an element goes whatever the table says: private, unknown, a curve, an overlay, bulk that is no pixels."""
    group = element.tag.group
    if element.tag.is_private or not element.keyword or element.VR == "UN" or group & 0xFF00 in (0x5000, 0x6000):
        return True
    if element.keyword in _PIXELS or element.keyword.endswith(_TABLES):
        return False
    return element.VR in _BULK or group == 0xFFFC


def _uid(uid: str, key: bytes) -> str:
    """Another UID of the form that PS3.5 B.2 gives to UUIDs, always the same for one; the standard's own as they are."""
    if uid.startswith(_STANDARD):
        return uid
    return f"2.25.{int.from_bytes(hmac.digest(key, uid.encode(), 'sha256')[:16])}"


def _moved(value: str, person: Person) -> str:
    """A date, or a date and time, so many days earlier; empty where it is none."""
    try:
        day = datetime.strptime(value[:8], "%Y%m%d") - timedelta(person.days)
    except (ValueError, OverflowError):
        return ""
    rest = value[8:] if re.fullmatch(r"[\d.+-]*", value[8:]) else ""
    return f"{day:%Y%m%d}{rest}"


def _own_words(data: Dataset) -> re.Pattern[str] | None:
    """What finds the names and numbers of a header in other texts; None where it has none."""
    found = {word for text in _own_texts(data) for word in re.split(r"[\^=\s,;]+", text) if len(word) >= _SHORTEST}
    if not found:
        return None
    return re.compile(rf"(?<![^\W_])({'|'.join(map(re.escape, sorted(found)))})(?![^\W_])", re.IGNORECASE)


def _own_texts(data: Dataset) -> Iterator[str]:
    for element in data.iterall():
        if element.VR == "PN" or element.keyword in _IDS:
            yield from _strings(element)


def _strings(element: DataElement) -> list[str]:
    return [str(value) for value in many(element.value)]


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


@cache
def _table() -> dict[tuple[int, ...], Action]:
    try:
        from dicomanonymizer.simpledicomanonymizer import initialize_actions_2024b
    except ImportError:
        raise RequestError(MISSING) from None
    return initialize_actions_2024b()
