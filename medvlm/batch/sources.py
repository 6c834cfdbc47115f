"""Where requests come from: a JSONL file, parquet files, or a folder with a study an entry. All of them become lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ..errors import RequestError
from .lines import Line, read_lines

NEEDED = ("id", "image", "task")
COLUMNS = (*NEEDED, "question", "phrase", "options", "box", "points", "scribble", "history")
ROWS = 1024  # of a parquet file that are held at once


def requests_of(path: Path) -> Iterator[Line]:
    """The requests of a `.jsonl`, a `.parquet` or a folder, one after the other.

    A folder with parquet files is read as one table; any other has a study to report on in each of its entries, files
    or folders, whose name is the request's id. Raises `RequestError` where nothing of it can be read.
    """
    try:
        if path.is_dir():
            files = sorted(path.glob("*.parquet"))
            yield from read_lines(_table(files) if files else _studies(path))
        elif path.suffix == ".parquet":
            yield from read_lines(_table([path]))
        else:
            with path.open("rb") as file:
                yield from read_lines(file)
    except OSError as error:
        raise RequestError(f"{path}: {error.strerror or 'cannot be read'}. Check the path.") from error


def images_of(path: Path) -> Path:
    """The folder to which the image paths of requests are relative."""
    return path if path.is_dir() else path.parent


def _studies(folder: Path) -> Iterator[bytes]:
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    if not names:
        raise RequestError(f"{str(folder)!r} is empty; give a folder that holds a study in each file or folder.")
    for name in names:
        yield json.dumps({"id": name, "image": name, "task": "report"}).encode()


def _table(files: list[Path]) -> Iterator[bytes]:
    import pyarrow
    import pyarrow.parquet

    for path in files:
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                there = set(file.schema_arrow.names)
                if missing := [name for name in NEEDED if name not in there]:
                    raise RequestError(f"{path.name} has no column {missing[0]!r}; it needs {', '.join(NEEDED)}.")
                for batch in file.iter_batches(ROWS, columns=[name for name in COLUMNS if name in there]):
                    for row in batch.to_pylist():
                        yield json.dumps({k: v for k, v in row.items() if v is not None}, default=str).encode()
        except pyarrow.ArrowInvalid as error:
            raise RequestError(f"{path.name} is no parquet file that can be read; write it again.") from error
