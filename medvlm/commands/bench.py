"""`medvlm bench`: measure speed and memory."""

from __future__ import annotations

import argparse

from .options import Load, Output

HELP = "measure speed and memory"
PARENTS = ()


def configure(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace, load: Load) -> Output:
    from ..bench import lines, measure

    result = measure(lambda: load(args))
    return result, "\n".join(lines(result))
