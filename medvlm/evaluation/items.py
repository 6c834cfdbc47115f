"""One row for every image or question that was evaluated, kept in a `.jsonl` so that a stopped run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

Row = dict[str, Any]
Request, Reply = TypeVar("Request"), TypeVar("Reply")


class ItemStore:
    """Rows by key. With a path, rows of the same model and split are taken up and new ones appended at once."""

    def __init__(self, path: Path | None, model: str, split: str) -> None:
        self.path, self.stamp = path, {"model": model, "split": split}
        self.rows: dict[str, Row] = {}
        if path and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            if text and not text.endswith("\n"):
                path.write_text(text + "\n", encoding="utf-8")
            for line in text.splitlines():
                try:
                    row = json.loads(line)
                except ValueError:
                    continue  # the line that a kill cut off
                if isinstance(row, dict) and {k: row.get(k) for k in self.stamp} == self.stamp and "error" not in row:
                    self.rows[row["key"]] = row

    def add(self, rows: Sequence[Row]) -> None:
        """Keep rows; each has a `key`."""
        rows = [{**self.stamp, **row} for row in rows]
        self.rows.update({row["key"]: row for row in rows})
        if self.path and rows:
            with self.path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)

    def __contains__(self, key: str) -> bool:
        return key in self.rows


def each(
    call: Callable[[Sequence[Request]], Sequence[Reply]], requests: Sequence[Request]
) -> list[Reply | Exception]:
    """The replies of a batched call; where the batch fails, its requests are tried one by one."""
    if not requests:
        return []
    try:
        return list(call(requests))
    except Exception as error:
        if len(requests) == 1:
            return [error]
        return [reply for request in requests for reply in each(call, [request])]
