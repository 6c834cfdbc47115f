"""Drawn prompts: how well a box, clicks or a scribble bring back the one instance that they were drawn for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...records import Record
from ...types import Study, mask_box
from ..metrics import dice
from ..prompts import (
    KINDS,
    chosen_instances,
    correction,
    first_click,
    guesses,
    instance_mask,
    mean_radii,
    scribble,
)
from ..store import Item
from ..summary import Metrics, mean, metric, patients_of, sets_and_every
from ..tables import Table, guess, interval, names
from ..task import Request, Run

CORRECTIONS = 3  # clicks after the first in `clicks4`
COLUMNS = (("box", "filled box", "filled ellipse"), ("click", "mean disc"), ("clicks4",), ("scribble", "mean disc"))
Reply = Mapping[str, float]  # kind of prompt → Dice


class Prompts:
    name = "prompts"
    nothing: Reply = dict.fromkeys(KINDS, 0.0)

    def requests(self, records: Sequence[Record], train: Sequence[Record], run: Run) -> Iterator[Request]:
        radii = mean_radii(train)
        for record in records:
            for label, number in chosen_instances(record):
                key = f"prompts/{record.key}/{label}/{number}"
                yield Request(key, record, (record, label, number), radii)

    def ask(self, assistant: Any, inputs: Sequence[tuple[Study, tuple[Record, str, int]]]) -> list[Reply]:
        return [ask_prompts(assistant, study, instance_mask(*instance)) for study, instance in inputs]

    def score(self, request: Request, reply: Reply) -> Item:
        _, label, _ = request.inputs
        return scored(label, instance_mask(*request.inputs), reply, request.truth)

    def summarise(self, items: Sequence[Item], run: Run) -> Metrics:
        out: Metrics = {}
        for name, some in sets_and_every(items).items():
            for kind in KINDS:
                reached = [item["guesses"][kind] for item in some]
                baseline = {g: mean([one[g] for one in reached if g in one]) for guesses in reached for g in guesses}
                values = [item["dice"][kind] for item in some]
                out[f"prompts/{name}/{kind}/dice"] = metric(values, patients_of(some), baseline)
        return out

    def rows(self, metrics: Metrics) -> Iterator[Table]:
        rows = []
        for name in dict.fromkeys(name for name, _ in names(metrics, "prompts", 2)):
            found = [(metrics[f"prompts/{name}/{kind}/dice"], guesses) for kind, *guesses in COLUMNS]
            cells = [cell for m, guesses in found for cell in (interval(m), *(guess(m, g) for g in guesses))]
            rows.append([name, str(found[-1][0]["n"]), *cells])
        head = ["set", "instances", *(title for column in COLUMNS for title in column)]
        yield Table("Drawn prompts (Dice with the instance)", head, rows)


def ask_prompts(assistant: Any, study: Study, truth: np.ndarray) -> dict[str, float]:
    """Dice of what each kind of prompt brings back with the bool mask `(H, W)` it was drawn for; nothing found is 0."""

    def found(**prompt: Any) -> np.ndarray:
        regions = assistant.segment(study, **prompt)
        return regions[0].mask if regions else np.zeros_like(truth)

    clicks = [first_click(truth)]
    mask = found(points=clicks)
    scores = {"box": dice(found(box=mask_box(truth)), truth), "click": dice(mask, truth)}
    for _ in range(CORRECTIONS):
        click = correction(mask, truth, clicks)
        if click is None:
            break
        clicks.append(click)
        mask = found(points=clicks)
    return {**scores, "clicks4": dice(mask, truth), "scribble": dice(found(scribble=scribble(truth)), truth)}


def scored(label: str, truth: np.ndarray, reply: Reply, radii: Mapping[str, float]) -> Item:
    """Scores of one instance beside the guesses; a label that training never showed is guessed at the others' radius."""
    share = radii.get(label, float(np.mean(list(radii.values()))) if radii else None)
    radius = None if share is None else share * truth.size**0.5
    return {"label": label, "dice": dict(reply), "guesses": guesses(truth, radius)}
