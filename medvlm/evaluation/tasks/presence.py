"""Presence: how well its probability separates labels that are in an image from those that are not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...records import Record
from ...records.presence import labelled_presence
from ...types import Grounding, Study
from .. import metrics
from ..store import Item
from ..summary import Metrics, metric, over_pairs, patients_of, sets_and_every
from ..tables import Table, interval, names
from ..task import Request, Run

SCORES = ("auc", "ece", "shown", "false")


class Presence:
    name = "presence"
    nothing = Grounding([], {}, [])

    def requests(self, records: Sequence[Record], train: Sequence[Record], run: Run) -> Iterator[Request]:
        for record in records:
            if truth := labelled_presence(record):
                yield Request(f"presence/{record.key}", record, list(truth), truth)

    def ask(self, assistant: Any, inputs: Sequence[tuple[Study, list[str]]]) -> list[Grounding]:
        return assistant.ground_many(inputs)

    def score(self, request: Request, reply: Grounding) -> Item:
        """Of each label whether it is there, how likely the model has it, and whether it shows a region; of a failure
        nothing is likely."""
        return {
            "known": {
                label: {"there": there, "chance": reply.presence.get(label, 0.0), "shown": bool(reply.of(label))}
                for label, there in request.truth.items()
            }
        }

    def summarise(self, items: Sequence[Item], run: Run) -> Metrics:
        out: Metrics = {}
        for name, some in sets_and_every(items).items():
            out |= _summary(f"presence/{name}", some)
        return out

    def rows(self, metrics: Metrics) -> Iterator[Table]:
        rows = []
        for (name,) in names(metrics, "presence", 1):
            auc, ece, shown, false = (metrics.get(f"presence/{name}/{score}") for score in SCORES)
            counts = [str(m["n"] if m else 0) for m in (shown, false)]
            rows.append([name, *counts, *map(interval, (auc, ece, shown, false))])
        head = ["set", "there", "not there", "AUC (chance 0.5)", "calibration error", "shown of those", "and of these"]
        yield Table("Presence of the labels of which it is known", head, rows)


def _summary(key: str, items: Sequence[Item]) -> Metrics:
    """How well chances separate present from absent labels, how well they are calibrated, and the share of each shown."""
    cells = [(item, cell) for item in items for cell in item["known"].values()]
    patients, pairs = patients_of(i for i, _ in cells), [(cell["chance"], cell["there"]) for _, cell in cells]
    out = {f"{key}/ece": metric(pairs, patients, statistic=over_pairs(metrics.ece))}
    if len({there for _, there in pairs}) == 2:
        out[f"{key}/auc"] = metric(pairs, patients, {"chance": 0.5}, over_pairs(metrics.auc))
    for name, wanted in (("shown", True), ("false", False)):
        if mine := [(item, cell["shown"]) for item, cell in cells if cell["there"] == wanted]:
            out[f"{key}/{name}"] = metric([shown for _, shown in mine], patients_of(i for i, _ in mine))
    return out
