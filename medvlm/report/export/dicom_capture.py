"""Secondary captures: images as shown, with their regions in the pixels."""

from __future__ import annotations

import highdicom as hd
from pydicom.dataset import Dataset

from ...types import Report, Study
from ..overlay import Colour, draw_overlay, label_colours
from .dicom_maker import DESCRIPTION, made_by
from .dicom_source import SourceFrame

_SERIES_NUMBER = 9005


def capture(index: int, frame: SourceFrame, report: Report, study: Study, number: int) -> Dataset:
    """An image as shown, with its regions burned in."""
    colours: dict[str, Colour] = label_colours(region.label for region in report.regions)
    regions = [region for region in report.regions if region.image == index]
    # Text in the pixels stays: a capture belongs to the same patient's record as its source, whose header names the patient.
    pixels = study.images[index].pixels
    out = hd.sc.SCImage.from_ref_dataset(
        frame.header,
        pixel_array=draw_overlay(pixels, regions, colours=colours),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),
        series_instance_uid=hd.UID(),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=hd.UID(),
        instance_number=number,
        series_description="Draft regions",
        **made_by(report),
    )
    out.Laterality = frame.header.get("Laterality") or ""
    out.PatientOrientation = []  # unknown, whatever highdicom asks for
    out.ConversionType = "WSD"  # made on a workstation
    out.BurnedInAnnotation = "YES"
    out.DerivationDescription = DESCRIPTION
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = frame.header.SOPClassUID, frame.header.SOPInstanceUID
    if frame.number is not None:
        item.ReferencedFrameNumber = frame.number
    out.SourceImageSequence = [item]
    return out
