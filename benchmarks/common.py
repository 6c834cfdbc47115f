"""What several of the scripts share: their arguments, overlap with the truth, means with intervals, a Markdown table."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from medvlm.evaluation.metrics import bootstrap_interval, dice
from medvlm.evaluation.metrics import mean_of_means as mean_of_means  # for the scripts beside this one
from medvlm.records import Record, read_records
from medvlm.records.record import PARTS, RecordRegion
from medvlm.sampling import evenly_spaced
from medvlm.types import Region


def arguments(doc: str, output: str, limit: int | None = None) -> argparse.ArgumentParser:
    """The arguments of every script; `output` says what -o writes."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--split", default="val", help=f"train, val, test, or a half of val: {', '.join(PARTS)}")
    parser.add_argument(
        "--limit", type=int, default=limit, help=f"images of each set, evenly spaced ({limit or 'all'})"
    )
    parser.add_argument("--model")
    parser.add_argument("-o", "--output", type=Path, help=output)
    return parser


def records_of(source: Path, split: str) -> list[Record]:
    """The records of a split, or of one half of val."""
    if split in PARTS:
        return [record for record in read_records(source, "val") if record.part == split]
    return read_records(source, split)


def chosen(
    sources: Iterable[Path], split: str, limit: int | None, wanted: Callable[[Record], Any]
) -> Iterator[list[Record]]:
    """Of each set the records of `records_of` that are wanted, `limit` of them; sets without any are passed over."""
    for source in sources:
        records = evenly_spaced([record for record in records_of(source, split) if wanted(record)], limit)
        if records:
            yield records


def bar(records: Sequence[Record]) -> Iterable[Record]:
    return tqdm(records, desc=records[0].set, unit="image", file=sys.stderr)


def patient(record: Record) -> str:
    return f"{record.set}/{record.patient}"


def filled(boxes: Iterable[Sequence[float]], size: tuple[int, int]) -> np.ndarray:
    """Bool `(H, W)`: the union of boxes."""
    out = np.zeros(size, bool)
    for x0, y0, x1, y1 in np.array(list(boxes)).reshape(-1, 4).round().astype(int).clip(0):
        out[y0:y1, x0:x1] = True
    return out


def union(regions: Sequence[Region], size: tuple[int, int]) -> np.ndarray:
    """Bool `(H, W)`: everything that was found; a region without a mask counts as its filled box."""
    out = filled([r.box for r in regions if r.mask is None], size)
    for region in regions:
        if region.mask is not None:
            out |= region.mask
    return out


def overlap(truth: RecordRegion, regions: Sequence[Region], size: tuple[int, int]) -> float:
    """Dice of the union of regions with the truth; of filled boxes where the truth is boxes alone."""
    mask = truth.mask
    if mask is None:
        return dice(filled([r.box for r in regions], size), filled(truth.boxes, size))
    return dice(union(regions, size), mask > 0)


def interval(
    values: Sequence[Any], patients: Sequence[str], statistic: Callable[[Sequence[Any]], float] | None = None
) -> str:
    """A mean (or `statistic`) with its 95 % bootstrap interval by patient."""
    if not len(values):
        return ""
    low, high = bootstrap_interval(values, patients, statistic=statistic)
    return f"{statistic(values) if statistic else float(np.mean(values)):.3f} [{low:.3f}, {high:.3f}]"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def write_rows(path: Path | None, rows: Iterable[dict[str, Any]]) -> None:
    """The single results, an object a line."""
    if path:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
