"""A comparison in words: the section of a report that tells what changed since the prior."""

from __future__ import annotations

from collections.abc import Sequence

from ..types import Measurement, Region, Section, Sentence, Study
from ..vocabulary import is_finding
from .comparison import INCOMPARABLE, LARGER, NEW, RESOLVED, RIM, SHARE, SMALLER, UNCHANGED, Change, Comparison
from .location import locate
from .spots import BOX_AREA

TITLE = "Comparison with the prior"
SIZES = ("area", BOX_AREA, "volume")
UNITS = {"mm2": " mm²", "px2": " px²", "ratio": "", "count": ""}
ORDER = (NEW, LARGER, RESOLVED, SMALLER, UNCHANGED, INCOMPARABLE)


def section(comparison: Comparison, study: Study) -> Section:
    """What changed, a sentence a change with the regions of the current report that show it; what is the same, and what cannot
    be told, together."""
    changes = sorted(comparison.changes, key=lambda c: (not is_finding(c.label), ORDER.index(c.kind)))
    told = [c for c in changes if c.kind not in (UNCHANGED, INCOMPARABLE)]
    sentences = [Sentence(text) for text in [*comparison.remarks, *_basis(comparison, study)]]
    sentences += [Sentence(_told(change, study), change.finding, change.regions) for change in told]
    same = [c for c in changes if c.kind == UNCHANGED]
    if same:
        text = "; ".join(_same(change, study) for change in same)
        sentences.append(Sentence(f"No change that counts: {text}.", None, _regions(same)))
    unclear = [c for c in changes if c.kind == INCOMPARABLE]
    for reason in dict.fromkeys(c.reason for c in unclear):
        group = [c for c in unclear if c.reason == reason]
        names = ", ".join(dict.fromkeys(_name(c) for c in group))
        sentences.append(Sentence(f"Not comparable, as {reason}: {names}.", None, _regions(group)))
    if not changes:
        sentences.append(Sentence("Nothing was located in either of the two, so there is nothing to compare."))
    return Section(TITLE, sentences)


def _basis(comparison: Comparison, study: Study) -> list[str]:
    """How the two were laid on each other, and what counts as a change."""
    alignment = comparison.alignment
    if not alignment.usable:
        quality = f"{alignment.quality:.2f}, where {alignment.least:.2f} is needed"
        return [f"The prior could not be laid on the image (correlation {quality}), so no place is compared."]
    how = "moved, turned and scaled" if alignment.scaled else "moved and turned"
    what = "" if study.is_volume or len(study.images) == 1 else "Of several images the one shown first is compared. "
    measure = "volume" if study.is_volume else "area"
    return [
        f"{what}The prior was {how} to lie on the image (correlation {alignment.quality:.2f}).",
        f"A change counts from {100 * SHARE:.0f} % of the {measure}, and from {100 * RIM:.2g} % of the image's longer side all "
        "round: less, an outline can differ by when the same image is read again.",
    ]


def _told(change: Change, study: Study) -> str:
    name, place = _name(change), _place(change, study)
    if change.kind == NEW:
        return _sentence(f"New: {name} {place}", _sizes(change.now), "the prior shows the place without it")
    if change.kind == RESOLVED:
        return _sentence(f"No longer found: {name} {place}", f"it had {_sizes(change.before)}" if change.before else "")
    start = f"{name[0].upper()}{name[1:]} {place}".strip()
    if change.measure == "count":
        return f"{start}: {'more' if change.kind == LARGER else 'fewer'}, {_by(change)}."
    counts = f"a change counts from {_number(change.smallest)}" if change.smallest else ""
    return _sentence(f"{start}: {change.kind}, {_by(change)}", counts)


def _sentence(*parts: str) -> str:
    return "; ".join(part.strip() for part in parts if part.strip()) + "."


def _name(change: Change) -> str:
    name = f"possible {change.label}" if change.possible else change.label
    return name if change.measure in ("", *SIZES) else f"{change.measure} of the {name}"


def _place(change: Change, study: Study) -> str:
    if change.box is None or change.image is None:
        return ""
    region = Region(change.label, change.image, change.box, None, 1.0)
    on = f"on {study.images[change.image].name or f'image {change.image + 1}'} " if len(study.images) > 1 else ""
    return on + locate(region, study.images[change.image].size)


def _by(change: Change) -> str:
    """Such as "area 120 → 180 mm² (+60 mm², +50 %), longest diameter 12.0 → 15.1 mm (+3.1 mm, +26 %)"."""
    told = sorted(change.differences, key=lambda d: d[0].name != change.measure)
    parts = []
    for before, now, by, share in told:
        sign = "+" if by.value >= 0 else "−"
        percent = "" if share is None else f", {share:+.0f} %".replace("-", "−")
        name = "" if before.name == change.measure and change.measure not in SIZES else f"{before.name} "
        size = Measurement(by.name, abs(by.value), by.unit)
        parts.append(f"{name}{_plain(before)} → {_number(now)} ({sign}{_number(size)}{percent})")
    return ", ".join(parts)


def _same(change: Change, study: Study) -> str:
    share = next((share for a, _, _, share in change.differences if a.name == change.measure), None)
    by = "" if share is None else f" ({change.measure} {share:+.0f} %)".replace("-", "−")
    name = f"{_name(change)} {_place(change, study) if is_finding(change.label) else ''}".strip()
    return name + (by if change.measure in SIZES else f" ({_by(change)})")


def _sizes(measurements: Sequence[Measurement]) -> str:
    return ", ".join(f"{m.name} {_number(m)}" for m in measurements)


def _plain(m: Measurement) -> str:
    if m.unit == "ratio":
        return f"{m.value:.2f}"
    return f"{m.value:.1f}" if m.unit in ("mm", "ml") and m.value < 100 else f"{m.value:,.0f}"


def _number(m: Measurement) -> str:
    return _plain(m) + UNITS.get(m.unit, f" {m.unit}")


def _regions(changes: Sequence[Change]) -> list[int]:
    return sorted({region for change in changes for region in change.regions})
