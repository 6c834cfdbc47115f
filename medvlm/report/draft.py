"""Groundings → report draft. Pure functions: every sentence comes from a score, a region or a measurement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..policy import DecisionPolicy
from ..types import EXTENTS, Body, Finding, Grounding, ImageFacts, Measurement, Region, Report, Section, Sentence, Study
from ..vocabulary import LABELS, is_finding, other_types
from .agreement import agree, ratio_of
from .location import container, locate
from .measurements import measure
from .volumes import ALONG, WITHHELD, on_slices, sizes

NOT_FOUND = "Looked for and not found"  # starts the sentence that lists the absent
MODALITY_WORDS = {"x-ray": "X-ray", "ct": "CT", "mri": "MRI", "fundus": "fundus photograph"}


def draft_report(
    study: Study,
    facts: ImageFacts,
    groundings: Sequence[Grounding],
    looked_for: Sequence[str],
    model: str = "",
    policy: DecisionPolicy | None = None,
    whole: Grounding | None = None,
) -> Report:
    """A report draft of a study.

    `groundings` holds one for each examined image, its regions with that image's index; `looked_for` are the labels
    asked of each. Presence of a label is its best over the images, and `policy.verdict` what is said of it. Of a volume
    `whole` has what all slices show together: presence, and bodies. Of the types
    of one thing the likeliest alone has regions. `Finding.confidence` is the probability that it is there, or, for an
    absent one, that it is not.
    """
    policy = policy or DecisionPolicy()
    modality, body_part = study.modality or facts.modality, study.body_part or facts.body_part
    if facts.medical < policy.medical:
        text = "This does not look like a medical image of a kind that the model knows, so nothing was looked for."
        return Report([Section("Examination", [Sentence(text)])], [], [], model)
    report = Report([], [], [], model)
    found = [_finding(label, study, groundings, modality, report, policy, whole) for label in looked_for]
    report.findings, texts = [finding for finding, _ in found], [text for _, text in found]
    agree(report.findings, texts, policy)
    report.sections = [
        Section("Examination", _examination(study, facts, modality, body_part, len(groundings), report.findings)),
        Section("Findings", _findings(report, texts)),
        Section("Impression", _impression(report, policy)),
    ]
    report.sections = [section for section in report.sections if section.sentences]
    return report


def _finding(
    label: str,
    study: Study,
    groundings: Sequence[Grounding],
    modality: str,
    report: Report,
    policy: DecisionPolicy,
    whole: Grounding | None,
) -> tuple[Finding, str]:
    """The finding of a label, its regions added to the report, and the sentence that describes it ("" for none)."""
    together = groundings if whole is None else [whole]
    presence = _presence(label, together)
    likelier = [t for t in other_types(label) if _presence(t, together) > presence]
    regions = [] if likelier else [r for g in groundings for r in g.of(label)]
    state = policy.verdict(presence, bool(regions))
    finding = Finding(label, state, 1 - presence if state == "absent" else presence)
    if state == "absent":
        return finding, ""
    finding.regions = list(range(len(report.regions), len(report.regions) + len(regions)))
    report.regions += regions
    if not regions:
        return finding, ""
    body = whole.bodies.get(label) if whole else None
    largest = max((r for r in regions if body is None or r.image == body.largest), key=lambda r: r.area)
    image = study.images[largest.image]
    here = [] if image.parts else [g for g in groundings if any(r.image == largest.image for r in g.regions)]
    beside = _masks(here)  # nothing is measured from one film to another in the same picture
    finding.measurements = measure(largest, beside, image.spacing_mm, modality)
    if body:
        finding.measurements += body.measurements
        return finding, _describe_body(finding, body, largest, study, beside)
    per_image = max(sum(r.image == i for r in regions) for i in {r.image for r in regions})
    if per_image > 1 or LABELS.get(label) and LABELS[label].kind == "object":
        finding.measurements.append(Measurement("count", per_image, "count"))
    return finding, _describe(finding, regions, largest, study, beside)


def _presence(label: str, groundings: Sequence[Grounding]) -> float:
    return max((g.presence.get(label, 0.0) for g in groundings), default=0.0)


def _masks(groundings) -> dict[str, np.ndarray]:
    masks: dict[str, np.ndarray] = {}
    for region in (r for g in groundings for r in g.regions if r.mask is not None):
        masks[region.label] = masks[region.label] | region.mask if region.label in masks else region.mask
    return masks


def _describe(finding: Finding, regions: list[Region], largest: Region, study: Study, beside: dict) -> str:
    """Such as "Polyp in the upper left of the image, 34 × 21 px, area 512 px²; probability 0.93."."""
    label, words = finding.label, [_named(finding)]
    images = sorted({r.image for r in regions})
    if len(study.images) > 1:
        words.append("on " + _names(study, images))
    per_image = next((int(m.value) for m in finding.measurements if m.name == "count"), 1)
    if per_image > 1:
        words.append(f"({per_image} regions{' in one image' if len(images) > 1 else ''})")
    if per_image > 1 or len(images) > 1:
        words[-1] += ", the largest"
        if len(images) > 1:
            words.append("on " + _names(study, [largest.image]))
    words += _place(label, largest, study, beside)
    size = flat_sizes(finding.measurements)
    return f"{' '.join(w for w in words if w).rstrip(',')}{', ' + size if size else ''}; probability {_share(finding)}."


def _describe_body(finding: Finding, body: Body, largest: Region, study: Study, beside: dict) -> str:
    """Such as "Liver on slices 1 to 30 of 30, volume 1,087 ml, …, most on slice 23 of 30: 203.1 × …; probability 0.99."."""
    pieces = f"in {body.count} pieces " if body.count > 1 else ""
    start = ", ".join([f"{_named(finding)} {pieces}on {on_slices(body, study)}", *sizes(body)])
    place = " ".join(w for w in _place(finding.label, largest, study, beside) if w).rstrip(",")
    flat = [m for m in finding.measurements if m not in body.measurements]
    there = ", ".join(w for w in (place, flat_sizes(flat)) if w)
    where = f", most on {_names(study, [largest.image])}" if body.slices[0] != body.slices[1] else ""
    return f"{start}{where}{': ' if where else ', '}{there}; probability {_share(finding)}."


def _place(label: str, largest: Region, study: Study, beside: dict) -> list[str]:
    """Words for where a region lies: in which organ, and where in the image."""
    organs = {k: m for k, m in beside.items() if k in LABELS and LABELS[k].kind == "anatomy" and k != label}
    if own := next((k for k in LABELS if label.startswith(f"{k} ")), None):  # no liver cancer within the gallbladder
        organs = {k: m for k, m in organs.items() if k.endswith(own)}
    organ = container(largest, organs) if is_finding(label) else None
    place = locate(largest, study.images[largest.image].size)
    return [f"within the {organ},", place] if organ else [place]


def _named(finding: Finding) -> str:
    label = finding.label
    return f"Possible {label}" if finding.presence == "uncertain" else label[0].upper() + label[1:]


def _names(study: Study, images: list[int]) -> str:
    if len(images) > 3:
        return f"{len(images)} of the examined images"
    return ", ".join(study.images[i].name or f"image {i + 1}" for i in images)


def flat_sizes(measurements: Sequence[Measurement]) -> str:
    """Such as "34 × 21 px, area 512 px²"; nothing of a mere count."""
    by_name = {m.name: m for m in measurements}
    parts = []
    for first, second, note in (("longest diameter", "perpendicular diameter", ""), ("width", "height", " (its box)")):
        if first in by_name and second in by_name:
            a, b = by_name.pop(first), by_name.pop(second)
            parts.append(f"{_number(a)} × {_number(b)} {a.unit}{note}")
    units = {"mm2": " mm²", "px2": " px²", "ratio": "", "mm": " mm", "px": " px"}
    parts += [f"{m.name} {_number(m)}{units[m.unit]}" for m in by_name.values() if m.unit in units]
    return ", ".join(parts)


def _number(m: Measurement) -> str:
    if m.unit == "ratio":
        return f"{m.value:.2f}"
    return f"{m.value:.1f}" if m.unit == "mm" and m.value < 100 else f"{m.value:,.0f}"


def _share(finding: Finding) -> str:
    return f"{min(finding.confidence, 0.99):.2f}"  # two digits do not make anything certain


def _kind(study: Study, facts: ImageFacts, name: str, body_part: str) -> str:
    """Such as "CT (as the file states), abdomen (as the model sees it, probability 0.93)."."""

    def source(stated: str | None, sure: float) -> str:
        return "as the file states" if stated else f"as the model sees it, probability {min(sure, 0.99):.2f}"

    if not body_part or body_part == "none":
        return f"{name} ({source(study.modality, facts.modality_confidence)})."
    if bool(study.modality) == bool(study.body_part):
        sure = min(facts.modality_confidence, facts.body_part_confidence)
        return f"{name}, {body_part} ({source(study.modality, sure)})."
    sources = source(study.modality, facts.modality_confidence), source(study.body_part, facts.body_part_confidence)
    return f"{name} ({sources[0]}), {body_part} ({sources[1]})."


def _examination(
    study: Study, facts: ImageFacts, modality: str, body_part: str, examined: int, findings: Sequence[Finding]
) -> list[Sentence]:
    sentences = [
        Sentence(_kind(study, facts, MODALITY_WORDS.get(modality, modality[:1].upper() + modality[1:]), body_part))
    ]
    if len(study.images) > 1:
        what = f"All {examined} slices" if study.is_volume else f"{examined} of {len(study.images)} images"
        sentences.append(Sentence(f"{what} were examined."))
    if not any(image.spacing_mm for image in study.images):
        sentences.append(Sentence("The pixel spacing is unknown, so sizes are in pixels."))
    measured = {m.name for finding in findings for m in finding.measurements}
    if study.is_volume and measured and "volume" not in measured:
        sentences.append(Sentence(WITHHELD))
    if EXTENTS[0] in measured:
        sentences.append(Sentence(f"After a volume stands how far it reaches: {ALONG}."))
    if "longest diameter" in measured:
        sentences.append(Sentence("Sizes are the longest diameter × the longest at a right angle to it."))
    if not findings:
        sentences.append(Sentence("The model knows nothing to look for in this kind of image."))
    return sentences


def _findings(report: Report, texts: list[str]) -> list[Sentence]:
    """A sentence a located finding, abnormal ones first; then one for the unlocated and one for the absent."""
    order = sorted(range(len(texts)), key=lambda i: not is_finding(report.findings[i].label))
    return [*(Sentence(texts[i], i, report.findings[i].regions) for i in order if texts[i]), *listed(report)]


def listed(report: Report) -> list[Sentence]:
    """What is uncertain and not located, and what was not found, a sentence each."""
    sentences = []
    unlocated = [f.label for f in report.findings if f.presence == "uncertain" and not f.regions]
    if unlocated:
        sentences.append(Sentence(f"Uncertain, and not located: {', '.join(unlocated)}."))
    absent = [f.label for f in report.findings if f.presence == "absent"]
    if absent:
        sentences.append(Sentence(f"{NOT_FOUND}: {', '.join(absent)}."))
    return sentences


def _impression(report: Report, policy: DecisionPolicy) -> list[Sentence]:
    found, remarks = [], []
    for i, finding in enumerate(report.findings):
        ratio = ratio_of(finding)
        cup = next((m.value for m in finding.measurements if m.name == "vertical cup-to-disc ratio"), 0.0)
        if is_finding(finding.label) and finding.regions and not _implied(finding, report):
            found.append(Sentence(f"{_named(finding)} (probability {_share(finding)}).", i, finding.regions))
        elif finding.label == "heart" and ratio is not None and ratio > policy.enlarged_heart:
            text = f"The cardiothoracic ratio of {ratio:.2f} is above {policy.enlarged_heart:.2f}"
            remarks.append(Sentence(f"{text}: on a PA film the heart would be enlarged.", i, finding.regions))
        if cup > policy.large_cup:
            text = f"The vertical cup-to-disc ratio of {cup:.2f} is large."
            remarks.append(Sentence(text, i, finding.regions))
    return [*found, *remarks, *outcome(report, bool(found), bool(remarks))]


def _implied(finding: Finding, report: Report) -> bool:
    """Whether a finding is shown by what others are alone, which are spoken of in its place."""
    return not any(
        report.regions[i].phrase == finding.label or report.regions[i].label == finding.label for i in finding.regions
    )


def outcome(report: Report, found: bool, remarks: bool) -> list[Sentence]:
    """That nothing was found of what was looked for, where that is so, and what it means."""
    looked = [f for f in report.findings if is_finding(f.label)]
    if report.findings and not looked:
        return [Sentence("Only normal structures were looked for, so abnormalities are not ruled out.")]
    if not looked or found:
        return []
    sure = all(f.presence == "absent" for f in looked)
    ending = "found; that does not rule them out." if sure else "located; some are uncertain."
    start = "Beside that, none" if remarks else "None"
    return [Sentence(f"{start} of the abnormalities that were looked for was {ending}")]
