"""Phrases: how well what a record outlines is found, that what is absent is not, and what is measured of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...records import Record
from ...records.presence import labelled_presence
from ...types import Grounding, Study
from ...vocabulary import LABELS, is_finding
from .. import metrics
from ..baselines import mean_masks, scale_mask
from ..measures import found_measures, mean_measures, true_measures
from ..outlines import union
from ..store import Item
from ..summary import EVERY, Metric, Metrics, by_set, mean, metric, over_pairs, patients_of
from ..tables import Table, guess, interval, named, names
from ..task import Request, Run

TOLERANCE_PX = 2.0  # of the normalised surface Dice, in pixels of the stored image
CHEST = ["x-ray", "chest"]


@dataclass(frozen=True)
class Guesses:
    """Guesses without looking at the image, learned from training records."""

    masks: Mapping[str, np.ndarray] = field(default_factory=dict)  # by label, bool (64, 64)
    measures: Mapping[str, float] = field(default_factory=dict)  # by name, their means


class Ground:
    name = "ground"
    nothing = Grounding([], {}, [])

    def requests(self, records: Sequence[Record], train: Sequence[Record], run: Run) -> Iterator[Request]:
        guesses = Guesses(mean_masks(train), mean_measures(train))
        for record in records:
            labels = [*(r.label for r in record.regions), *record.absent, *labelled_presence(record)]
            if labels:
                yield Request(f"ground/{record.key}", record, list(dict.fromkeys(labels)), guesses)

    def ask(self, assistant: Any, inputs: Sequence[tuple[Study, list[str]]]) -> list[Grounding]:
        return assistant.ground_many(inputs)

    def score(self, request: Request, reply: Grounding) -> Item:
        return scored(request.record, reply, request.truth)

    def summarise(self, items: Sequence[Item], run: Run) -> Metrics:
        out: Metrics = {}
        for name, some in by_set(items).items():
            out |= _labels(name, some) | _absent(name, some) | _measures(name, some) | _score_rank(name, some)
        return out | _absent(EVERY, items) | _chest_findings(items) | _score_rank(EVERY, items)

    def rows(self, metrics: Metrics) -> Iterator[Table]:
        yield from (make(metrics) for make in (_label_rows, _measure_rows, _rank_rows, _absent_rows, _chest_rows))


# One image


def scored(record: Record, found: Grounding, guesses: Guesses) -> Item:
    """Dice and NSD of the union of a label's masks, its boxes' hits at IoU 0.5, and regions under absent phrases; of each
    label with known presence, whether it is there, and whether it is shown.

    `iou` is the best overlap of the best scored box with a true one; `measures` stand beside the truth and the
    training mean. What a phrase brought back is its own, also where it is called something surer.
    """
    labels: dict[str, Item] = {}
    masks: dict[str, np.ndarray] = {}
    for truth in record.regions:
        regions = found.of(truth.label)
        scores = [float(r.score) for r in regions]
        out: Item = {"scores": scores, "n": len(truth.boxes)}
        out["hits"] = metrics.match_boxes([r.box for r in regions], scores, truth.boxes)
        best = sorted(regions, key=lambda r: -r.score)[:1]
        out["iou"] = float(metrics.box_iou([r.box for r in best], truth.boxes).max(initial=0.0))
        mask = truth.mask
        if mask is not None and mask.any():
            true, pred = mask > 0, union(regions, mask.shape)
            masks[truth.label] = pred
            out["dice"], out["nsd"] = metrics.dice(pred, true), metrics.nsd(pred, true, TOLERANCE_PX)
            if truth.label in guesses.masks:
                out["mean_mask"] = metrics.dice(scale_mask(guesses.masks[truth.label], mask.shape), true)
        labels[truth.label] = out
    absent = {label: [float(r.score) for r in found.of(label)] for label in record.absent if label not in labels}
    wanted = true_measures(record)
    got = found_measures(wanted, masks, found.regions, record.spacing_mm)
    usual = guesses.measures
    measures = {name: {"true": v, "found": got[name], "mean": usual.get(name)} for name, v in wanted.items()}
    presence = labelled_presence(record).items()
    cells = {label: {"there": there, "shown": bool(found.of(label))} for label, there in presence}
    kind = [record.modality, record.body_part]
    return {"kind": kind, "labels": labels, "absent": absent, "measures": measures, "known": cells}


# Metrics


def _labels(name: str, items: Sequence[Item]) -> Metrics:
    """Dice, NSD and AP of each label of a set, and where there are several their means."""
    out: Metrics = {}
    labels = dict.fromkeys(label for item in items for label in item["labels"])
    for label in labels:
        outlined = [item for item in items if "dice" in item["labels"].get(label, {})]
        if outlined:
            cells = [item["labels"][label] for item in outlined]
            means = [c["mean_mask"] for c in cells if "mean_mask" in c]
            baseline = {"mean mask": mean(means)} if means else {}
            out[f"ground/{name}/{label}/dice"] = metric([c["dice"] for c in cells], patients_of(outlined), baseline)
            out[f"ground/{name}/{label}/nsd"] = metric([c["nsd"] for c in cells], patients_of(outlined))
        boxed = [item for item in items if label in _boxes(item)]
        images = [_boxes(item)[label] for item in boxed]
        if any(n for _, _, n in images):
            out[f"ground/{name}/{label}/ap50"] = metric(images, patients_of(boxed), statistic=metrics.average_precision)
    return out | _means(name, items, labels) if len(labels) > 1 else out


def _means(name: str, items: Sequence[Item], labels: Iterable[str]) -> Metrics:
    """The mean AP over labels, and the mean over images of the mean Dice of what each outlines."""
    out: Metrics = {}
    boxed = [(item, boxes) for item in items if (boxes := {k: v for k, v in _boxes(item).items() if k in labels})]
    patients = patients_of(item for item, _ in boxed)
    mean_ap = metric([boxes for _, boxes in boxed], patients, statistic=metrics.mean_average_precision)
    if mean_ap["value"] is not None:
        out[f"ground/{name}/all/ap50"] = mean_ap
    dice = [(item, [c["dice"] for c in item["labels"].values() if "dice" in c]) for item in items]
    means = [(item, mean(values)) for item, values in dice if values]
    if means:
        out[f"ground/{name}/all/dice"] = metric([v for _, v in means], patients_of(item for item, _ in means))
    return out


def _boxes(item: Item) -> dict[str, tuple[list[float], list[bool], int]]:
    """Label → scores, hits and number of true boxes, of the phrases of one image, present or absent."""
    absent = {label: (scores, [False] * len(scores), 0) for label, scores in item["absent"].items()}
    return absent | {label: (cell["scores"], cell["hits"], cell["n"]) for label, cell in item["labels"].items()}


def _absent(name: str, items: Sequence[Item]) -> Metrics:
    shown = [(item, len(scores) > 0) for item in items for scores in item["absent"].values()]
    return _share(f"ground/{name}/absent_false_positive", shown)


def _share(key: str, shown: Sequence[tuple[Item, bool]]) -> Metrics:
    """The share of phrases under which any region came back."""
    return {key: metric([whether for _, whether in shown], patients_of(item for item, _ in shown))} if shown else {}


def _chest_findings(items: Sequence[Item]) -> Metrics:
    """Of the findings that chest X-rays may show, the share shown where they are present, and where they are absent."""
    labels = {name for name, label in LABELS.items() if is_finding(name) and tuple(CHEST) in label.places}
    films = [item for item in items if item.get("kind") == CHEST]
    cells = [(item, cell) for item in films for label, cell in item["known"].items() if label in labels]
    shown, false = (
        [(item, cell["shown"]) for item, cell in cells if cell["there"] == there] for there in (True, False)
    )
    return _share("ground/all/chest_findings_shown", shown) | _share("ground/all/chest_findings_false", false)


def _measures(name: str, items: Sequence[Item]) -> Metrics:
    """Mean absolute errors. What could not be measured, for want of an outline, counts as 0: an error of the full
    true value; `unmeasured` says how many."""
    out: Metrics = {}
    for measure in dict.fromkeys(m for item in items for m in item.get("measures", {})):
        measured = [item for item in items if measure in item.get("measures", {})]
        cells = [item["measures"][measure] for item in measured]
        usual = [abs(c["mean"] - c["true"]) for c in cells if c["mean"] is not None]
        errors = [abs((c["found"] or 0.0) - c["true"]) for c in cells]
        error = metric(errors, patients_of(measured), {"training mean": mean(usual)} if usual else {})
        out[f"ground/{name}/{measure}_error"] = {**error, "unmeasured": sum(c["found"] is None for c in cells)}
    return out


def _score_rank(name: str, items: Sequence[Item]) -> Metrics:
    """Spearman's correlation, over present labels, of a label's best score with how well it was drawn.

    That is the Dice of its outline or, where only boxes are known, the Dice of two boxes with the best one's IoU.
    Nothing found is 0 for both.
    """
    cells = [(item, cell) for item in items for cell in item["labels"].values() if "iou" in cell]
    if not cells:
        return {}
    pairs = [(max(c["scores"], default=0.0), c.get("dice", 2 * c["iou"] / (1 + c["iou"]))) for _, c in cells]
    patients, spearman = patients_of(item for item, _ in cells), over_pairs(metrics.spearman)
    return {f"ground/{name}/score_rank": metric(pairs, patients, {"chance": 0.0}, spearman)}


# Tables


def _label_rows(metrics: Metrics) -> Table:
    rows = []
    for name, label in names(metrics, "ground", 2):
        dice, nsd, ap = (metrics.get(f"ground/{name}/{label}/{m}") for m in ("dice", "nsd", "ap50"))
        images = str((dice or ap or {})["n"])
        rows.append([name, label, images, interval(dice), guess(dice, "mean mask"), interval(nsd), interval(ap)])
    head = ["set", "label", "images", "Dice", "mean mask", f"NSD ({TOLERANCE_PX:g} px)", "AP at IoU 0.5"]
    return Table("Grounding", head, rows)


def _measure_rows(metrics: Metrics) -> Table:
    rows = []
    for key, m in metrics.items():
        if key.startswith("ground/") and key.endswith("_error"):
            _, name, measure = key.split("/")
            what = measure.removesuffix("_error").replace("_", " ")
            rows.append([name, what, str(m["n"]), str(m["unmeasured"]), interval(m), guess(m, "training mean")])
    head = ["set", "measure", "images", "not measured", "mean absolute error", "training mean"]
    return Table("Measures (what could not be measured counts as 0)", head, rows)


def _rank_rows(metrics: Metrics) -> Table:
    rows = [_row(name, m) for name, m in named(metrics, "ground", "score_rank")]
    return Table("Scores against overlaps (Spearman; chance is 0)", ["set", "labels", "correlation"], rows)


def _absent_rows(metrics: Metrics) -> Table:
    found = sorted(named(metrics, "ground", "absent_false_positive"), key=lambda pair: pair[0] != EVERY)  # that first
    return Table("Absent phrases", ["set", "phrases", "false positive rate"], [_row(name, m) for name, m in found])


def _chest_rows(metrics: Metrics) -> Table:
    keys = {"known to be there": "shown", "known not to be there": "false"}
    found = [(what, metrics.get(f"ground/all/chest_findings_{key}")) for what, key in keys.items()]
    rows = [_row(what, m) for what, m in found if m]
    return Table("Findings on chest X-rays, all sets", ["findings", "phrases", "share shown"], rows)


def _row(what: str, m: Metric) -> list[str]:
    return [what, str(m["n"]), interval(m)]
