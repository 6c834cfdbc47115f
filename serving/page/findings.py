"""The table of what is shown: a row a label, with one size and how sure it is, and what a person did to it."""

from __future__ import annotations

from typing import Any

from medvlm.report.export.wording import number, sure
from medvlm.report.found import found_report
from medvlm.report.volumes import amount
from medvlm.types import Finding, Measurement, Study

from .corrections import Corrected
from .open_study import Layer
from .outline import Outlines
from .words import WORDS

STATED = ("volume", "longest diameter", "width")  # what a row's one size is, the first that was measured


def table(top: Layer, study: Study) -> list[dict[str, Any]]:
    """The rows of a layer, each with the numbers of its regions."""
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
