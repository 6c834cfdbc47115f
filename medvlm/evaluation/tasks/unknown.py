"""Does the model know what it does not know? Its chance that an image is no medical one, of medical images and of others.

The medical images are those of the data sets; against them stand the photographs among them and `nothing_medical`, each
kind apart. Flagged: below `policy.medical`, where the assistant declines to answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...records import Record
from ...types import Study
from .. import metrics
from ..nothing_medical import nothing_medical
from ..store import Item
from ..summary import Metrics, metric, over_pairs, patients_of
from ..tables import Table, interval, named
from ..task import Request, Run
from .facts import Reply, is_photograph, look

MEDICAL, PHOTOGRAPHS = "medical", "photographs"


class Unknown:
    name = "unknown"
    nothing: Reply | None = None

    def requests(self, records: Sequence[Record], train: Sequence[Record], run: Run) -> Iterator[Request]:
        """What is no medical image is the same beside every data set; it is requested once."""
        for record in records:
            yield Request(f"unknown/{record.key}", record, truth=PHOTOGRAPHS if is_photograph(record) else MEDICAL)
        yield from (Request(f"unknown/{r.key}", r, truth=r.set) for r in nothing_medical())

    def ask(self, assistant: Any, inputs: Sequence[tuple[Study, None]]) -> list[Reply]:
        return look(assistant, [study for study, _ in inputs])

    def score(self, request: Request, reply: Reply | None) -> Item:
        """A failure is surely wrong: of a medical image flagged, of another not."""
        if reply is None:
            wrong = request.truth == MEDICAL
            return {"kind": request.truth, "unknown": float(wrong), "flagged": wrong}
        facts, taken = reply
        return {"kind": request.truth, "unknown": 1 - facts.medical, "flagged": not taken}

    def summarise(self, items: Sequence[Item], run: Run) -> Metrics:
        """By kind in place of the set: the share that is flagged, of medical images the false alarms, and the AUC of each
        other kind against them."""
        out: Metrics = {}
        medical = [item for item in items if item["kind"] == MEDICAL]
        for kind in dict.fromkeys([MEDICAL, *(item["kind"] for item in items)]):
            some = [item for item in items if item["kind"] == kind]
            if some:
                out[f"unknown/{kind}/flagged"] = metric([item["flagged"] for item in some], patients_of(some))
            if some and medical and kind != MEDICAL:
                both = medical + some
                pairs = [(item["unknown"], item["kind"] != MEDICAL) for item in both]
                auc = metric(pairs, patients_of(both), {"chance": 0.5}, over_pairs(metrics.auc))
                out[f"unknown/{kind}/auc"] = auc
        return out

    def rows(self, metrics: Metrics) -> Iterator[Table]:
        aucs = dict(named(metrics, "unknown", "auc"))
        flagged = named(metrics, "unknown", "flagged")
        rows = [[kind, str(m["n"]), interval(aucs.get(kind)), interval(m)] for kind, m in flagged]
        yield Table("What is no medical image", ["images", "n", "AUC against medical (chance 0.5)", "flagged"], rows)
