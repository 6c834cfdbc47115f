"""What each step of the heads' training sees and how fast it learns: from the step's number alone, or from the clock too."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from medvlm.errors import RequestError

from .config import HeadsSettings

STRIDE = 32  # of the coarsest map, by which a side can be divided


@dataclass(frozen=True)
class Phase:
    """A part of a run."""

    share: float  # of the run
    side: int  # pixels of the images' sides
    batch: int  # images a step


def read_phases(settings: HeadsSettings, side: int) -> tuple[Phase, ...]:
    """The phases of a recipe, one at the model's `side` where it names none.

    Raises `RequestError` where the shares are not those of one whole or a side fits no map.
    """
    if not all(len(row) == 3 for row in settings.phases):
        raise RequestError("Each of the phases of heads is [share of the run, side in pixels, images a step].")
    rows = settings.phases or [[1.0, side, settings.batch]]
    phases = tuple(Phase(float(share), int(pixels), int(batch)) for share, pixels, batch in rows)
    if any(p.share <= 0 or p.batch < 1 for p in phases) or abs(sum(p.share for p in phases) - 1) > 1e-6:
        raise RequestError(
            "The shares of the phases of heads must be above 0 and sum to 1, with an image a step or more."
        )
    if wrong := [p.side for p in phases if p.side < STRIDE or p.side % STRIDE]:
        raise RequestError(f"A phase's side of {wrong[0]} pixels is no multiple of {STRIDE}.")
    return phases


@dataclass
class Plan:
    """A run of `steps` steps; with `max_seconds` it is as far as the further of its steps and the seconds `elapsed`."""

    steps: int
    phases: tuple[Phase, ...]
    max_seconds: float | None = None
    warmup: int = 0
    flat: float = 0.3
    floor: float = 0.01
    elapsed: float = field(default=0.0)

    def progress(self, step: int) -> float:
        """How much of the run lies before a step, in 0..1."""
        done = step / self.steps
        return min(1.0, max(done, self.elapsed / self.max_seconds) if self.max_seconds else done)

    def phase(self, step: int) -> Phase:
        begun, progress = 0.0, self.progress(step)
        for phase in self.phases:
            begun += phase.share
            if progress < begun - 1e-9:
                return phase
        return self.phases[-1]

    def rate(self, step: int) -> float:
        """The share of the full rate: warm-up, flat, then a cosine down to the floor."""
        warm = min(1.0, (step + 1) / max(1, min(self.warmup, self.steps // 5)))
        progress = self.progress(step)
        if progress < self.flat or self.flat >= 1:
            return warm
        wave = 0.5 * (1 + math.cos(math.pi * (progress - self.flat) / (1 - self.flat)))
        return warm * (self.floor + (1 - self.floor) * wave)

    def batches(self, step: int, item: int, processes: int = 1, process: int = 0) -> Iterator[list[tuple[int, int]]]:
        """From a step on, each step's (item, side) pairs for one of the processes that share it; `item` is the first."""
        while step < self.steps:
            phase = self.phase(step)
            first = item + process * phase.batch
            yield [(first + i, phase.side) for i in range(phase.batch)]
            item += processes * phase.batch
            step += 1
