"""The `medvlm` command. Exit codes: 0 done, 2 bad input or usage, 1 a fault of ours.

Heavy packages are imported by the commands that need them, so that `medvlm --help` is instant.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from . import commands
from .errors import MedVLMError
from .memory import keep_freed_memory
from .progress import bar


def build_parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--model", help="a model's name or folder (default: MEDVLM_MODEL, else nano)")
    common.add_argument("--device", default="cpu", help="cpu, cuda, … (default: cpu)")
    common.add_argument(
        "--language",
        metavar="URL_OR_FOLDER",
        help="what reads the questions: the address of an OpenAI-compatible server, which is sent the questions and, without "
        "--send-images, no image, or a folder with a causal language model (default: the reader that comes with the model)",
    )
    common.add_argument("--json", action="store_true", help="print exactly one JSON object")

    parser = argparse.ArgumentParser(prog="medvlm", description="A grounded medical assistant, for research alone.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run, help: str, under=subparsers, options=()) -> argparse.ArgumentParser:
        sub = under.add_parser(name, parents=[common, *options], help=help, description=help)
        sub.set_defaults(run=run, phrased=False, send_images=False)
        return sub

    one = argparse.ArgumentParser(add_help=False)
    one.add_argument("--image", type=int, dest="only", metavar="N", help="look at this one of several, counted from 1")

    which = argparse.ArgumentParser(add_help=False)
    which.add_argument("--series", type=int, metavar="N", help="take this one of several series (see medvlm series)")

    which.add_argument(
        "--hounsfield",
        type=_offset,
        metavar="auto|OFFSET",
        help="a 16-bit picture holds Hounsfield units, to which OFFSET was added (default: judged by its numbers)",
    )

    words = argparse.ArgumentParser(add_help=False)
    words.add_argument(
        "--phrase",
        dest="phrased",  # `ground` has phrases of its own
        action="store_true",
        help="have the --language model say what was found; what the results do not bear out is struck out",
    )
    words.add_argument(
        "--send-images",
        action="store_true",
        help="send the --language server the image of a question that no tool can answer; its words are not checked",
    )

    sub = add("ask", commands.ask, "answer a question about images", options=[one, which, words])
    sub.add_argument("image", nargs="+", help="a picture, DICOM or NIfTI file, folder or zip; several make one study")
    sub.add_argument(
        "-q", "--question", action="append", required=True, help="repeatable: each is asked after the ones before"
    )
    sub.add_argument("--box", metavar="x0,y0,x1,y1", help="what the first question is about, in pixels, half-open")
    sub.add_argument("--point", action="append", metavar="x,y", help="a point in what it is about, as for segment")
    sub.add_argument(
        "--sensitivity",
        type=float,
        metavar="SHARE",
        help="give what was learned of whole images (a fracture, covid-19, malignancy) so that this share would be found",
    )

    sub = add("ground", commands.ground, "find what phrases name in an image", options=[one, which])
    sub.add_argument("image")
    sub.add_argument("phrase", nargs="+", help="what to find, such as 'left lung'")
    sub.add_argument("--overlay", type=Path, metavar="PNG", help="write the image with the regions drawn on it")

    sub = add("segment", commands.segment, "outline what a box, points or a scribble show", options=[one, which])
    sub.add_argument("image")
    sub.add_argument("--box", metavar="x0,y0,x1,y1", help="in pixels, half-open")
    sub.add_argument("--point", action="append", metavar="x,y", help="x,y inside, or --point=-x,y outside; repeatable")
    sub.add_argument("--scribble", type=Path, metavar="PNG", help="white on black, of the image's size")
    sub.add_argument("--carry", action="store_true", help="carry it to the neighbouring slices of a volume")
    sub.add_argument("--overlay", type=Path, metavar="PNG", help="write the image with the region drawn on it")

    sub = add("report", commands.report, "draft a report", options=[which])
    sub.add_argument("image", nargs="+")
    sub.add_argument(
        "--prior",
        nargs="+",
        metavar="IMAGE",
        help="an earlier study of the same kind to compare with; the dates in the headers decide which is the earlier one",
    )
    sub.add_argument("--as-given", action="store_true", help="--prior is the earlier one, whatever the dates say")
    sub.add_argument("--prior-series", type=int, metavar="N", help="as --series, of the files that --prior names")
    sub.add_argument(
        "--other-patient", action="store_true", help="compare although the ids say that they are of two patients"
    )
    sub.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder to write report files into")
    sub.add_argument(
        "--format",
        help="formats to write, separated by commas: md, json, pdf, fhir, nifti, csv, coco, png and, of DICOM images, seg and "
        "sr (default: md,json)",
    )

    sub = add("check-report", commands.check_report, "check what a report says against images", options=[which])
    sub.add_argument("image", nargs="+")
    sub.add_argument("report", type=Path, metavar="REPORT.txt", help="the report as plain text")

    sub = add("series", commands.series, "list what there is among files, the most useful first")
    sub.add_argument("image", nargs="+", help="a picture, DICOM or NIfTI file, folder or zip")

    sub = add("batch", commands.batch, "answer a file of requests, one a line; run it again to go on", options=[words])
    sub.add_argument("requests", type=Path, metavar="REQUESTS.jsonl")
    sub.add_argument("-o", "--output", type=Path, required=True, metavar="RESPONSES.jsonl")

    sub = add("eval", commands.evaluate, "score the model on data sets, trivial baselines beside")
    sub.add_argument("data", nargs="+", type=Path, help="data sets, or folders of them")
    sub.add_argument("--split", default="val", choices=["train", "val", "test"])
    sub.add_argument("--part", choices=["tune", "report"], help="half of the val split: choose on one, quote the other")
    sub.add_argument(
        "--tasks",
        help="of ground,answer,facts,labels,prompts,choose,presence,robustness,unknown, separated by commas (default: the "
        "first four)",
    )
    sub.add_argument("--limit", type=int, metavar="N", help="so many images of each set")
    sub.add_argument("--no-controls", action="store_true", help="leave out the blank and the shuffled images")
    sub.add_argument("-o", "--output", type=Path, metavar="JSON", help="write the metrics; single results go beside")
    sub.add_argument("--fresh", action="store_true", help="begin anew and put single results of an earlier run aside")

    sub = add("tune", commands.tune, "choose the model's policy on the tune half of the val splits, and write it")
    sub.add_argument("data", nargs="+", type=Path, help="data sets, or folders of them")
    sub.add_argument("--limit", type=int, metavar="N", help="so many images of each set")
    sub.add_argument("--hide-cost", type=float, default=1.0, help="of hiding what is there (default: 1)")
    sub.add_argument("--show-cost", type=float, default=1.0, help="of showing what is not there (default: 1)")
    sub.add_argument("--dry-run", action="store_true", help="print, but do not write the policy")
    sub.add_argument("-o", "--output", type=Path, metavar="DIR", help="draw what was chosen from into this folder")

    data = subparsers.add_parser("data", help="look after data sets").add_subparsers(required=True, metavar="COMMAND")
    sub = add("check", commands.data_check, "find problems in a data set's folder", data)
    sub.add_argument("folder", type=Path, metavar="DIR")
    sub.add_argument("--sheet", type=Path, metavar="PNG", help="draw a contact sheet")

    sub = add("serve", commands.serve, "serve the page and the API", options=[words])
    sub.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    sub.add_argument("--port", type=int, default=7860)
    sub.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name or address that others open the page under, besides loopback names and --host; needed with "
        "--host 0.0.0.0 or behind a proxy; repeatable",
    )

    add("bench", commands.bench, "measure speed and memory")
    return parser


def _offset(text: str) -> bool | float:
    return True if text == "auto" else float(text)


def main(argv: Sequence[str] | None = None, load: commands.Load = commands.load_assistant) -> int:
    """Run one command and return its exit code; `load` makes the assistant from the parsed arguments."""
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as stop:  # argparse has said what is wrong
        return int(stop.code or 0)
    keep_freed_memory()
    try:
        warnings.simplefilter("ignore", FutureWarning)  # of libraries to their own authors
        with bar(), contextlib.redirect_stdout(sys.stderr):  # whatever a library prints, stdout stays one object
            result, text = args.run(args, load)
    except MedVLMError as error:
        print(f"medvlm: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("medvlm: stopped.", file=sys.stderr)
        return 1
    except Exception as error:
        if os.environ.get("MEDVLM_DEBUG"):
            raise
        # The message may quote what a user gave, so only its kind is shown.
        print(f"medvlm: a fault of ours ({type(error).__name__}); MEDVLM_DEBUG=1 shows where.", file=sys.stderr)
        return 1
    for notice in result.get("notices", ()):
        print(f"note: {notice}", file=sys.stderr)
    if args.json:
        print(json.dumps(result))
    elif text:
        print(text)
        if args.command in ("ask", "ground", "segment", "check-report"):
            from .types import DISCLAIMER

            print(DISCLAIMER, file=sys.stderr)
    if result.get("problems"):
        print(f"medvlm: {len(result['problems'])} problems found in {str(args.folder)!r}.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
