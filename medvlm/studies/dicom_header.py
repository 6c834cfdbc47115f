"""DICOM headers: only the elements that pixels and geometry need are kept, so no name, id or date is read."""

from __future__ import annotations

import hashlib
import logging
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.multival import MultiValue
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ..errors import StudyError
from ..types import Origin
from .dicom_words import NOT_IMAGES
from .files import Source
from .limits import Limits

# pydicom quotes values of elements in its log, and a value can be a patient's: none of it reaches handlers of ours
logging.getLogger("pydicom").propagate = False

# Elements that a frame's functional groups can state in place of the root, PS3.3 C.7.6.16
_BY_FRAME = (
    *("PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "ImageOrientationPatient", "ImagePositionPatient"),
    *("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    *("FrameType", "FrameLaterality", "PatientOrientation", "TemporalPositionIndex", "EffectiveEchoTime"),
    *("DiffusionBValue", "NominalCardiacTriggerDelayTime", "AcquisitionContrast"),
    *("RowPositionInTotalImagePixelMatrix", "ColumnPositionInTotalImagePixelMatrix"),
)
MOSAIC_COUNT = 0x0019100A  # private, of Siemens: number of images in a mosaic
_KEYWORDS = (
    *_BY_FRAME,
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PatientID"),
    *("SeriesNumber", "InstanceNumber", "AcquisitionNumber", "Modality", "BodyPartExamined", "ImageType"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated"),
    *("BitsStored", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit", "ModalityLUTSequence"),
    *("ImagerPixelSpacing", "PixelSpacingCalibrationType", "EstimatedRadiographicMagnificationFactor"),
    *("DistanceSourceToDetector", "DistanceSourceToPatient", "PixelAspectRatio", "SequenceOfUltrasoundRegions"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "DirectoryRecordSequence"),
    *("SmallestImagePixelValue", "LargestImagePixelValue", "BurnedInAnnotation", "SliceLocation"),
    *("Laterality", "ImageLaterality", "ViewPosition", "AcquisitionMatrix"),
    *("TemporalPositionIdentifier", "EchoNumbers", "EchoTime", "TriggerTime"),
    *("TotalPixelMatrixRows", "TotalPixelMatrixColumns", "ScanningSequence", "SequenceVariant", "AngioFlag"),
    *("RepetitionTime", "InversionTime"),
)
_TAGS = [*(Tag(keyword) for keyword in _KEYWORDS), Tag(MOSAIC_COUNT)]
_DEFLATE_START = 132 + 12  # preamble, "DICM" and the element that states the length of the file meta


class NoPicture(StudyError):
    """A DICOM object of another kind than an image; among images it is left out."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of one file, or one tile of a frame, with the facts that place and show it."""

    source: Source
    index: int  # in the file
    facts: Dataset
    tile: tuple[int, int, int, int] | None = None  # first row, first column, rows, columns; None for the whole frame

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.tile[2:] if self.tile else (int(self.facts.Rows), int(self.facts.Columns))

    @cached_property
    def number(self) -> int:
        """Instance Number, large where missing."""
        return whole(self.facts.get("InstanceNumber"), 2**31)

    @cached_property
    def position(self) -> np.ndarray | None:
        """Image Position (Patient), `(3,)` mm, LPS+."""
        return numbers(self.facts.get("ImagePositionPatient"), 3)

    @cached_property
    def directions(self) -> np.ndarray | None:
        """Image Orientation (Patient): unit vectors along a row and along a column, `(2, 3)`, LPS+."""
        values = numbers(self.facts.get("ImageOrientationPatient"), 6)
        if values is None:
            return None
        lengths = np.linalg.norm(values.reshape(2, 3), axis=1)
        across = np.linalg.norm(np.cross(*values.reshape(2, 3)))
        return values.reshape(2, 3) if np.abs(lengths - 1).max() < 0.1 and across > 0.9 else None

    @property
    def location(self) -> float | None:
        """Slice Location in mm."""
        found = numbers([self.facts.get("SliceLocation")], 1)
        return None if found is None else float(found[0])

    @property
    def placed(self) -> bool:
        """Has a place in the patient, as slices of CT and MR have."""
        return self.position is not None and self.directions is not None

    @cached_property
    def code(self) -> str:
        """Modality, in capitals."""
        return str(self.facts.get("Modality") or "").strip().upper()

    @cached_property
    def types(self) -> frozenset[str]:
        """The words of Image Type and Frame Type, in capitals."""
        values = [v for key in ("ImageType", "FrameType") for v in many(self.facts.get(key))]
        return frozenset(str(value).strip().upper() for value in values)


def origin_of(frame: Frame) -> Origin:
    """What leads back to a frame from the image that it is shown as."""
    path, entry = frame.source.entry or (frame.source.path, None)
    return Origin(str(path.absolute()), entry, frame.index, frame.tile, instance_digest(frame.facts))


def instance_digest(header: Dataset) -> str:
    """What tells one DICOM object from another, made so that nobody is known by it."""
    return hashlib.sha256(str(header.get("SOPInstanceUID") or "").encode()).hexdigest()[:16]


def many(value: Any) -> list[Any]:
    """The values of an element that may be missing, single or several."""
    if value in (None, ""):
        return []
    return list(value) if isinstance(value, (list, tuple, MultiValue)) else [value]


def whole(value: Any, missing: int) -> int:
    """A whole number, or `missing`."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return missing


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
    drop_broken(header)
    refuse_others(source, header)
    rows, columns = int(header.Rows), int(header.Columns)
    count = int(header.get("NumberOfFrames") or 1)
    if rows < 1 or columns < 1 or count < 1:
        raise StudyError(f"{source.name} states an image without pixels: export it again.")
    limits.check_size(source.name, rows, columns)
    limits.check_total(source.name, count, rows * columns)
    return [Frame(source, index, frame_facts(header, index)) for index in range(count)]


def drop_broken(header: Dataset) -> None:
    """Leave out elements whose value cannot be read, such as a number that is none: an image can be shown without."""
    for tag in list(header.keys()):
        try:
            header[tag]
        except Exception:  # whatever pydicom raises on damage
            del header[tag]


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


def frame_facts(header: Dataset, index: int) -> Dataset:
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
