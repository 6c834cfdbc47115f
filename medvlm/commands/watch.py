"""`medvlm watch`: report on each new study of an archive, and store SEG and SR back beside it."""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import sys
import time
from pathlib import Path

from ..errors import RequestError
from . import archives
from .options import Load, Output

HELP = "report on each new study of a hospital's archive and store the results beside it (DICOMweb)"
PARENTS = (archives.ADDRESS, archives.RULE)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--once", action="store_true", help="look once and end, as for a timer")
    parser.add_argument("--every", type=float, default=60, metavar="SECONDS", help="between looks (default: 60)")
    parser.add_argument(
        "--settle",
        type=float,
        default=30,
        metavar="SECONDS",
        help="take a study when it has not grown for so long (default: 30)",
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FOLDER",
        help="where it is kept which studies are done, as hashes (default: ~/.local/state/medvlm/watch); one folder an archive",
    )


def run(args: argparse.Namespace, load: Load) -> Output:
    if not (0 <= args.settle <= 86400 and 1 <= args.every <= 86400):
        raise RequestError("--every takes seconds from 1, --settle from 0, both up to 86400.")
    for package in ("highdicom", "rapidocr", "reportlab"):  # so that no study is refused for the want of one
        if importlib.util.find_spec(package) is None:
            raise RequestError(f"This needs the package {package}: pip install 'medvlm-assistant[archive,export]'.")
    rule = archives.rule_of(args)
    archive = archives.archive_of(args)
    from ..archive import ArchiveError
    from ..archive.watch import Round, State, Watcher

    assistant = functools.cache(lambda: load(args))

    def draft(given: Path, made: Path) -> list[Path]:
        from ..report.export import OF_DICOM, possible_formats, write_report
        from ..studies import load_study

        study = load_study(given)
        formats = [name for name in possible_formats(study) if name in OF_DICOM]
        return write_report(assistant().report(study), study, made, formats) if formats else []

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    whole = Round()
    with State(args.state or _state()) as state:
        watcher = Watcher(archive, rule, state, draft, args.settle, tell)
        try:
            while True:
                try:
                    one = watcher.round()
                except ArchiveError as error:
                    if args.once:
                        raise
                    tell(f"medvlm: {error}")
                else:
                    whole.stored |= one.stored
                    whole.refused |= one.refused
                    whole.failed = one.failed
                if args.once:
                    break
                time.sleep(args.every)
        except KeyboardInterrupt:  # the way to end it
            if args.once:
                raise
    if args.once and whole.failed:
        first = next(iter(whole.failed.values()))
        raise RequestError(f"{len(whole.stored)} studies were reported and {len(whole.failed)} were not: {first}")
    result = {"stored": whole.stored, "refused": whole.refused, "failed": whole.failed}
    return result, f"studies reported: {len(whole.stored)}; refused: {len(whole.refused)}"


def _state() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "medvlm/watch"
