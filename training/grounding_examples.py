"""Records → examples for the grounding heads: an image, queries (label numbers and drawn prompts) and their truth."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import torch
from scipy import ndimage
from torch.utils.data import Dataset

from medvlm.model.prompt_heads import PROMPT_CHANNELS
from medvlm.records import Record
from medvlm.vocabulary import FINE, surely_absent

from .augment import Turn, not_medical, random_turn, turn_boxes, turn_grid, turn_image, turn_map, zoom
from .cache import ImageCache
from .datasets import facts_of
from .drawing import draw_prompts
from .presence import labelled_presence
from .record_questions import question_answers

ZOOMED = 0.6  # of the images of fine things are shown in part
PROMPTS = 3  # drawn on each image
NOT_MEDICAL = 0.015  # of the examples are noise or an even colour
UNKNOWN = -100  # number of a fact that is not known
IMPOSSIBLE = 4  # labels an image that its kind rules out


def heat_map(boxes: np.ndarray, size: int, side: int) -> np.ndarray:
    """Gaussian peaks of 1 at the boxes' centres: boxes `(N, 4)` in canvas pixels to float32 `(size, size)`."""
    heat = np.zeros((size, size), np.float32)
    y, x = np.mgrid[:size, :size]
    for x0, y0, x1, y1 in boxes * size / side:
        column = min(int((x0 + x1) / 2), size - 1)
        row = min(int((y0 + y1) / 2), size - 1)
        sigma = max(0.7, min(x1 - x0, y1 - y0) / 8)
        heat = np.maximum(heat, np.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * sigma**2), dtype=np.float32))
        heat[row, column] = 1.0
    return heat


def box_map(boxes: np.ndarray, owner: np.ndarray | None, size: int, side: int) -> np.ndarray:
    """The box of the instance at each place, in fractions of the side: float32 `(4, size, size)`.

    `owner` `(size, size)` gives one plus the box's row; without it each box claims its middle half, small ones last.
    """
    out = np.zeros((4, size, size), np.float32)
    if owner is not None:
        shares = np.concatenate([np.zeros((1, 4)), boxes / side]).astype(np.float32)
        return shares[owner].transpose(2, 0, 1)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for i in np.argsort(-areas):
        x0, y0, x1, y1 = boxes[i] * size / side
        cx, cy, half_w, half_h = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 4, (y1 - y0) / 4
        rows = slice(int(cy - half_h), int(np.ceil(cy + half_h)) or 1)
        columns = slice(int(cx - half_w), int(np.ceil(cx + half_w)) or 1)
        out[:, rows, columns] = (boxes[i] / side)[:, None, None]
    return out


def instance_boxes(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes `(N, 4)` of the instances in a map, and the map renumbered 0…N."""
    found = [(i + 1, s) for i, s in enumerate(ndimage.find_objects(ids)) if s is not None]
    numbers = np.zeros(256, np.int64)
    boxes = np.zeros((len(found), 4))
    for row, (i, (ys, xs)) in enumerate(found):
        numbers[i] = row + 1
        boxes[row] = xs.start, ys.start, xs.stop, ys.stop
    return boxes, numbers[ids]


class GroundingExamples(Dataset):
    """Draws from decoded images by each set's weight times a power of its size.

    Asked for `(item, side)`, it gives the same in every run with the same seed: an example of that side in pixels, not yet
    re-lit, in types that are small to hand from a worker to the device.
    """

    def __init__(
        self,
        cache: ImageCache,
        facts: dict[str, list[str]],
        labels: list[str],
        queries: int = 5,
        power: float = 0.5,
        weights: dict[str, float] | None = None,
        prompts: float = 0.25,
        seed: int = 0,
        unnamed: dict[str, list[str]] | None = None,
    ):
        self.cache, self.facts, self.labels, self.queries = cache, facts, labels, queries
        self.prompts, self.seed = prompts, seed
        self.tells_photographs = "photograph" in facts.get("modality", ())
        self.number = {label: i for i, label in enumerate(self.labels)}
        sets: dict[str, list[int]] = {}
        for i, record in enumerate(cache.records):
            sets.setdefault(record.set, []).append(i)
        self.sets = list(sets.values())
        chances = np.array([len(v) ** power * (weights or {}).get(k, 1.0) for k, v in sets.items()])
        self.chances = chances / chances.sum()
        self.presence = [labelled_presence(record) for record in cache.records]
        self.values = [
            torch.cat([fact_numbers(record, facts), answer_numbers(record, unnamed or {})]) for record in cache.records
        ]
        kinds = {(r.modality or "", r.body_part or "") for r in cache.records}
        self.impossible = {kind: [a for a in labels if surely_absent(a, *kind)] for kind in kinds}

    def __getitem__(self, key: tuple[int, int]) -> dict[str, torch.Tensor]:
        item, side = key
        rng = np.random.default_rng((self.seed, item))
        members = self.sets[rng.choice(len(self.sets), p=self.chances)]
        out = self.example(int(members[rng.integers(len(members))]), rng, side)
        out["pixel_values"] = (out["pixel_values"] * 255).round().to(torch.uint8)
        out["prompts"] = out["prompts"].to(torch.uint8)
        return out | {name: out[name].half() for name in ("centres", "boxes")}

    def choose_labels(
        self, presence: dict[str, int], outlined: list[str], impossible: list[str], rng: np.random.Generator
    ) -> list[tuple[int, int]]:
        """(query number, presence) pairs: outlined labels, labels known to be absent, and labels that such an image cannot show."""
        present = rng.permutation([label for label in outlined if label in self.number])
        absent = rng.permutation([label for label, there in presence.items() if not there and label in self.number])
        pairs = [(self.number[x], 1) for x in present[: self.queries - (1 if len(absent) else 0)]]
        pairs += [(self.number[x], 0) for x in absent[:2]]
        if impossible:
            pairs += [(self.number[x], 0) for x in rng.choice(impossible, 1)]
        if rng.random() < 0.1:
            pairs.append((len(self.labels), 0))  # the query that names nothing
        return pairs[: self.queries]

    def example(self, index: int, rng: np.random.Generator, side: int) -> dict[str, torch.Tensor]:
        """One view of a record, its image float in 0..1."""
        record, cached = self.cache.records[index], self.cache[index]
        grid_size, fine = side // 4, side // 2
        height, width = cached.image.shape[:2]
        boxes_only = any(m is None for m in cached.maps.values())
        turn = random_turn(rng, record.modality, record.body_part, boxes_only)
        outlined = [label for label, m in cached.maps.items() if m is not None and len(cached.boxes[label])]
        pointed = [label for label in outlined if label not in FINE]  # nobody draws around each thin or tiny part
        enlarged = pointed[rng.integers(len(pointed))] if pointed and rng.random() < self.prompts else None
        zoomed = enlarged is not None or (not set(FINE).isdisjoint(cached.maps) and rng.random() < ZOOMED)
        if zoomed:
            label = enlarged or outlined[rng.integers(len(outlined))]
            turn = zoomed_turn(turn, cached.boxes[label], (height, width), rng, whole=enlarged is not None)
        image = turn_image(cached.image, side, turn)
        fine_grid = turn_grid(height, width, fine, turn)

        count = self.queries
        out = {
            "pixel_values": image,
            "label_ids": torch.full((count,), len(self.labels)),
            "prompts": torch.zeros(PROMPTS, PROMPT_CHANNELS, grid_size, grid_size),
            "prompt_kinds": torch.full((PROMPTS,), -1),
        }
        truth = {
            "presence": torch.full((count,), -1.0),
            "outlined": torch.full((count,), -1.0),
            "masks": torch.zeros(count, fine, fine, dtype=torch.uint8),
            "centres": torch.zeros(count, grid_size, grid_size),
            "boxes": torch.zeros(count, 4, grid_size, grid_size),
            "facts": self.values[index].clone(),
            "labels": torch.full((len(self.labels),), -1.0),
            "prompted": torch.zeros(PROMPTS, fine, fine, dtype=torch.uint8),
        }
        if self.tells_photographs and rng.random() < NOT_MEDICAL:
            out["pixel_values"] = not_medical(rng, side)
            truth["facts"][:] = UNKNOWN
            truth["facts"][list(self.facts).index("modality")] = self.facts["modality"].index("photograph")
            truth["labels"][:] = 0
            return out | truth

        if zoomed:
            of_the_whole = [i for i, name in enumerate(self.facts) if name not in ("modality", "body_part")]
            truth["facts"][of_the_whole] = UNKNOWN
            truth["facts"][len(self.facts) :] = UNKNOWN
        needed = [enlarged] if enlarged else outlined
        pngs = {label: png for label in needed if (png := cached.maps[label]) is not None}
        maps = {label: turn_map(_decode(png), fine_grid).numpy() for label, png in pngs.items()}
        shown = {label: maps[label] for label in pointed if label in maps}
        for i, (prompt, kind, instance) in enumerate(draw_prompts(shown, PROMPTS, grid_size, rng)):
            out["prompts"][i], out["prompt_kinds"][i] = torch.from_numpy(prompt), kind
            truth["prompted"][i] = torch.from_numpy(instance.astype(np.uint8))
        if enlarged is not None:
            return out | truth

        labelled, impossible = self.presence[index], self.impossible[record.modality or "", record.body_part or ""]
        self.tell_labels(truth["labels"], labelled, impossible, rng, zoomed)
        for q, (number, presence) in enumerate(self.choose_labels(labelled, list(cached.maps), impossible, rng)):
            out["label_ids"][q] = number
            truth["presence"][q] = presence
            if not presence:
                continue
            label = self.labels[number]
            if cached.maps[label] is not None:
                ids = maps[label] if label in maps else np.zeros((fine, fine), np.uint8)
                visible = bool(ids.any())
                fill_outlines(truth, q, ids)
                truth["outlined"][q] = 1 if visible else -1
            else:
                boxes = turn_boxes(cached.boxes[label], height, width, fine, turn)
                boxes = boxes[(boxes[:, 2] - boxes[:, 0] > 1) & (boxes[:, 3] - boxes[:, 1] > 1)]
                visible = len(boxes) > 0
                fill_boxes(truth, q, boxes)
                truth["outlined"][q] = 0
            if not visible:
                truth["presence"][q] = truth["labels"][number] = -1  # moved out of the canvas
            elif zoomed:
                truth["labels"][number] = 1
        return out | truth

    def tell_labels(
        self,
        truth: torch.Tensor,
        presence: dict[str, int],
        impossible: list[str],
        rng: np.random.Generator,
        zoomed: bool,
    ) -> None:
        """Write the presence of every label into `truth`; what is there may lie outside an enlarged part."""
        some = rng.permutation(impossible)[:IMPOSSIBLE]
        labelled = dict.fromkeys(some, 0) | {k: v for k, v in presence.items() if not (v and zoomed)}
        for label, there in labelled.items():
            if label in self.number:
                truth[self.number[label]] = there


def zoomed_turn(turn: Turn, boxes: np.ndarray, size: tuple[int, int], rng: np.random.Generator, whole: bool) -> Turn:
    """A closer look at one of the boxes `(N, 4)` in an image `(height, width)`: at all of it, or from a third to a half of the image."""
    x0, y0, x1, y1 = boxes[rng.integers(len(boxes))]
    long = max(size)
    if whole:
        extent = max(x1 - x0, y1 - y0, 4)
        scale = float(np.clip(rng.uniform(0.35, 0.75) * long / extent, 0.9, 10))
        spread = 0.1 * extent
        centre = (x0 + x1) / 2 + rng.uniform(-spread, spread), (y0 + y1) / 2 + rng.uniform(-spread, spread)
    else:
        scale = rng.uniform(1.7, 2.8)
        centre = rng.uniform(x0, x1), rng.uniform(y0, y1)
    return zoom(turn, centre, size, scale)


def fill_outlines(truth: dict[str, torch.Tensor], q: int, ids: np.ndarray) -> None:
    """Write the maps of query `q` from an instance map in pixels of the masks' canvas."""
    truth["masks"][q] = torch.from_numpy((ids > 0).astype(np.uint8))
    boxes, renumbered = instance_boxes(ids)
    fill_boxes(truth, q, boxes, renumbered[::2, ::2])


def fill_boxes(truth: dict[str, torch.Tensor], q: int, boxes: np.ndarray, owner: np.ndarray | None = None) -> None:
    """Write the centres and boxes of query `q` from boxes in pixels of the masks' canvas; `owner` as in `box_map`."""
    fine, size = truth["masks"].shape[-1], truth["centres"].shape[-1]
    if len(boxes):
        truth["centres"][q] = torch.from_numpy(heat_map(boxes, size, fine))
        truth["boxes"][q] = torch.from_numpy(box_map(boxes, owner, size, fine))


def fact_numbers(record: Record, facts: dict[str, list[str]]) -> torch.Tensor:
    """The number of each named fact's value in a record, `UNKNOWN` where it is not known: int64 `(F,)`."""
    return numbers({"modality": str(record.modality), "body_part": str(record.body_part)} | facts_of(record), facts)


def answer_numbers(record: Record, questions: dict[str, list[str]]) -> torch.Tensor:
    """The number of a record's answer to each question, `UNKNOWN` where the record lacks the question: int64 `(Q,)`."""
    return numbers(question_answers(record), questions)


def numbers(given: dict[str, str], values: dict[str, list[str]]) -> torch.Tensor:
    """The number of each given value among all its possible values, `UNKNOWN` where it is none of them."""
    places = [among.index(given[name]) if given.get(name) in among else UNKNOWN for name, among in values.items()]
    return torch.tensor(places, dtype=torch.int64)


def _decode(png: bytes) -> np.ndarray:
    return np.asarray(PIL.Image.open(io.BytesIO(png)))


TARGETS = ("presence", "outlined", "masks", "centres", "boxes", "facts", "labels", "prompted")


def collate(examples: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {name: torch.stack([e[name] for e in examples]) for name in examples[0]}
