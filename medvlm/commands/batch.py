"""`medvlm batch`: answer many requests; run it again to go on."""

from __future__ import annotations

import argparse
import functools
import os
from pathlib import Path
from typing import Any

from ..errors import RequestError
from . import options
from .options import Load, Output

HELP = "answer many requests, on one machine or many; run it again to go on"
PARENTS = (options.WORDS,)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "requests",
        type=Path,
        metavar="REQUESTS",
        help="a .jsonl or .parquet with a request a line or row, a folder of such .parquet, or a folder with a study to report "
        "on in each of its files and folders",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="a .jsonl; with --engine ray a folder of parquet files"
    )
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="what runs it (default: local)")
    ray = parser.add_argument_group("with --engine ray")
    ray.add_argument("--ray-address", metavar="HOST:PORT", help="a cluster's head (default: workers on this machine)")
    ray.add_argument("--workers", type=int, metavar="N", help="at most so many (default: as there are cores for)")
    ray.add_argument("--worker-cores", type=int, metavar="N", help="cores of each worker (default: 1)")


def run(args: argparse.Namespace, load: Load) -> Output:
    if not args.requests.exists():
        raise RequestError(f"There is no {str(args.requests)!r}; give a .jsonl with one request a line.")
    counts = _on_ray(args, load) if args.engine == "ray" else _here(args, load)
    words = f"{counts['answered']} answered, {counts['failed']} failed, {counts['skipped']} were there already"
    return {**counts, "output": str(args.output)}, f"{words}: {args.output}"


def _here(args: argparse.Namespace, load: Load) -> dict[str, int]:
    from ..batch import run_batch

    for name in ("ray_address", "workers", "worker_cores"):
        if getattr(args, name) is not None:
            raise RequestError(f"--{name.replace('_', '-')} belongs to --engine ray; give that too.")
    return run_batch(load(args), args.requests, args.output)


def _on_ray(args: argparse.Namespace, load: Load) -> dict[str, int]:
    if any(n is not None and n < 1 for n in (args.workers, args.worker_cores)):
        raise RequestError("--workers and --worker-cores take whole numbers from 1.")
    from ..batch.on_ray import Workers, run_on_ray

    settings = _settings(args)
    workers = Workers(args.workers, args.worker_cores or 1)
    make = functools.partial(load, _for_workers(args))
    return run_on_ray(make, args.requests, args.output, settings, args.ray_address, workers)


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """What the answers depend on."""
    from ..conversation.backends import check_uses
    from ..model.fingerprint import fingerprint
    from ..model.loading import model_folder

    check_uses(args.language, args.phrased, args.send_images)
    weights = fingerprint(model_folder(args.model))
    return {"weights": weights, "language": args.language, "phrased": args.phrased, "send_images": args.send_images}


def _for_workers(args: argparse.Namespace) -> argparse.Namespace:
    """The options of an assistant, with folders as every process finds them."""
    whole = argparse.Namespace(**{k: v for k, v in vars(args).items() if k not in ("requests", "output", "run")})
    whole.model = _whole(args.model or os.environ.get("MEDVLM_MODEL"))
    whole.language = _whole(args.language)
    return whole


def _whole(name: str | None) -> str | None:
    return str(Path(name).resolve()) if name and Path(name).is_dir() else name
