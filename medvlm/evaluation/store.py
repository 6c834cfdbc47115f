"""One item for every image or question that was evaluated, kept in a `.jsonl` so that a stopped run goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import RequestError

Item = dict[str, Any]


class ItemStore:
    """Items by key, each stamped with what its result depends on: fingerprint, split and part.

    With a path, the items of a run that was stopped are taken up and new ones appended at once. Raises `RequestError`
    where one there bears another stamp, so that no result mixes two models or two sets of rules; `fresh` puts such a
    file aside, as `….old.jsonl`, and begins anew.
    """

    def __init__(self, path: Path | None, stamp: Mapping[str, Any], fresh: bool = False) -> None:
        self.path, self.stamp = path, dict(stamp)
        self.items: dict[str, Item] = {}
        if path and path.is_file():
            if fresh:
                path.replace(path.with_suffix(".old.jsonl"))
                return
            for item in _stored(path):
                if {k: item.get(k) for k in self.stamp} != self.stamp:
                    raise RequestError(
                        f"{path.name} holds results of another model, other rules, another split or part; "
                        "begin anew with --fresh, or give another file with -o."
                    )
                if "error" not in item:
                    self.items[item["key"]] = item

    def add(self, items: Sequence[Item]) -> None:
        """Keep items; each has a `key`."""
        items = [{**self.stamp, **item} for item in items]
        self.items.update({item["key"]: item for item in items})
        if self.path and items:
            with self.path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(item) + "\n" for item in items)

    def __contains__(self, key: str) -> bool:
        return key in self.items


def _stored(path: Path) -> Iterator[Item]:
    """The whole items of a file; the line that a kill cut off is ended, so that the next one stands alone."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if text and not text.endswith("\n"):
        path.write_text(text + "\n", encoding="utf-8")
    for line in text.split("\n"):
        try:
            item = json.loads(line)
        except ValueError:
            continue
        if isinstance(item, dict) and "key" in item:
            yield item
