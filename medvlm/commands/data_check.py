"""`medvlm data check`: find problems in a data set's folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import Load, Output
from .outputs import make_parent

HELP = "find problems in a data set's folder"
PARENTS = ()


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="draw a contact sheet")


def run(args: argparse.Namespace, load: Load) -> Output:
    from ..records.check import check_folder
    from ..records.sheet import contact_sheet

    problems = [str(problem) for problem in check_folder(args.folder)]
    lines = problems or ["No problems found."]
    if args.sheet:
        make_parent(args.sheet)
        contact_sheet(args.folder, args.sheet)
        lines = [*lines, f"contact sheet: {args.sheet}"]
    return {"problems": problems}, "\n".join(lines)
