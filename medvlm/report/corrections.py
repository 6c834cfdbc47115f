"""A draft and a person's corrections → the report that leaves. What the corrections make untrue is measured and told anew."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import RequestError
from ..types import Finding, Measurement, Region, Report, Section, Sentence, Study, mask_box
from ..validation import check_box, check_image
from ..vocabulary import known_name
from . import edits
from .edits import FILE, Corrections, digest, read_corrections, write_corrections
from .measurements import measure
from .retold import renumbered, told

__all__ = [
    "FILE",
    "PROVENANCE",
    "Corrections",
    "apply",
    "edits",
    "is_corrected",
    "measured_anew",
    "places",
    "read_corrections",
    "regions_spoken_of",
    "write_corrections",
]

PROVENANCE = "Provenance"
BEFORE = "The comparison with the earlier study was made before that."
RATIOS = {"heart": ("left lung", "right lung"), "optic cup": ("optic disc",)}  # what is measured against what
_COUNTED = {edits.EditSentence: "edited", edits.RejectSentence: "rejected", edits.AddSentence: "added"}


@dataclass
class _Work:
    """A draft as its corrections are made; numbers of regions and findings are the draft's, new ones come behind."""

    study: Study
    regions: list[Region | None]
    findings: list[Finding]
    touched: set[int]  # findings that a person spoke of

    def own(self, finding: int) -> list[int]:
        """The regions that are left of a finding."""
        return [i for i in self.findings[finding].regions if self.regions[i] is not None]

    def region(self, index: int) -> Region:
        found = self.regions[index] if index < len(self.regions) else None
        if found is None:
            raise RequestError(
                f"A correction names region {index}, which the draft does not have or which was rejected."
            )
        return found

    def finding(self, index: int) -> Finding:
        if index >= len(self.findings):
            raise RequestError(
                f"A correction names finding {index}, but the draft has findings 0 to {len(self.findings) - 1}."
            )
        return self.findings[index]


def apply(report: Report, corrections: Corrections, study: Study) -> Report:
    """The corrected report; the draft stays as it is. Without corrections it is the draft itself.

    Findings whose regions or presence a person changed are measured again and told anew, in Findings and Impression, unless
    the person wrote the sentence. A section says how many sentences were corrected.

    Raises:
        RequestError: the corrections are of another draft, name what it does not have, or leave the image.
    """
    if corrections.report != digest(report) and not _stands_alone(corrections):
        raise RequestError(
            "The corrections are of another report: give the images, the model and the options that their draft was made with."
        )
    if not corrections.made:
        return report
    work = _worked(report, corrections, study)
    retold = work.touched | _beside(work)
    for number in retold:
        _measure_anew(work, number)
    numbers = {old: new for new, old in enumerate(i for i, r in enumerate(work.regions) if r is not None)}
    for finding in work.findings:
        finding.regions = renumbered(finding.regions, numbers)
    out = replace(report, findings=work.findings, regions=[r for r in work.regions if r is not None])
    if report.comparison:
        changes = [replace(c, regions=renumbered(c.regions, numbers)) for c in report.comparison.changes]
        out.comparison = replace(report.comparison, changes=changes)
    out.sections = [*told(report, out, corrections, retold, numbers, study), _provenance(report, corrections)]
    return out


def _stands_alone(corrections: Corrections) -> bool:
    """Whether nothing in them names what a draft has, so that they can be added to any."""
    added = (edits.AddRegion, edits.AddFinding)
    return corrections.report == edits.DRAWN and all(isinstance(one, added) for one in corrections.made)


def places(report: Report, corrections: Corrections, study: Study) -> list[int]:
    """The numbers by which corrections name the regions of the corrected report, in its order: the draft's own, and those of
    added regions behind them. Raises `RequestError`."""
    return [i for i, region in enumerate(_worked(report, corrections, study).regions) if region is not None]


def regions_spoken_of(
    report: Report, corrections: Corrections, study: Study
) -> tuple[dict[int, Region], list[set[int]]]:
    """All regions by the numbers that corrections name them by, the rejected ones too, and of each finding which show it.
    Raises `RequestError`."""
    judging = (edits.RejectRegion, edits.RejectFinding, edits.ChangeFinding)
    kept = [one for one in corrections.made if not isinstance(one, judging)]
    work = _worked(report, replace(corrections, made=kept), study)
    regions = {number: region for number, region in enumerate(work.regions) if region is not None}
    return regions, [regions.keys() & finding.regions for finding in work.findings]


def is_corrected(report: Report) -> bool:
    """Whether a person's corrections are in a report."""
    return any(section.title == PROVENANCE for section in report.sections)


def _provenance(draft: Report, corrections: Corrections) -> Section:
    """How many sentences a person corrected, and what else."""
    regions = sum(isinstance(one, edits.AddRegion) for one in corrections.made)
    if digest(draft) == edits.DRAWN:
        return Section(
            PROVENANCE, [Sentence(f"Drawn by the reader: {_several(regions, 'region')}{_carried(corrections)}.")]
        )
    counts = {word: sum(type(one) is kind for one in corrections.made) for kind, word in _COUNTED.items()}
    parts = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    text = f"A person corrected {_several(sum(counts.values()), 'sentence')} of this draft"
    text += f" ({parts})" if parts else ""
    for noun in ("finding", "region"):
        if count := sum(edits.KINDS_OF[type(one)].endswith(noun) for one in corrections.made):
            text += f", {_several(count, noun)}"
    sentences = [Sentence(f"{text}{_carried(corrections)}.")]
    if draft.comparison:
        sentences.append(Sentence(BEFORE))
    return Section(PROVENANCE, sentences)


def _carried(corrections: Corrections) -> str:
    """How many of the regions no person drew."""
    count = sum(getattr(one, "carried", False) for one in corrections.made)
    return f", {count} of which {'was' if count == 1 else 'were'} carried from slice to slice" if count else ""


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


# Regions and findings


def _worked(report: Report, corrections: Corrections, study: Study) -> _Work:
    work = _Work(study, list(report.regions), [replace(f, regions=list(f.regions)) for f in report.findings], set())
    for one in corrections.made:
        _change(work, one)
    return work


def _change(work: _Work, one: edits.Correction) -> None:
    match one:
        case edits.RejectFinding(finding):
            _state(work, finding, "absent")
        case edits.ChangeFinding(finding, presence):
            _state(work, finding, presence)
        case edits.AddFinding(label, presence):
            _state(work, _finding_of(work, label), presence)
        case edits.RenameFinding(finding, label):
            _rename(work, finding, known_name(label) or label)
        case edits.RedrawRegion(index, box, mask):
            old = work.region(index)
            drawn = _drawn(work.study, old.image, box, mask)
            work.regions[index] = replace(drawn, label=old.label, instance=old.instance, phrase=old.phrase)
            for number in _showing(work, index):
                _state(work, number, "present")
        case edits.RejectRegion(index):
            work.region(index)
            work.regions[index] = None
            work.touched |= _showing(work, index)
            for number in _showing(work, index):
                if not work.own(number):
                    _state(work, number, "absent")
        case edits.AddRegion(label, image, box, mask):
            number = _finding_of(work, label)
            drawn = _drawn(work.study, check_image(image, work.study), box, mask)
            name = work.findings[number].label
            instance = sum(r is not None and (r.label, r.image) == (name, image) for r in work.regions)
            work.regions.append(replace(drawn, label=name, instance=instance))
            work.findings[number].regions.append(len(work.regions) - 1)
            _state(work, number, "present")


def _drawn(study: Study, index: int, box: tuple[float, ...] | None, mask: np.ndarray | None) -> Region:
    image = study.images[index]
    if mask is not None and mask.shape != image.size:
        raise RequestError(
            f"A drawn mask has {mask.shape[1]} x {mask.shape[0]} pixels, its image {image.size[1]} x {image.size[0]}: draw it on "
            "the image of the report."
        )
    return Region("", index, check_box(box, image.size) if mask is None else mask_box(mask), mask, 1.0, turn=image.turn)


def _state(work: _Work, number: int, presence: str) -> None:
    """What a person says of a finding, which is sure."""
    finding = work.finding(number)
    finding.presence, finding.confidence = presence, 1.0 if presence != "uncertain" else finding.confidence
    if presence == "absent":
        for index in work.own(number):
            if _showing(work, index) == {number}:
                work.regions[index] = None
        finding.regions, finding.measurements = [], []
    work.touched.add(number)


def _rename(work: _Work, number: int, label: str) -> None:
    """Give a finding another label; where there is one of that label, its regions go there."""
    finding = work.finding(number)
    if label == finding.label:
        return
    for index in work.own(number):
        work.regions[index] = replace(work.region(index), label=label, phrase="")
    other = next((n for n, one in enumerate(work.findings) if one.label == label), None)
    if other is None:
        finding.label = label
        _state(work, number, "present")
        return
    work.findings[other].regions += [i for i in work.own(number) if i not in work.findings[other].regions]
    _state(work, other, "present")
    _state(work, number, "absent")


def _finding_of(work: _Work, label: str) -> int:
    """The number of a label's finding, which is added where there is none."""
    name = known_name(label) or label
    for number, finding in enumerate(work.findings):
        if finding.label == name:
            return number
    work.findings.append(Finding(name, "present", 1.0))
    return len(work.findings) - 1


def _showing(work: _Work, region: int) -> set[int]:
    """The findings that a region shows."""
    return {number for number, finding in enumerate(work.findings) if region in finding.regions}


def _beside(work: _Work) -> set[int]:
    """Findings with a ratio to what a person changed."""
    labels = {work.findings[i].label for i in work.touched}
    return {
        i
        for i, finding in enumerate(work.findings)
        if labels & set(RATIOS.get(finding.label, ())) and any(m.unit == "ratio" for m in finding.measurements)
    }


def measured_anew(report: Report, study: Study) -> None:
    """Measure all findings of a report by what their regions show."""
    work = _Work(study, list(report.regions), report.findings, set())
    for number in range(len(work.findings)):
        _measure_anew(work, number)


def _measure_anew(work: _Work, number: int) -> None:
    """Set the measurements of a finding to what its regions show."""
    own = [region for i in work.own(number) if (region := work.regions[i]) is not None]
    work.findings[number].measurements = _measured(work.findings[number], own, work) if own else []


def _measured(finding: Finding, own: list[Region], work: _Work) -> list[Measurement]:
    """As in the draft: the largest region, in a volume the largest on the slice that shows most; and what all make together,
    where they are on several slices: of the others nobody has said anything."""
    whole, candidates = [], own
    if work.study.is_volume and len({region.image for region in own}) > 1:
        from ..perception.volume import bodies_of, lattice_of, measured

        slices = [[r for r in own if r.image == i] for i in range(len(work.study.images))]
        body = measured(bodies_of(slices), lattice_of(work.study))
        whole, candidates = body.measurements, slices[body.largest]
    largest = max(candidates, key=lambda region: region.area)
    ratio = any(m.unit == "ratio" for m in finding.measurements)
    modality = work.study.modality or ("x-ray" if ratio and finding.label == "heart" else "")
    beside: dict[str, np.ndarray] = {}
    for region in work.regions:
        if region is not None and region.mask is not None and region.image == largest.image:
            beside[region.label] = beside.get(region.label, False) | region.mask
    found = measure(largest, beside, work.study.images[largest.image].spacing_mm, modality) + whole
    most = max(sum(r.image == i for r in own) for i in {r.image for r in own})
    return found if whole or most == 1 else [*found, Measurement("count", most, "count")]
