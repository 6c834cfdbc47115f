"""The PDF of a report inside a DICOM object of the same patient and study, which other readers take out again."""

from __future__ import annotations

import subprocess

import pydicom
import pypdfium2
import pytest
from pydicom.uid import EncapsulatedPDFStorage

from medvlm.errors import RequestError
from medvlm.report.export import possible_formats, write_report
from medvlm.studies import load_study
from medvlm.types import Image, Study

from .dicom_export import PLANES, checked, landmarks, report_of, series
from .programs import program
from .studies import gradient

dicom_pdf = pytest.importorskip("medvlm.report.export.dicom_pdf")


def opened(path):
    study = load_study(path)
    study.keep_text = True
    return study


@pytest.mark.parametrize("plane", ["axial, reversed", "oblique, exchanged"])
def test_the_page_is_in_the_record_of_its_source(tmp_path, plane):
    folder = series(tmp_path / "in", PLANES[plane], PatientName="Müller^Jürgen", SpecificCharacterSet="ISO_IR 100")
    study = opened(folder)
    (path,) = write_report(landmarks(study), study, tmp_path / "out", ["dicom-pdf"])
    assert path.name == "report.pdf.dcm" and len(list((tmp_path / "out").iterdir())) == 1
    checked(path)
    made, sources = pydicom.dcmread(path), [pydicom.dcmread(file) for file in folder.iterdir()]
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate"):
        assert made[keyword].value == sources[0][keyword].value
    assert made.SOPClassUID == EncapsulatedPDFStorage and made.Modality == "DOC"
    assert (made.VerificationFlag, made.MIMETypeOfEncapsulatedDocument) == ("UNVERIFIED", "application/pdf")
    assert made.SeriesInstanceUID not in {source.SeriesInstanceUID for source in sources}
    named = {item.ReferencedSOPInstanceUID for item in made.SourceInstanceSequence}
    assert named == {source.SOPInstanceUID for source in sources}
    page = made.EncapsulatedDocument[: made.EncapsulatedDocumentLength]
    text = pypdfium2.PdfDocument(page)[0].get_textpage().get_text_range()
    assert "Report draft" in text and "liver" in text and "Jürgen" not in text
    if reader := program("dcm2pdf"):
        subprocess.run([reader, path, tmp_path / "taken.pdf"], check=True, capture_output=True)
        assert (tmp_path / "taken.pdf").read_bytes().rstrip(b"\0") == page


def test_a_report_that_found_nothing_has_a_page_too(tmp_path):
    study = opened(series(tmp_path / "in", count=1))
    (path,) = dicom_pdf.write(report_of(), study, tmp_path)
    checked(path)
    assert pydicom.dcmread(path).EncapsulatedDocument.startswith(b"%PDF")


def test_pictures_are_refused(tmp_path):
    study = Study([Image(gradient())])
    assert "dicom-pdf" not in possible_formats(study) and "gsps" not in possible_formats(study)
    with pytest.raises(RequestError, match="not DICOM"):
        dicom_pdf.write(report_of(), study, tmp_path)
