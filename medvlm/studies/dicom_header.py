"""DICOM headers: only the elements that pixels and geometry need are kept, so no name, id or date is read."""

from __future__ import annotations

import logging
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ..errors import StudyError
from .dicom_words import NOT_IMAGES
from .files import Source
from .limits import Limits

# pydicom quotes values of elements in its log, and a value can be a patient's: none of it reaches handlers of ours
logging.getLogger("pydicom").propagate = False

# Elements that a frame's functional groups can state in place of the root, PS3.3 C.7.6.16
_BY_FRAME = (
    "PixelSpacing",
    "SliceThickness",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "RescaleSlope",
    "RescaleIntercept",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
)
_TAGS = [
    *_BY_FRAME,
    *("SOPInstanceUID", "SeriesInstanceUID", "PatientID", "InstanceNumber", "Modality", "BodyPartExamined"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated"),
    *("BitsStored", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit", "ModalityLUTSequence"),
    *("ImagerPixelSpacing", "NominalScannedPixelSpacing", "SequenceOfUltrasoundRegions", "PatientOrientation"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "DirectoryRecordSequence"),
    *("SmallestImagePixelValue", "LargestImagePixelValue", "BurnedInAnnotation"),
]
_DEFLATE_START = 132 + 12  # preamble, "DICM" and the element that states the length of the file meta


class NoPicture(StudyError):
    """A DICOM object of another kind than an image; among images it is left out."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of one file with the facts that place and show it."""

    source: Source
    index: int  # in the file
    facts: Dataset

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return int(self.facts.Rows), int(self.facts.Columns)

    @property
    def number(self) -> int:
        """Instance Number, large where missing."""
        value = self.facts.get("InstanceNumber")
        return 2**31 if value in (None, "") else int(value)

    @property
    def position(self) -> np.ndarray | None:
        """Image Position (Patient), `(3,)` mm, LPS+."""
        return numbers(self.facts.get("ImagePositionPatient"), 3)

    @property
    def directions(self) -> np.ndarray | None:
        """Image Orientation (Patient): unit vectors along a row and along a column, `(2, 3)`, LPS+."""
        values = numbers(self.facts.get("ImageOrientationPatient"), 6)
        return None if values is None else values.reshape(2, 3)

    @property
    def placed(self) -> bool:
        """Has a place in the patient, as slices of CT and MR have."""
        return self.position is not None and self.directions is not None


def numbers(value: Any, count: int) -> np.ndarray | None:
    """`count` finite numbers of a multi-valued element, or None."""
    try:
        found = np.array([float(v) for v in value])
    except (TypeError, ValueError):
        return None
    return found if found.shape == (count,) and np.isfinite(found).all() else None


def read_frames(source: Source, limits: Limits) -> list[Frame]:
    """The frames that a DICOM file states, its pixels left unread.

    Raises:
        StudyError: the object holds no image, or one beyond the limits.
    """
    check_deflated(source, limits)
    header = pydicom.dcmread(source.path, stop_before_pixels=True, specific_tags=_TAGS, force=True)
    refuse_others(source, header)
    rows, columns = int(header.Rows), int(header.Columns)
    count = int(header.get("NumberOfFrames") or 1)
    if rows < 1 or columns < 1 or count < 1:
        raise StudyError(f"{source.name} states an image without pixels: export it again.")
    limits.check_size(source.name, rows, columns)
    limits.check_total(source.name, count, rows * columns)
    return [Frame(source, index, _frame_facts(header, index)) for index in range(count)]


def refuse_others(source: Source, header: Dataset) -> None:
    """Raise `NoPicture` for objects without a picture: reports, contours, indexes."""
    code = str(header.get("Modality") or "").upper()
    if "DirectoryRecordSequence" in header:
        raise NoPicture(f"{source.name} is a DICOMDIR index, not an image: give the folder that it lies in.")
    if code in NOT_IMAGES:
        raise NoPicture(f"{source.name} is a DICOM file with {NOT_IMAGES[code]}, not an image: give the image files.")
    if "Rows" not in header or "Columns" not in header:
        raise NoPicture(
            f"{source.name} is a DICOM file without pixels, or cut before them: give the image files of the study."
        )


def check_deflated(source: Source, limits: Limits) -> None:
    """Raise `StudyError` where a deflated data set (PS3.5 A.5) would inflate beyond the limit."""
    with open(source.path, "rb") as file:
        if file.read(132)[128:] != b"DICM":
            return
    meta = read_file_meta_info(source.path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    with open(source.path, "rb") as file:
        file.seek(_DEFLATE_START + int(meta.get("FileMetaInformationGroupLength", 0)))
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        size = 0
        while chunk := inflater.unconsumed_tail or file.read(2**20):
            size += len(inflater.decompress(chunk, 2**24))
            if size > limits.max_bytes:
                raise StudyError(f"{source.name} inflates to more than the limit: export it uncompressed and smaller.")


def _frame_facts(header: Dataset, index: int) -> Dataset:
    """The header as it holds for one frame: functional groups laid over the root, PS3.3 C.7.6.16.2."""
    groups = list(header.get("SharedFunctionalGroupsSequence") or [])[:1]
    groups += list(header.get("PerFrameFunctionalGroupsSequence") or [])[index : index + 1]
    if not groups:
        return header
    facts = Dataset()
    facts.update({element.tag: element for element in header if "FunctionalGroups" not in element.keyword})
    for group in groups:
        for macro in group:
            for element in macro.value[0] if macro.VR == "SQ" and macro.value else ():
                if element.keyword in _BY_FRAME:
                    facts[element.tag] = element
    return facts
