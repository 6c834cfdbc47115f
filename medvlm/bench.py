"""Seconds and memory of what a person waits for, on one fundus photograph that scikit-image carries."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .types import Image, Study

TIMES = 5  # each thing is done so often; the median counts
TILED = 1024  # pixels of the longer side of the image that is looked at in tiles


def photograph(longer: int = 0) -> np.ndarray:
    """uint8 `(H, W, 3)`, a public-domain fundus photograph of 1411 px, or scaled to `longer` px."""
    import PIL.Image
    from skimage.data import retina

    pixels = retina()
    if longer:
        size = tuple(round(n * longer / max(pixels.shape[:2])) for n in pixels.shape[1::-1])
        pixels = np.asarray(PIL.Image.fromarray(pixels).resize(size))
    return pixels


def measure(load: Callable[[], Any]) -> dict[str, Any]:
    """`{"seconds": {what: median}, "peak_memory_mb": …}` of an assistant that `load` makes."""
    started = time.perf_counter()
    assistant = load()
    seconds = {"load": time.perf_counter() - started}
    pixels, box = photograph(), (600.0, 500.0, 900.0, 800.0)
    encoded = Study([Image(pixels)])
    assistant.ground(encoded, ["optic disc"])

    def median(work: Callable[[], Any]) -> float:
        spent = []
        for _ in range(TIMES):
            assistant.policy = assistant.policy  # forgets what was found, not what was seen
            began = time.perf_counter()
            work()
            spent.append(time.perf_counter() - began)
        return statistics.median(spent)

    def new() -> Study:
        return Study([Image(pixels)])

    seconds |= {
        "phrase on a new image": median(lambda: assistant.ground(new(), ["optic disc"])),
        "phrase on an encoded image": median(lambda: assistant.ground(encoded, ["optic disc"])),
        "five free phrases on an encoded image": median(
            lambda: assistant.ground(encoded, [f"the {n} disc thing" for n in "abcde"])
        ),
        "drawn box on a new image": median(lambda: assistant.segment(new(), box=box)),
        "drawn box on an encoded image": median(lambda: assistant.segment(encoded, box=box)),
        "question on a new image": median(lambda: assistant.ask(new(), "Which organ is shown?")),
        "question on an encoded image": median(lambda: assistant.ask(encoded, "Which organ is shown?")),
        "vessels in tiles of a new image": median(
            lambda: assistant.ground(Study([Image(photograph(TILED))]), ["retinal vessels"])
        ),
        "report of a new image": median(lambda: assistant.report(new())),
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kilobytes on Linux
    return {"seconds": {name: round(value, 3) for name, value in seconds.items()}, "peak_memory_mb": round(peak)}


def lines(result: dict[str, Any]) -> list[str]:
    """A line for each thing that was measured."""
    out = [f"{name:<40} {value:8.3f} s" for name, value in result["seconds"].items()]
    return [*out, f"{'peak memory':<40} {result['peak_memory_mb']:8.0f} MB"]
