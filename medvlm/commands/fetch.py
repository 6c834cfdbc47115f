"""`medvlm fetch`: list the studies of an archive, or bring them into a folder."""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RequestError, StudyError
from . import archives
from .options import Load, Output

if TYPE_CHECKING:
    from ..archive.dicomweb import Archive
    from ..archive.entries import ArchivedStudy, Rule

HELP = "list the studies of a hospital's archive (DICOMweb) or bring them into a folder"
PARENTS = (archives.ADDRESS, archives.RULE)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--study", metavar="UID", help="this study alone, by its Study Instance UID")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="bring the studies here, a folder each")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="no more studies than these (default: 100)")
    parser.add_argument("--show-patients", action="store_true", help="list names, ids and descriptions as well")


def run(args: argparse.Namespace, load: Load) -> Output:
    if args.limit < 1:
        raise RequestError("--limit takes a number from 1.")
    rule = archives.rule_of(args)
    archive = archives.archive_of(args)
    studies, more = _chosen(archive, rule, args)
    if args.study and not studies:
        raise RequestError("The archive has no such study: list what it has with medvlm fetch.")
    entries: list[dict[str, Any]] = []
    notices: list[str] = []
    for study in studies:
        entry = _entry(study, args.show_patients)
        if args.output:
            entry |= _brought(archive, study, args, notices)
        entries.append(entry)
    if more:
        notices.append(f"There are more studies than the {args.limit} of --limit.")
    lines = [_line(entry) for entry in entries] or ["No study matches."]
    return {"studies": entries, "notices": notices}, "\n".join(lines)


def _chosen(archive: Archive, rule: Rule, args: argparse.Namespace) -> tuple[list[ArchivedStudy], bool]:
    """Studies up to the limit, and whether there are more."""
    from ..archive.entries import check_uid

    found = archive.studies(rule, check_uid(args.study) if args.study else None)
    if rule.body_part:
        found = (study for study in found if any(rule.takes(one) for one in archive.series(study.uid)))
    studies = list(islice(found, args.limit + 1))
    return studies[: args.limit], len(studies) > args.limit


def _brought(archive: Archive, study: ArchivedStudy, args: argparse.Namespace, notices: list[str]) -> dict[str, Any]:
    """Where a study lies now; of several, one that is too large is left out."""
    folder = args.output / study.name
    if folder.exists():  # it is only there where it is whole
        notices.append(f"{study.name} is there already and was not fetched again.")
        return {"folder": str(folder), "files": len(list(folder.glob("*.dcm")))}
    try:
        return {"folder": str(folder), "files": len(archive.fetch(study, folder, archive.series(study.uid)))}
    except StudyError as error:
        if args.study:
            raise
        notices.append(f"{study.name} was not fetched. {error}")
        return {}


def _entry(study: ArchivedStudy, patients: bool) -> dict[str, Any]:
    entry = {
        "study": study.uid,
        "name": study.name,
        "date": study.date,
        "modalities": list(study.modalities),
        "images": study.images,
    }
    return {**entry, "patient": study.patient} if patients else entry


def _line(entry: dict[str, Any]) -> str:
    date = (
        "{}-{}-{}".format(entry["date"][:4], entry["date"][4:6], entry["date"][6:]) if entry["date"] else "no date   "
    )
    count = "" if entry["images"] is None else f"{entry['images']} objects"
    parts = [date, "+".join(entry["modalities"]) or "?", count, entry["study"]]
    parts += [" ".join(filter(None, entry["patient"].values()))] if "patient" in entry else []
    parts += [f"-> {entry['folder']} ({entry['files']} files)"] if "folder" in entry else []
    return "  ".join(filter(None, parts))
