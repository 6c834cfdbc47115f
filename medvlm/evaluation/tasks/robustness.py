"""Worse images: how much overlap is lost where an image is corrupted (`corruptions`), at three strengths.

An image counts the mean Dice over its outlined labels (nothing found is 0), a set the mean over its images, and what is
quoted is the mean over sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np

from ...records import Record
from ...types import Image, Study
from ..corruptions import CORRUPTIONS, rotate
from ..metrics import dice, mean_of_means
from ..outlines import outlines, union
from ..store import Item
from ..summary import Metrics, metric, patients_of
from ..tables import Table, interval, number
from ..task import Request, Run

STRENGTHS = ("weak", "middle", "strong")
CLEAN = "clean"
VARIANTS = (CLEAN, *(f"{name}/{strength}" for name in CORRUPTIONS for strength in STRENGTHS))
Masks = Mapping[str, np.ndarray]  # label → bool (H, W)
Reply = Mapping[str, float]  # variant → mean Dice over the labels


class Robustness:
    name = "robustness"
    nothing: Reply = dict.fromkeys(VARIANTS, 0.0)

    def requests(self, records: Sequence[Record], train: Sequence[Record], run: Run) -> Iterator[Request]:
        for record in records:
            if outlines(record):
                yield Request(f"robustness/{record.key}", record, record)

    def ask(self, assistant: Any, inputs: Sequence[tuple[Study, Record]]) -> list[Reply]:
        return [ask_variants(assistant, study, record) for study, record in inputs]

    def score(self, request: Request, reply: Reply) -> Item:
        return {"dice": dict(reply)}

    def summarise(self, items: Sequence[Item], run: Run) -> Metrics:
        patients = patients_of(items)
        out = {"robustness/all/clean/dice": metric(_reached(items, CLEAN), patients, statistic=mean_of_means)}
        for variant in VARIANTS[1:]:
            reached, lost = _reached(items, variant), _lost(items, variant)
            out[f"robustness/all/{variant}/dice"] = metric(reached, patients, statistic=mean_of_means)
            out[f"robustness/all/{variant}/loss"] = metric(lost, patients, statistic=mean_of_means)
        middle = [pair for name in CORRUPTIONS for pair in _lost(items, f"{name}/middle")]
        out["robustness/all/loss"] = metric(middle, patients * len(CORRUPTIONS), statistic=mean_of_means)
        return out

    def rows(self, metrics: Metrics) -> Iterator[Table]:
        rows = []
        if clean := metrics.get("robustness/all/clean/dice"):
            rows.append(["none", "", str(clean["n"]), interval(clean), *[""] * 5])
            for name, (_, strengths) in CORRUPTIONS.items():
                reached, lost = (
                    [metrics[f"robustness/all/{name}/{s}/{what}"] for s in STRENGTHS] for what in ("dice", "loss")
                )
                cells = [*(number(m["value"]) for m in reached), *map(interval, lost)]
                rows.append([name, ", ".join(f"{s:g}" for s in strengths), str(reached[0]["n"]), *cells])
            loss = metrics["robustness/all/loss"]
            rows.append(["mean of these", "", str(loss["n"]), *[""] * 4, interval(loss), ""])
        head = ["corruption", "strengths", "images", *(f"{what}, {s}" for what in ("Dice", "loss") for s in STRENGTHS)]
        yield Table("Worse images (means over sets)", head, rows)


def ask_variants(assistant: Any, study: Study, record: Record) -> dict[str, float]:
    """Variant → the mean Dice over a record's outlined labels, each variant of its image a study of its own."""
    masks, image = outlines(record), study.images[study.default]
    shown = [
        (study, masks),
        *((Study([Image(pixels)]), truth) for pixels, truth in worse(image.pixels, masks, record.key)),
    ]
    found = assistant.ground_many([(one, list(truth)) for one, truth in shown])
    each = (
        [dice(union(got.of(label), mask.shape), mask) for label, mask in truth.items()]
        for got, (_, truth) in zip(found, shown, strict=True)
    )
    return dict(zip(VARIANTS, (float(np.mean(values)) for values in each), strict=True))


def worse(image: np.ndarray, masks: Masks, key: str) -> Iterator[tuple[np.ndarray, Masks]]:
    """The image with every corruption at every strength, in the order of `VARIANTS`, and the masks that are then true; the
    seed is of the record's key alone. A mask that leaves the image when it is turned is left out."""
    seed = crc32(key.encode())
    for change, strengths in CORRUPTIONS.values():
        for strength in strengths:
            yield change(image, strength, seed), turned(masks, strength, seed) if change is rotate else masks


def turned(masks: Masks, degrees: float, seed: int) -> Masks:
    along = {label: rotate(mask.astype(np.uint8) * 255, degrees, seed) >= 128 for label, mask in masks.items()}
    return {label: mask for label, mask in along.items() if mask.any()} or masks


def _reached(items: Sequence[Item], variant: str) -> list[tuple[str, float]]:
    return [(item["set"], item["dice"][variant]) for item in items]


def _lost(items: Sequence[Item], variant: str) -> list[tuple[str, float]]:
    return [(item["set"], item["dice"][CLEAN] - item["dice"][variant]) for item in items]
