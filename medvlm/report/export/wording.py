"""What exports say alike: units, how sure a finding is in words, and the images that show something."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...types import EXTENTS, Finding, Measurement, Report, Study
from ..draft import flat_sizes
from ..volumes import amount

# Unit of a measurement → its UCUM code, where that is another
UCUM = {"ml": "mL", "px": "{pixels}", "px2": "{pixels}", "count": "1", "ratio": "{ratio}", "percent": "%"}
SURE = ((0.95, "very likely"), (0.75, "likely"), (0.5, "rather likely"), (0.25, "rather unlikely"), (0.0, "unlikely"))


def ucum(unit: str) -> str:
    return UCUM.get(unit, unit)


def measured(measurements: Sequence[Measurement]) -> str:
    """Such as "volume 47.7 ml; 61 × 40 × 52 mm (left to right × front to back × head to foot); 34 × 21 mm, area 512 mm²"."""
    named = {m.name: m for m in measurements}
    parts = [f"volume {amount(named.pop('volume'))}"] if "volume" in named else []
    if extents := [named.pop(name) for name in EXTENTS if name in named]:
        ways = " × ".join(one.name.removeprefix("extent ") for one in extents)
        parts.append(f"{' × '.join(f'{one.value:.0f}' for one in extents)} {extents[0].unit} ({ways})")
    parts.append(flat_sizes(list(named.values())))
    if named.get("count") and named["count"].value > 1:
        parts.append(f"count {named['count'].value:.0f}")
    return "; ".join(filter(None, parts))


def number(confidence: float) -> str:
    """Two digits, which do not make anything certain."""
    return f"{min(confidence, 0.99):.2f}"


def sure(confidence: float) -> str:
    """A probability in words, such as "likely"."""
    return next(words for least, words in SURE if confidence >= least)


def images_of(finding: Finding, report: Report) -> list[int]:
    """The images that a finding has regions in, in order."""
    return sorted({report.regions[i].image for i in finding.regions})


def shown_images(report: Report, study: Study) -> list[int]:
    """The images that have regions, in order, else the one that is shown first."""
    return sorted({region.image for region in report.regions}) or [study.default]


def image_name(study: Study, image: int) -> str:
    """Such as "slice 12 of 40"."""
    return study.images[image].name or f"image {image + 1} of {len(study.images)}"


def references(regions: Iterable[int], letter: str = "R") -> str:
    """Such as "R1–R3, R7"; regions are counted from 1."""
    runs: list[list[int]] = []
    for i in regions:
        if runs and i == runs[-1][-1] + 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    return ", ".join(
        f"{letter}{run[0] + 1}" if len(run) == 1 else f"{letter}{run[0] + 1}–{letter}{run[-1] + 1}" for run in runs
    )
