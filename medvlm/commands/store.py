"""`medvlm store`: store DICOM files in an archive."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import archives
from .options import Load, Output

HELP = "store DICOM files in a hospital's archive (DICOMweb)"
PARENTS = (archives.ADDRESS,)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="+", type=Path, help="a DICOM file, or a folder, of which all .dcm files are stored"
    )


def run(args: argparse.Namespace, load: Load) -> Output:
    archive = archives.archive_of(args)
    stored = archive.store([file for path in args.file for file in _files(path)])
    return {"stored": stored}, f"stored: {stored} file{'s' if stored > 1 else ''}"


def _files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.dcm")) if path.is_dir() else [path]
