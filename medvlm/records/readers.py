"""Data sets → records: parquet shards, or a folder with `metadata.jsonl` beside `images/` and `masks/`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet

from ..errors import RecordError
from ..vocabulary import canonical
from .record import QA, Record, RecordRegion

SPLITS = ("train", "val", "test")


def data_sets(sources: Sequence[str | Path]) -> list[Path]:
    """The data sets behind paths: each is one itself, or a folder of such. Raises `RecordError` where there is none."""
    found: list[Path] = []
    for source in map(Path, sources):
        if _is_data_set(source):
            found.append(source)
            continue
        inside = [path for path in sorted(source.glob("*/")) if _is_data_set(path)]
        if not inside:
            raise RecordError(
                f"No data set in {source.name!r}: it needs SPLIT.parquet files or a metadata.jsonl. Check the path."
            )
        found += inside
    return found


def _is_data_set(path: Path) -> bool:
    parquet = path.is_file() and path.suffix == ".parquet"
    return parquet or any(path.glob("*.parquet")) or (path / "metadata.jsonl").is_file()


def read_records(source: str | Path, split: str | None = None) -> list[Record]:
    """Records of a data set: a folder with `SPLIT.parquet` files, one parquet file, or a folder with `metadata.jsonl`.

    `split=None` reads all splits. Raises `RecordError` where there is nothing to read.
    """
    path = Path(source)
    if path.is_file() and path.suffix == ".parquet":
        return [r for r in _read_parquet(path) if split in (None, r.split)]
    shards = sorted(path.glob(f"{split or ''}*.parquet"))
    if shards:
        return [record for shard in shards for record in _read_parquet(shard)]
    if (path / "metadata.jsonl").is_file():
        return [r for r in _read_folder(path) if split in (None, r.split)]
    if any(path.glob("*.parquet")):
        return []
    raise RecordError(
        f"No data set in {path.name!r}: it needs SPLIT.parquet files or a metadata.jsonl. Check the path."
    )


def _read_parquet(path: Path) -> list[Record]:
    rows = pyarrow.parquet.read_table(path).to_pylist()
    return [to_record(row, row["image"]["bytes"], default_split=path.stem.split("-")[0]) for row in rows]


def read_rows(folder: Path) -> list[tuple[int, dict[str, Any]]]:
    """The rows of a folder's `metadata.jsonl` with their line numbers. Raises `RecordError` at a line that is no JSON."""
    rows = []
    for number, line in enumerate((folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise RecordError(f"metadata.jsonl, line {number}: not JSON. Write one object a line.") from error
        if not isinstance(row, dict) or not isinstance(row.get("file_name"), str):
            raise RecordError(f"metadata.jsonl, line {number}: an object with a file_name is needed.")
        rows.append((number, row))
    return rows


def _read_folder(folder: Path) -> list[Record]:
    return [to_record(row, folder / row["file_name"], folder=folder) for _, row in read_rows(folder)]


def one_a_label(regions: Iterable[RecordRegion]) -> list[RecordRegion]:
    """Regions of boxes alone whose labels are spellings of one thing become one region."""
    out: list[RecordRegion] = []
    for region in regions:
        same = next((r for r in out if r.label == region.label and r.source is None and region.source is None), None)
        if same:
            same.boxes += region.boxes
        else:
            out.append(region)
    return out


def to_record(
    row: dict[str, Any], source: bytes | Path, folder: Path | None = None, default_split: str = "train"
) -> Record:
    """A row in the keys of the data sets' README to a `Record`; mask paths are relative to `folder`."""

    def facts(value: Any) -> dict[str, Any]:
        return json.loads(value) if isinstance(value, str) else dict(value or {})

    def mask_source(mask: Any) -> bytes | Path | None:
        if isinstance(mask, dict):
            return mask["bytes"]
        return folder / mask if mask and folder else None

    name = row.get("id") or row.get("file_name")
    spacing = row.get("spacing_mm")
    return Record(
        id=str(name),
        set=row.get("set") or (folder.resolve().name if folder else "folder"),
        split=row.get("split") or default_split,
        patient=str(row.get("patient") or name),
        source=source,
        modality=row.get("modality"),
        body_part=row.get("body_part"),
        view=row.get("view"),
        spacing_mm=(float(spacing[0]), float(spacing[1])) if spacing else None,
        labels=facts(row.get("labels")),
        regions=one_a_label(
            RecordRegion(canonical(r["label"]), [list(map(float, b)) for b in r.get("boxes") or []], mask_source(r.get("mask")))
            for r in row.get("regions") or []
        ),
        absent=[canonical(label) for label in row.get("absent") or []],
        qa=[
            QA(
                q["question"],
                str(q["answer"]),
                q.get("type") or "open",
                q.get("kind") or "",
                q.get("lang") or "en",
                facts(q.get("extra")),
            )
            for q in row.get("qa") or []
        ],
        report=row.get("report"),
    )  # fmt: skip
