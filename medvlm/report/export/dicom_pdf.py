"""The PDF of a report inside a DICOM object, so that it is kept with the study it is about."""

from __future__ import annotations

import tempfile
from pathlib import Path

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import EncapsulatedPDFStorage

from ...types import Report, Study
from . import pdf
from .dicom_maker import made_by
from .dicom_source import source_frames, writing

_SERIES_NUMBER = 9003
_TITLE = "Report draft by a research model; not for diagnosis"


def write(report: Report, study: Study, folder: Path) -> list[Path]:
    """`report.pdf.dcm`, in the patient's record, which names every file of the study as its source.

    Raises:
        RequestError: the images are not DICOM, or nothing that can be referred to.
    """
    with writing("PDF"):
        frames = source_frames(study, range(len(study.images))).values()
        headers = list({id(frame.header): frame.header for frame in frames}.values())
        path = folder / "report.pdf.dcm"
        _document(_page(report, study), headers, report).save_as(path, enforce_file_format=True)
    return [path]


def _page(report: Report, study: Study) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        return pdf.write(report, study, Path(scratch))[0].read_bytes()


def _document(page: bytes, headers: list[Dataset], report: Report) -> Dataset:
    source = headers[0]
    out = hd.base.SOPClass(
        study_instance_uid=source.StudyInstanceUID,
        series_instance_uid=hd.UID(),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=hd.UID(),
        sop_class_uid=EncapsulatedPDFStorage,
        instance_number=1,
        modality="DOC",
        series_description="Draft report",
        specific_character_set=source.SpecificCharacterSet,
        **made_by(report),
    )
    out.copy_patient_and_study_information(source)
    out.ConversionType = "WSD"  # made on a workstation
    out.AcquisitionDateTime = ""
    out.BurnedInAnnotation = "YES"  # the page has the study's date, and a line of text may be missed in its images
    out.VerificationFlag = "UNVERIFIED"
    out.DocumentTitle = _TITLE
    out.ConceptNameCodeSequence = [hd.sr.CodedConcept.from_code(codes.LN.DiagnosticImagingReport)]
    out.SourceInstanceSequence = [_reference(header) for header in headers]
    out.MIMETypeOfEncapsulatedDocument = "application/pdf"
    out.EncapsulatedDocumentLength = len(page)
    out.EncapsulatedDocument = page + b"\0" * (len(page) % 2)
    return out


def _reference(header: Dataset) -> Dataset:
    out = Dataset()
    out.ReferencedSOPClassUID, out.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    out.PurposeOfReferenceCodeSequence = [
        hd.sr.CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
    ]
    return out
