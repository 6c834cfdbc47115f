"""A report that is stored in the archive that holds its study: masks, measurements and the page, each draft once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import RequestError
from ..report.export import check_possible, write_report
from ..report.export.dicom_source import source_frames
from ..types import Report, Study
from .results import identify

if TYPE_CHECKING:
    from .dicomweb import Archive

BELONGING = ("seg", "sr", "dicom-pdf")  # what of a report is stored


def check_storable(study: Study) -> None:
    """Raises `RequestError` where DICOM objects cannot be made of a study, before a model has worked for them."""
    check_possible(BELONGING, study)


def store_report(archive: Archive, report: Report, study: Study, folder: Path) -> int:
    """Store what belongs to a report in the study's record; how many objects. `folder` holds them for that moment.

    The same report stored again is not there twice, a corrected one stands beside the draft.

    Raises:
        RequestError: the archive does not hold the images, so that there is nothing to store it with.
        ArchiveError: not all is stored; it says how many are.
    """
    headers = [frame.header for frame in source_frames(study, range(len(study.images))).values()]
    sources = {str(header.SOPInstanceUID) for header in headers}
    for uid in {str(header.StudyInstanceUID) for header in headers}:
        if not sources <= archive.instances(uid):
            raise RequestError(
                "The archive does not hold these images, so nothing is stored: open the study from the archive."
            )
    paths = write_report(report, study, folder, BELONGING)
    content = hashlib.sha256(json.dumps(report.to_json(), sort_keys=True).encode()).hexdigest()
    identify(paths, [*sources, content])
    return archive.store(paths)
