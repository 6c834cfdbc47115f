"""Operating points of facts that were learned of whole images: from which probability one is given, and what that was worth.

A point is chosen on the `tune` half of the val splits and quoted as it did on `report`. `operating.json` beside the weights
holds the probabilities of both halves, by fact; `benchmarks/operating.py` writes it. Torch-free.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import ModelError
from .types import Operating, Point

FILE = "operating.json"
USUAL = 0.5  # the probability from which a fact is given where nobody asks for another point
FEW = 5  # images with and without a fact, from which on a point is quoted
STEPS = tuple(step / 20 for step in range(1, 21))  # the sensitivities that a person can move a point to


@dataclass(frozen=True)
class Scores:
    """The probabilities that images got of one value of a fact: of those that have it and of those that do not."""

    value: str
    chosen_with: tuple[float, ...]  # of `tune`
    quoted_with: tuple[float, ...]  # of `report`
    quoted_without: tuple[float, ...]

    def at(self, sensitivity: float) -> float:
        """The highest probability that at least this share of the images of `tune` with the fact reach."""
        ranked = sorted(self.chosen_with, reverse=True)
        needed = max(1, math.ceil(sensitivity * len(ranked) - 1e-9))
        return ranked[needed - 1] if ranked else USUAL

    def quoted(self, probability: float) -> str:
        """What giving the fact from a probability on was worth on `report`, as a sentence; "" where that is too few images."""
        if not self.measured:
            return ""
        there, absent = self.images
        found, spared = self.worth(probability)
        return (
            f"“{self.value}” is said from a probability of {probability:.2f}: on images kept aside its sensitivity was "
            f"{found:.2f} (of {there}) and its specificity {spared:.2f} (of {absent})."
        )

    @property
    def images(self) -> tuple[int, int]:
        """How many of `report` have the fact, and how many do not."""
        return len(self.quoted_with), len(self.quoted_without)

    @property
    def measured(self) -> bool:
        """Whether these are enough to say what a point was worth."""
        return min(self.images) >= FEW

    def worth(self, probability: float) -> tuple[float, float]:
        """Sensitivity and specificity on `report` of giving the fact from a probability on."""
        there, absent = self.images
        found = sum(score >= probability for score in self.quoted_with) / there
        return found, sum(score < probability for score in self.quoted_without) / absent

    def least(self, sensitivity: float | None) -> float:
        """The probability from which the fact is given for a sensitivity that is asked for, `None` for the usual one."""
        return USUAL if sensitivity is None else self.at(sensitivity)

    def operating(self, fact: str, sensitivity: float | None) -> Operating | None:
        """The point for a sensitivity among all that can be asked for, a probability once; `None` where too few images
        measured them."""
        if not self.measured:
            return None
        asked = {self.least(step): step for step in (*STEPS, None, sensitivity)}
        ranked = sorted(asked, reverse=True)
        curve = tuple(Point(asked[least], *self.worth(least)) for least in ranked)
        return Operating(fact, ranked.index(self.least(sensitivity)), curve, self.images)


def read_operating(folder: Path) -> dict[str, Scores]:
    """The scores by fact beside a model's weights; none for a model of which they were never measured.

    Raises `ModelError` for a file that holds something else.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        parts = ("chosen_with", "quoted_with", "quoted_without")
        return {
            fact: Scores(str(row["value"]), *(tuple(float(score) for score in row[part]) for part in parts))
            for fact, row in told.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{FILE} of {folder.name!r} cannot be read; delete it and run benchmarks/operating.py to write it anew."
        ) from error


def write_operating(folder: Path, scores: Mapping[str, Scores]) -> None:
    """Write the scores by fact beside a model's weights."""

    def rounded(values: Sequence[float]) -> list[float]:
        return [round(value, 4) for value in values]

    rows = {
        fact: {
            "value": one.value,
            "chosen_with": rounded(one.chosen_with),
            "quoted_with": rounded(one.quoted_with),
            "quoted_without": rounded(one.quoted_without),
        }
        for fact, one in sorted(scores.items())
    }
    (folder / FILE).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
