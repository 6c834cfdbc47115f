"""Image-level facts that records state, such as a fracture or a tumour's type, against what the model gives for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...records import Record
from ...types import Study
from .. import metrics
from ..labels import Chances, commonest_values, learned, positive_value, stated
from ..store import Item
from ..summary import Metrics, by_set, mean, metric, over_pairs, patients_of
from ..tables import Table, guess, interval, names
from ..task import Request, Run

ABOUT = ("auc", "sensitivity", "specificity", "specificity_at_90_sensitivity")  # a value that is looked for


class Labels:
    name = "labels"
    nothing: Chances = {}

    def requests(self, records: Sequence[Record], train: Sequence[Record], run: Run) -> Iterator[Request]:
        usual = commonest_values(train)
        yield from (Request(f"labels/{r.key}", r, truth=usual) for r in records if r.labels)

    def ask(self, assistant: Any, inputs: Sequence[tuple[Study, None]]) -> list[Chances]:
        return assistant.labels_many([study for study, _ in inputs])

    def score(self, request: Request, reply: Chances) -> Item:
        return scored(request.record, reply, request.truth)

    def summarise(self, items: Sequence[Item], run: Run) -> Metrics:
        """Over images whose true value the model learned."""
        out: Metrics = {}
        for name, some in by_set(items).items():
            options: dict[str, Mapping[str, float]] = {}
            for item in some:
                options |= {fact: cell["chances"] for fact, cell in item["labels"].items() if cell["chances"]}
            for fact, values in options.items():
                labelled = [item for item in some if item["labels"].get(fact, {}).get("true") in values]
                out |= _summary(f"labels/{name}/{fact}", fact, labelled, positive_value(values))
        return out

    def rows(self, metrics: Metrics) -> Iterator[Table]:
        rows = []
        for name, fact in names(metrics, "labels", 2):
            right, *rest = (metrics.get(f"labels/{name}/{fact}/{m}") for m in ("accuracy", *ABOUT))
            if right:
                about = [str(right["n"]), interval(right), guess(right, "commonest")]
                rows.append([name, fact, *about, *map(interval, rest)])
        head = ["set", "fact", "images", "accuracy", "commonest", "AUC (chance 0.5)", "sensitivity", "specificity"]
        head.append("specificity at sensitivity 0.9 (chance 0.1)")
        yield Table("Labels (sensitivity and specificity at a probability of 0.5)", head, rows)


def scored(record: Record, chances: Chances, usual: Mapping[str, str | None]) -> Item:
    """Of each fact that is stated and whose value the model learned: the truth, its probabilities, the usual value.

    No chances at all stand for a failure: every stated fact is kept, because it is unknown which facts were learned.
    """
    truth = stated(record)
    facts = learned(record, chances) if chances else dict.fromkeys(truth, "")
    return {
        "labels": {
            name: {"true": truth[name], "chances": dict(chances.get(fact, {})), "commonest": usual.get(name)}
            for name, fact in facts.items()
        }
    }


def _summary(key: str, fact: str, items: Sequence[Item], positive: str | None) -> Metrics:
    """Accuracy; where one value is looked for, also AUC, sensitivity and specificity at a probability of 0.5, and
    specificity where sensitivity is 0.9. An item that failed is wrong in all of them."""
    cells, patients = [item["labels"][fact] for item in items], patients_of(items)
    right = [max(c["chances"], key=c["chances"].get, default=None) == c["true"] for c in cells]
    guesses = [c["commonest"] for c in cells]
    guessed = any(guesses)
    baseline = {"commonest": mean([g == c["true"] for g, c in zip(guesses, cells, strict=True)])} if guessed else {}
    out = {f"{key}/accuracy": metric(right, patients, baseline)}
    truth = [c["true"] == positive for c in cells]
    if positive is None or len(set(truth)) < 2:
        return out
    chances = [c["chances"].get(positive, float(not true)) for c, true in zip(cells, truth, strict=True)]
    pairs = list(zip(chances, truth, strict=True))
    at_90 = over_pairs(metrics.specificity_at_sensitivity)
    out[f"{key}/auc"] = metric(pairs, patients, {"chance": 0.5}, over_pairs(metrics.auc))
    out[f"{key}/specificity_at_90_sensitivity"] = metric(pairs, patients, {"chance": 0.1}, at_90)
    for score, wanted in (("sensitivity", True), ("specificity", False)):
        mine = [i for i, true in enumerate(truth) if true == wanted]
        hits = [(chances[i] >= 0.5) == wanted for i in mine]
        baseline = {"commonest": mean([(guesses[i] == positive) == wanted for i in mine])} if guessed else {}
        out[f"{key}/{score}"] = metric(hits, [patients[i] for i in mine], baseline)
    return out
