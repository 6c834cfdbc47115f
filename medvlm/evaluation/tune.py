"""Choose a model's policy on the `tune` half of the val splits: from which score something is shown, and how sure answers are."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit
from tqdm import tqdm

from ..conversation.places import AREA, SIDED, words_for
from ..conversation.tools import sure_of
from ..policy import DecisionPolicy
from ..records import QA, Record, read_records
from ..records.presence import labelled_presence
from ..sampling import evenly_spaced
from ..types import Answer, Region, Study, mask_box
from ..vocabulary import other_types, whole
from .labels import learned, stated
from .metrics import box_iou, dice, exact_match
from .outlines import union

GRID = np.round(expit(np.linspace(-4, 4, 41)), 3)  # thresholds that are tried, closest together where scores are
PULL = 0.1  # cost, over the number of images, of moving a threshold's logit by 1: few images move it little
ENOUGH_ABSENT = 4  # images without a label, from which number on it has a threshold of its own
UNPLACED = 0.5  # gain of showing something present in a place that is wrong
SOFT = 0.6  # logits by which the score of an unseen image may well lie elsewhere: no threshold hugs single scores
FIRM = 2.0  # pull of a calibration, in answers
FEW = 20  # questions to a tool, from which on it may have short answers preferred to it
JUDGED = ("present", "compare", "grade", "short", "generated")  # whose answers the data sets give in the same words
NEAR = 0.1  # of a count that is right, or one …
CLOSE = 0.15  # … and of an area
WORTH = 0.02  # of right answers: less is no reason to


@dataclass
class Look:
    """What a model made of one label of which a record tells whether it is there."""

    set: str
    patient: str
    label: str
    there: bool
    thing: (
        bool  # whether the thing of which it is a type is there, of whatever type; `there` for a label that is no type
    )
    chance: float  # that the thing is there, of whatever type
    share: float  # of the type among the thing's types, 1 for a label that is no type
    gain: float  # of showing it where it is there: its Dice, 1 where its place is right or unknown, else `UNPLACED`
    measured: dict[str, bool] = field(
        default_factory=dict
    )  # by tool, whether what it would tell of the outlines is right


@dataclass
class ScoredAnswer:
    """An answer with the model's likelihood of it, and whether it is right."""

    patient: str
    who: str  # whose likelihood it is
    likelihood: float
    right: bool
    tool: str = ""  # that the question was read as, where it was one alone
    short: float = 0.0  # likelihood of the likeliest short answer …
    short_right: bool = False  # … and whether that is right


def tune_records(sources: Iterable[Path], limit: int | None) -> Iterator[list[Record]]:
    """Of each data set the records of its `tune` half, at most `limit`, evenly spaced."""
    for source in sources:
        if records := evenly_spaced([r for r in read_records(source, "val") if r.part == "tune"], limit):
            yield records


def look(assistant: Any, records: Sequence[Record]) -> list[Look]:
    """Every label that records say is present or absent, shown whatever its score."""
    kept, assistant.policy = assistant.policy, showing_all(assistant.policy)
    rows: list[Look] = []
    try:
        for record in tqdm(records, desc=f"{records[0].set}, labels", unit="image", file=sys.stderr):
            if truth := labelled_presence(record):
                study = record.study()
                rows += [_look(assistant, record, study, label, truth) for label in truth]
    finally:
        assistant.policy = kept
    return rows


def showing_all(policy: DecisionPolicy) -> DecisionPolicy:
    return replace(policy, finding=0.0, anatomy=0.0, labels={}, type_least=0.0)


def _look(assistant: Any, record: Record, study: Study, label: str, truth: Mapping[str, bool]) -> Look:
    there, others = truth[label], other_types(label)
    chance, share = assistant.typed_presence(study, label)
    regions = assistant.ground(study, [label]).regions if there else []
    gain = _gain(record, regions, label) if there else 0.0
    thing = there or any(truth.get(name) for name in (*others, whole(label)) if name)
    return Look(record.set, record.patient, label, there, thing, chance, share, gain, _measured(record, regions, label))


def _measured(record: Record, regions: Sequence[Region], label: str) -> dict[str, bool]:
    """Whether the number, the area and the place of what was outlined are those of a record's outlines."""
    truth = record.region(label)
    if truth is None or not regions:
        return {}
    mask = truth.mask
    number = len(truth.boxes) if mask is None else len(np.unique(mask[mask > 0]))
    out = {"count": abs(len(regions) - number) <= max(1, NEAR * number)} if number > 1 else {}
    if mask is None:
        return out
    true_area = float((mask > 0).sum())
    each = (mask == number for number in np.unique(mask[mask > 0]))
    largest = max((Region(label, 0, mask_box(one), one, 1.0) for one in each), key=AREA)
    mirrored = (record.modality or "") in SIDED
    found_place, true_place = (words_for(one, mask.shape, mirrored) for one in (max(regions, key=AREA), largest))
    right = abs(sum(map(AREA, regions)) - true_area) <= CLOSE * true_area
    return out | {"measure": right, "place": found_place == true_place}


def _gain(record: Record, regions: Sequence[Any], label: str) -> float:
    truth = record.region(label)
    if truth is None:
        return 1.0  # its place is unknown, not wrong
    if truth.mask is None:
        overlap = box_iou([r.box for r in regions], truth.boxes)
        return float(UNPLACED + (1 - UNPLACED) * (overlap.max(0, initial=0.0) >= 0.5).mean())
    return dice(union(regions, truth.mask.shape), truth.mask > 0)


def listen(assistant: Any, records: Sequence[Record], rows: Sequence[Look]) -> list[ScoredAnswer]:
    """The tools' answers, with the short answers beside them, to all English questions that an image can answer, and the
    answers on the presence of each labelled thing."""
    kept, assistant.policy = assistant.policy, replace(assistant.policy, recalled={})
    answers = []
    try:
        for record in tqdm(records, desc=f"{records[0].set}, questions", unit="image", file=sys.stderr):
            questions = [qa for qa in record.qa if qa.lang == "en" and qa.question.strip()]
            study = record.study() if questions else None
            for qa, answer in zip(questions, _answers(assistant, study, questions), strict=True):
                calls = (answer.thoughts or "").splitlines()
                if answer.declined or not answer.source:
                    continue
                text, likelihood = assistant.recall(study, qa.question)
                one = ScoredAnswer(
                    record.patient, answer.source, answer.likelihood, exact_match(answer.text, qa.answer)
                )
                tool = calls[0].split("(")[0] if len(calls) == 1 else ""
                answers.append(replace(one, tool=tool, short=likelihood, short_right=exact_match(text, qa.answer)))
    finally:
        assistant.policy = kept
    for row in rows:
        if row.share == 1.0:
            yes = row.chance >= assistant.policy.least(row.label)
            likelihood = sure_of(row.chance, assistant.policy.least(row.label))
            answers.append(ScoredAnswer(row.patient, "present", likelihood, yes == row.there))
    return answers


def graded(assistant: Any, records: Sequence[Record]) -> list[ScoredAnswer]:
    """The likeliest value of each fact of the whole image that records state and the model learned."""
    answers = []
    for record in records:
        facts = assistant.labels_many([record.study()])[0] if record.labels else {}
        for name, fact in learned(record, facts).items():
            value, likelihood = max(facts[fact].items(), key=lambda pair: pair[1])
            answers.append(ScoredAnswer(record.patient, "grade", likelihood, value == stated(record)[name]))
    return answers


def measured(rows: Sequence[Look], policy: DecisionPolicy) -> list[ScoredAnswer]:
    """The answers on the number, the area and the place of each label that is there and shown."""
    return [
        ScoredAnswer(row.patient, tool, sure_of(row.chance, policy.least(row.label)), right)
        for row in rows
        if row.chance >= policy.least(row.label)
        for tool, right in row.measured.items()
    ]


def _answers(assistant: Any, study: Study | None, questions: Sequence[QA]) -> list[Answer]:
    return assistant.ask_many([(study, qa.question) for qa in questions], abstain=False) if questions else []


def choose_recalled(answers: Sequence[ScoredAnswer]) -> dict[str, float]:
    """By tool the likelihood from which a short answer is right more often than what the tool gives; tools for which that
    gains less than `WORTH` are left out."""
    out = {}
    for tool in sorted({s.tool for s in answers if s.tool}):
        mine = [s for s in answers if s.tool == tool and s.short > 0 and s.who not in ("short", "generated")]
        if len(mine) < FEW:
            continue
        own, short = (
            np.array([float(v) for v in some]) for some in zip(*((s.right, s.short_right) for s in mine), strict=True)
        )
        likely = GRID[GRID >= 0.5]  # less likely right than not, it is no reason to hide what a tool shows
        over = np.array([s.short for s in mine])[:, None] >= likely
        right = np.where(over, short[:, None], own[:, None]).mean(0)
        if right.max() >= own.mean() + WORTH:
            out[tool] = float(likely[len(likely) - 1 - right[::-1].argmax()])  # of equal ones the highest
    return out


def recalled(answers: Sequence[ScoredAnswer], least: Mapping[str, float]) -> list[ScoredAnswer]:
    """The answers after short ones have replaced a tool's from a likelihood on, given by tool."""
    return [
        replace(s, who="short", likelihood=s.short, right=s.short_right)
        if s.tool in least and s.who not in ("short", "generated") and s.short >= least[s.tool]
        else s
        for s in answers
    ]


def _inside(chance: float) -> float:
    return min(max(chance, 1e-6), 1 - 1e-6)


def choose_presence(rows: Sequence[Look], policy: DecisionPolicy) -> DecisionPolicy:
    """For each label with enough images without it, the presence from which showing it gains most.

    Other labels keep the threshold of their kind. A type is judged here by whether the thing is there: which type it is,
    is `choose_types`' to say.
    """
    policy, labels = replace(policy, labels={}), {}
    for label in sorted({r.label for r in rows}):
        mine = [r for r in rows if r.label == label and (r.there or not r.thing)]
        if sum(not r.there for r in mine) >= ENOUGH_ABSENT:
            labels[label] = best_threshold(mine, policy.least(label), policy)
    return replace(policy, labels=labels)


def best_threshold(rows: Sequence[Look], usual: float, policy: DecisionPolicy) -> float:
    """The threshold from `GRID` with the most utility: the mean gain of what is there and shown, times what hiding costs,
    less the share of what is absent and shown, times what showing costs, less `PULL` for leaving the usual threshold.
    What is shown is counted by its chance where scores are uncertain by `SOFT`."""
    utility = -PULL / max(1, len(rows)) * (logit(GRID) - logit(_inside(usual))) ** 2
    for there, cost in ((True, policy.hide_cost), (False, -policy.show_cost)):
        if mine := [r for r in rows if r.there == there]:
            worth = np.array([r.gain if there else 1.0 for r in mine])[:, None]
            over = logit([_inside(r.chance) for r in mine])[:, None] - logit(GRID)
            utility += cost * (expit(over / SOFT) * worth).mean(0)
    return float(GRID[utility.argmax()])


def choose_types(rows: Sequence[Look], policy: DecisionPolicy) -> DecisionPolicy:
    """From which share of a thing a type is shown, by the same utility. From which share the thing bears its name is a matter
    of words, and stays."""
    shown = [replace(r, chance=r.share) for r in rows if whole(r.label) and r.chance >= policy.least(r.label)]
    if not any(r.there for r in shown) or all(r.there for r in shown):
        return policy
    least = best_threshold(shown, policy.type_least, policy)
    return replace(policy, type_least=least, type_sure=max(least, policy.type_sure))


def platt(answers: Sequence[ScoredAnswer]) -> list[float]:
    """Slope and offset of the logistic line of likelihood to being right with the least cross-entropy (Platt, 1999), pulled
    to (1, 0) as by `FIRM` answers: few that happen to be right are no reason to be sure."""
    x = np.array([logit(_inside(s.likelihood)) for s in answers])
    sign = np.array([1.0 if s.right else -1.0 for s in answers])

    def loss(line: np.ndarray) -> float:
        cost = np.logaddexp(0, -sign * (line[0] * x + line[1])).sum() + FIRM * ((line - (1, 0)) ** 2).sum()
        return float(cost) / len(answers)

    return [round(float(v), 4) for v in minimize(loss, np.array([1.0, 0.0])).x]


def calibrated(policy: DecisionPolicy, answer: ScoredAnswer) -> float:
    """The chance that an answer is right, under a policy's calibration."""
    slope, offset = policy.calibration.get(answer.who, (1.0, 0.0))
    return float(expit(slope * logit(_inside(answer.likelihood)) + offset))


def tune(
    assistant: Any, sources: Sequence[Path], limit: int | None, hide_cost: float, show_cost: float
) -> tuple[DecisionPolicy, list[Look], list[ScoredAnswer]]:
    """A policy chosen on the `tune` half of data sets, and the rows it was chosen from; the assistant keeps it."""
    assistant.policy = replace(assistant.policy, hide_cost=hide_cost, show_cost=show_cost)
    sets = list(tune_records(sources, limit))
    rows = [row for records in sets for row in look(assistant, records)]
    assistant.policy = choose_types(rows, choose_presence(rows, assistant.policy))
    answers = [s for records in sets for s in listen(assistant, records, [r for r in rows if r.set == records[0].set])]
    assistant.policy = replace(assistant.policy, recalled=choose_recalled(answers))
    answers = recalled(answers, assistant.policy.recalled)
    by_who: dict[str, list[ScoredAnswer]] = defaultdict(list)
    answers += [s for records in sets for s in graded(assistant, records)]
    for s in [*(s for s in answers if s.who in JUDGED), *measured(rows, assistant.policy)]:
        by_who[s.who].append(s)
    assistant.policy = replace(assistant.policy, calibration={who: platt(some) for who, some in sorted(by_who.items())})
    return assistant.policy, rows, answers


def costs(rows: Sequence[Look], policy: DecisionPolicy) -> dict[str, dict[str, float]]:
    """What a policy shows of `rows`, over all sets and in each: of what is there, of what is absent, and the mean gain."""
    out: dict[str, dict[str, float]] = {}
    for name in ("all", *sorted({r.set for r in rows})):
        mine = [r for r in rows if name in ("all", r.set)]
        over = [r.chance >= policy.least(r.label) and r.share >= policy.type_least for r in mine]
        there = [(o, r.gain) for o, r in zip(over, mine, strict=True) if r.there]
        absent = [o for o, r in zip(over, mine, strict=True) if not r.there]
        cell: dict[str, Any] = (
            {"n": len(there), "shown": np.mean([o for o, _ in there]), "gain": np.mean([o * g for o, g in there])}
            if there
            else {}
        )
        cell |= {"n absent": len(absent), "false": np.mean(absent)} if absent else {}
        out[name] = {k: round(float(v), 4) for k, v in cell.items()}
    return out
