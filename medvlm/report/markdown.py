"""A report as Markdown for people to read."""

from __future__ import annotations

from ..types import Report


def _references(regions: list[int]) -> list[str]:
    """`[R1]`, or `[R1–R7]` for several in a row."""
    runs: list[list[int]] = []
    for i in regions:
        if runs and i == runs[-1][-1] + 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    return [f"[R{run[0] + 1}]" if len(run) == 1 else f"[R{run[0] + 1}–R{run[-1] + 1}]" for run in runs]


def to_markdown(report: Report) -> str:
    """Sections with region references such as `[R2]`, the table of regions, and the disclaimer."""
    lines = ["# Report draft", "", f"> {report.disclaimer}", ""]
    for section in report.sections:
        lines += [f"## {section.title}", ""]
        for sentence in section.sentences:
            lines.append(" ".join(["-", sentence.text, *_references(sentence.regions)]))
        lines.append("")
    if report.regions:
        lines += ["## Regions", "", "| | label | image | box (x0, y0, x1, y1) px | score |", "|---|---|---|---|---|"]
        for i, region in enumerate(report.regions, start=1):
            box = ", ".join(f"{v:.0f}" for v in region.box)
            lines.append(f"| R{i} | {region.label} | {region.image + 1} | {box} | {region.score:.2f} |")
        lines.append("")
    return "\n".join([*lines, f"Model: {report.model}", ""])
