"""What the arguments of a command name: a study, an image of it, a prompt drawn on it. Checked before a model is loaded."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import RequestError


def study_of(args: argparse.Namespace) -> Any:
    """The study that the images of a command and its options name."""
    from ..studies import load_study

    return load_study(args.image, series=args.series, hounsfield=args.hounsfield)


def image_of(args: argparse.Namespace, study: Any) -> int | None:
    """The index of the image that `--image` counts from 1, or `None`."""
    count = len(study.images)
    if args.only is not None and not 1 <= args.only <= count:
        raise RequestError(f"There is no image {args.only}: the study has {count}, and --image counts them from 1.")
    return None if args.only is None else args.only - 1


def prompt_of(args: argparse.Namespace, study: Any, image: int | None) -> dict[str, Any]:
    """The box or the points of a command, checked against the image; nothing where neither is given."""
    from ..validation import check_box, check_points

    size = study.images[study.default if image is None else image].size
    if args.box is not None:
        return {"box": check_box(numbers(args.box, 4, "--box x0,y0,x1,y1"), size)}
    return {} if args.point is None else {"points": check_points([point(text) for text in args.point], size)}


def numbers(text: str, count: int, form: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise RequestError(f"{text!r} is not of the form {form}, in pixels.")
    return numbers


def point(text: str) -> tuple[float, float, int]:
    """`x,y` is a positive point, `-x,y` a negative one."""
    text = text.strip()
    x, y = numbers(text.removeprefix("-"), 2, "--point x,y or --point=-x,y")
    return x, y, 0 if text.startswith("-") else 1
