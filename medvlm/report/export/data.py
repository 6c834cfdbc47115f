"""A report as data for programs: JSON, and CSV with a row a finding and measurement."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from ...types import Report, Study
from ...vocabulary import LABELS
from .wording import images_of, ucum

COLUMNS = ("finding", "presence", "confidence", "images", "regions", "measurement", "value", "unit", "ucum", "snomed")


def to_json(report: Report) -> str:
    return json.dumps(report.to_json(), ensure_ascii=False, indent=1) + "\n"


def write_json(report: Report, study: Study, folder: Path) -> list[Path]:
    path = folder / "report.json"
    path.write_text(to_json(report), encoding="utf-8")
    return [path]


def write_csv(report: Report, study: Study, folder: Path) -> list[Path]:
    """`report.csv`; images and regions count from 1."""
    path = folder / "report.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows(_rows(report))
    return [path]


def _rows(report: Report) -> Iterator[tuple]:
    """A row a measurement, one row for a finding without any."""
    for finding in report.findings:
        code = LABELS[finding.label].snomed if finding.label in LABELS else ""
        images = " ".join(str(i + 1) for i in images_of(finding, report))
        regions = " ".join(f"R{i + 1}" for i in finding.regions)
        start = (finding.label, finding.presence, f"{finding.confidence:.4f}", images, regions)
        for one in finding.measurements:
            yield (*start, one.name, f"{one.value:.3f}", one.unit, ucum(one.unit), code)
        if not finding.measurements:
            yield (*start, "", "", "", "", code)
