"""Options that several commands share, as parsers to build theirs on, and the types of a command's parts."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

Load = Callable[[argparse.Namespace], Any]  # makes the assistant that the options name
Output = tuple[dict[str, Any], str]  # the JSON object of `--json`, and the text for people


def offset(text: str) -> bool | float:
    return True if text == "auto" else float(text)


COMMON = argparse.ArgumentParser(add_help=False)
COMMON.add_argument("--model", help="a model's name or folder (default: MEDVLM_MODEL, else nano)")
COMMON.add_argument("--device", default="cpu", help="cpu, cuda, … (default: cpu)")
COMMON.add_argument(
    "--language",
    metavar="URL_OR_FOLDER",
    help="what reads the questions: the address of an OpenAI-compatible server, which is sent the questions and, without "
    "--send-images, no image, or a folder with a causal language model (default: the reader that comes with the model)",
)
COMMON.add_argument("--json", action="store_true", help="print exactly one JSON object")
COMMON.set_defaults(phrased=False, send_images=False)

ONE_IMAGE = argparse.ArgumentParser(add_help=False)
ONE_IMAGE.add_argument(
    "--image", type=int, dest="only", metavar="N", help="look at this one of several, counted from 1"
)

SERIES = argparse.ArgumentParser(add_help=False)
SERIES.add_argument("--series", type=int, metavar="N", help="take this one of several series (see medvlm series)")
SERIES.add_argument(
    "--hounsfield",
    type=offset,
    metavar="auto|OFFSET",
    help="a 16-bit picture holds Hounsfield units, to which OFFSET was added (default: judged by its numbers)",
)

KEEP_TEXT = argparse.ArgumentParser(add_help=False)
KEEP_TEXT.add_argument(
    "--keep-text",
    action="store_true",
    help="leave text that is burned into the pixels in pictures that are written; it may name the patient (default: blacked "
    "out, but for marks of side and scale)",
)

WORDS = argparse.ArgumentParser(add_help=False)
WORDS.add_argument(
    "--phrase",
    dest="phrased",  # `ground` has phrases of its own
    action="store_true",
    help="have the --language model say what was found; what the results do not bear out is struck out",
)
WORDS.add_argument(
    "--send-images",
    action="store_true",
    help="send the --language server the image of a question that no tool can answer; its words are not checked",
)
