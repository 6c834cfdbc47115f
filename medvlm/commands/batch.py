"""`medvlm batch`: answer a file of requests, one a line; run it again to go on."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import RequestError
from . import options
from .options import Load, Output

HELP = "answer a file of requests, one a line; run it again to go on"
PARENTS = (options.WORDS,)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("requests", type=Path, metavar="REQUESTS.jsonl")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="RESPONSES.jsonl")


def run(args: argparse.Namespace, load: Load) -> Output:
    from ..batch import run_batch

    if not args.requests.is_file():
        raise RequestError(f"There is no file {str(args.requests)!r}; give a .jsonl with one request a line.")
    counts = run_batch(load(args), args.requests, args.output)
    words = f"{counts['answered']} answered, {counts['failed']} failed, {counts['skipped']} were there already"
    return {**counts, "output": str(args.output)}, f"{words}: {args.output}"
