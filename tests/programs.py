"""Programs of others that check what is written, where they are installed."""

from __future__ import annotations

import shutil

DEBIAN = {"dciodvfy": "dicom3tools", "dcm2pdf": "dcmtk", "dsrdump": "dcmtk"}  # the packages that they are in
missed: set[str] = set()  # by the test that runs; `conftest.py` says so when it is over


def program(name: str) -> str | None:
    """The path of a program. Where there is none the rest of the test goes on, and it is reported as skipped in part."""
    found = shutil.which(name)
    if not found:
        missed.add(name)
    return found
