"""`medvlm deidentify`: copies of DICOM images that name nobody."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import options
from .options import Load, Output

HELP = "write copies of DICOM images without their patient, in headers and pixels"
PARENTS = (options.KEEP_TEXT,)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="+", metavar="STUDY", help="a DICOM file, folder or zip")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="a new or empty folder")


def run(args: argparse.Namespace, load: Load) -> Output:
    from ..studies.deidentify import deidentify

    done = deidentify(args.image, args.output, args.keep_text)
    words = (
        f"files written: {done.files} (patients: {done.patients}, images: {done.images}); texts blacked out: {done.texts}; "
        f"files left out: {done.left_out}"
    )
    return done.to_json(), words
