"""The table of what is shown: a row a label, with one size and how sure it is, and what a person did to it."""

from __future__ import annotations

from typing import Any

from medvlm.report.export.wording import number, sure
from medvlm.report.found import found_report
from medvlm.report.measurements import box_size, diameters
from medvlm.report.volumes import amount
from medvlm.types import Finding, Measurement, Region, Study, mask_box

from .corrections import Corrected
from .open_study import Layer
from .outline import Outlines
from .words import WORDS

LISTED = 100  # regions of a row that are listed one by one, as in `findings.js`
STATED = ("volume", "longest diameter", "width")  # what a row's one size is, the first that was measured


def table(top: Layer, study: Study) -> list[dict[str, Any]]:
    """The rows of a layer, each with the numbers of its regions, and the sizes of these where they are several."""
    rows = rows_of(top, study)
    for each in rows:
        own = [top.regions[i] for i in each["regions"][:LISTED]]
        each["sizes"] = [size_of(region, study) for region in own] if len(own) > 1 else []
    return rows


def rows_of(top: Layer, study: Study) -> list[dict[str, Any]]:
    if isinstance(top.work, Corrected):
        findings = enumerate(top.work.report.findings)
        return [row(f, top.work, n) for n, f in findings if f.presence != "absent" or top.work.mark(n)]
    findings = enumerate(found_report(top.regions, study).findings)
    if isinstance(top.work, Outlines):
        named = bool(top.work.now.label)
        said = {
            "sure": WORDS["findings.drawn"],
            "rename": "rename" if named else "name it",
            "mark": "drawn" * (len(top.regions) == 1),
        }
        return [plain(f) | said | {"number": n} for n, f in findings]
    return [plain(f) | {"sure": in_words(f)} for _, f in findings]


def marks(top: Layer) -> list[str]:
    """Of each region of a layer, whether a person drew it or it was carried from what they drew; else nothing."""
    if isinstance(top.work, Corrected):
        return top.work.origins
    if isinstance(top.work, Outlines):
        return ["drawn" if region.image in top.work.now.drawn else "carried" for region in top.regions]
    return [""] * len(top.regions)


def plain(finding: Finding) -> dict[str, Any]:
    size, of = stated(finding.measurements)
    return {"label": finding.label, "presence": finding.presence, "regions": finding.regions, "size": size, "of": of}


def row(finding: Finding, work: Corrected, n: int) -> dict[str, Any]:
    mark = work.mark(n)
    drawn = "drawn" in [work.origins[i] for i in finding.regions]
    said_by = WORDS["findings.said"] if mark in ("added", "changed", "renamed") else ""
    by_person = WORDS["findings.drawn"] if drawn else said_by
    said = WORDS["findings.rejected"] if finding.presence == "absent" else by_person or in_words(finding)
    said_of = {"number": n, "mark": mark or "drawn" * drawn, "sure": said, "rename": True}
    return plain(finding) | said_of | {"carry": drawn and work.study.is_volume}


def in_words(finding: Finding) -> str:
    """Such as "likely, 0.83"."""
    words = WORDS["findings.uncertain"] if finding.presence == "uncertain" else sure(finding.confidence)
    return f"{words}, {number(finding.confidence)}"


def stated(measurements: list[Measurement]) -> tuple[str, str]:
    """The one size that is told of a finding, with its unit, and what it is of."""
    known = {m.name: m for m in measurements}
    found = next((known[name] for name in STATED if name in known), None)
    if found is None:
        return "", ""
    if found.name == "volume":
        return amount(found), "volume"
    digits = 0 if found.value >= 10 else 1
    return f"{found.value:.{digits}f} {found.unit}", found.name


def size_of(region: Region, study: Study) -> str:
    """What is stated of one region, in the unit and by the measure of its row, but for a volume."""
    spacing = study.images[region.image].spacing_mm
    if region.mask is None:
        return stated(box_size(region.box, spacing))[0]
    x0, y0, x1, y1 = map(int, mask_box(region.mask))
    return stated(diameters(region.mask[y0:y1, x0:x1], spacing))[0]
