"""Run an assistant over data sets and score it: `evaluate` is what `medvlm eval` prints."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..batch import each
from ..errors import RequestError
from ..records import Record, read_records
from ..records.record import PARTS
from ..sampling import evenly_spaced
from ..types import Study
from .registry import REGISTRY, TASKS
from .results import summarise
from .store import Item, ItemStore
from .task import Request, Run, Task
from .tasks.facts import is_photograph

CHUNK = 16  # images in one batch

TaskRequest = tuple[Task, Request]
Studies = dict[Callable[[], Study], Study | Exception]


def check_request(tasks: Sequence[str], split: str, part: str | None) -> None:
    """Raises `RequestError` for an unknown task or part, and for a part of another split than val."""
    unknown = [task for task in tasks if task not in REGISTRY]
    if unknown:
        raise RequestError(f"Unknown task {unknown[0]!r}; choose from {', '.join(REGISTRY)}.")
    if part is not None and part not in PARTS:
        raise RequestError(f"Unknown part {part!r}; choose from {', '.join(PARTS)}.")
    if part is not None and split != "val":
        raise RequestError(f"Only the val split has parts, {split!r} has none; leave out --part or the split.")


def evaluate(
    assistant: Any,
    sources: Sequence[str | Path],
    split: str = "val",
    tasks: Sequence[str] = TASKS,
    limit: int | None = None,
    *,
    part: str | None = None,
    items: Path | None = None,
    fresh: bool = False,
    controls: bool = True,
    languages: Sequence[str] = ("en",),
    progress: bool = True,
) -> dict[str, Any]:
    """Scores of an assistant on data sets: `{"model", "fingerprint", "split", "part", "metrics", "failed", "seconds"}`.

    `metrics` maps "task/set/…/name" to `{"value", "n", "low", "high", "baseline": {name: value}}`: a 95 % bootstrap
    interval by patient, and what trivial guesses reach. Each record is asked as a bare image: modality and body part
    are not told. `part` takes the tune or the report half of val (`records.record.part_of`), then `limit` that many
    evenly spaced images a set; guesses are learned from all of train either way. `controls` asks every question again
    on a blank and on another image. `items` names a `.jsonl` of single results: a stopped run goes on from it, and
    `fresh` begins anew. An item that fails is counted in `failed` and scored as nothing found or a wrong answer.
    Raises `RecordError` for an unreadable data set, and `RequestError` for what `check_request` refuses and for items of
    another model, other rules, another split or part.
    """
    check_request(tasks, split, part)
    start = time.monotonic()
    stamp = {"fingerprint": assistant.fingerprint, "split": split, "part": part}
    store, run = ItemStore(items, stamp, fresh), Run(controls, languages)
    selected, wanted = [REGISTRY[name] for name in tasks], list[str]()
    for source in sources:
        records = evenly_spaced([r for r in read_records(source, split) if part in (None, r.part)], limit)
        train = read_records(source, "train") if split != "train" else []
        run.trained += [(r.modality, r.body_part) for r in train if not is_photograph(r)]
        pairs = [(task, request) for task in selected for request in task.requests(records, train, run)]
        wanted += [request.key for _, request in pairs]
        with tqdm(total=len(pairs), desc=Path(source).name, unit="item", file=sys.stderr, disable=not progress) as bar:
            for chunk in _chunks(_by_record(pairs, records), CHUNK):
                here = [one for group in chunk for one in group]
                _work(assistant, [(task, r) for task, r in here if r.key not in store], store)
                bar.update(len(here))
    done = [store.items[key] for key in dict.fromkeys(wanted)]
    return {
        "model": assistant.name,
        **stamp,
        "metrics": summarise(done, run),
        "failed": sum("error" in item for item in done),
        "seconds": round(time.monotonic() - start, 1),
    }


def _by_record(pairs: Iterable[TaskRequest], records: Iterable[Record]) -> list[list[TaskRequest]]:
    """The requests of each image together, in the order of the records, so that all tasks share its encoding."""
    groups: dict[str, list[TaskRequest]] = {record.key: [] for record in records}
    for task, request in pairs:
        groups.setdefault(request.record.key, []).append((task, request))
    return [group for group in groups.values() if group]


def _chunks(values: list[Any], size: int) -> Iterator[list[Any]]:
    for i in range(0, len(values), size):
        yield values[i : i + size]


def _work(assistant: Any, pairs: Sequence[TaskRequest], store: ItemStore) -> None:
    """Run the requests of some images, all of a task in one batch, and store the items."""
    studies: Studies = {}  # one object an image, so that its encoding is shared
    for name in dict.fromkeys(task.name for task, _ in pairs):
        store.add(_items(assistant, REGISTRY[name], [r for task, r in pairs if task.name == name], studies))


def _items(assistant: Any, task: Task, requests: Sequence[Request], studies: Studies) -> list[Item]:
    shown = [(request, _study(request, studies)) for request in requests]
    readable = [(request, study) for request, study in shown if isinstance(study, Study)]
    replies = each(partial(task.ask, assistant), [(study, request.inputs) for request, study in readable])
    items = [_item(task, request, reply) for (request, _), reply in zip(readable, replies, strict=True)]
    return items + [_item(task, request, error) for request, error in shown if isinstance(error, Exception)]


def _study(request: Request, studies: Studies) -> Study | Exception:
    if request.study not in studies:
        try:
            studies[request.study] = request.study()
        except Exception as error:
            studies[request.study] = error
    return studies[request.study]


def _item(task: Task, request: Request, reply: Any) -> Item:
    """The item of a reply; an exception, the model's or ours, is recorded and scored as the task's `nothing`."""
    record = request.record
    base = {"key": request.key, "set": record.set, "id": record.id, "patient": record.patient, "task": task.name}
    if not isinstance(reply, Exception):
        try:
            return {**base, **task.score(request, reply)}
        except Exception as error:
            reply = error
    return {**base, **task.score(request, task.nothing), "error": f"{type(reply).__name__}: {reply}"}
