"""Conversations on held-out images: is each turn right by the masks and facts of its image?

    python benchmarks/dialogues.py ../shared/data [--part report] [--limit N [--rest]] [--json OUT] [--show] [--model nano]

`tests/conversation/dialogues.yaml` holds dialogues written by hand, as people type, without sight of any question of
training, on images that no training saw. What is expected of a turn is worked out from its record. Prints the share of
turns that are right, of each kind and in all, with n and a 95 % interval by dialogue, beside "Yes" to everything, and
how many dialogues are wholly right.

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

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from common import filled, interval, spread, table, union
from tqdm import tqdm

from medvlm.errors import MedVLMError
from medvlm.records import Record, read_records
from medvlm.records.presence import known_presence
from medvlm.records.record import PARTS
from medvlm.records.vocabulary import LABELS, surely_absent
from medvlm.report import measurements
from medvlm.types import Answer, Region, Study, mask_box

DIALOGUES = Path(__file__).parents[1] / "tests" / "conversation" / "dialogues.yaml"
KINDS = "yes_no count number place choice region comparison refusal two kind".split()
PATIENTS = ("x-ray", "ct", "mri")  # whose left and right are the patient's
SLACK = 0.15  # of a number
CLEAR = 0.1  # by how much two sizes have to differ, as a share of the larger one, to be asked about
MIDDLE = (0.3, 0.7)  # of the width or the height
History = list[tuple[str, Answer]]


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
class Dialogue:
    set: str
    id: str
    turns: tuple[Turn, ...]

    @property
    def key(self) -> str:
        return f"{self.set}/{self.id}"


@dataclass(frozen=True)
class Verdict:
    right: bool
    expected: str


@dataclass(frozen=True)
class Judged:
    """A turn with the answer that it got, whether that is right, and whether "Yes" would have been."""

    dialogue: int
    key: str
    turn: Turn
    answer: Answer
    verdict: Verdict
    yes: bool


def read_dialogues(path: Path = DIALOGUES) -> list[Dialogue]:
    """Raises `ValueError` where a turn is not of the form above."""
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [Dialogue(row["set"], row["id"], tuple(Turn(**turn) for turn in row["turns"])) for row in rows]


def records_for(dialogues: Iterable[Dialogue], data: Path) -> dict[str, Record]:
    """Set and id → record, of the val splits of the sets that are spoken of."""
    sets = dict.fromkeys(dialogue.set for dialogue in dialogues)
    return {f"{name}/{record.id}": record for name in sets for record in read_records(data / name, "val")}


# What is true of an image


def listed(thing: str | Sequence[str]) -> list[str]:
    return [thing] if isinstance(thing, str) else list(thing)


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
    known, place = known_presence(record), (record.modality or "", record.body_part or "")
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


# What an answer says


def plain(text: str) -> str:
    """In lower case and one spelling, without what is said of how sure the answer is."""
    text = re.sub(
        r"(?:probability|confidence|certainty|score)(?: of|:)? *[\d.]+ ?%?", "", " ".join(text.lower().split())
    )
    return text.replace("tumor", "tumour").replace("hemorrhage", "haemorrhage").replace("’", "'")


def yes_no(text: str, number: int = 0) -> bool | None:
    """What an answer says to the `number`th of its yes/no questions; one that says it once says it to all of them."""
    clauses = re.split(r"[.;\n]\s*(?:and |but )?", plain(text))
    first = re.match(r"\W*(yes|no)\b", plain(text))
    said = [m[1] == "yes" for m in (re.match(r"\W*(yes|no)\b", clause) for clause in clauses) if m]
    return said[min(number, len(said) - 1)] if first else None


SQUARE = r"(?:{0}(?:²|2|\^2)|(?:sq\.?|square) {0})"
LENGTHS = {
    "mm|millimet(?:er|re)s?": 1.0,
    "cm|centimet(?:er|re)s?": 10.0,
    "µm|μm|um|microns?|micromet(?:er|re)s?": 0.001,
}
UNITS = [
    *((SQUARE.format(f"(?:{words})"), "mm2", factor**2) for words, factor in LENGTHS.items()),
    (SQUARE.format("(?:px|pixels?)"), "px2", 1.0),
    *((rf"(?:{words})\b", "mm", factor) for words, factor in LENGTHS.items()),
    (r"(?:px|pixels?)\b", "px", 1.0),
    (r"(?:%|per ?cent\b)", "percent", 0.01),
]
NUMBER = re.compile(
    r"(?<![\w.])(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)\s?-?(?:" + "|".join(f"({u})" for u, *_ in UNITS) + ")?"
)
WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()
COUNTS = {word: n for n, word in enumerate(WORDS)} | {"single": 1, "both": 2, "no": 0, "none": 0}


def numbers(text: str) -> list[tuple[float, str]]:
    """The numbers of an answer with their units: mm, mm2, px, px2, percent (as a share), or nothing."""
    found: list[tuple[float, str]] = []
    text = plain(text)
    later, start = ("", 1.0), len(text)
    for match in reversed(list(NUMBER.finditer(text))):
        unit, factor = next((UNITS[i][1:] for i, words in enumerate(match.groups()[1:]) if words), ("", 1.0))
        if not unit and text[match.end() : start].strip() in ("×", "x", "by"):  # such as 34 × 21 px
            unit, factor = later
        later, start = (unit, factor), match.start()
        found.append((float(match[1].replace(",", "")) * factor, unit))
    return found[::-1]


def number_said(text: str) -> int | None:
    """The first whole number without a unit; else the first that is written as a word."""
    whole = [int(value) for value, unit in numbers(text) if not unit and value == int(value)]
    words = [COUNTS[word] for word in re.findall(r"[a-z]+", plain(text)) if word in COUNTS]
    return next(iter([*whole, *sorted(words, key=bool, reverse=True)]), None)  # "No, three": the no comes last


def named(text: str, options: dict[str, list[str]]) -> set[str]:
    """Which options an answer names by any of their words, longer words first; what it names to deny it is left out."""
    text = re.sub(r"\b(?:not|rather than|instead of|than) (?:an? |the )?\w+", " ", plain(text))
    found = set()
    words = [(plain(word), option) for option, words in options.items() for word in (option, *words)]
    for word, option in sorted(words, key=lambda pair: -len(pair[0])):
        text, hits = re.subn(rf"(?<!\w){re.escape(word)}(?:s|es)?(?!\w)", " ", text)
        found |= {option} if hits else set()
    return found


MORE, LESS = r"larger|bigger|greater|more|wider|longer|exceed", r"smaller|less|fewer|shorter|narrower|tinier"


def first_named(text: str, options: Sequence[str], less: bool) -> str | None:
    """The option that an answer gives: the first that it names by a word of its own, or the other where it says of that
    one the contrary of what was asked ("the spleen is smaller than the liver")."""
    text, at = plain(text), {}
    for option in options:
        own = set(option.split()) - {word for other in options if other != option for word in other.split()}
        hits = [m.start() for word in own for m in re.finditer(rf"\b{re.escape(word.rstrip('s'))}(?:s|es)?\b", text)]
        at |= {option: min(hits)} if hits else {}
    order = sorted(at, key=at.__getitem__)
    if len(order) < 2:
        return order[0] if order else None
    clause = re.split(r"[;,]|\.\s", text[at[order[0]] :])[0]
    direction = re.search(rf"({MORE})|({LESS})", clause)
    return order[1] if direction and bool(direction[2]) != less else order[0]


UP, DOWN = r"upper(?:most)?|top|superior(?:ly)?", r"lower(?:most)?|bottom|inferior(?:ly)?"
FRONT, BACK = r"anterior(?:ly)?|front(?:al)?", r"posterior(?:ly)?|back|dorsal"
CENTRE = r"cent(?:re|er|ral|rally)|middle|mid|midline"
SEEN = r"(?:image|picture|scan|photo|frame|film|radiograph|x-ray|screen|slice)"


def sides_said(text: str, record: Record, thing: str | Sequence[str]) -> tuple[set[str], set[str], bool]:
    """The sides in an answer, in the image's sense: of the width, of the height, and whether "middle" is among them.

    The width's are left and right, the height's upper, lower and middle (for "mid-height").
    """
    text = plain(text)
    for label in (*listed(thing), "inferior vena cava"):
        text = re.sub(rf"\b{re.escape(label)}s?\b", " ", text)
    across, down = set(), set()
    for match in re.finditer(r"\b(left|right)(?:most)?\b", text):
        before, after = text[: match.start()], re.split(r"[.;]", text[match.end() :])[0]
        image = re.search(rf"{SEEN}(?:'s)? $", before) or re.match(rf"[\w ,-]{{0,30}}\b(?:of|in) the {SEEN}\b", after)
        patient = re.search(r"patient(?:'s|s')? $", before) or re.match(r"[\w ,-]{0,30}\bof the patient\b", after)
        mirrored = bool(patient) or (record.modality in PATIENTS and not image)
        across.add({"left": "right", "right": "left"}[match[1]] if mirrored else match[1])
    flat = record.modality in PATIENTS and record.view == "axial"
    for side, words in (("upper", f"{UP}|{FRONT}" if flat else UP), ("lower", f"{DOWN}|{BACK}" if flat else DOWN)):
        down |= {side} if re.search(rf"\b(?:{words})\b", text) else set()
    text, halfway = re.subn(r"\bmid-?height\b", " ", text)
    down |= {"middle"} if halfway else set()
    return across, down, bool(re.search(rf"\b(?:{CENTRE})\b", text))


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


# Conversations


def drawn(record: Record, turn: Turn) -> Region | None:
    """The region that a user draws with a turn: the true box of the largest instance of `box_of`."""
    if not turn.box_of:
        return None
    return Region("region", 0, mask_box(mask_of(record, turn.box_of, "largest")), None, 1.0)


def converse(assistant: Any, study: Study, question: str, history: History, region: Region | None) -> Answer:
    """One turn with the model; what it refuses to take is an abstention."""
    try:
        return assistant.ask(study, question, history=history, region=region)
    except MedVLMError as error:
        return Answer(str(error), 0.0, abstained=True)


def hold(assistant: Any, number: int, dialogue: Dialogue, record: Record) -> list[Judged]:
    """A whole dialogue; the model's own answers, right or wrong, are its history."""
    study, history, judged = record.study(), [], []
    for turn in dialogue.turns:
        answer = converse(assistant, study, turn.ask, list(history), drawn(record, turn))
        history.append((turn.ask, answer))
        yes = judge(record, turn, Answer("Yes", 1.0)).right
        judged.append(Judged(number, dialogue.key, turn, answer, judge(record, turn, answer), yes))
    return judged


def summary(turns: Sequence[Judged]) -> str:
    """The table: of each kind, and of all turns, n, the share that is right and the share that "Yes" gets right."""
    lines = []
    for kind in (*KINDS, "all"):
        of = [t for t in turns if kind in (t.turn.kind, "all")]
        groups = [t.dialogue for t in of]
        yes = f"{np.mean([t.yes for t in of]):.3f}" if of else ""
        lines.append([kind, len(of), interval([float(t.verdict.right) for t in of], groups), yes])
    wholly = [all(t.verdict.right for t in turns if t.dialogue == n) for n in dict.fromkeys(t.dialogue for t in turns)]
    lines.append(["dialogues wholly right", len(wholly), interval([float(w) for w in wholly], range(len(wholly))), ""])
    return table(["turns", "n", "right", 'always "Yes"'], lines)


def row(judged: Judged) -> dict[str, Any]:
    return {
        **{"dialogue": judged.dialogue, "record": judged.key, "kind": judged.turn.kind, "ask": judged.turn.ask},
        **{"expected": judged.verdict.expected, "right": judged.verdict.right, "yes": judged.yes},
        "answer": judged.answer.to_json(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder of the data sets")
    parser.add_argument(
        "--part", choices=PARTS, default="report", help="dialogues on images of this half of val (report)"
    )
    parser.add_argument("--limit", type=int, help="this many dialogues, evenly spaced (all)")
    parser.add_argument("--rest", action="store_true", help="those that --limit leaves out in their place")
    parser.add_argument("--json", type=Path, metavar="OUT", help="every turn, in one JSON list")
    parser.add_argument("--show", action="store_true", help="print the turns that went wrong as well")
    parser.add_argument("--model")
    args = parser.parse_args()
    from medvlm.assistant import Assistant  # here, so that the judges are tested without torch

    assistant, dialogues = Assistant.load(args.model), read_dialogues()
    records = records_for(dialogues, args.data)
    of_part = [d for d in dialogues if records[d.key].part == args.part]
    dialogues = spread(of_part, args.limit)
    if args.rest:
        dialogues = [d for d in of_part if d not in dialogues]
    turns: list[Judged] = []
    for number, dialogue in enumerate(tqdm(dialogues, unit="dialogue", file=sys.stderr)):
        turns += hold(assistant, number, dialogue, records[dialogue.key])
    for t in turns:
        if args.show and not t.verdict.right:
            print(f"{t.key}, {t.turn.kind}: {t.turn.ask}\n    {t.answer.text}\n    expected: {t.verdict.expected}")
    if args.json:
        args.json.write_text(json.dumps([row(t) for t in turns], indent=1) + "\n", encoding="utf-8")
    print(summary(turns))


if __name__ == "__main__":
    main()
