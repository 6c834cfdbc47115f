"""Time, memory, disk and cost of a batch on paper, each with its formula, from figures that were measured.

    python benchmarks/ray_batch.py --json > ray_batch.json
    python benchmarks/scale_plan.py --figures ray_batch.json --price 0.05

`--figures` is what benchmarks/ray_batch.py prints, for one core a worker. Any of it may be given by hand instead (`--seconds`,
`--memory`, `--row`, `--image`). `--price` is what a core costs for an hour where you rent it; without it no cost is told.
"""

from __future__ import annotations

import argparse
import json
import tracemalloc
from pathlib import Path

from common import table

from medvlm.batch.folder import IN_PART

SAMPLE = 100_000  # ids whose memory is measured
FIGURES = {  # options, and what they are called in the figures
    "seconds": "ray, seconds a request of a worker",
    "memory": "peak memory of one assistant, MB",
    "row": "bytes a row",
    "image": "bytes an image",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figures", type=Path, help="JSON of benchmarks/ray_batch.py")
    parser.add_argument("--images", type=int, default=10_000_000)
    parser.add_argument("--machines", type=int, default=16)
    parser.add_argument("--cores", type=int, default=32, help="of each machine; a worker each (32)")
    parser.add_argument("--price", type=float, help="of a core for an hour")
    for name, figure in FIGURES.items():
        parser.add_argument(f"--{name}", type=float, help=f"{figure}, instead of the figures'")
    args = parser.parse_args()
    figures = json.loads(args.figures.read_text()) if args.figures else {}
    known = {name: getattr(args, name) or figures.get(figure) for name, figure in FIGURES.items()}
    if missing := [name for name, value in known.items() if value is None]:
        parser.error(f"give --figures, or --{missing[0]}.")
    print(table(("what", "how", "value"), rows(args, **known)))


def rows(
    args: argparse.Namespace, seconds: float, memory: float, row: float, image: float
) -> list[tuple[str, str, str]]:
    n, workers, most = args.images, args.machines * args.cores, IN_PART[1]
    core_hours = n * seconds / 3600
    ids = memory_of_an_id()
    out = [
        ("core hours", f"{n:,} × {seconds:g} s / 3600", f"{core_hours:,.0f} h"),
        ("time", f"core hours / ({args.machines} machines × {args.cores} workers)", f"{core_hours / workers:,.1f} h"),
        ("memory of a machine", f"{args.cores} workers × {memory:,.0f} MB", f"{args.cores * memory / 1e3:,.0f} GB"),
        ("memory of the driver, for ids", f"{n:,} × {ids:.0f} B", f"{n * ids / 1e9:,.1f} GB"),
        ("images to read", f"{n:,} × {image:,.0f} B", f"{n * image / 1e12:,.2f} TB"),
        ("reading", "images to read / time", f"{n * image / 1e6 / (core_hours / workers * 3600):,.0f} MB/s"),
        ("rows to write", f"{n:,} × {row:,.0f} B", f"{n * row / 1e9:,.1f} GB"),
        ("files", f"{n:,} / {most}", f"{-(-n // most):,}"),
        ("lost with a worker, at most", f"{most} × {seconds:g} s", f"{most * seconds / 60:,.1f} min of one core"),
    ]
    if args.price is not None:
        out.append(("cost", f"core hours × {args.price:g}", f"{core_hours * args.price:,.0f}"))
    return out


def memory_of_an_id() -> float:
    """Bytes that an id takes while requests are read, measured here."""
    tracemalloc.start()
    ids = {f"study-{i:09d}" for i in range(SAMPLE)}
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return used / len(ids)


if __name__ == "__main__":
    main()
