"""What is a drawn prompt's outline worth where the part around it is looked at in other ways, and what does each way cost?

    python benchmarks/closer.py DATA_SET… [--split tune] [--limit 14] [-o ROWS.jsonl]

A box, a click, a scribble and three clicks are drawn for instances of each set that are small enough for a closer look, and are
answered in every way of `WAYS`; the second and third click go where the first way was wrong, the same for all. Printed are mean
Dice, paired differences from the first way in all and by set, and the processor time of what the ways differ in (a prompt at a side
that has no graph is drawn by torch, which takes longer). With -o a stopped run goes on.
"""

from __future__ import annotations

import copy
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import arguments, chosen, interval, table

from medvlm.evaluation.metrics import dice
from medvlm.evaluation.prompts import chosen_instances, correction, first_click, instance_mask, scribble
from medvlm.model.instances import source_logits, to_source
from medvlm.model.processing_medvlm import MedVLMImageProcessor
from medvlm.model.prompts import Prompt
from medvlm.perception.finder import Finder
from medvlm.records import Record, data_sets
from medvlm.sampling import evenly_spaced
from medvlm.types import Box, Image, mask_box
from medvlm.windows import Window, around, crop, hull, inside

KINDS = ("box", "click", "scribble", "clicks3")
CLICKS = 3
LOOKED_THROUGH = 45  # images of a set among which instances are taken
Row = dict[str, Any]


@dataclass(frozen=True)
class Way:
    """How the part around a prompt is looked at again: at `side` pixels (0: not at all), in a window that is as wide as at the
    whole image's side or `narrower` by as much as its own; its logits have a weight beside 1 of those in the whole image."""

    side: int
    narrower: bool = True
    weight: float = 2.0
    alone: bool = False  # a box is not looked at in the whole image


FIRST, WIDE = "448 px", False
WAYS = {
    FIRST: Way(448),
    "no closer look": Way(0),
    "448 px, weight 1": Way(448, weight=1),
    "448 px, weight 3": Way(448, weight=3),
    "384 px, as wide": Way(384, WIDE),
    "384 px": Way(384),
    "384 px, weight 1.5": Way(384, weight=1.5),
    "384 px, weight 3": Way(384, weight=3),
    "352 px": Way(352),
    "320 px, as wide": Way(320, WIDE),
    "448 px, boxes alone": Way(448, alone=True),
    "384 px, as wide, boxes alone": Way(384, WIDE, alone=True),
}


class Drawing:
    """The prompts drawn on one image; what several ways have in common is computed once, and its processor time kept."""

    def __init__(self, finder: Finder, image: Image):
        self.finder, self.image, self.view = finder, image, finder.look([image])[0]
        self.in_torch = copy.copy(finder)
        self.in_torch.eyes = finder.model.grounder
        self.made: dict[tuple[Any, ...], tuple[Any, float]] = {}

    def once(self, key: tuple[Any, ...], work: Callable[[], Any]) -> tuple[Any, float]:
        if key not in self.made:
            began = time.process_time()
            self.made[key] = work(), time.process_time() - began
        return self.made[key]

    def whole(self, prompt: Prompt) -> tuple[np.ndarray, Box]:
        """Logits `(H, W)` of a prompt in the whole image, and the extent of what a closer look is taken at."""
        side, size = self.finder.side, self.image.size
        canvas, _ = self.finder.prompted(self.view.features, self.image, prompt, side)
        extent = prompt.extent
        if prompt.box is None and (found := to_source(canvas, size, side)).any():
            extent = hull(extent, mask_box(found))
        says = self.finder.recognised(self.view, self.image, canvas, extent)
        return source_logits(canvas + says, size, side), extent

    def closer(self, prompt: Prompt, window: Window, side: int) -> np.ndarray:
        """Logits of a prompt in a window that is encoded at `side` pixels."""
        finder = self.finder if side in (self.finder.side, self.finder.closer_side) else self.in_torch
        part = crop(self.image, window)
        pixels = MedVLMImageProcessor(image_size=side)(images=[part.pixels])["pixel_values"]
        canvas, _ = finder.prompted(self.finder.eyes.encode(pixels), part, prompt.within(window), side)
        return source_logits(canvas, part.size, side)

    def window(self, extent: Box, way: Way) -> Window | None:
        scale = way.side / self.finder.side if way.narrower else 1.0
        return around(extent, self.image.size, scale) if way.side else None

    def answer(self, prompt: Prompt, way: Way) -> tuple[np.ndarray, float]:
        """The mask `(H, W)` that a way gives, and its seconds."""
        size, policy, key, spent = self.image.size, self.finder.policy, id(prompt), 0.0
        out, window = np.zeros(size, np.float32), None
        if way.alone and prompt.box is not None:
            window = self.window(prompt.box, way)
        if window is None:
            (logits, extent), spent = self.once((key,), partial(self.whole, prompt))
            out, window = logits.copy(), self.window(extent, way)
        if window:
            closer, more = self.once((key, window, way.side), partial(self.closer, prompt, window, way.side))
            spent, (x0, y0, x1, y1) = spent + more, window
            out -= way.weight * policy.alike_most
            out[y0:y1, x0:x1] += way.weight * (closer + policy.alike_most)
        mask = (out > 0) & ~prompt.erased(size, policy.erased / self.finder.side)
        return (prompt.touched(mask) if prompt.box is None else mask & inside(prompt.box, size)), spent

    def drawn(self, truth: np.ndarray) -> dict[str, Prompt]:
        """A prompt of each kind for an instance, by the first way's answers where it needs any."""
        clicks = [first_click(truth)]
        out = {"box": Prompt(box=mask_box(truth)), "click": Prompt(points=clicks)}
        out |= {"scribble": Prompt(scribble=scribble(truth)), "clicks3": out["click"]}
        while len(clicks) < CLICKS and (more := correction(self.answer(out["clicks3"], WAYS[FIRST])[0], truth, clicks)):
            clicks = [*clicks, more]
            out["clicks3"] = Prompt(points=clicks)
        return out


def small(record: Record) -> list[tuple[str, int]]:
    """The instances of an image at which a closer look is taken."""
    masks = [(one, instance_mask(record, *one)) for one in chosen_instances(record)]
    return [one for one, mask in masks if around(mask_box(mask), mask.shape)]


def instances(records: Sequence[Record], limit: int) -> list[tuple[Record, str, int]]:
    """`limit` small instances of a set, of as many images as there are."""
    each = [small(record) for record in records]
    turns = [(i, n) for n in range(max(map(len, each), default=0)) for i in range(len(each)) if n < len(each[i])]
    first = [turn for turn in turns if turn[1] == 0]
    taken = evenly_spaced(first, limit) if len(first) >= limit else turns[:limit]
    return [(records[i], *each[i][n]) for i, n in sorted(taken)]


@torch.inference_mode()
def measured(finder: Finder, record: Record, label: str, number: int) -> Iterator[Row]:
    """A row for each kind of prompt: Dice and seconds of every way."""
    drawing, truth = Drawing(finder, Image(record.image)), instance_mask(record, label, number)
    row = {"key": f"{record.key}/{label}/{number}", "set": record.set, "patient": f"{record.set}/{record.patient}"}
    for kind, prompt in drawing.drawn(truth).items():
        given = {name: drawing.answer(prompt, way) for name, way in WAYS.items()}
        found = {name: dice(mask, truth) for name, (mask, _) in given.items()}
        yield {**row, "kind": kind, "dice": found, "seconds": {name: spent for name, (_, spent) in given.items()}}


def gain(rows: Sequence[Row], way: str) -> str:
    """The mean difference of a way from the first, with its interval."""
    return interval([row["dice"][way] - row["dice"][FIRST] for row in rows], [row["patient"] for row in rows])


def in_all(rows: Sequence[Row]) -> Iterator[list[str]]:
    for way in WAYS:
        for kind in KINDS:
            some = [row for row in rows if row["kind"] == kind and way in row["dice"]]
            if some:
                whole = interval([row["dice"][way] for row in some], [row["patient"] for row in some])
                seconds = statistics.median(row["seconds"][way] for row in some)
                yield [way, kind, str(len(some)), whole, gain(some, way), f"{seconds:.3f}"]


def by_set(rows: Sequence[Row]) -> Iterator[list[str]]:
    for way in list(WAYS)[1:]:
        for name in dict.fromkeys(row["set"] for row in rows):
            some = [row for row in rows if row["set"] == name and way in row["dice"]]
            if some:
                gains = [gain([row for row in some if row["kind"] == kind], way) for kind in KINDS]
                yield [way, name, str(len(some) // len(KINDS)), *gains]


def main() -> None:
    parser = arguments(__doc__, "the single results, from which a stopped run goes on", 14)
    parser.set_defaults(split="tune")
    args = parser.parse_args()
    path: Path | None = args.output
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path and path.is_file() else []
    there, finder = {row["key"] for row in rows}, Finder.load(args.model)
    sets = chosen(data_sets(args.data), args.split, LOOKED_THROUGH, lambda record: record.regions)
    picked = [instances(records, args.limit) for records in sets]
    for record, label, number in (one for turn in zip_longest(*picked) for one in turn if one):
        if f"{record.key}/{label}/{number}" in there:
            continue
        new = list(measured(finder, record, label, number))
        rows += new
        if path:
            with path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in new)
    print(table(["way", "prompt", "n", "Dice", "difference", "processor s"], in_all(rows)))
    print("\n" + table(["way, differences", "set", "n", *KINDS], by_set(rows)))


if __name__ == "__main__":
    main()
