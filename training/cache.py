"""Images decoded once: the pixels and instance maps of a data set in one memory-mapped file, with an index beside it.

    python -m training.cache --config training/recipes/nano.yaml [key=value …]

decodes what a recipe learns from and stops there. A folder of decoded images is a source of `data` like any other, so
that images can be decoded on one machine, or in parts, and learned from where their files are not.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from tqdm.auto import tqdm

from medvlm import vocabulary
from medvlm.errors import MedVLMError, RecordError, RequestError
from medvlm.geometry import resampled
from medvlm.records import QA, Record, RecordRegion, data_sets, read_records, readers, record
from medvlm.vocabulary import FINE

from .config import Recipe, read_config

FINE_SIDE = 1024  # pixels of the longer side at most of an image with thin or small things
INDEX = ".index.json"


@dataclass
class Cached:
    """A record's image and instance maps at training size."""

    image: np.ndarray  # uint8 (h, w, 3)
    maps: dict[str, bytes | None]  # label -> PNG of instance ids, None where there are boxes alone
    boxes: dict[str, np.ndarray]  # label -> (N, 4) in pixels of the cached image
    size: tuple[int, int]  # height and width that the record's own boxes are in


def shrink(record: Record, side: int) -> Cached:
    """A record's image of at most `side` pixels, or `FINE_SIDE` where it shows something thin, with its instances."""
    image = record.image
    height, width = image.shape[:2]
    limit = max(side, FINE_SIDE) if any(r.label in FINE for r in record.regions) else side
    scale = min(1.0, limit / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    maps: dict[str, bytes | None] = {}
    boxes: dict[str, list] = {}
    for region in record.regions:
        mask = region.mask
        boxes.setdefault(region.label, []).extend(region.boxes)
        if mask is None or region.label in maps:  # a label with a region of boxes alone is not wholly outlined
            maps[region.label] = None
            continue
        buffer = io.BytesIO()
        PIL.Image.fromarray(mask).resize(size, PIL.Image.Resampling.NEAREST).save(buffer, "PNG", compress_level=1)
        maps[region.label] = buffer.getvalue()
    scaled = {label: np.array(rows, float).reshape(-1, 4) * scale for label, rows in boxes.items()}
    return Cached(resampled(image, size[::-1]), maps, scaled, (height, width))


def _decode(job: tuple[Record, int]) -> tuple[dict[str, Any], list[bytes]] | None:
    """An index row without places, and what is to be written; `None` where the files of a record cannot be read."""
    record, side = job
    try:
        cached = shrink(record, side)
    except (OSError, ValueError, SyntaxError):  # what PIL raises at broken files
        return None
    bare = replace(record, source=b"", regions=[replace(r, source=None) for r in record.regions])
    row = {"record": asdict(bare) | {"source": ""}, "shape": cached.image.shape[:2], "size": cached.size}
    row["maps"] = {label: None if png is None else len(png) for label, png in cached.maps.items()}
    row["boxes"] = {label: boxes.tolist() for label, boxes in cached.boxes.items()}
    return row, [cached.image.tobytes(), *(png for png in cached.maps.values() if png is not None)]


class CachedSet:
    """The decoded images of one data set."""

    def __init__(self, index: Path, key: dict[str, Any] | None = None):
        """Raises `RequestError` where the files are not whole, or not those of `key` if one is given."""
        self.pixels = index.with_name(index.name.removesuffix(INDEX) + ".pixels")
        try:
            self.index = json.loads(index.read_text(encoding="utf-8"))
            size = self.pixels.stat().st_size
            if self.index["bytes"] != size:
                raise ValueError
            self.records = [_record(row["record"]) for row in self.index["rows"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RequestError("are cut off") from error
        if key is not None and self.index["key"] != key:
            changed = [name for name in key if self.index["key"].get(name) != key[name]]
            raise RequestError(f"were made with another {' and '.join(changed)}")
        self._map: np.ndarray | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_map": None}  # pickled, a memory map would be the whole file

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, number: int) -> Cached:
        if self._map is None:
            self._map = np.memmap(self.pixels, np.uint8, "r")
        row, at = self.index["rows"][number], self.index["rows"][number]["at"]
        height, width = row["shape"]
        end = at + height * width * 3
        image = self._map[at:end].reshape(height, width, 3)
        maps: dict[str, bytes | None] = {}
        for label, size in row["maps"].items():
            maps[label] = None if size is None else self._map[end : end + size].tobytes()
            end += size or 0
        boxes = {label: np.array(rows, float).reshape(-1, 4) for label, rows in row["boxes"].items()}
        return Cached(image, maps, boxes, tuple(row["size"]))


def _record(row: dict[str, Any]) -> Record:
    row = row | {
        "source": b"",
        "regions": [RecordRegion(**region) for region in row["regions"]],
        "qa": [QA(**qa) for qa in row["qa"]],
        "spacing_mm": tuple(row["spacing_mm"]) if row["spacing_mm"] else None,
    }
    return Record(**row)


class ImageCache:
    """Records of several data sets, without their files, and the decoded image of each."""

    def __init__(self, sets: Sequence[CachedSet]):
        self.sets = list(sets)
        self.records = [record for part in self.sets for record in part.records]
        self.places = [(part, number) for part in self.sets for number in range(len(part))]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, number: int) -> Cached:
        part, row = self.places[number]
        return part[row]


def source_key(source: Path, split: str, side: int, limit: int | None) -> dict[str, Any]:
    """What decoded images depend on: the files of a data set, by size and time, how they are shrunk, and by which code."""
    if source.is_file():
        files = [source]
    elif shards := sorted(source.glob(f"{split}*.parquet")):
        files = shards
    else:
        files = sorted(p for p in source.rglob("*") if p.is_file())
    stats = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    words = sorted(p for p in Path(str(vocabulary.__file__)).parent.iterdir() if p.suffix in (".py", ".csv"))
    code = b"".join(Path(str(m)).read_bytes() for m in (__file__, record.__file__, readers.__file__, *words))
    digest = {"files": repr(stats).encode(), "code": code}
    return {"side": side, "limit": limit} | {k: hashlib.sha256(v).hexdigest()[:16] for k, v in digest.items()}


def decode_set(source: Path, split: str, index: Path, key: dict[str, Any], processes: int) -> None:
    """Write the pixels, then the index of a data set; what was there before is replaced when the new files are whole.

    Raises `RecordError` at a record whose files cannot be read, `RequestError` where the folder cannot be written to.
    """
    records = read_records(source, split)[: key["limit"]]
    name = index.name.removesuffix(INDEX)
    rows, at, temporary = [], 0, index.with_name(f".{name}.{os.getpid()}")
    try:
        index.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as out:
            jobs = [(record, key["side"]) for record in records]
            bar = tqdm(_each(jobs, processes), total=len(jobs), desc=f"decoding {name}", leave=False, disable=None)
            for number, decoded in enumerate(bar):
                if decoded is None:
                    raise RecordError(
                        f"{source.name}: the image or a mask of {split} record {number + 1} cannot be read; "
                        "`medvlm data check` names what is wrong."
                    )
                row, parts = decoded
                rows.append(row | {"at": at})
                for part in parts:
                    at += out.write(part)
        temporary.replace(index.with_name(f"{name}.pixels"))
        temporary.write_text(json.dumps({"key": key, "bytes": at, "rows": rows}), encoding="utf-8")
        temporary.replace(index)
    except OSError as error:
        raise RequestError(
            f"Decoded images cannot be written to {index.parent.name!r} ({error.strerror}): make room or name another "
            "folder with cache=…"
        ) from error
    finally:
        if temporary.exists():
            temporary.unlink()


def _each(jobs: list, processes: int) -> Iterator:
    if processes < 1 or len(jobs) < 16:
        yield from map(_decode, jobs)
        return
    with multiprocessing.Pool(
        processes, signal.signal, (signal.SIGTERM, signal.SIG_DFL)
    ) as pool:  # ended without a word
        yield from pool.imap(_decode, jobs, chunksize=8)


def open_set(source: Path, split: str, folder: Path, side: int, limit: int | None, processes: int) -> CachedSet:
    """A data set's decoded images, decoded now where they are not there, cut off or not of these files."""
    name = source.resolve().name if source.is_dir() else f"{source.resolve().parent.name}-{source.stem}"
    index = folder / f"{name}-{split}{'' if limit is None else f'-first{limit}'}{INDEX}"
    key = source_key(source, split, side, limit)
    if index.exists():
        try:
            return CachedSet(index, key)
        except RequestError as error:
            print(f"The decoded images of {name} in {folder} {error}: decoding them again.", file=sys.stderr)
    decode_set(source, split, index, key, processes)
    return CachedSet(index, key)


def sources(recipe: Recipe, split: str = "train") -> tuple[dict[str, Path], dict[str, Path]]:
    """The folders of a recipe's data sets, and the indices of those that it gives decoded alone, by name.

    Raises `RecordError` where a source holds none, `RequestError` where two sets have one name or `leave_out` names a set
    that is not there.
    """
    decoded: dict[str, Path] = {}
    folders = []
    for path in map(Path, recipe.data):
        indices = {p.name.removesuffix(f"-{split}{INDEX}"): p for p in sorted(path.glob(f"*-{split}{INDEX}"))}
        if same := sorted(decoded.keys() & indices.keys()):
            raise RequestError(f"Two folders of decoded images hold {same[0]!r}: name one of them.")
        decoded |= indices
        folders += data_sets([path]) if not indices else []
    sets = {path.resolve().name: path for path in folders}
    if len(sets) < len(folders):
        raise RequestError("Two data sets of this run have one name: rename one of their folders.")
    if unknown := set(recipe.leave_out) - sets.keys() - decoded.keys():
        raise RequestError(f"leave_out names {', '.join(sorted(unknown))}, which is no data set of this run.")
    if not (sets.keys() | decoded.keys()) - set(recipe.leave_out):
        raise RequestError("There is nothing to learn from: name folders of data sets under data.")
    left = set(recipe.leave_out)
    return (
        {name: path for name, path in sets.items() if name not in left},
        {name: path for name, path in decoded.items() if name not in left | sets.keys()},
    )


def open_cache(recipe: Recipe, split: str = "train") -> ImageCache:
    """The decoded images of every data set that a recipe learns from; those of files are decoded now where need be.

    Raises what `sources` and `decode_set` do, and `RequestError` where images that are given decoded are not whole.
    """
    sets, decoded = sources(recipe, split)
    parts = {}
    for name, path in sets.items():
        folder = Path(recipe.cache)
        parts[name] = open_set(path, split, folder, recipe.cache_side, recipe.limit, recipe.processes)
    for name, index in decoded.items():
        try:
            parts[name] = CachedSet(index)
        except RequestError as error:
            raise RequestError(f"The decoded images of {name} {error}: decode them again from their files.") from error
    return ImageCache([part for _, part in sorted(parts.items())])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="training.cache", description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="a recipe, as training.sft takes it")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="keys to set over the file's")
    args = parser.parse_args(argv)
    try:
        recipe = read_config(args.config, Recipe, args.overrides)
        cache = open_cache(recipe)
    except MedVLMError as error:
        print(f"training.cache: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"cache": recipe.cache, "sets": len(cache.sets), "images": len(cache)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
