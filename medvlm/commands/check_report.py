"""`medvlm check-report`: check what a report says against images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import RequestError
from . import options
from .inputs import study_of
from .options import Load, Output

HELP = "check what a report says against images"
PARENTS = (options.SERIES,)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="+")
    parser.add_argument("report", type=Path, metavar="REPORT.txt", help="the report as plain text")


def run(args: argparse.Namespace, load: Load) -> Output:
    from ..notices import notices
    from ..report.sentences import sentences

    text, study = report_text(args.report), study_of(args)
    sentences(text)
    claims = load(args).check_report(study, text)
    lines = [claim_line(claim) for claim in claims]
    told = notices(study, [region.label for claim in claims for region in claim.regions])
    result = {"claims": [claim.to_json() for claim in claims], "notices": told}
    return result, "\n".join(lines or ["The report claims nothing that an image could show."])


def report_text(path: Path) -> str:
    """The text of a report's file, checked. Raises `RequestError`."""
    from ..report.sentences import MOST_CHARACTERS, check_report_text

    if not path.is_file():
        raise RequestError(f"There is no file {str(path)!r}; give the report as a text file, after the images.")
    try:
        with path.open("rb") as file:
            content = file.read(4 * MOST_CHARACTERS + 4)  # a character takes four bytes at most
    except OSError as error:
        raise RequestError(f"{path}: {error.strerror}. Check the path.") from error
    if b"\0" in content:
        raise RequestError(f"{str(path)!r} is no plain text: save the report as text (UTF-8).")
    if len(content) > 4 * MOST_CHARACTERS:
        raise RequestError(
            f"{str(path)!r} is longer than {MOST_CHARACTERS:,} characters: give the report alone, as text."
        )
    try:
        return check_report_text(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise RequestError(f"{str(path)!r} is no plain text: save the report as text (UTF-8).") from error


def claim_line(claim: Any) -> str:
    note = f" {claim.note}" if claim.note else ""
    return f"{claim.verdict}: {claim.label}, {claim.presence} (“{claim.sentence}”){note}"
