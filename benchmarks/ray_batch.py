"""What `medvlm batch --engine ray` costs beside the plain engine: seconds a request, to start, memory, bytes a row.

    pip install 'medvlm-assistant[scale]'
    python benchmarks/ray_batch.py [--images 64] [--workers 2] [--task report] [--json > ray_batch.json]

Each request is on an image of its own, a public-domain fundus photograph that is shifted. The plain engine answers them in this
process on one core; the Ray engine answers eight of them first, which tells the start, then all: what the others took is told
a request. Overhead is what a worker's request takes beyond the plain engine's. Run it on an idle machine, with no more workers
than cores.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch

from medvlm.assistant import Assistant
from medvlm.batch import run_batch
from medvlm.batch.on_ray import Workers, run_on_ray
from medvlm.bench import photograph

FEW = 8  # requests: one part
SIDE = 700  # pixels
BODIES = {
    "report": {"task": "report"},
    "ground": {"task": "ground", "phrase": "optic disc"},
    "answer": {"task": "answer", "question": "Which organ is shown?"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--task", choices=BODIES, default="report")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.images <= FEW:
        parser.error(f"--images takes more than {FEW}.")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        result = measured(Path(folder), args.images, args.workers, BODIES[args.task])
    print(json.dumps(result) if args.json else "\n".join(f"{name:<44}{value:>12}" for name, value in result.items()))


def measured(folder: Path, images: int, workers: int, body: dict[str, Any]) -> dict[str, Any]:
    few, every = folder / "few.jsonl", folder / "all.jsonl"
    write(folder, few, FEW, body)
    write(folder, every, images, body)
    assistant = Assistant.load()
    run_batch(assistant, few, folder / "few.plain.jsonl", progress=False)
    plain = timed(run_batch, assistant, every, folder / "plain.jsonl", progress=False) / images
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kilobytes on Linux
    on_ray = partial(
        run_on_ray,
        Assistant.load,
        settings={"weights": assistant.fingerprint},
        workers=Workers(workers),
        progress=False,
    )
    start = timed(on_ray, few, folder / "few")
    whole = timed(on_ray, every, folder / "all")
    single = (whole - start) / (images - FEW) * workers
    written = sum(path.stat().st_size for path in (folder / "all").glob("part-*"))
    return {
        "task": body["task"],
        "requests": images,
        "workers": workers,
        "plain, seconds a request": round(plain, 4),
        "ray, seconds a request of a worker": round(single, 4),
        "ray, requests a second": round(workers / single, 2),
        "overhead a request, share": round(single / plain - 1, 3),
        "ray, seconds to start and answer eight": round(start, 1),
        "peak memory of one assistant, MB": round(peak),
        "bytes a row": round(written / images),
        "bytes an image": round(sum(path.stat().st_size for path in folder.glob("*.jpg")) / images),
    }


def write(folder: Path, path: Path, count: int, body: dict[str, Any]) -> None:
    pixels = photograph(SIDE)
    with path.open("w") as file:
        for i in range(count):
            name = f"{i}.jpg"
            PIL.Image.fromarray(np.roll(pixels, 7 * i, axis=1)).save(folder / name)
            file.write(json.dumps({"id": i, "image": name, **body}) + "\n")


def timed(call: Any, *args: Any, **options: Any) -> float:
    began = time.perf_counter()
    call(*args, **options)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
