"""`medvlm tune`: choose the model's policy on the tune half of the val splits, and write it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..errors import RequestError
from .options import Load, Output

HELP = "choose the model's policy on the tune half of the val splits, and write it"
PARENTS = ()


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", nargs="+", type=Path, help="data sets, or folders of them")
    parser.add_argument("--limit", type=int, metavar="N", help="so many images of each set")
    parser.add_argument("--hide-cost", type=float, default=1.0, help="of hiding what is there (default: 1)")
    parser.add_argument("--show-cost", type=float, default=1.0, help="of showing what is not there (default: 1)")
    parser.add_argument("--dry-run", action="store_true", help="print, but do not write the policy")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="draw what was chosen from into this folder")


def run(args: argparse.Namespace, load: Load) -> Output:
    from dataclasses import asdict

    from ..evaluation.tune import costs, tune
    from ..evaluation.tune_plots import check_plots, draw
    from ..model.loading import model_folder
    from ..records import data_sets

    folder, sources = model_folder(args.model), data_sets(args.data)
    if args.output:
        check_plots()
    if not (args.dry_run or os.access(folder, os.W_OK)):
        raise RequestError(
            f"The folder of the model, {str(folder)!r}, cannot be written to: copy it and name the copy."
        )
    assistant = load(args)
    before = assistant.policy
    policy, rows, said = tune(assistant, sources, args.limit, args.hide_cost, args.show_cost)
    if not rows and not said:
        raise RequestError(
            "The val splits of these data sets tell nothing to tune on; name sets with regions or questions."
        )
    lines = [f"{'':<24} {'gain':>14} {'false alarms':>16}"]
    was, now = costs(rows, before), costs(rows, policy)
    for name, cell in now.items():
        change = (f"{was[name].get(k, float('nan')):.3f} → {cell.get(k, float('nan')):.3f}" for k in ("gain", "false"))
        lines.append(f"{name:<24} {'  '.join(change)}")
    if not args.dry_run:
        policy.save(folder)
        lines.append(f"written: {folder / 'policy.json'}")
    if args.output:
        lines += [f"written: {path}" for path in draw(rows, said, policy, args.output)]
    return {"policy": asdict(policy), "before": was, "after": now, "answers": len(said)}, "\n".join(lines)
