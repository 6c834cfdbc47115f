"""Options of the commands that speak with a hospital's archive, and what they name. Torch-free."""

from __future__ import annotations

import argparse
from datetime import date
from typing import TYPE_CHECKING

from ..errors import RequestError

if TYPE_CHECKING:
    from ..archive.dicomweb import Archive
    from ..archive.entries import Rule

ADDRESS = argparse.ArgumentParser(add_help=False)
ADDRESS.add_argument(
    "--dicomweb",
    metavar="URL",
    required=True,
    help="address of the archive's DICOMweb service, such as http://127.0.0.1:8042/dicom-web; user and password come from "
    "MEDVLM_DICOMWEB_USER and MEDVLM_DICOMWEB_PASSWORD, or MEDVLM_DICOMWEB_TOKEN, or a netrc file",
)

RULE = argparse.ArgumentParser(add_help=False)
RULE.add_argument("--modality", metavar="CT", help="studies with this modality alone, as DICOM writes it")
RULE.add_argument(
    "--body-part", metavar="CHEST", help="studies with a series that states this body part, as DICOM writes it"
)
RULE.add_argument("--since", metavar="DATE", help="studies of this day or later, as 2026-01-31")
RULE.add_argument("--until", metavar="DATE", help="studies of this day or earlier")


def archive_of(args: argparse.Namespace) -> Archive:
    from ..archive import needs

    try:
        from ..archive.dicomweb import Archive
    except ModuleNotFoundError as error:
        raise needs(error) from error
    return Archive(args.dicomweb)


def rule_of(args: argparse.Namespace) -> Rule:
    from ..archive.entries import Rule

    words = (_code(args.modality, "--modality", "CT"), _code(args.body_part, "--body-part", "CHEST"))
    return Rule(*words, _day(args.since, "--since"), _day(args.until, "--until"))


def _code(text: str | None, option: str, example: str) -> str | None:
    if text is None:
        return None
    if not text.replace("_", "").isalnum() or not text.isascii() or len(text) > 16:
        raise RequestError(f"{option} takes a word as DICOM writes it, such as {example}.")
    return text.upper()


def _day(text: str | None, option: str) -> str | None:
    try:
        return None if text is None else date.fromisoformat(text).strftime("%Y%m%d")
    except ValueError:
        raise RequestError(f"{option} takes a date, such as 2026-01-31.") from None
