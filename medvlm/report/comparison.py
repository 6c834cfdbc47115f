"""Two reports and the map between their images → what changed. Pure functions over masks; torch-free.

What hangs together in one study is a spot. Spots of the prior are carried into the current study, met with those that lie on
or beside them, and compared in its pixels, so that both are measured by one rule. A change that an outline might show by
itself does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..types import Box, Finding, Measurement, Report, Study, mask_box
from ..vocabulary import LABELS, is_finding, parts, whole
from .alignment import LEAST, Alignment
from .difference import Differences, difference, look_alike
from .spots import Masks, Spot, carried, met, rim, share_within, sizes_of, spots_of, united

NEW, LARGER, SMALLER, RESOLVED = "new", "larger", "smaller", "resolved"
UNCHANGED, INCOMPARABLE = "unchanged", "not comparable"

SHARE = 0.25  # of an area or a volume, the smallest change that counts: drawn in the same image again, noisy, compressed, dimmed
# or turned, 9 of 10 abnormalities and 19 of 20 normal structures stay within it (benchmarks/priors.py --repeat)
RIM = 1 / 224  # and of the image's longer side, all round it: a pixel of the masks that the model draws
SPECK = 0.1  # ml; so much was found in one alone of a brain MRI and a turned copy of it
SMALLEST = {
    "cardiothoracic ratio": 0.05,  # by which breathing in less deeply changes it by itself
    "vertical cup-to-disc ratio": 0.2,  # by which two people who draw the same disc differ
    "head circumference": 0.05,  # of itself
    "count": 0.1,  # of itself, and at least one
}
RELATIVE = ("head circumference", "count")
SEEN = 0.9  # share of a spot that the other study has to show
CLEAR = 0.25  # by which the probabilities of something uncertain have to differ, for it to be new or gone


@dataclass
class Change:
    """One thing in two studies. `now` and `before` are measured alike, in the current study's pixels."""

    label: str
    kind: str  # new | larger | smaller | resolved | unchanged | not comparable
    measure: str = ""  # what decided it: area, area of its box, volume, or the name of a measurement
    finding: int | None = None  # index in the current report's findings
    regions: list[int] = field(default_factory=list)  # of the current report
    prior_regions: list[int] = field(default_factory=list)  # of the prior's
    now: list[Measurement] = field(default_factory=list)
    before: list[Measurement] = field(default_factory=list)
    smallest: Measurement | None = None  # change of `measure` that counts
    image: int | None = None  # of the current study …
    box: Box | None = None  # … and where in it this is, or was
    possible: bool = False  # whether either report calls the thing possible alone
    reason: str = ""  # why it is not comparable

    @property
    def differences(self) -> list[tuple[Measurement, Measurement, Measurement, float | None]]:
        """Of everything that both have: before, now, the difference, and that in per cent of before."""
        earlier = {m.name: m for m in self.before}
        pairs = [(earlier[m.name], m) for m in self.now if m.name in earlier and m.unit == earlier[m.name].unit]
        return [
            (a, b, Measurement(a.name, b.value - a.value, a.unit), 100 * (b.value / a.value - 1) if a.value else None)
            for a, b in pairs
        ]

    def to_json(self) -> dict[str, Any]:
        changes = [
            {**by.to_json(), "before": round(a.value, 3), "now": round(b.value, 3)}
            | ({} if share is None else {"percent": round(share, 1)})
            for a, b, by, share in self.differences
        ]
        return {
            "label": self.label,
            "kind": self.kind,
            "measure": self.measure,
            "finding": self.finding,
            "regions": self.regions,
            "prior_regions": self.prior_regions,
            "now": [m.to_json() for m in self.now],
            "before": [m.to_json() for m in self.before],
            "changes": changes,
            "smallest": None if self.smallest is None else self.smallest.to_json(),
            "image": self.image,
            "box": None if self.box is None else [round(float(v), 1) for v in self.box],
            "possible": self.possible,
            "reason": self.reason,
        }


@dataclass
class Comparison:
    """What changed since the prior, and what that rests on."""

    changes: list[Change]
    prior: Report
    alignment: Alignment
    remarks: list[str] = field(default_factory=list)  # on the order of the two, and on whose they are, a sentence each

    def to_json(self) -> dict[str, Any]:
        return {
            "changes": [change.to_json() for change in self.changes],
            "prior": {
                "findings": [finding.to_json() for finding in self.prior.findings],
                "regions": [region.to_json() for region in self.prior.regions],
            },
            "alignment": {
                "matrix": np.round(self.alignment.matrix, 6).tolist(),
                "quality": round(self.alignment.quality, 4),
                "usable": self.alignment.usable,
            },
            "remarks": self.remarks,
        }


@dataclass
class Side:
    """One of the two: its images, what was found in them, and which of them were looked at."""

    study: Study
    report: Report
    examined: Sequence[int]


@dataclass
class _Thing:
    """What both reports say of one thing: findings of now and of before, by their indices in the two reports."""

    label: str
    current: Report
    prior: Report
    now: list[int]
    before: list[int]

    @property
    def findings(self) -> tuple[list[Finding], list[Finding]]:
        return [self.current.findings[i] for i in self.now], [self.prior.findings[i] for i in self.before]

    def change(self, kind: str, regions: Sequence[int], earlier: Sequence[int], reason: str = "") -> Change:
        """A change of this thing that these regions of the two reports show."""
        now, before = self.findings
        finding = next((i for i in self.now if set(regions) & set(self.current.findings[i].regions)), None)
        possible = any(f.presence == "uncertain" for f in [*now, *before] if f.regions)
        name = now[0].label if len(now) == 1 else self.label
        at = finding if finding is not None else next(iter(self.now), None)
        return Change(name, kind, "", at, list(regions), list(earlier), possible=possible, reason=reason)


def compare(current: Side, prior: Side, alignment: Alignment) -> list[Change]:
    """Every finding and measurement of two reports.

    Of a finding each spot is told for itself; of a normal structure, an object or a tree all of it together.
    """
    seen = alignment.seen(prior.examined) if alignment.usable else {}
    # Where the two do not lie on each other well, as films do not, they differ everywhere.
    well = alignment.quality >= LEAST
    differences = difference(current.study, prior.study, alignment, prior.examined) if well else {}
    told = [_things(side.report) for side in (current, prior)]
    changes: list[Change] = []
    for label in dict.fromkeys([*told[0], *told[1]]):
        thing = _Thing(label, current.report, prior.report, told[0].get(label, []), told[1].get(label, []))
        changes += _of_thing(thing, current, prior, alignment, seen, differences)
    return changes + _of_measurements(current.report, prior.report)


def _things(report: Report) -> dict[str, list[int]]:
    """Findings by the thing that they are of or a type of; what is shown by its kinds alone is told by them."""
    out: dict[str, list[int]] = {}
    for i, finding in enumerate(report.findings):
        own = {name for r in finding.regions for name in (report.regions[r].label, report.regions[r].phrase)}
        if not finding.regions or finding.label in own:
            out.setdefault(whole(finding.label) or finding.label, []).append(i)
    return out


def _of_thing(
    thing: _Thing, current: Side, prior: Side, alignment: Alignment, seen: Masks, differences: Differences
) -> list[Change]:
    regions = [sorted({r for finding in side for r in finding.regions}) for side in thing.findings]
    if not any(regions):
        return []
    if not alignment.usable:
        return [thing.change(INCOMPARABLE, regions[0], regions[1], "the two images could not be laid on each other")]
    single = not is_finding(thing.label) or parts(thing.label) == "tree"
    mine = spots_of(current.report, regions[0], current.study, single)
    for spot in mine:
        spot.shown = share_within(spot.masks, seen)
    theirs = spots_of(prior.report, regions[1], prior.study, single)
    for spot in theirs:
        spot.masks, spot.shown = carried(spot, alignment, current.examined)
    groups = [(mine, theirs)] if single else met(mine, theirs, current.study)
    return [_judged(thing, *group, alignment, current.study, {} if single else differences) for group in groups]


def _judged(
    thing: _Thing, mine: list[Spot], theirs: list[Spot], alignment: Alignment, study: Study, differences: Differences
) -> Change:
    """What became of one group of spots that are one."""
    spots = [*mine, *theirs]
    now, before = (united(pair for spot in some for pair in spot.masks.items()) for some in (mine, theirs))
    regions = [sorted({r for spot in some for r in spot.regions}) for some in (mine, theirs)]
    out = thing.change(UNCHANGED, regions[0], regions[1])
    boxed = {spot.boxed for spot in spots}
    out.now, out.before = (sizes_of(masks, study, True in boxed) for masks in (now, before))
    if place := now or before:
        out.image = max(place, key=lambda i: place[i].sum())
        out.box = mask_box(place[out.image])
    shown = min(spot.shown for spot in spots) >= SEEN
    line = max(RIM * max(study.images[out.image or 0].size), alignment.grain)
    if not (mine and theirs) and _is_speck((out.now or out.before)[-1:]):
        out.kind, out.reason = INCOMPARABLE, "it is so small that the same volume, read again, may show it or not"
    elif not (mine and theirs):
        out.kind, out.reason = _one_sided(thing, bool(mine), shown)
    elif not shown:
        out.kind, out.reason = INCOMPARABLE, "a part of it lies outside of what both images show"
    elif len(boxed) > 1:
        out.kind, out.reason = INCOMPARABLE, "one of the two has a box in place of an outline"
    else:
        _weigh(out, now, before, line)
    if out.kind in (NEW, LARGER, SMALLER, RESOLVED) and look_alike(differences, now, before):
        out.kind, out.reason = INCOMPARABLE, "the two images look alike where their outlines differ"
    return out


def _weigh(change: Change, now: Masks, before: Masks, line: float) -> None:
    """Whether one is larger than the other by more than a share of itself and than an outline that is `line` pixels wide."""
    a, b = _count(before), _count(now)
    smallest = max(SHARE * a, line * rim(now if a > b else before))
    size = change.now[-1]
    change.kind = LARGER if b - a >= smallest else SMALLER if a - b >= smallest else UNCHANGED
    change.measure, change.smallest = size.name, Measurement(size.name, smallest * size.value / b, size.unit)


def _is_speck(size: list[Measurement]) -> bool:
    return any(m.unit == "ml" and m.value <= SPECK for m in size)


def _count(masks: Masks) -> int:
    """Pixels of masks, over all images."""
    return sum(int(mask.sum()) for mask in masks.values())


def _one_sided(thing: _Thing, now: bool, shown: bool) -> tuple[str, str]:
    """What is said of a spot that one study alone has (the current one for `now`), whose place the other shows or not."""
    mine, other = thing.findings if now else thing.findings[::-1]
    when = "in the prior" if now else "now"
    if not other:
        return INCOMPARABLE, f"it was not looked for {when}"
    if not shown:
        return INCOMPARABLE, f"the {'prior' if now else 'image of today'} does not show all of its place"
    if any(f.presence == "uncertain" and not f.regions for f in other):
        return INCOMPARABLE, f"{when} it is uncertain and not located"
    sure = any(f.presence == "present" for f in mine)
    if not sure and max(map(_chance, mine)) - max(map(_chance, other)) < CLEAR:
        return INCOMPARABLE, "it is too uncertain to be called new or gone"
    return (NEW if now else RESOLVED), ""


def _chance(finding: Finding) -> float:
    """The probability that it is there."""
    return 1 - finding.confidence if finding.presence == "absent" else finding.confidence


def _of_measurements(current: Report, prior: Report) -> list[Change]:
    """Measurements beside sizes, which need no alignment: ratios, counts, circumferences."""
    before = {finding.label: finding for finding in prior.findings}
    changes = []
    for i, finding in enumerate(current.findings):
        earlier = {m.name: m for m in before[finding.label].measurements} if finding.label in before else {}
        for m in finding.measurements:
            if m.name not in SMALLEST or m.name not in earlier or (m.name == "count" and not _is_object(finding.label)):
                continue
            changes.append(_of_measurement(finding, i, m, earlier[m.name], before[finding.label].regions))
    return changes


def _is_object(label: str) -> bool:
    return label in LABELS and LABELS[label].kind == "object"


def _of_measurement(finding: Finding, index: int, now: Measurement, before: Measurement, regions: list[int]) -> Change:
    least = SMALLEST[now.name] * (before.value if now.name in RELATIVE else 1)
    least = max(least, 1.0) if now.name == "count" else least
    by = now.value - before.value
    kind = LARGER if by >= least else SMALLER if -by >= least else UNCHANGED
    out = Change(finding.label, kind, now.name, index, finding.regions, list(regions), [now], [before])
    if now.unit != before.unit:
        return Change(
            finding.label, INCOMPARABLE, now.name, index, finding.regions, list(regions), [now], [before],
            reason="the size of a pixel is known of one of the two alone",
        )  # fmt: skip
    out.smallest = Measurement(now.name, least, now.unit)
    return out
