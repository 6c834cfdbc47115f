"""What all DICOM objects of a report say alike."""

from __future__ import annotations

from typing import Any

from pydicom.uid import ExplicitVRLittleEndian

from ... import __version__
from ...types import Report

DESCRIPTION = "Draft by a research model; not for diagnosis"
MAKER = "medvlm"


def made_by(report: Report) -> dict[str, Any]:
    """Arguments of highdicom's objects: what made them, and how they are written."""
    return {
        "manufacturer": MAKER,
        "manufacturer_model_name": report.model[:64] or MAKER,
        "software_versions": __version__,
        "device_serial_number": "1",
        "transfer_syntax_uid": ExplicitVRLittleEndian,
    }
