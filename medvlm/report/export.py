"""Write a report in one or more formats."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import RequestError
from ..types import Report
from .markdown import to_markdown


def to_json(report: Report) -> str:
    return json.dumps(report.to_json(), ensure_ascii=False, indent=1) + "\n"


FORMATS: dict[str, Callable[[Report], str]] = {"md": to_markdown, "json": to_json}


def check_formats(formats: Sequence[str]) -> list[str]:
    """The formats, cleaned. Raises `RequestError` that names the known ones."""
    names = [name.strip().lower() for name in formats]
    for name in names:
        if name not in FORMATS:
            raise RequestError(f"Unknown report format {name!r}; choose from {', '.join(FORMATS)}.")
    return names


def write_report(report: Report, folder: str | Path, formats: Sequence[str] = ("md", "json")) -> list[Path]:
    """Write `report.FORMAT` files into a folder, which is made if needed. Raises `RequestError`."""
    names, folder = check_formats(formats), Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"report.{name}" for name in names]
        for name, path in zip(names, paths, strict=True):
            path.write_text(FORMATS[name](report), encoding="utf-8")
    except OSError as error:
        raise RequestError(f"The report cannot be written to {str(folder)!r}: {error.strerror}.") from error
    return paths
