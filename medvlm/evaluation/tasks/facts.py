"""What an image is: its modality, its body part, and whether it is a medical one at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...records import Record
from ...types import ImageFacts, Study
from .. import metrics
from ..store import Item
from ..summary import Metrics, mean, metric, patients_of, sets_and_every
from ..tables import Table, interval, names, number
from ..task import Kind, Request, Run

Reply = tuple[ImageFacts, bool]  # with whether it is taken for a medical image


class Facts:
    name = "facts"
    nothing: Reply = (ImageFacts("", 0.0, "", 0.0, 0.0), False)

    def requests(self, records: Sequence[Record], train: Sequence[Record], run: Run) -> Iterator[Request]:
        yield from (Request(f"facts/{record.key}", record) for record in records)

    def ask(self, assistant: Any, inputs: Sequence[tuple[Study, None]]) -> list[Reply]:
        return look(assistant, [study for study, _ in inputs])

    def score(self, request: Request, reply: Reply) -> Item:
        """What the image is and what it was taken for; a photograph has no modality or body part to name."""
        record, (facts, taken) = request.record, reply
        medical = not is_photograph(record)
        true = {"modality": record.modality, "body_part": record.body_part} if medical else {}
        return {
            "true": {"modality": None, "body_part": None, **true, "medical": medical},
            "said": {"modality": facts.modality, "body_part": facts.body_part, "medical": taken},
            "confidence": {"modality": facts.modality_confidence, "body_part": facts.body_part_confidence},
        }

    def summarise(self, items: Sequence[Item], run: Run) -> Metrics:
        out: Metrics = {}
        for name, some in sets_and_every(items).items():
            out |= _summary(name, some, run.majority)
        return out

    def rows(self, metrics: Metrics) -> Iterator[Table]:
        rows = []
        for (name,) in names(metrics, "facts", 1):
            found = [metrics.get(f"facts/{name}/{fact}") for fact in ("modality", "body_part", "medical")]
            guesses = [number(next(iter(m["baseline"].values()), None)) if m else "" for m in found]
            cells = [cell for m, guess in zip(found, guesses, strict=True) for cell in (interval(m), guess)]
            rows.append([name, str(next(m["n"] for m in found[::-1] if m)), *cells])
        head = ["set", "images", "modality", "commonest", "body part", "commonest", "medical or not", "always medical"]
        yield Table("Facts (share named right)", head, rows)


def is_photograph(record: Record) -> bool:
    return record.modality == "photograph"


def look(assistant: Any, studies: Sequence[Study]) -> list[Reply]:
    """What each study is taken for, and whether the policy takes it for a medical image."""
    found = [assistant.facts(study) for study in studies]
    return [(facts, facts.medical >= assistant.policy.medical) for facts in found]


def _summary(name: str, items: Sequence[Item], majority: Kind) -> Metrics:
    out: Metrics = {}
    for fact, guess in zip(("modality", "body_part"), majority, strict=True):
        labelled = [item for item in items if item["true"][fact]]
        if labelled:
            right = [metrics.exact_match(item["said"][fact], item["true"][fact]) for item in labelled]
            baseline = {"commonest": mean([item["true"][fact] == guess for item in labelled])} if guess else {}
            out[f"facts/{name}/{fact}"] = metric(right, patients_of(labelled), baseline)
    right = [item["said"]["medical"] == item["true"]["medical"] for item in items]
    baseline = {"always medical": mean([item["true"]["medical"] for item in items])}
    return out | {f"facts/{name}/medical": metric(right, patients_of(items), baseline)}
