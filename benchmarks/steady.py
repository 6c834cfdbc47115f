"""Is the memory of a service steady? Several users open pictures and ask of them, and its resident memory is printed each minute.

    python benchmarks/steady.py [MINUTES] [--users 4] [--model nano]

Each user holds a few studies at a time, as the page and the API do: phrases, boxes, questions, reports and a small volume now and
then, on pictures of scikit-image that are turned, cut and tinted anew every time, so that no two are alike. Ends with exit code
1 where the last minute's memory is more than 5 % above that of a third of the time.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import threading
import time
from collections import Counter, deque
from typing import Any

import numpy as np

from medvlm.cores import wait_asleep
from medvlm.errors import MedVLMError
from medvlm.memory import keep_freed_memory, most_resident, resident
from medvlm.types import Image, Study
from serving.turns import Turns

OPEN = 3  # studies of one user at a time
SLICES = 6  # of a made-up volume
# Those that scikit-image holds itself; others it would fetch.
PICTURES = ("retina", "immunohistochemistry", "astronaut", "coffee", "microaneurysms", "brick", "cell")
PHRASES = ("optic disc", "retinal vessels", "nucleus", "polyp", "skin lesion", "liver", "the bright round thing")
QUESTIONS = ("Which organ is shown?", "How many nuclei are there?", "Is there a polyp?", "How large is the optic disc?")
KINDS = {"phrase": 50, "box": 20, "question": 15, "report": 10, "volume": 5}  # of a hundred requests


def picture(chance: random.Random) -> np.ndarray:
    """uint8 `(H, W, 3)`: one of scikit-image's pictures, cut, turned and tinted."""
    import skimage.data

    pixels = getattr(skimage.data, chance.choice(PICTURES))()
    pixels = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2)
    height, width = (round(side * chance.uniform(0.5, 1.0)) for side in pixels.shape[:2])
    part = np.rot90(pixels[:height, :width, :3], chance.randrange(4))
    return (part * np.array([chance.uniform(0.7, 1.0) for _ in range(3)])).astype(np.uint8)


def study(chance: random.Random, volume: bool) -> Study:
    pixels = picture(chance)
    if not volume:
        return Study([Image(pixels)])
    images = [Image(np.roll(pixels, n, 0), (1.0, 1.0), f"slice {n + 1} of {SLICES}") for n in range(SLICES)]
    return Study(images, kind="volume", metadata={"slice_spacing_mm": 2.0})


def request(assistant: Any, kind: str, about: Study, chance: random.Random) -> None:
    height, width = about.images[0].size
    if kind == "box":
        assistant.segment(about, 0, box=(width * 0.2, height * 0.2, width * 0.6, height * 0.7))
    elif kind == "question":
        assistant.ask(about, chance.choice(QUESTIONS))
    elif kind == "report":
        assistant.report(about)
    else:
        assistant.ground(about, [chance.choice(PHRASES)])


class User(threading.Thread):
    """Asks one thing after another until the time is over."""

    def __init__(self, number: int, assistant: Any, turns: Turns, until: float, done: Counter):
        super().__init__(daemon=True)
        self.number, self.assistant, self.turns, self.until, self.counts = number, assistant, turns, until, done

    def run(self) -> None:
        chance, held = random.Random(self.number), deque(maxlen=OPEN)
        while time.monotonic() < self.until:
            kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
            if kind == "volume" or not held or chance.random() < 0.6:
                held.append(study(chance, kind == "volume"))
            about = held[-1]
            job = self.turns.submit(str(self.number), lambda k=kind, s=about: request(self.assistant, k, s, chance))
            try:
                job.future.result()
            except MedVLMError:
                self.counts["refused"] += 1
            except Exception:
                self.counts["failed"] += 1
                raise
            self.counts[kind] += 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("minutes", nargs="?", type=float, default=60.0)
    parser.add_argument("--users", type=int, default=4)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two lines")
    parser.add_argument("--model")
    args = parser.parse_args()
    wait_asleep()
    keep_freed_memory()
    from medvlm.assistant import Assistant

    assistant, turns, counts, seen = Assistant.load(args.model), Turns(), Counter(), []
    print(f"{'loaded':>8} {resident() / 2**20:6.0f} MB", flush=True)
    began = time.monotonic()
    users = [User(n, assistant, turns, began + args.minutes * 60, counts) for n in range(args.users)]
    for user in users:
        user.start()
    while any(user.is_alive() for user in users):
        end = time.monotonic() + args.every
        for user in users:
            user.join(max(0.0, end - time.monotonic()))
        seen.append(resident())
        images = sum(isinstance(thing, Image) for thing in gc.get_objects())
        finder = assistant.finder
        held = sum(view.held for view in list(finder.views.values())) / 2**20
        print(
            f"{(time.monotonic() - began) / 60:6.1f} min {seen[-1] / 2**20:6.0f} MB, of features {held:4.0f}; images {images}, "
            f"views {len(finder.views)}, threads {threading.active_count()}; done {dict(counts)}",
            flush=True,
        )
    print(f"{'most':>8} {most_resident() / 2**20:6.0f} MB")
    return int(counts["failed"] > 0 or seen[-1] > 1.05 * seen[len(seen) // 3])


if __name__ == "__main__":
    sys.exit(main())
