"""Corrective clicks on a mask: what the first ones are worth, by how far around them the mask may change.

python benchmarks/clicks.py DATA_SET… [--split tune|report] [--limit 2] [--model nano]

A label's own mask is corrected as on the page, where it has Dice 0.3 at least with an instance. `errors`: by two clicks, each
in the middle of the largest error. `extra`: a reader wants a round part of it away, at a random place. `missing`: they want
such a part back. Each with how often a click made the mask worse by more than 0.05.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from common import arguments, bar, chosen, interval, patient, table, write_rows

from medvlm.assistant import Assistant
from medvlm.evaluation.metrics import dice
from medvlm.evaluation.prompts import chosen_instances, correction, instance_mask
from medvlm.perception import retouch
from medvlm.perception.retouch import Click
from medvlm.types import Study
from serving.page.drawing import clicked

REACHES = ((0.5, 0.5), (0.5, 1.5), (0.75, 1.5), (1.0, 1.5), (2.0, 2.0), (4.0, 4.0))  # removing, adding
LEAST = 0.3  # Dice of a mask that is worth a correction
WORSE = 0.05
CLICKS = {"errors": 2, "extra": 1, "missing": 1}


def round_part(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bool `(H, W)`: what a disc at a random place of a mask has of it; its radius is a share of that of a disc of its area."""
    y, x = rng.choice(np.argwhere(mask))
    radius = max(3.0, (mask.sum() / np.pi) ** 0.5 * rng.uniform(0.2, 0.5))
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    return mask & ((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)


def cases(found: np.ndarray, truth: np.ndarray, seed: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """What is corrected: its name, the mask before and the one that is wanted."""
    part = round_part(found, np.random.default_rng(seed))
    yield "errors", found, truth
    yield "extra", found, found & ~part
    yield "missing", found & ~part, found


def finder(assistant: Assistant, study: Study) -> Callable:
    """What `clicked` asks the model with; the first click is the same at every reach."""

    @cache
    def found(points: tuple[Click, ...]):
        regions = assistant.segment(study, points=list(points))
        return (regions[0].mask, regions[0].score) if regions and regions[0].mask is not None else None

    return lambda points: found(tuple(points))


def corrected(find: Callable, mask: np.ndarray, wanted: np.ndarray, most: int) -> list[float]:
    """Dice with what is wanted, before and after each of some clicks."""
    clicks, scores = [], [dice(mask, wanted)]
    for _ in range(most):
        click = correction(mask, wanted, clicks)
        if click is not None:
            clicks.append(click)
            mask, _ = clicked(list(clicks), mask, find) or (mask, 0.0)
        scores.append(dice(mask, wanted))
    return scores


def summary(rows: list[dict]) -> str:
    lines = []
    for what, most in CLICKS.items():
        for reach in REACHES:
            some = [row for row in rows if row["what"] == what and row["reach"] == reach]
            patients = [row["patient"] for row in some]
            before, first = ([row["dice"][n] for row in some] for n in (0, 1))
            worse = sum(b - a > WORSE for b, a in zip(before, first, strict=True))
            last = interval([row["dice"][most] for row in some], patients) if most > 1 else ""
            means = (interval(each, patients) for each in (before, first))
            lines.append([what, "{:g}, {:g}".format(*reach), len(some), *means, last, worse])
    head = ["what", "removing, adding", "masks", "before", "after a click", "after two", f"worse by {WORSE}"]
    return table(head, lines)


def main() -> None:
    args = arguments(__doc__, "write the single results, an object a line", limit=2).parse_args()
    assistant, rows, masks = Assistant.load(args.model), [], 0
    for records in chosen(args.data, args.split, args.limit, chosen_instances):
        for record in bar(records):
            study = record.study()
            find = finder(assistant, study)
            for instance in chosen_instances(record):
                truth = instance_mask(record, *instance)
                found = [r.mask for r in assistant.ground(study, instance[:1]).regions if r.mask is not None]
                best = max(found, key=lambda mask: dice(mask, truth), default=None)
                if best is None or dice(best, truth) < LEAST:
                    continue
                masks += 1
                for what, mask, wanted in cases(best, truth, masks):
                    for reach in REACHES if wanted.any() and mask.any() else ():
                        retouch.REACH = reach
                        scores = corrected(find, mask, wanted, CLICKS[what])
                        about = {"set": record.set, "id": record.id, "patient": patient(record), "label": instance[0]}
                        rows.append({**about, "what": what, "reach": reach, "dice": scores})
    write_rows(args.output, rows)
    print(summary(rows) if rows else "No mask of these data sets is found.")


if __name__ == "__main__":
    main()
