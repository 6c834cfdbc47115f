"""A report as Markdown for people to read."""

from __future__ import annotations

from ..types import Report


def to_markdown(report: Report) -> str:
    """Sections with region references such as `[R2]`, the table of regions, and the disclaimer."""
    lines = ["# Report draft", "", f"> {report.disclaimer}", ""]
    for section in report.sections:
        lines += [f"## {section.title}", ""]
        for sentence in section.sentences:
            references = " ".join(f"[R{i + 1}]" for i in sentence.regions)
            lines.append(f"- {sentence.text}{' ' + references if references else ''}")
        lines.append("")
    if report.regions:
        lines += ["## Regions", "", "| | label | image | box (x0, y0, x1, y1) px | score |", "|---|---|---|---|---|"]
        for i, region in enumerate(report.regions, start=1):
            box = ", ".join(f"{v:.0f}" for v in region.box)
            lines.append(f"| R{i} | {region.label} | {region.image + 1} | {box} | {region.score:.2f} |")
        lines.append("")
    return "\n".join([*lines, f"Model: {report.model}", ""])
