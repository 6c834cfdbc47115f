"""Judges of a turn of a conversation: is an answer right by the masks and facts of its image's record?

What `expect` may say of a turn, and when an answer is right. THING is a label, or several that count as one; `which`
beside it picks an instance: largest, smallest, or the one that is farthest left, right, up or down in the image.

    present: THING                       first word yes or no; with `denied: true` the other way round
    lies: {THING: SIDE}                  yes where the middle of the thing is on that side
    over: {MEASURE: THING, number: N}    yes where a count, or a length in mm, is more than that
    exceeds: [THING, THING]              yes where the first covers more of the image
    holds: {FACT: VALUE}                 yes where a fact of the record has this value
    boxed: THING                         yes where the drawn box is around this
    count: THING                         its first plain number is within 1, or 10 %; none is never some
    length, width, height, area, circumference, share, ratio: THING
                                         one of its numbers with a fitting unit is within 15 %
    place: THING                         it names sides or thirds of the image that hold the thing's middle, no others;
                                         with `axis: width` (or height) left or right (upper or lower) among them
    larger, smaller, more, fewer: [THING, THING]
                                         it names that one (by area, or by number), or names it first
    fact: FACT, options: VALUES          it names the fact's value and no other of the options
    modality, body_part: true            it names them
    identify: LABEL                      it names the label, or a synonym
    regions: THING                       the union of its regions has an IoU of at least 0.5 with the thing
    nothing: THING                       it says that there is none, and shows no region
    declined: true                       it abstains, declines, or says that this cannot be told
    all: [...]                           all of several

Left and right are the patient's in x-ray, CT and MRI, unless the answer says "of the image", and the image's elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from answer_text import PATIENTS, first_named, listed, named, number_said, numbers, plain, sides_said, yes_no
from common import filled, union

from medvlm.records import Record
from medvlm.records.presence import labelled_presence
from medvlm.report import measurements
from medvlm.types import Answer, mask_box
from medvlm.vocabulary import LABELS, surely_absent

KINDS = "yes_no count number place choice region comparison refusal two kind".split()
SLACK = 0.15  # of a number
CLEAR = 0.1  # by how much two sizes have to differ, as a share of the larger one, to be asked about
MIDDLE = (0.3, 0.7)  # of the width or the height


@dataclass(frozen=True)
class Turn:
    """One question: its words, its kind, what is expected, and the label whose true box is drawn with it, if any."""

    ask: str
    kind: str
    expect: dict[str, Any]
    box_of: str = ""

    def __post_init__(self) -> None:
        """Raises `ValueError` for an unknown kind or expectation."""
        if self.kind not in KINDS:
            raise ValueError(f"{self.ask!r}: {self.kind!r} is no kind.")
        for part in self.expect.get("all", [self.expect]):
            if len([name for name in part if name in JUDGES]) != 1:
                raise ValueError(f"{self.ask!r}: {part} is nothing to expect.")


@dataclass(frozen=True)
class Verdict:
    right: bool
    expected: str


# What is true of an image


def instances(record: Record, label: str) -> list[np.ndarray]:
    """A bool mask `(H, W)` an instance; the filled box where only boxes are known. Raises `ValueError` for none."""
    region = record.region(label)
    mask = region.mask if region else None
    if mask is not None:
        found = [mask == number for number in np.unique(mask) if number]
    else:
        found = [filled([box], record.image.shape[:2]) for box in (region.boxes if region else [])]
    if not found:
        raise ValueError(f"{record.key} has no {label}.")
    return found


def middle(mask: np.ndarray) -> tuple[float, float]:
    """The mean x and y of a mask `(H, W)`, as shares of the width and the height."""
    rows, columns = np.nonzero(mask)
    return float((columns.mean() + 0.5) / mask.shape[1]), float((rows.mean() + 0.5) / mask.shape[0])


RANKS: dict[str, Callable[[np.ndarray], float]] = {
    "largest": lambda mask: mask.sum(),
    "smallest": lambda mask: -mask.sum(),
    "left": lambda mask: -middle(mask)[0],
    "right": lambda mask: middle(mask)[0],
    "upper": lambda mask: -middle(mask)[1],
    "lower": lambda mask: middle(mask)[1],
}


def mask_of(record: Record, thing: str | Sequence[str], which: str = "") -> np.ndarray:
    """Bool `(H, W)`: the union of all instances of a thing, or the one that is meant."""
    found = [mask for label in listed(thing) for mask in instances(record, label)]
    return max(found, key=RANKS[which]) if which else np.logical_or.reduce(found)


def is_present(record: Record, thing: str | Sequence[str]) -> bool:
    """Whether any label of a thing is in the image. Raises `ValueError` where that is not known."""
    known, place = labelled_presence(record), (record.modality or "", record.body_part or "")
    told = [known.get(label, False if surely_absent(label, *place) else None) for label in listed(thing)]
    if True not in told and None in told:
        raise ValueError(f"{record.key}: nothing is known of {thing}.")
    return True in told


def fact_of(record: Record, name: str) -> str:
    """A fact of the record's labels, or its modality, body part or view. Raises `ValueError` where it is not known."""
    value = record.labels.get(name) or getattr(record, name, None)
    if value is None:
        raise ValueError(f"{record.key} does not say its {name}.")
    return str(value)


def size_of(record: Record, measure: str, thing: str, which: str = "") -> tuple[float, str]:
    """A measure of a thing with its unit: mm, mm2, px, px2, ratio or count. Lengths are the largest instance's."""
    if measure == "count":
        return float(len(instances(record, thing))), "count"
    mask, spacing = mask_of(record, thing, which), record.spacing_mm
    if measure == "ratio":
        beside = {label: mask_of(record, label) for label in RATIOS[thing][1]}
        found = RATIOS[thing][0](mask, *beside.values())
    elif measure == "share":
        return float(mask.mean()), "ratio"
    elif measure == "area":
        found = measurements.area(mask, spacing)
    elif measure == "circumference":
        if "head_circumference_mm" in record.labels:
            return float(record.labels["head_circumference_mm"]), "mm"
        found = measurements.head_circumference(mask, spacing)
    else:
        mask = mask if which else mask_of(record, thing, "largest")
        width, height = measurements.box_size(mask_box(mask), spacing)
        found = {"width": width, "height": height}.get(measure) or measurements.diameters(mask, spacing)[0]
    return found.value, found.unit


RATIOS = {
    "heart": (measurements.cardiothoracic_ratio, ("left lung", "right lung")),
    "optic cup": (measurements.cup_to_disc_ratio, ("optic disc",)),
}


def biggest(values: dict[str, float]) -> str:
    """The name with the largest value. Raises `ValueError` where the next one is too close to call."""
    first, second = sorted(values, key=values.__getitem__, reverse=True)[:2]
    if values[first] - values[second] < CLEAR * abs(max(values.values(), key=abs)):
        raise ValueError(f"{first} and {second} are too much alike: {values}.")
    return first


# Judges: of a record, a turn, the value that is expected and the rest of the expectation, and an answer


@dataclass(frozen=True)
class Case:
    """What a judge sees; `number` counts the yes/no questions before this one in the same turn."""

    record: Record
    turn: Turn
    expect: dict[str, Any]
    answer: Answer
    number: int = 0

    @property
    def which(self) -> str:
        return self.expect.get("which", "")


def judge_yes_no(truth: Callable[[Case, Any], bool]) -> Callable[[Case, Any], Verdict]:
    """A judge of answers that start with yes or no, from what is so."""

    def judge(case: Case, value: Any) -> Verdict:
        right = truth(case, value) != case.expect.get("denied", False)
        return Verdict(yes_no(case.answer.text, case.number) is right, "yes" if right else "no")

    return judge


def is_over(case: Case, value: dict[str, Any]) -> bool:
    measure, thing = next((name, thing) for name, thing in value.items() if name != "number")
    size = size_of(case.record, measure, thing, case.which)[0]
    return biggest({"size": size, "number": float(value["number"])}) == "size"


def is_on(case: Case, value: dict[str, str]) -> bool:
    """Whether a thing's middle is on a side. Raises `ValueError` where it is close to the line."""
    ((thing, side),) = value.items()
    x, y = middle(mask_of(case.record, thing, case.which))
    share = {"left": 1 - x, "right": x, "upper": 1 - y, "lower": y}[side]
    if side in ("left", "right") and case.record.modality in PATIENTS:
        share = 1 - share
    if abs(share - 0.5) < 0.04:
        raise ValueError(f"{case.record.key}: the {thing} is about the middle.")
    return share > 0.5


def is_larger(case: Case, value: Sequence[Any]) -> bool:
    first, second = (float(mask_of(case.record, thing).sum()) for thing in value)
    return biggest({"first": first, "second": second}) == "first"


def judge_count(case: Case, value: str) -> Verdict:
    true = len(instances(case.record, value)) if is_present(case.record, value) else 0
    said = number_said(case.answer.text)
    near = said is not None and abs(said - true) <= max(1, 0.1 * true) and (said == 0) == (true == 0)
    return Verdict(near, str(true))


def judge_size(measure: str) -> Callable[[Case, Any], Verdict]:
    def judge(case: Case, value: str) -> Verdict:
        true, unit = size_of(case.record, measure, value, case.which)
        fitting = {"ratio": ("", "percent"), "px2": ("px2", "px")}.get(unit, (unit,))
        said = [number for number, its in numbers(case.answer.text) if its in fitting]
        return Verdict(any(abs(n - true) <= SLACK * true for n in said), f"{true:.4g} {unit}")

    return judge


def judge_place(case: Case, value: str | Sequence[str]) -> Verdict:
    x, y = middle(mask_of(case.record, value, case.which))
    across, down, central = sides_said(case.answer.text, case.record, value)
    low, high = MIDDLE
    holds = {"left": x < 0.5, "right": x > 0.5, "upper": y < 0.5, "lower": y > 0.5, "middle": low < y < high}
    needed = {"width": across, "height": down - {"middle"}}.get(case.expect.get("axis", ""), across | down or central)
    right = bool(needed) and all(holds[side] for side in across | down)
    if central and not across:
        right &= low < x < high
    if central and not down:
        right &= low < y < high
    return Verdict(right, f"{x:.2f} of the width, {y:.2f} of the height, from the image's top left")


def judge_compared(by: str, less: bool) -> Callable[[Case, Any], Verdict]:
    """By area or by number (`by`), and the one with less of it."""

    def judge(case: Case, value: Sequence[str]) -> Verdict:
        sizes = {thing: size_of(case.record, by, thing)[0] for thing in value}
        true = biggest({thing: -size if less else size for thing, size in sizes.items()})
        return Verdict(first_named(case.answer.text, value, less) == true, true)

    return judge


def judge_fact(case: Case, value: str) -> Verdict:
    true, options = fact_of(case.record, value), case.expect["options"]
    options = options if isinstance(options, dict) else {option: [] for option in options}
    if true not in options:
        raise ValueError(f"{case.record.key}: {true!r} is none of {list(options)}.")
    return Verdict(named(case.answer.text, options) == {true}, true)


SAID = {
    "x-ray": ["x ray", "xray", "radiograph", "radiography", "plain film", "orthopantomogram", "panoramic radiograph"],
    "ct": ["computed tomography", "cat scan"],
    "mri": ["mr", "magnetic resonance"],
    "ultrasound": ["sonogram", "sonography", "ultrasonography"],
    "endoscopy": ["colonoscopy", "endoscopic", "endoscope"],
    "fundus": ["fundus photograph", "retinal photograph", "fundus photography"],
    "dermoscopy": ["dermatoscopy", "dermoscopic", "dermatoscopic"],
    "mammography": ["mammogram", "mammographic"],
    "histopathology": ["histology", "h&e", "pathology", "histological", "histopathological"],
    "microscopy": ["blood smear", "microscope", "microscopic", "light microscopy"],
    "fluorescence microscopy": ["fluorescence", "fluorescent", "fluorescence microscope"],
    "photograph": [],
}
BODY = {
    "chest": ["thorax", "thoracic", "lung"],
    "brain": ["head", "cerebral"],
    "colon": ["bowel", "large intestine"],
    "retina": ["eye", "fundus", "retinal"],
    "heart": ["cardiac"],
    "abdomen": ["abdominal", "belly"],
    "teeth": ["tooth", "jaw", "dental", "mouth"],
    "fetal head": ["fetus", "foetus", "foetal head", "fetal", "foetal"],
    "blood": ["blood smear"],
    "shoulder": [],
    "breast": [],
    "thyroid": ["neck"],
    "pelvis": ["pelvic"],
}


def judge_modality(case: Case, value: bool) -> Verdict:
    true = fact_of(case.record, "modality")
    return Verdict(named(case.answer.text, SAID) == {true}, true)


def judge_body_part(case: Case, value: bool) -> Verdict:
    true = fact_of(case.record, "body_part")
    return Verdict(true in named(case.answer.text, {true: BODY[true]}), true)


def judge_identify(case: Case, value: str) -> Verdict:
    is_present(case.record, value)
    return Verdict(bool(named(case.answer.text, {value: list(LABELS[value].synonyms)})), value)


def judge_regions(case: Case, value: str | Sequence[str]) -> Verdict:
    """Regions of the labels asked for count, or all where none is called so; as filled boxes where the truth is."""
    true = mask_of(case.record, value, case.which)
    found = [r for r in case.answer.regions if r.label in listed(value)] or case.answer.regions
    if all((region := case.record.region(label)) and region.source is None for label in listed(value)):
        seen = filled([r.box for r in found], true.shape)
    else:
        seen = union(found, true.shape)
    iou = float((seen & true).sum() / (seen | true).sum())
    return Verdict(iou >= 0.5, f"regions of {value} {case.which}".strip() + f" (IoU {iou:.2f})")


def judge_nothing(case: Case, value: str | Sequence[str]) -> Verdict:
    if is_present(case.record, value):
        raise ValueError(f"{case.record.key} has {value}.")
    said = re.search(r"\b(?:no|not|none|nothing|cannot|can't|n't)\b", plain(case.answer.text))
    return Verdict(bool(said) and not case.answer.regions, f"no {value}")


UNKNOWN = re.compile(r"\b(?:cannot|can't|can not|could not|unable|not able|no image|does not show|unknown|a doctor)\b")


def judge_declined(case: Case, value: bool) -> Verdict:
    answer = case.answer
    return Verdict(answer.abstained or answer.declined or bool(UNKNOWN.search(plain(answer.text))), "declined")


YES_NO: dict[str, Callable[[Case, Any], bool]] = {
    "present": lambda case, value: is_present(case.record, value),
    "lies": is_on,
    "over": is_over,
    "exceeds": is_larger,
    "holds": lambda case, value: all(fact_of(case.record, name) == str(wanted) for name, wanted in value.items()),
    "boxed": lambda case, value: case.turn.box_of in listed(value),
}
JUDGES: dict[str, Callable[[Case, Any], Verdict]] = {
    **{name: judge_yes_no(truth) for name, truth in YES_NO.items()},
    "count": judge_count,
    **{name: judge_size(name) for name in "length width height area circumference share ratio".split()},
    "place": judge_place,
    "larger": judge_compared("area", less=False),
    "smaller": judge_compared("area", less=True),
    "more": judge_compared("count", less=False),
    "fewer": judge_compared("count", less=True),
    "fact": judge_fact,
    "modality": judge_modality,
    "body_part": judge_body_part,
    "identify": judge_identify,
    "regions": judge_regions,
    "nothing": judge_nothing,
    "declined": judge_declined,
}


def judge(record: Record, turn: Turn, answer: Answer) -> Verdict:
    """Whether an answer is right, and what was expected. Raises `ValueError` where the record does not tell."""
    verdicts, number = [], 0
    for expect in turn.expect.get("all", [turn.expect]):
        name = next(name for name in expect if name in JUDGES)
        verdict = JUDGES[name](Case(record, turn, expect, answer, number), expect[name])
        silent = (answer.abstained or answer.declined) and name not in ("declined", "nothing")
        verdicts.append(Verdict(verdict.right and not silent, verdict.expected))
        number += name in YES_NO
    return Verdict(all(v.right for v in verdicts), "; ".join(v.expected for v in verdicts))
