"""What is wrong with a data set's folder: `medvlm data check`."""

from __future__ import annotations

import difflib
import hashlib
import io
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
import pyarrow
import pyarrow.parquet
from scipy import ndimage

from ..errors import RecordError
from ..validation import are_fractions
from ..vocabulary import LABELS, MODALITIES, canonical, known_name
from .readers import SPLITS
from .record import RecordRegion

KEYS = (
    "id", "set", "split", "patient", "image", "file_name", "modality", "body_part", "view", "spacing_mm", "labels",
    "regions", "absent", "qa", "report", "source", "licence",
)  # fmt: skip
REGION_KEYS = ("label", "mask", "boxes")
QA_KEYS = ("question", "answer", "type", "kind", "lang", "extra")
DEEP = ("I", "F")  # modes of more than 8 bits start with these: turning them to 8 bits is the owner's choice


@dataclass(frozen=True)
class Problem:
    """Something to put right: where it stands ("metadata.jsonl, line 3") and what it is."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass
class Row:
    """One row as it was written; its files are inside it, or named relative to `folder`."""

    where: str
    values: dict[str, Any]
    folder: Path | None
    split: str  # where the row itself names none


def check_folder(folder: str | Path) -> list[Problem]:
    """The problems of a data set in the folder form or as parquet shards, in the order of its rows.

    Every image and mask is decoded. Raises `RecordError` where there is no data set at all.
    """
    problems: list[Problem] = []
    first_seen: dict[tuple[str, ...], tuple[str, str]] = {}
    for row in raw_rows(Path(folder)):
        if isinstance(row, Problem):
            problems.append(row)
            continue
        problems += [Problem(row.where, what) for what in [*row_problems(row), *clashes(row, first_seen)]]
    return problems


# Rows


def raw_rows(folder: Path) -> Iterator[Row | Problem]:
    """Each row of a data set, or the problem that stands in its place."""
    shards = sorted(folder.glob("*.parquet"))
    if not (shards or (folder / "metadata.jsonl").is_file()):
        raise RecordError(
            f"No data set in {str(folder)!r}: it needs SPLIT.parquet files or a metadata.jsonl. Check the path."
        )
    if not shards:
        yield from _metadata_rows(folder)
    for shard in shards:
        try:
            start = 1
            for batch in pyarrow.parquet.ParquetFile(shard).iter_batches(batch_size=32):
                for number, values in enumerate(batch.to_pylist(), start=start):
                    yield Row(f"{shard.name}, row {number}", values, None, shard.stem.split("-")[0])
                start += batch.num_rows
        except (pyarrow.ArrowException, OSError):
            yield Problem(shard.name, "not a whole parquet file; write it again.")


def _metadata_rows(folder: Path) -> Iterator[Row | Problem]:
    try:
        lines = (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        yield Problem("metadata.jsonl", "not UTF-8 text; save it as UTF-8.")
        return
    for number, line in enumerate(lines, start=1):
        where = f"metadata.jsonl, line {number}"
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError:
            yield Problem(where, "not JSON; write one object a line.")
            continue
        if isinstance(values, dict):
            yield Row(where, values, folder, "train")
        else:
            yield Problem(where, "not an object; write one object a line.")


# What one row says


def row_problems(row: Row) -> Iterator[str]:
    """What is wrong with a row taken by itself."""
    values = row.values
    yield from unknown_keys(values, KEYS, "")
    split = values.get("split") or row.split
    if split not in SPLITS:
        yield f"split {split!r} is none of {', '.join(SPLITS)}."
    if values.get("modality") and values["modality"] not in MODALITIES:
        yield f"unknown modality {values['modality']!r}; the nearest known one is {nearest(values['modality'], MODALITIES)!r}."
    spacing = values.get("spacing_mm")
    if spacing and not (_numbers(spacing, 2) and min(spacing) > 0):
        yield f"spacing_mm {spacing!r} is not [row, column] in millimetres."
    yield from _collect(_label_problems(values))
    size: tuple[int, int] | None = None
    try:
        with read_picture(
            image_source(row), "the image" if row.folder is None else repr(values["file_name"])
        ) as picture:
            size = picture.height, picture.width
    except RecordError as error:
        yield str(error)
    yield from _collect(_region_problems(row, size))
    yield from _collect(_question_problems(values))


def _collect(problems: Iterable[str]) -> Iterator[str]:
    """The problems of one part of a row, up to one that ends its reading."""
    try:
        yield from problems
    except RecordError as error:
        yield str(error)


def unknown_keys(values: dict[str, Any], keys: tuple[str, ...], place: str) -> Iterator[str]:
    for key in values:
        if key not in keys:
            yield f"unknown key {key!r}{place}; the nearest known one is {nearest(key, keys)!r}."


def nearest(word: object, choices: Iterable[str]) -> str:
    return difflib.get_close_matches(str(word).lower(), list(choices), n=1, cutoff=0.0)[0]


def _label_problems(values: dict[str, Any]) -> Iterator[str]:
    labels = values.get("labels")
    if isinstance(labels, str):
        try:
            labels = json.loads(labels)
        except ValueError:
            labels = labels or None
    if labels is not None and not isinstance(labels, dict):
        yield "labels are not an object of facts about the image."
    named = _strings(values, "absent")
    shown = [r.get("label") for r in _objects(values, "regions")]
    yield from (f"{label!r} is both among the regions and absent." for label in named if label in shown)
    for label in dict.fromkeys([*shown, *named]):
        if not isinstance(label, str) or not label.strip():
            yield "a region has no label."
        elif canonical(label) not in LABELS:
            near = known_name(label) or nearest(label, LABELS)
            yield f"label {label!r} is not in the vocabulary, so it is not learned; the nearest known one is {near!r}."


def _region_problems(row: Row, size: tuple[int, int] | None) -> Iterator[str]:
    """Boxes against the image's `(height, width)`, which is None where the image cannot be read; masks as well."""
    for region in _objects(row.values, "regions"):
        label, boxes = region.get("label"), region.get("boxes") or []
        yield from unknown_keys(region, REGION_KEYS, f" in region {label!r}")
        if not isinstance(boxes, list):
            yield f"the boxes of {label!r} are not a list."
            continue
        yield from (f"box {box} of {label!r} {what}." for box in boxes if (what := box_problem(box, size)))
        if not region.get("mask"):
            if not boxes:
                yield f"region {label!r} has neither a mask nor a box."
            continue
        yield from _collect(_mask_problems(row, region, boxes, size))


def box_problem(box: Any, size: tuple[int, int] | None) -> str | None:
    """What is wrong with a half-open box `[x0, y0, x1, y1]` in an image of `(height, width)`."""
    if not _numbers(box, 4):
        return "is not [x0, y0, x1, y1] in pixels"
    if are_fractions(box):
        return "looks like fractions of the image: multiply x by its width and y by its height, in pixels"
    if box[2] <= box[0] or box[3] <= box[1]:
        return "has no area"
    if min(box) < 0 or size and (box[2] > size[1] or box[3] > size[0]):
        return "leaves the image" + (f" of {size[1]} x {size[0]} pixels" if size else "")
    return None


def _mask_problems(row: Row, region: dict, boxes: list, size: tuple[int, int] | None) -> Iterator[str]:
    label = region["label"]
    source = mask_source(row, region["mask"])
    name = f"the mask of {label!r}" + ("" if row.folder is None else f", {str(region['mask'])!r},")
    with read_picture(source, name) as picture:
        lossy = picture.format == "JPEG"
    mask = RecordRegion(str(label), [], source).mask
    if lossy:
        yield f"{name} is a JPEG, which blurs instance numbers: save it as PNG."
    if mask is not None and not mask.any():
        yield f"{name} is empty: name the label under absent, or nowhere."
    elif mask is not None and not boxes:
        yield f"region {label!r} has no boxes, one an instance; by its mask they are {mask_boxes(mask)}."
    if mask is not None and size and mask.shape != size:
        height, width = mask.shape
        yield f"{name} has {width} x {height} pixels, the image {size[1]} x {size[0]}."


def mask_boxes(mask: np.ndarray) -> list[list[int]]:
    """One half-open box for each instance number in a mask `(H, W)`."""
    found = [s for s in ndimage.find_objects(mask) if s is not None]
    return [[int(v) for v in (x.start, y.start, x.stop, y.stop)] for y, x in found]


def _question_problems(values: dict[str, Any]) -> Iterator[str]:
    for qa in _objects(values, "qa"):
        yield from unknown_keys(qa, QA_KEYS, " in a question")
        if not qa.get("question") or qa.get("answer") in (None, ""):
            yield "a question and its answer are both needed."
        if (qa.get("type") or "open") not in ("open", "closed"):
            yield f"question type {qa['type']!r} is neither open nor closed."


# What rows say of each other


def clashes(row: Row, first_seen: dict[tuple[str, ...], tuple[str, str]]) -> Iterator[str]:
    """Ids that came before, and patients or images that stand in another split; `first_seen` takes this row in."""
    values, split = row.values, str(row.values.get("split") or row.split)
    group = str(values.get("set") or "")
    name = str(values.get("id") or values.get("file_name") or "")
    _, where = first_seen.setdefault(("id", group, name), (split, row.where))
    if where != row.where:
        yield f"id {name!r} stands at {where} too."
    if values.get("patient"):
        other, where = first_seen.setdefault(("patient", group, str(values["patient"])), (split, row.where))
        if other != split:
            yield f"patient {values['patient']!r} is in {split} here and in {other} at {where}."
    try:
        source = image_source(row)
        content = source if isinstance(source, bytes) else source.read_bytes()
    except (RecordError, OSError):
        return
    other, where = first_seen.setdefault(("image", hashlib.sha256(content).hexdigest()), (split, row.where))
    if other != split:
        yield f"the same image is in {split} here and in {other} at {where}."


# Values and files


def _numbers(values: Any, count: int) -> bool:
    """Whether a value is a list of so many finite numbers."""
    fits = isinstance(values, (list, tuple)) and len(values) == count
    return fits and all(isinstance(v, (int, float)) and math.isfinite(v) for v in values)


def _objects(values: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = values.get(key) or []
    if not isinstance(found, list) or not all(isinstance(value, dict) for value in found):
        raise RecordError(f"{key} is not a list of objects.")
    return found


def _strings(values: dict[str, Any], key: str) -> list[str]:
    found = values.get(key) or []
    if not isinstance(found, list) or not all(isinstance(value, str) for value in found):
        raise RecordError(f"{key} is not a list of words.")
    return found


def image_source(row: Row) -> bytes | Path:
    if row.folder is not None:
        name = row.values.get("file_name")
        if not isinstance(name, str) or not name:
            raise RecordError("file_name, the path of the image, is missing.")
        return row.folder / name
    return _embedded(row.values.get("image"), "the image")


def mask_source(row: Row, mask: Any) -> bytes | Path:
    if row.folder is not None and isinstance(mask, str):
        return row.folder / mask
    return _embedded(mask, "a mask")


def _embedded(value: Any, name: str) -> bytes:
    if not isinstance(value, dict) or not isinstance(value.get("bytes"), bytes):
        raise RecordError(
            f"{name} is not inside the row; store its file as bytes, or give its path in a metadata.jsonl."
        )
    return value["bytes"]


def read_picture(source: bytes | Path, name: str) -> PIL.Image.Image:
    """A whole 8-bit picture, turned as its EXIF says. Raises `RecordError` for anything else."""
    try:
        with PIL.Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture:
            kind = picture.format
            turned = PIL.ImageOps.exif_transpose(picture)
            turned.load()
    except FileNotFoundError:
        raise RecordError(f"there is no file {name}.") from None
    except Exception:  # decoders raise nearly every kind
        raise RecordError(f"{name} cannot be read as a picture: copy or export it again.") from None
    if turned.mode.startswith(DEEP):
        raise RecordError(f"{name} has more than 8 bits a pixel: window it and save it as 8 bits.")
    turned.format = kind
    return turned
