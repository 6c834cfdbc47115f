"""`medvlm ground`: find what phrases name in an image."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import options
from .inputs import image_of, study_of
from .options import Load, Output
from .outputs import check_overlay, region_lines, write_overlay

HELP = "find what phrases name in an image"
PARENTS = (options.ONE_IMAGE, options.SERIES, options.KEEP_TEXT)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image")
    parser.add_argument("phrase", nargs="+", help="what to find, such as 'left lung'")
    parser.add_argument("--overlay", type=Path, metavar="PNG", help="write the image with the regions drawn on it")


def run(args: argparse.Namespace, load: Load) -> Output:
    from ..report.volumes import sentence
    from ..validation import check_phrase

    phrases, study = [check_phrase(phrase) for phrase in args.phrase], study_of(args)
    check_overlay(args, study)
    found = load(args).ground(study, phrases, image_of(args, study))
    lines = [sentence(phrase, body, study) for phrase, body in found.bodies.items()]
    lines += region_lines(found.regions) + [f"not found: {phrase}" for phrase in found.absent]
    if args.overlay:
        write_overlay(args.overlay, study, found.regions)
        lines.append(f"overlay: {args.overlay}")
    return found.to_json(), "\n".join(lines)
