"""One row for every image or question that was evaluated, kept in a `.jsonl` so that a stopped run goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class ItemStore:
    """Rows by key. With a path, rows of the same model and split are taken up and new ones appended at once."""

    def __init__(self, path: Path | None, model: str, split: str) -> None:
        self.path, self.stamp = path, {"model": model, "split": split}
        self.rows: dict[str, Row] = {}
        if path and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            if text and not text.endswith("\n"):
                path.write_text(text + "\n", encoding="utf-8")
            for line in text.split("\n"):
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
                file.writelines(json.dumps(row) + "\n" for row in rows)

    def __contains__(self, key: str) -> bool:
        return key in self.rows
