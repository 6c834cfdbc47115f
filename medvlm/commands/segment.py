"""`medvlm segment`: outline what a box, points or a scribble show."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import RequestError
from . import options
from .inputs import image_of, prompt_of, study_of
from .options import Load, Output
from .outputs import check_overlay, region_lines, write_overlay

HELP = "outline what a box, points or a scribble show"
PARENTS = (options.ONE_IMAGE, options.SERIES, options.KEEP_TEXT)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image")
    parser.add_argument("--box", metavar="x0,y0,x1,y1", help="in pixels, half-open")
    parser.add_argument(
        "--point", action="append", metavar="x,y", help="x,y inside, or --point=-x,y outside; repeatable"
    )
    parser.add_argument("--scribble", type=Path, metavar="PNG", help="white on black, of the image's size")
    parser.add_argument("--carry", action="store_true", help="carry it to the neighbouring slices of a volume")
    parser.add_argument("--overlay", type=Path, metavar="PNG", help="write the image with the region drawn on it")


def run(args: argparse.Namespace, load: Load) -> Output:
    from ..studies import load_study
    from ..validation import check_one_prompt, check_scribble

    check_one_prompt(args.box, args.point, args.scribble)
    study = study_of(args)
    check_overlay(args, study)
    image = image_of(args, study)
    if args.carry and not study.is_volume:
        raise RequestError("--carry needs a volume: the images given are no slices of one, in order.")
    prompt = prompt_of(args, study, image)
    if not prompt:
        size = study.images[study.default if image is None else image].size
        prompt["scribble"] = check_scribble(load_study(args.scribble).images[0].rgb.max(axis=2) > 127, size)
    assistant = load(args)
    regions = assistant.segment(study, image, **prompt)
    shown = regions
    if args.carry and regions:
        regions = assistant.carry(study, regions)
    if args.overlay:
        write_overlay(args.overlay, study, shown)
    result = {"regions": [region.to_json() for region in regions], "notices": study.notices}
    return result, "\n".join(region_lines(regions))
