"""Run an assistant over data sets and score it: `evaluate` is what `medvlm eval` prints."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..batch import each
from ..errors import RequestError
from ..records import QA, Record, read_records
from ..records.presence import known_presence
from ..records.record import PARTS
from ..types import Answer, Grounding, ImageFacts, Study
from . import metrics
from .baselines import CommonestAnswer, blank_study, commonest, mean_masks, scale_mask, shuffled_partners
from .choose import choose_jobs
from .items import ItemStore, Row
from .labels import Chances, commonest_values, label_row
from .measures import found_measures, mean_measures, true_measures
from .prompts import prompt_jobs
from .summary import summarise

TASKS = ("ground", "answer", "facts", "labels")
ALL_TASKS = (*TASKS, "prompts", "choose")  # those beyond `TASKS` run only where they are named
CHUNK = 16  # images that are asked together
TOLERANCE_PX = 2.0  # of the normalised surface Dice, in pixels of the stored image


def check_request(tasks: Sequence[str], split: str, part: str | None) -> None:
    """Raises `RequestError` for an unknown task or part, and for a part of another split than val."""
    unknown = [task for task in tasks if task not in ALL_TASKS]
    if unknown:
        raise RequestError(f"Unknown task {unknown[0]!r}; choose from {', '.join(ALL_TASKS)}.")
    if part is not None and part not in PARTS:
        raise RequestError(f"Unknown part {part!r}; choose from {', '.join(PARTS)}.")
    if part is not None and split != "val":
        raise RequestError(f"Only the val split has parts, {split!r} has none; leave out --part or the split.")


def evaluate(
    assistant: Any,
    sources: Sequence[str | Path],
    split: str = "val",
    tasks: Sequence[str] = TASKS,
    limit: int | None = None,
    *,
    part: str | None = None,
    items: Path | None = None,
    fresh: bool = False,
    controls: bool = True,
    languages: Sequence[str] = ("en",),
    progress: bool = True,
) -> dict[str, Any]:
    """Scores of an assistant on data sets: `{"model", "fingerprint", "split", "part", "metrics", "failed", "seconds"}`.

    `metrics` maps "task/set/…/name" to `{"value", "n", "low", "high", "baseline": {name: value}}`: a 95 % bootstrap
    interval by patient, and what trivial guesses reach. Each record is asked as a bare image: modality and body part
    are not told. `part` takes the tune or the report half of val (`records.record.part_of`), then `limit` that many
    evenly spaced images a set; guesses are learned from all of train either way. `controls` asks every question again
    on a blank and on another image. `items` names a `.jsonl` of single results: a stopped run goes on from it, and
    `fresh` begins anew. An item that fails is counted in `failed` and scored as nothing found or a wrong answer.
    Raises `RecordError` for an unreadable data set, and `RequestError` for what `check_request` refuses and for items of
    another model, other rules, another split or part.
    """
    check_request(tasks, split, part)
    start = time.monotonic()
    stamp = {"fingerprint": assistant.fingerprint, "split": split, "part": part}
    store = ItemStore(items, stamp, fresh)
    wanted: list[str] = []
    kinds: list[tuple[str | None, str | None]] = []
    for source in sources:
        records = _spread([r for r in read_records(source, split) if part in (None, r.part)], limit)
        train = read_records(source, "train") if split != "train" else []
        kinds += [(r.modality, r.body_part) for r in train if not _is_photograph(r)]
        jobs = [job for task in tasks for job in _jobs(task, assistant, records, train, controls, languages)]
        wanted += [key for job in jobs for key in job.keys]
        _run(jobs, store, records, progress, Path(source).name)
    rows = [store.rows[key] for key in dict.fromkeys(wanted)]
    majority = (commonest(m for m, _ in kinds), commonest(b for _, b in kinds))
    return {
        "model": assistant.name,
        **stamp,
        "metrics": summarise(rows, majority),
        "failed": sum("error" in row for row in rows),
        "seconds": round(time.monotonic() - start, 1),
    }


def _spread(records: list[Record], limit: int | None) -> list[Record]:
    if limit is None or len(records) <= limit:
        return records
    return [records[i] for i in np.linspace(0, len(records) - 1, limit).round().astype(int)]


def _is_photograph(record: Record) -> bool:
    return record.modality == "photograph"


@dataclass
class Job:
    """Requests about one record that go into one kind of batched call; request and row `i` belong to `keys[i]`."""

    record: Record
    call: Callable[[Sequence[Any]], Sequence[Any]]
    keys: list[str]
    request: Callable[[int, Study], Any]
    row: Callable[[int, Any], Row]  # from the reply
    nothing: Any  # the reply that stands for a failure
    shown: Callable[[], Study] | None = None  # makes the study to ask instead of the record's own

    def result(self, i: int, reply: Any) -> Row:
        """The row of a reply; an exception, the model's or ours, is recorded and scored as `nothing`."""
        base = {"key": self.keys[i], "set": self.record.set, "id": self.record.id, "patient": self.record.patient}
        if not isinstance(reply, Exception):
            try:
                return {**base, **self.row(i, reply)}
            except Exception as error:
                reply = error
        return {**base, **self.row(i, self.nothing), "error": f"{type(reply).__name__}: {reply}"}


def _run(jobs: list[Job], store: ItemStore, records: list[Record], progress: bool, title: str) -> None:
    by_record: dict[str, list[Job]] = {}
    for job in jobs:
        by_record.setdefault(job.record.key, []).append(job)
    bar = tqdm(total=sum(len(job.keys) for job in jobs), desc=title, unit="item", file=sys.stderr, disable=not progress)
    for chunk in _chunks([r for r in records if r.key in by_record], CHUNK):
        here = [job for record in chunk for job in by_record[record.key]]
        todo = [(job, i) for job in here for i, key in enumerate(job.keys) if key not in store]
        studies: dict[Any, Study | Exception] = {}  # one object a record, so that its encoding is shared
        for call in dict.fromkeys(job.call for job, _ in todo):
            mine = [(job, i, _study(job, studies)) for job, i in todo if job.call == call]
            asked = [(job, i, study) for job, i, study in mine if isinstance(study, Study)]
            replies = each(call, [job.request(i, study) for job, i, study in asked])
            rows = [job.result(i, reply) for (job, i, _), reply in zip(asked, replies, strict=True)]
            store.add(rows + [job.result(i, error) for job, i, error in mine if isinstance(error, Exception)])
        bar.update(sum(len(job.keys) for job in here))
    bar.close()


def _study(job: Job, studies: dict[Any, Study | Exception]) -> Study | Exception:
    make = job.shown or job.record.study
    key = id(job) if job.shown else job.record.key
    if key not in studies:
        try:
            studies[key] = make()
        except Exception as error:
            studies[key] = error
    return studies[key]


def _chunks(values: list[Any], size: int) -> Iterator[list[Any]]:
    for i in range(0, len(values), size):
        yield values[i : i + size]


def _jobs(task, assistant, records, train, controls, languages) -> list[Job]:
    if task == "ground":
        return _ground_jobs(assistant, records, mean_masks(train), mean_measures(train))
    if task == "prompts":
        return [Job(*parts) for parts in prompt_jobs(assistant, records, train)]
    if task == "choose":
        return [Job(*parts) for parts in choose_jobs(assistant, records, commonest_values(train))]
    if task == "answer":
        return [job for lang in languages for job in _answer_jobs(assistant, records, train, controls, lang)]
    if task == "labels":
        return _label_jobs(assistant, records, commonest_values(train))
    return _facts_jobs(assistant, records)


# Grounding


def _ground_jobs(assistant, records: list[Record], means: dict[str, np.ndarray], usual: dict[str, float]) -> list[Job]:
    jobs = []
    for record in records:
        known = known_presence(record)
        phrases = list(dict.fromkeys([*(r.label for r in record.regions), *record.absent, *known]))
        if not phrases:
            continue

        def request(_: int, study: Study, phrases=phrases):
            return study, phrases

        def row(_: int, reply: Grounding, record=record, known=known):
            return ground_row(record, reply, means, usual, known)

        jobs.append(Job(record, assistant.ground_many, [f"ground/{record.key}"], request, row, Grounding([], {}, [])))
    return jobs


def ground_row(
    record: Record,
    found: Grounding,
    means: dict[str, np.ndarray],
    usual: dict[str, float],
    known: dict[str, bool] | None = None,
) -> Row:
    """Dice and NSD of the union of a label's masks, its boxes' hits at IoU 0.5, and regions under absent phrases; of all
    labels that are `known` to be there or not, whether they are, and whether they are shown.

    `iou` is the best overlap of the best scored box with a true one; `measures` stand beside the truth and the
    training mean. What a phrase brought back is its own, also where it is called something surer.
    """
    labels: dict[str, Row] = {}
    masks: dict[str, np.ndarray] = {}
    for truth in record.regions:
        regions = found.of(truth.label)
        scores = [float(r.score) for r in regions]
        out: Row = {"scores": scores, "n": len(truth.boxes)}
        out["hits"] = metrics.match_boxes([r.box for r in regions], scores, truth.boxes)
        best = sorted(regions, key=lambda r: -r.score)[:1]
        out["iou"] = float(metrics.box_iou([r.box for r in best], truth.boxes).max(initial=0.0))
        mask = truth.mask
        if mask is not None and mask.any():
            true, pred = mask > 0, np.zeros(mask.shape, bool)
            for region in regions:
                pred |= region.mask if region.mask is not None else False
            masks[truth.label] = pred
            out["dice"], out["nsd"] = metrics.dice(pred, true), metrics.nsd(pred, true, TOLERANCE_PX)
            if truth.label in means:
                out["mean_mask"] = metrics.dice(scale_mask(means[truth.label], mask.shape), true)
        labels[truth.label] = out
    absent = {label: [float(r.score) for r in found.of(label)] for label in record.absent}
    wanted = true_measures(record)
    got = found_measures(wanted, masks, found.regions, record.spacing_mm)
    measures = {name: {"true": v, "found": got[name], "mean": usual.get(name)} for name, v in wanted.items()}
    absent = {k: v for k, v in absent.items() if k not in labels}
    told = {label: {"there": there, "shown": bool(found.of(label))} for label, there in (known or {}).items()}
    kind = [record.modality, record.body_part]
    return {"task": "ground", "kind": kind, "labels": labels, "absent": absent, "measures": measures, "known": told}


# Answers


def _answer_jobs(assistant, records, train, controls: bool, lang: str) -> list[Job]:
    asked = [(r, [(i, qa) for i, qa in enumerate(r.qa) if qa.lang == lang]) for r in records]
    asked = [(record, qas) for record, qas in asked if qas]
    guess, partners = CommonestAnswer(train, lang), shuffled_partners([record for record, _ in asked])
    # All are asked without abstention: the answer that would be withheld is scored, and that it would be is counted.
    blank, ask = blank_study(), partial(assistant.ask_many, abstain=False)
    jobs = []
    for record, qas in asked:
        shown: dict[str, Callable[[], Study] | None] = {"image": None}
        if controls:
            shown["blank"] = lambda: blank
            if record.key in partners:
                shown["shuffled"] = partners[record.key].study
        for variant, study in shown.items():
            keys = [f"answer/{variant}/{record.key}/{number}" for number, _ in qas]

            def request(i: int, study: Study, qas=qas):
                return study, qas[i][1].question

            def row(i: int, reply: Answer, qas=qas, variant=variant):
                return answer_row(qas[i][1], reply, variant, guess)

            jobs.append(Job(record, ask, keys, request, row, Answer("", 0.0), study))
    return jobs


def answer_row(qa: QA, answer: Answer, variant: str, guess: CommonestAnswer) -> Row:
    """What was asked, said and true; `variant` is image, blank or shuffled."""
    out: Row = {"task": "answer", "variant": variant, "type": qa.type, "kind": qa.kind, "lang": qa.lang}
    out |= {"question": qa.question, "true": qa.answer, "said": answer.text, "confidence": answer.confidence}
    out |= {"abstained": answer.abstained, "declined": answer.declined}
    return {**out, "commonest": guess(qa.question, qa.type)}


# Facts


def _facts_jobs(assistant, records: list[Record]) -> list[Job]:
    def call(studies: Sequence[Study]) -> list[ImageFacts]:
        return [assistant.facts(study) for study in studies]

    jobs = []
    for record in records:

        def row(_: int, reply: ImageFacts, record=record):
            return facts_row(record, reply, assistant.policy.medical)

        nothing = ImageFacts("", 0.0, "", 0.0, 0.0)
        jobs.append(Job(record, call, [f"facts/{record.key}"], lambda _, study: study, row, nothing))
    return jobs


def facts_row(record: Record, facts: ImageFacts, least: float) -> Row:
    """What the image is and what it was taken for; a photograph has no modality or body part to name."""
    medical = not _is_photograph(record)
    return {
        "task": "facts",
        "true": {
            "modality": record.modality if medical else None,
            "body_part": record.body_part if medical else None,
            "medical": medical,
        },
        "said": {"modality": facts.modality, "body_part": facts.body_part, "medical": facts.medical >= least},
        "confidence": {"modality": facts.modality_confidence, "body_part": facts.body_part_confidence},
    }


# Labels


def _label_jobs(assistant, records: list[Record], usual: dict[str, str | None]) -> list[Job]:
    jobs = []
    for record in records:

        def row(_: int, reply: Chances, record=record):
            return label_row(record, reply, usual)

        if record.labels:
            keys = [f"labels/{record.key}"]
            jobs.append(Job(record, assistant.labels_many, keys, lambda _, study: study, row, {}))
    return jobs
