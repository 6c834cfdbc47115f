"""What a guess without looking reaches: learnt from the training split alone, printed beside every score."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import PIL.Image

from ..normalise import normalise_answer
from ..records import Record
from ..types import Image, Study

GRID = 64  # pixels a side of a mean mask


def mean_masks(records: Iterable[Record]) -> dict[str, np.ndarray]:
    """Label → bool `(64, 64)`: where at least half of the training images that have the label show it."""
    sums: dict[str, np.ndarray] = {}
    counts: Counter[str] = Counter()
    for record in records:
        for region in record.regions:
            mask = region.mask
            if mask is None or not mask.any():
                continue
            picture = PIL.Image.fromarray((mask > 0).astype(np.uint8) * 255)
            small = picture.resize((GRID, GRID), PIL.Image.Resampling.BOX)
            sums[region.label] = sums.get(region.label, 0) + np.asarray(small, np.float32) / 255
            counts[region.label] += 1
    return {label: total / counts[label] >= 0.5 for label, total in sums.items()}


def scale_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mean mask stretched to an image of `size` `(H, W)`."""
    picture = PIL.Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(picture.resize(size[::-1], PIL.Image.Resampling.BILINEAR)) >= 128


class CommonestAnswer:
    """The commonest training answer to the same question, else to any question of the same type."""

    def __init__(self, records: Iterable[Record], lang: str = "en") -> None:
        self.by_question: dict[str, Counter[str]] = defaultdict(Counter)
        self.by_type: dict[str, Counter[str]] = defaultdict(Counter)
        for qa in (qa for record in records for qa in record.qa if qa.lang == lang):
            self.by_question[normalise_answer(qa.question)][normalise_answer(qa.answer)] += 1
            self.by_type[qa.type][normalise_answer(qa.answer)] += 1

    def __call__(self, question: str, type: str) -> str:
        counts = self.by_question.get(normalise_answer(question)) or self.by_type.get(type)
        return counts.most_common(1)[0][0] if counts else ""


def commonest(values: Iterable[str | None]) -> str | None:
    """The commonest of the known values."""
    counts = Counter(value for value in values if value)
    return counts.most_common(1)[0][0] if counts else None


def blank_study() -> Study:
    """A black picture: what the model answers from the question alone."""
    return Study([Image(np.zeros((256, 256, 3), np.uint8))])


def shuffled_partners(records: Sequence[Record], seed: int = 0) -> dict[str, Record]:
    """Record key → another random record of the same set, each used once; empty for fewer than two."""
    if len(records) < 2:
        return {}
    order = np.random.default_rng(seed).permutation(len(records))
    return {records[i].key: records[j] for i, j in zip(order, np.roll(order, -1), strict=True)}
