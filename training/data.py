"""Which records a run learns from, and the image-level facts found in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from medvlm.errors import ModelError, RequestError
from medvlm.model.grounding import MedVLMGroundingConfig
from medvlm.records import Record, data_sets, read_records
from medvlm.vocabulary import MODALITIES

from .datasets import adapter_of, facts_of, question_values
from .record_questions import question_answers

FACT_VALUES = 12  # a fact with more values than this is no class
FACT_SHARE = 100  # and one stated by fewer records teaches nothing


def load_split(
    sources: list[str], split: str, limit: int | None = None, leave_out: Collection[str] = ()
) -> list[Record]:
    """The records of one split over all data sets but those named by `leave_out`, at most `limit` a set.

    Raises `RequestError` where `leave_out` names a set that is not there."""
    folders = data_sets(sources)
    if unknown := set(leave_out) - {folder.name for folder in folders}:
        raise RequestError(f"leave_out names {', '.join(sorted(unknown))}, which is no data set of this run.")
    folders = [folder for folder in folders if folder.name not in leave_out]
    return [record for folder in folders for record in read_records(folder, split)[:limit]]


def count_split(folders: Iterable[Path], split: str, limit: int | None = None) -> Counter[str]:
    """How many records of one split each data set has."""
    return Counter(record.set for folder in folders for record in read_records(folder, split)[:limit])


def check_mixture(mixture: Collection[str], here: Collection[str], leave_out: Collection[str] = ()) -> None:
    """Raises `RequestError` where a mixture names a data set that is not there."""
    if missing := sorted(set(mixture) - set(here) - set(leave_out)):
        raise RequestError(
            f"The mixture names {', '.join(missing)}, of which there is nothing under data: add the folder, or take the "
            "name out with mixture={} or another mixture."
        )


def fact_kinds(records: list[Record], facts: dict[str, list[str]]) -> dict[str, list[list[str]]]:
    """The kinds of images (modality, body part) whose records state each fact."""
    kinds_of: dict[str, set[tuple[str, str]]] = {name: set() for name in facts}
    for record in records:
        stated = {"modality", "body_part"} | facts_of(record).keys()
        if record.modality and record.body_part:
            for name in stated & kinds_of.keys():
                kinds_of[name].add((record.modality, record.body_part))
    return {name: [list(kind) for kind in sorted(kinds)] for name, kinds in kinds_of.items()}


def fact_values(records: list[Record]) -> dict[str, list[str]]:
    """Image-level facts with few values, each with its values in order: what `heads.facts` learns to name."""
    counts: dict[str, Counter[str]] = {}
    for record in records:
        for name, value in facts_of(record).items():
            if name not in adapter_of(record.set).skipped:
                counts.setdefault(name, Counter())[value] += 1
    facts = {"modality": list(MODALITIES)}
    facts["body_part"] = sorted({r.body_part for r in records if r.body_part})
    for name, values in sorted(counts.items()):
        if 1 < len(values) <= FACT_VALUES and sum(values.values()) >= FACT_SHARE:
            facts[name] = sorted(values)
    return facts


def unnamed_sizes(records: list[Record]) -> list[int]:
    """The number of values of each unnamed fact of a new model; none where no record has one of their questions."""
    questions = question_values()
    return (
        [len(v) for v in questions.values()]
        if any(questions.keys() & question_answers(r).keys() for r in records)
        else []
    )


def unnamed_values(grounding: MedVLMGroundingConfig) -> dict[str, list[str]]:
    """The questions behind a model's facts without a name, each with its values.

    Raises `ModelError` where the model was trained on others than `training/datasets/` has.
    """
    questions = question_values() if grounding.unnamed else {}
    if [len(values) for values in questions.values()] != grounding.unnamed:
        raise ModelError(
            "The facts without a name of the starting model are not the questions of training/datasets/: put back those "
            "that it was trained on, or name another init_from."
        )
    return questions


def question_kinds(records: list[Record]) -> list[list[str]]:
    """The kinds of images (modality, body part) that come with English questions."""
    kinds = {(r.modality, r.body_part) for r in records if r.modality and r.body_part and question_answers(r)}
    return [list(kind) for kind in sorted(kinds)]
