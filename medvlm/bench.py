"""Seconds and memory of what a person waits for, on one fundus photograph that scikit-image carries, and the goals for two cores."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from . import rates
from .memory import most_resident
from .rates import Submit
from .types import Image, Study

TIMES = 5  # each thing is done so often; the median counts
TILED = 1024  # pixels of the longer side of the image that is looked at in tiles
BOX = (600.0, 500.0, 900.0, 800.0)
SHARE, LONGEST, MEMORY = "phrases of 8 users, in those of one", "longest wait of 8 users, in medians", "peak memory, MB"

# On two cores: at most so many seconds, or times, or MB …
AT_MOST = {
    "phrase on a new image": 0.12,
    "phrase on an encoded image": 0.03,
    "drawn box on a new image": 0.15,
    "drawn box on an encoded image": 0.05,
    "question on a new image": 0.8,
    "report of a new image": 1.5,
    LONGEST: 3.0,
    MEMORY: 1500.0,
}
AT_LEAST = {SHARE: 1.5}  # … or at least


def photograph(longer: int = 0) -> np.ndarray:
    """uint8 `(H, W, 3)`, a public-domain fundus photograph of 1411 px, or scaled to `longer` px."""
    import PIL.Image
    from skimage.data import retina

    pixels = retina()
    if longer:
        size = tuple(round(n * longer / max(pixels.shape[:2])) for n in pixels.shape[1::-1])
        pixels = np.asarray(PIL.Image.fromarray(pixels).resize(size))
    return pixels


def measure(
    load: Callable[[], Any], start: Callable[[], Any] | None = None, submit: Submit = lambda _, work: work()
) -> dict[str, Any]:
    """What an assistant that `load` makes takes: `seconds`, `rates`, the `limits` of the machine, `goals` with what was
    measured and whether it is met, and `peak_memory_mb`, that of the measuring of limits left out.

    `start` loads it in a process of its own, from files that the system has not at hand. `submit` has a user's work done in
    its turn.
    """
    began = time.perf_counter()
    assistant = load()
    seconds = {"load": time.perf_counter() - began}
    if start:
        seconds["load, cold, in a process of its own"] = timed(start)
    pixels = photograph()
    seconds |= waits(assistant, pixels)
    rate = rates_of(assistant, pixels, submit)
    peak = most_resident() / 2**20
    limits = {"memory, GB/s": rates.bandwidth(), "float32 matrices, GFLOP/s": rates.matrix_rate()}
    limits |= rates.least(assistant, limits["float32 matrices, GFLOP/s"], limits["memory, GB/s"], pixels)
    return {
        "seconds": rounded(seconds),
        "rates": rounded(rate),
        "limits": rounded(limits),
        "goals": goals({**seconds, **rate, MEMORY: peak}),
        "peak_memory_mb": round(peak),
    }


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def waits(assistant: Any, pixels: np.ndarray) -> dict[str, float]:
    """The median seconds to each thing that a person asks for."""
    encoded = Study([Image(pixels)])
    assistant.ground(encoded, ["optic disc"])

    def new() -> Study:
        return Study([Image(pixels)])

    works: dict[str, Callable[[], Any]] = {
        "phrase on a new image": lambda: assistant.ground(new(), ["optic disc"]),
        "phrase on an encoded image": lambda: assistant.ground(encoded, ["optic disc"]),
        "five free phrases on an encoded image": lambda: assistant.ground(
            encoded, [f"the {n} disc thing" for n in "abcde"]
        ),
        "drawn box on a new image": lambda: assistant.segment(new(), box=BOX),
        "drawn box on an encoded image": lambda: assistant.segment(encoded, box=BOX),
        "question on a new image": lambda: assistant.ask(new(), "Which organ is shown?"),
        "question on an encoded image": lambda: assistant.ask(encoded, "Which organ is shown?"),
        "vessels in tiles of a new image": lambda: assistant.ground(
            Study([Image(photograph(TILED))]), ["retinal vessels"]
        ),
        "report of a new image": lambda: assistant.report(new()),
    }
    out = {}
    for name, work in works.items():
        spent = []
        for _ in range(TIMES):
            assistant.policy = assistant.policy  # forgets what was found, not what was seen
            spent.append(timed(work))
        out[name] = statistics.median(spent)
    return out


def rates_of(assistant: Any, pixels: np.ndarray, submit: Submit) -> dict[str, float]:
    one, several = rates.phrases(assistant, submit, pixels, "optic disc")
    alone, beside = rates.tokens(assistant, submit)
    return {
        "phrases a second, 1 user": one.rate,
        "phrases a second, 8 users": several.rate,
        SHARE: several.rate / one.rate,
        LONGEST: several.longest,
        "slices of a volume a second": rates.slices(assistant, pixels),
        "tokens a second, 1 user": alone,
        "tokens a second, 8 users": beside,
    }


def goals(measured: dict[str, float]) -> list[dict[str, Any]]:
    """Each goal with what was measured."""
    at_most = [(name, goal, measured[name] <= goal) for name, goal in AT_MOST.items()]
    at_least = [(name, goal, measured[name] >= goal) for name, goal in AT_LEAST.items()]
    return [
        {"what": name, "goal": goal, "measured": round(measured[name], 3), "met": met}
        for name, goal, met in [*at_most, *at_least]
    ]


def rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in values.items()}


def lines(result: dict[str, Any]) -> list[str]:
    """A line for each thing that was measured, with its goal where it has one."""
    met = {goal["what"]: f"   goal {goal['goal']:g}, {'met' if goal['met'] else 'not met'}" for goal in result["goals"]}
    out = [f"{name:<45} {value:9.3f} s{met.get(name, '')}" for name, value in result["seconds"].items()]
    out += [f"{name:<45} {value:9.2f}{met.get(name, '')}" for name, value in result["rates"].items()]
    out.append(f"{MEMORY:<45} {result['peak_memory_mb']:9.0f}{met[MEMORY]}")
    for part in ("limits", "beside"):
        out += [f"{part}: {name:<{43 - len(part)}} {value:9.3f}" for name, value in result.get(part, {}).items()]
    return out
