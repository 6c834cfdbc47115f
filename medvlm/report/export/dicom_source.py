"""The DICOM files behind a study, read again for what is written into the same patient's record; and when that fails."""

from __future__ import annotations

import logging
import os
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM

from ...errors import MedVLMError, RequestError
from ...studies.dicom_header import Frame, frame_facts, instance_digest
from ...studies.files import Source
from ...types import Image, Origin, Study, mask_box

# as of pydicom's: values of elements are quoted in there
logging.getLogger("highdicom").addHandler(logging.NullHandler())
logging.getLogger("highdicom").propagate = False

_NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate"),
    *("StudyTime", "ReferringPhysicianName", "Modality"),
)  # that may be empty, but not left out
_FORMS: tuple[tuple[str, type], ...] = (
    *((keyword, DA) for keyword in ("PatientBirthDate", "StudyDate")),
    ("StudyTime", TM),
)
UTF_8 = "ISO_IR 192"


@dataclass(frozen=True, eq=False)
class SourceFrame:
    """A frame of a DICOM file that images were made of."""

    header: Dataset  # of the file, without pixels, with all that a new object of the record must have
    facts: Dataset  # the same as it holds for this frame
    number: int | None  # of the frame, from 1; None where the file has no frames

    @property
    def placed(self) -> Frame | None:
        """What says where it lies in the patient; None where it has no place that other images share."""
        frame = Frame(Source(Path(), "", "dicom"), 0, self.facts)
        known = frame.placed and self.header.get("FrameOfReferenceUID") and self.facts.get("PixelSpacing")
        return frame if known else None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return int(self.header.Rows), int(self.header.Columns)

    @property
    def is_slide(self) -> bool:
        """Whether it is one of the tiles of a microscope slide."""
        return "TotalPixelMatrixRows" in self.header


Key = tuple[str, int | None, int]  # path, number in an archive, frame


def key_of(image: Image) -> Key:
    """What images of one frame share, such as the tiles of a mosaic."""
    assert image.origin is not None
    return image.origin.path, image.origin.entry, image.origin.frame


def source_frames(study: Study, images: Iterable[int]) -> dict[Key, SourceFrame]:
    """The frames that images of a study were made of, in the images' order.

    Raises:
        RequestError: the images are not DICOM, or their files are gone, changed, or belong to no study.
    """
    headers: dict[tuple[str, int | None], Dataset] = {}
    out: dict[Key, SourceFrame] = {}
    for image in (study.images[index] for index in images):
        if image.origin is None:
            raise RequestError("DICOM cannot be written, since the images are not DICOM: choose nifti or coco.")
        origin, key = image.origin, key_of(image)
        if key in out:
            continue
        file = origin.path, origin.entry
        if file not in headers:
            headers[file] = _header(origin)
        header = headers[file]
        frames = int(header.get("NumberOfFrames") or 1)
        facts = frame_facts(header, origin.frame)
        out[key] = SourceFrame(header, facts, origin.frame + 1 if frames > 1 else None)
    return out


def whole_frame(mask: np.ndarray, image: Image, shape: tuple[int, int]) -> np.ndarray:
    """A mask of an image as shown, bool `(rows, columns)` of the frame that the image was made of; never empty."""
    assert image.origin is not None
    stored = image.turn.to_stored(mask) if image.turn else mask
    row, column = image.origin.tile[:2] if image.origin.tile else (0, 0)
    out = np.zeros(shape, bool)
    out[row : row + stored.shape[0], column : column + stored.shape[1]] = stored
    if not out.any():  # thinner than a pixel of the file
        x0, y0, x1, y1 = whole_box(mask_box(mask), image)
        out[int((y0 + y1) / 2), int((x0 + x1) / 2)] = True
    return out


def whole_box(box: tuple[float, float, float, float], image: Image) -> tuple[float, float, float, float]:
    """A box of an image as shown, in columns and rows of the frame that the image was made of."""
    x0, y0, x1, y1 = image.turn.box_to_stored(box) if image.turn else box
    assert image.origin is not None
    row, column = image.origin.tile[:2] if image.origin.tile else (0, 0)
    return x0 + column, y0 + row, x1 + column, y1 + row


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Turn whatever the library raises on odd headers into one `RequestError` that quotes nothing of them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values
            yield
    except (MedVLMError, OSError, MemoryError):
        raise
    except Exception:
        if os.environ.get("MEDVLM_DEBUG"):
            raise
        raise RequestError(
            f"A DICOM {what} cannot be made, since the headers of the images do not allow it: choose nifti or coco."
        ) from None


def _header(origin: Origin) -> Dataset:
    try:
        header = _read(origin)
    except Exception:  # whatever opening, unpacking or pydicom raises
        raise RequestError("The DICOM files of the study cannot be read any more: open the study again.") from None
    if instance_digest(header) != origin.instance:
        raise RequestError("The DICOM files of the study have changed since they were read: open the study again.")
    if not header.get("SOPClassUID") and hasattr(header, "file_meta"):
        header.SOPClassUID = header.file_meta.get("MediaStorageSOPClassUID", "")
    if not all(header.get(keyword) for keyword in _NEEDED):
        raise RequestError(
            "DICOM cannot be written, since the images do not say which study they belong to: choose nifti or coco."
        )
    return _complete(header)


def _read(origin: Origin) -> Dataset:
    options: dict[str, Any] = {"stop_before_pixels": True, "force": True}
    if origin.entry is None:
        return pydicom.dcmread(origin.path, **options)
    with zipfile.ZipFile(origin.path) as archive, archive.open(archive.infolist()[origin.entry]) as file:
        return pydicom.dcmread(file, **options)


def _complete(header: Dataset) -> Dataset:
    """With all that must be there, empty where the file leaves it out or has it in a form that may not be written on."""
    header.remove_private_tags()
    header.decode()  # names of any script are written as UTF-8
    header.SpecificCharacterSet = UTF_8
    for keyword in _EMPTY:
        if keyword not in header:
            setattr(header, keyword, "")
    if header.PatientSex not in ("M", "F", "O"):
        header.PatientSex = ""
    for keyword, form in _FORMS:
        if not _is(header.get(keyword), form):
            setattr(header, keyword, "")
    return header


def _is(value: Any, form: type) -> bool:
    try:
        form(value or "")
    except (ValueError, TypeError):
        return False
    return True
