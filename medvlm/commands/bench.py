"""`medvlm bench`: measure speed and memory."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import ModelError, RequestError
from .options import Load, Output

HELP = "measure speed and memory, beside what the machine allows and the goals for two cores"
PARENTS = ()

START = "import sys; from medvlm.assistant import Assistant; Assistant.load(sys.argv[1] or None, sys.argv[2])"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--beside", type=Path, metavar="FILE", help="show what `benchmarks/speed.py -o FILE` measured of others too"
    )


def run(args: argparse.Namespace, load: Load) -> Output:
    from ..bench import lines, measure

    beside = others(args.beside) if args.beside else None
    result = measure(lambda: load(args), lambda: start(args.model, args.device), in_turn())
    if beside is not None:
        result["beside"] = beside
    return result, "\n".join(lines(result))


def start(model: str | None, device: str) -> None:
    """Load the model in a process of its own, from files that the system has not at hand. Raises `ModelError`."""
    from ..model.language import cache_folder
    from ..model.loading import model_folder

    for folder in (model_folder(model), cache_folder()):
        for path in folder.rglob("*.safetensors"):
            let_go(path)
    if subprocess.run([sys.executable, "-c", START, model or "", device], stdout=sys.stderr).returncode:
        raise ModelError("The model could not be loaded in a process of its own.")


def let_go(path: Path) -> None:
    """Have the system read a file from disk the next time, where it can be told to."""
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def in_turn() -> Callable[[str, Callable[[], Any]], Any]:
    """The queue of the service, which users who ask together share."""
    from serving.turns import Turns

    turns = Turns()
    return lambda user, work: turns.submit(user, work).future.result()


def others(path: Path) -> dict[str, float]:
    """What another measuring wrote. Raises `RequestError` where the file holds no such thing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["beside"]
        return {str(name): float(value) for name, value in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(f"{path} holds no measurements: make it with benchmarks/speed.py -o {path}.") from error
