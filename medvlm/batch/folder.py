"""The output folder of a run in many processes: the requests in parts, and a parquet file for each part that is done.

`part-*.parquet` are the table, a row a request. What begins with "_" is no part of it, and readers of parquet folders pass it
over: `_run.json` says what was asked of which weights, `_requests.parquet` holds the requests, a row group a part, where
every worker can read them. A part's file appears whole or not at all, and a part that is done again replaces its file.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from ..errors import RequestError
from .answering import Response
from .lines import Line, Request
from .sources import requests_of

IN_PART = (8, 512)  # requests, at least and at most; what a worker that dies has to do again
PARTS_PER_WORKER = 8  # so that none waits long for the last
LINES = pa.schema([("row", pa.int64()), ("line", pa.binary()), ("twice", pa.bool_())])
ROWS = pa.schema(
    [
        ("row", pa.int64()),  # the request's line, from 1
        ("id", pa.string()),
        ("task", pa.string()),
        ("text", pa.string()),  # of an answer
        ("confidence", pa.float64()),
        ("error", pa.string()),  # why there is no answer
        ("response", pa.string()),  # the JSON object that the plain engine writes as a line
    ]
)


@dataclass(frozen=True)
class Asked:
    """Requests, looked through once."""

    path: Path
    digest: str  # SHA-256 of the lines
    count: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """Raises `RequestError` where they cannot be read."""
        digest, count = hashlib.sha256(), 0
        for line in requests_of(path):
            digest.update(line.text.strip() + b"\n")
            count += 1
        return cls(path, digest.hexdigest(), count)


@dataclass(frozen=True)
class Run:
    """What the rows of a folder depend on."""

    requests: str  # their digest
    count: int
    size: int  # requests in a part; fewer in the last
    settings: dict[str, Any]  # weights, language model, …

    @property
    def parts(self) -> int:
        return -(-self.count // self.size)

    def size_of(self, part: int) -> int:
        return min(self.size, self.count - part * self.size)

    def rows_outside(self, parts: list[int]) -> int:
        return self.count - sum(map(self.size_of, parts))


class OutputFolder:
    def __init__(self, path: Path):
        self.path, self._run, self._plan = path, path / "_run.json", path / "_requests.parquet"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """No other process works on it meanwhile. Raises `RequestError` where one does, or the folder cannot be used."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path / "_lock", timeout=0):
                for left in self.path.glob("_part-*"):  # by a kill
                    left.unlink()
                yield
        except Timeout:
            raise RequestError(f"Another medvlm batch works on {str(self.path)!r}: end it or name another.") from None
        except FileExistsError:
            raise RequestError(f"{str(self.path)!r} is a file; name a folder with -o.") from None
        except OSError as error:
            raise RequestError(f"{str(self.path)!r} cannot be used: {error.strerror or error}.") from error

    def found(self, asked: Asked, settings: dict[str, Any]) -> Run | None:
        """The run that was begun here, if one was. Raises `RequestError` where it is another, or something else is here."""
        if not self._run.exists():
            if any(self.path.glob("*.parquet")):
                raise RequestError(f"{str(self.path)!r} holds other parquet files; name a new folder with -o.")
            return None
        try:
            run = Run(**json.loads(self._run.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise RequestError(f"{str(self._run)!r} cannot be read; name a new folder with -o.") from None
        if (run.requests, run.count) != (asked.digest, asked.count):
            raise RequestError(f"{str(self.path)!r} has answers to other requests; name a new folder with -o.")
        if run.settings != settings:
            said = "has answers of other weights, another version or other options"
            raise RequestError(f"{str(self.path)!r} {said}; name a new folder with -o.")
        return run

    def begin(self, asked: Asked, settings: dict[str, Any], workers: int) -> Run:
        """A new run, in parts for so many workers."""
        least, most = IN_PART
        size = max(least, min(most, asked.count // (workers * PARTS_PER_WORKER)))
        run = Run(asked.digest, asked.count, size, settings)
        self._write_plan(requests_of(asked.path), run.size)
        _put(self._run, json.dumps(asdict(run), indent=2).encode())  # the last, so that what a kill leaves is no run
        return run

    def _write_plan(self, lines: Iterator[Line], size: int) -> None:
        scratch = self.path / "_requests.tmp"
        with pq.ParquetWriter(scratch, LINES, compression="zstd") as out:
            while group := list(islice(lines, size)):
                rows = [{"row": line.number, "line": line.text, "twice": line.twice} for line in group]
                out.write_table(pa.Table.from_pylist(rows, LINES))
        scratch.replace(self._plan)

    def missing(self, run: Run) -> list[int]:
        """The parts that are not done; a file that is not whole does not count."""
        return [part for part in range(run.parts) if self._rows(part) != run.size_of(part)]

    def _rows(self, part: int) -> int:
        try:
            return pq.read_metadata(self._file(part)).num_rows
        except (OSError, pa.ArrowInvalid):
            return -1

    def _file(self, part: int) -> Path:
        return self.path / f"part-{part:06d}.parquet"

    def asked(self, part: int) -> list[Request]:
        with pq.ParquetFile(self._plan) as plan:
            rows = plan.read_row_group(part).to_pylist()
        return [Line(row["row"], row["line"], row["twice"]).request() for row in rows]

    def write(self, part: int, answered: Iterable[tuple[Request, Response]]) -> None:
        """Put a part's rows there, in the order of the requests."""
        rows = [_row(request, response) for request, response in sorted(answered, key=lambda pair: pair[0].number)]
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, ROWS), sink, compression="zstd")
        _put(self._file(part), sink.getvalue())
        self._begun(part).unlink(missing_ok=True)

    def begun(self, part: int) -> int:
        """How often a part was begun since the last start and not ended, this time among them: its worker may die of it."""
        with self._begun(part).open("ab") as file:
            file.write(b"x")
            return file.tell()

    def _begun(self, part: int) -> Path:
        return self.path / f"_part-{part:06d}.begun"


def _row(request: Request, response: Response) -> dict[str, Any]:
    return {
        "row": request.number,
        "id": None if request.id is None else _clean(str(request.id)),
        "task": request.body.get("task"),
        "text": response.get("text"),
        "confidence": response.get("confidence"),
        "error": _clean(response["error"]["message"]) if "error" in response else None,
        "response": json.dumps(response),
    }


def _clean(text: str) -> str:
    """Without lone surrogates, which JSON may hold and parquet may not."""
    return text.encode("utf-8", "replace").decode()


def _put(path: Path, content: Any) -> None:
    """Write a file that is there whole, and on the disk, or not at all."""
    scratch = path.with_name(f"_{path.name}.{uuid.uuid4().hex}.tmp")
    with scratch.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
