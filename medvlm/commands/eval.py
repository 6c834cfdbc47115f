"""`medvlm eval`: score the model on data sets, trivial baselines beside."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .options import Load, Output
from .outputs import make_parent

HELP = "score the model on data sets, trivial baselines beside"
PARENTS = ()


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", nargs="+", type=Path, help="data sets, or folders of them")
    parser.add_argument("--split", default="val", choices=["train", "val", "test"])
    parser.add_argument(
        "--part", choices=["tune", "report"], help="half of the val split: choose on one, quote the other"
    )
    parser.add_argument(
        "--tasks",
        help="of ground,answer,facts,labels,prompts,choose,presence,robustness,unknown, separated by commas (default: the "
        "first four)",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="so many images of each set")
    parser.add_argument("--no-controls", action="store_true", help="leave out the blank and the shuffled images")
    parser.add_argument("-o", "--output", type=Path, metavar="JSON", help="write the metrics; single results go beside")
    parser.add_argument(
        "--fresh", action="store_true", help="begin anew and put single results of an earlier run aside"
    )


def run(args: argparse.Namespace, load: Load) -> Output:
    from ..evaluation import TASKS, check_request, evaluate, to_tables
    from ..records import data_sets

    tasks = args.tasks.split(",") if args.tasks else TASKS
    check_request(tasks, args.split, args.part)
    sources = data_sets(args.data)
    items = args.output.with_suffix(".items.jsonl") if args.output else None
    make_parent(args.output)
    how = {"part": args.part, "items": items, "fresh": args.fresh, "controls": not args.no_controls}
    result = evaluate(load(args), sources, args.split, tasks, args.limit, **how)
    if args.output:
        args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result, to_tables(result)
