"""`medvlm series`: list what there is among files, the most useful first."""

from __future__ import annotations

import argparse

from .options import Load, Output

HELP = "list what there is among files, the most useful first"
PARENTS = ()


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="+", help="a picture, DICOM or NIfTI file, folder or zip")


def run(args: argparse.Namespace, load: Load) -> Output:
    from ..studies import list_series

    there = list_series(args.image)
    lines = [
        f"{one.number}: {one.words}{', taken unless another is named' if one.taken else ''}" for one in there.series
    ]
    return {"series": [one.to_json() for one in there.series], "notices": there.notices}, "\n".join(lines)
