"""A report as Markdown for people to read."""

from __future__ import annotations

from pathlib import Path

from ...types import Report, Study
from .wording import references


def to_markdown(report: Report) -> str:
    """Sections with region references such as `[R2]`, the table of regions, and the disclaimer."""
    lines = ["# Report draft", "", f"> {report.disclaimer}", ""]
    for section in report.sections:
        lines += [f"## {section.title}", ""]
        for sentence in section.sentences:
            shown = [f"[{references(sentence.regions)}]"] if sentence.regions else []
            lines.append(" ".join(["-", sentence.text, *shown]))
        lines.append("")
    if report.regions:
        lines += ["## Regions", "", "| | label | image | box (x0, y0, x1, y1) px | score |", "|---|---|---|---|---|"]
        for i, region in enumerate(report.regions, start=1):
            box = ", ".join(f"{v:.0f}" for v in region.box)
            lines.append(f"| R{i} | {region.label} | {region.image + 1} | {box} | {region.score:.2f} |")
        lines.append("")
    return "\n".join([*lines, f"Model: {' '.join(filter(None, [report.model, report.fingerprint]))}", ""])


def write(report: Report, study: Study, folder: Path) -> list[Path]:
    path = folder / "report.md"
    path.write_text(to_markdown(report), encoding="utf-8")
    return [path]
