"""`requests.jsonl` → `responses.jsonl`: a line a request, in batches, resumable, never stopped by one bad request."""

from __future__ import annotations

import itertools
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from .errors import MedVLMError, RequestError
from .notices import notices
from .types import Answer, Box, Region, Study
from .validation import (
    check_box,
    check_image,
    check_one_prompt,
    check_options,
    check_phrase,
    check_points,
    check_question,
    check_rle,
)
from .which import names_image

log = logging.getLogger(__name__)

WINDOW = 1000  # requests looked through for the same image
BATCH = 64  # requests answered, and written, together
MOST_PIXELS = 64_000_000  # of the studies held at once
TASKS = ("answer", "choose", "ground", "segment", "report")

Item = TypeVar("Item")
Reply = TypeVar("Reply")


def each(call: Callable[[Sequence[Item]], Sequence[Reply]], requests: Sequence[Item]) -> list[Reply | Exception]:
    """The replies of a batched call; where the batch fails, its requests are tried one by one."""
    if not requests:
        return []
    try:
        return list(call(requests))
    except Exception as error:
        if len(requests) == 1:
            return [error]
        return [reply for request in requests for reply in each(call, [request])]


@dataclass
class Request:
    """A line of the requests file: its object, or the error that it is."""

    id: str | int | None
    body: dict[str, Any]
    images: tuple[str, ...] = ()
    error: MedVLMError | None = None


def _broken(name: str | int | None, error: MedVLMError) -> Request:
    return Request(name, {}, error=error)


def run_batch(
    assistant: Any,
    requests: Path,
    responses: Path,
    load: Callable[[list[Path]], Study] | None = None,
    progress: bool = True,
) -> dict[str, int]:
    """Answer every request that `responses` does not answer yet; image paths are relative to the requests file.

    Returns how many were answered, failed (an error line each) and stood there already. Raises `RequestError` if a
    file cannot be read or written.
    """
    if load is None:
        from .studies import load_study as load
    if requests.resolve() == responses.resolve():
        raise RequestError("The responses would overwrite the requests; give another file with -o.")
    counts = {"answered": 0, "failed": 0, "skipped": 0}
    try:
        done = _take_up(responses)
        with requests.open("rb") as file:
            total = sum(bool(line.strip()) for line in file)
        with (
            requests.open("rb") as file,
            responses.open("a", encoding="utf-8") as out,
            tqdm(total=total, unit="request", file=sys.stderr, disable=not progress) as bar,
        ):
            lines = _parse(file)
            while window := list(itertools.islice(lines, WINDOW)):
                todo = [request for request in window if _mark(request) not in done]
                counts["skipped"] += len(window) - len(todo)
                bar.update(len(window) - len(todo))
                for response in _answer_window(assistant, todo, requests.parent, load):
                    out.write(json.dumps(response) + "\n")
                    out.flush()
                    counts["failed" if "error" in response else "answered"] += 1
                    bar.update()
    except OSError as error:
        raise RequestError(f"{error.filename or requests}: {error.strerror}. Check the path.") from error
    return counts


def _mark(request: Request) -> str:
    """What tells a request from the others: its id, or for a broken line its message, which names the line."""
    return json.dumps(request.id) if request.id is not None else f"broken: {request.error}"


def _take_up(responses: Path) -> set[str]:
    """The requests that a responses file answers; a last line that a kill cut off is taken away."""
    if not responses.is_file():
        return set()
    kept, done = [], set()
    for line in responses.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            row = json.loads(line)
            number = row["id"]
            done.add(json.dumps(number) if number is not None else f"broken: {row['error']['message']}")
            kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    scratch = responses.with_name(responses.name + ".tmp")
    scratch.write_text("".join(kept), encoding="utf-8")
    scratch.replace(responses)
    return done


# Reading


def _parse(lines: Iterator[bytes]) -> Iterator[Request]:
    marks: set[str] = set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        request = _parse_line(line, number)
        mark = _mark(request)
        if request.id is not None and mark in marks:
            request = _broken(None, RequestError(f"Line {number}: its id was used before; give each request its own."))
        marks.add(mark)
        yield request


def _parse_line(line: bytes, number: int) -> Request:
    try:
        body = json.loads(line)
    except (ValueError, RecursionError):
        return _broken(None, RequestError(f"Line {number} is not JSON; write one object a line."))
    if not isinstance(body, dict):
        return _broken(None, RequestError(f"Line {number} is not a JSON object."))
    name = body.get("id")
    if isinstance(name, bool) or not isinstance(name, (str, int)):
        return _broken(None, RequestError(f"Line {number} has no id; give each request a text or a number as its id."))
    images = body.get("image")
    images = [images] if isinstance(images, str) else images
    if not isinstance(images, list) or not images or not all(isinstance(i, str) and i for i in images):
        return _broken(name, RequestError("The request names no image; give a path or a list of paths."))
    try:
        _check(body)
    except MedVLMError as error:
        return _broken(name, error)
    return Request(name, body, tuple(images))


def _check(body: dict[str, Any]) -> None:
    """All that can be refused before an image is read."""
    task = body.get("task")
    if task not in TASKS:
        raise RequestError(f"The task {str(task)[:40]!r} is unknown; choose from {', '.join(TASKS)}.")
    if task in ("answer", "choose"):
        check_question(body.get("question", ""))
    if task == "answer":
        read_history(body.get("history"))
        if _drawn(body):
            check_one_prompt(body.get("box"), body.get("points"))
    if task == "choose":
        check_options(body.get("options"))
    if task == "ground":
        check_phrase(body.get("phrase", ""))
    if task == "segment":
        check_one_prompt(body.get("box"), body.get("points"), body.get("scribble"))


def _drawn(body: dict[str, Any]) -> bool:
    return body.get("box") is not None or body.get("points") is not None


def read_history(turns: Any) -> list[tuple[str, Answer]]:
    """The turns of a history as JSON, a list of `{"question", "answer": Answer}`; none of `None`. Raises `RequestError`."""
    if turns is None:
        return []
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise RequestError('The history is a list of {"question": …, "answer": {…}}, the oldest first.')
    return [(check_question(turn.get("question", "")), Answer.from_json(turn.get("answer"))) for turn in turns]


def prompted_region(
    assistant: Any,
    study: Study,
    image: int | None = None,
    box: Box | None = None,
    points: Sequence[tuple[float, float, int]] | None = None,
) -> Region | None:
    """The region of an image that a question is about: a box prompt, or what point prompts outline; `None` without either.

    Raises `RequestError` for both, for what does not lie in the image, and for points at which nothing stands out.
    """
    if box is None and points is None:
        return None
    check_one_prompt(box, points)
    index = check_image(image, study)
    shown = study.images[index]
    if box is not None:
        return Region("region", index, check_box(box, shown.size), None, 1.0, turn=shown.turn)
    regions = assistant.segment(study, index, points=check_points(points, shown.size))
    if not regions:
        raise RequestError("Nothing stands out at these points: draw a box around what you mean.")
    return regions[0]


# Answering


def _answer_window(assistant, todo: list[Request], folder: Path, load) -> Iterator[dict[str, Any]]:
    """Responses in the requests' order, but for requests on the same image, which go together."""
    groups: dict[tuple[str, ...], list[Request]] = {}
    for i, request in enumerate(todo):
        # A broken line stands alone, at its place.
        groups.setdefault(request.images or (f"\0{i}",), []).append(request)
    batch: list[tuple[Request, Study | Exception]] = []
    pixels = 0
    for group in groups.values():
        study = _load(group[0], folder, load)
        batch += [(request, study) for request in group]
        pixels += sum(image.pixels.size for image in study.images) if isinstance(study, Study) else 0
        while len(batch) >= BATCH or (batch and pixels > MOST_PIXELS):
            yield from _answer_batch(assistant, batch[:BATCH])
            batch = batch[BATCH:]
            pixels = 0 if not batch else pixels
    yield from _answer_batch(assistant, batch)


def _load(request: Request, folder: Path, load) -> Study | Exception:
    if request.error:
        return request.error
    try:
        return load([folder / image for image in request.images])
    except Exception as error:
        return error


def _answer_batch(assistant, batch: list[tuple[Request, Study | Exception]]) -> list[dict[str, Any]]:
    replies: list[Any] = [study if isinstance(study, Exception) else None for _, study in batch]
    sound = [(i, study, request.body) for i, (request, study) in enumerate(batch) if not isinstance(study, Exception)]

    def fill(task: str, call, make) -> None:
        mine = [(i, study, body) for i, study, body in sound if _batched(body, study, task)]
        got = each(call, [make(study, body) for _, study, body in mine])
        for (i, *_), reply in zip(mine, got, strict=True):
            replies[i] = reply

    fill("answer", assistant.ask_many, lambda study, body: (study, body["question"]))
    fill("ground", assistant.ground_many, lambda study, body: (study, [body["phrase"]]))
    for i, study, body in sound:
        if replies[i] is None:
            replies[i] = each(lambda one: [_single(assistant, *one[0])], [(study, body)])[0]
    return [_response(request, study, reply) for (request, study), reply in zip(batch, replies, strict=True)]


def _batched(body: dict[str, Any], study: Study, task: str) -> bool:
    """Whether a request of this task is about the only image of a study alone, so that it can share a pass with others."""
    if body["task"] != task or len(study.images) > 1:
        return False
    return task != "answer" or not (names_image(body["question"]) or body.get("history") or _drawn(body))


def _single(assistant, study: Study, body: dict[str, Any]) -> Any:
    if body["task"] == "answer":
        history = read_history(body.get("history"))
        for shown in (region for _, answer in history for region in answer.regions):
            shown.turn = study.images[shown.image].turn if shown.image < len(study.images) else None
        region = prompted_region(assistant, study, None, body.get("box"), body.get("points"))
        return assistant.ask(study, body["question"], history=history, region=region)
    if body["task"] == "ground":
        return assistant.ground(study, [body["phrase"]])
    if body["task"] == "choose":
        return assistant.choose(study, body["question"], body["options"])
    if body["task"] == "report":
        return assistant.report(study)
    scribble = body.get("scribble")
    if scribble is not None:
        scribble = check_rle(scribble, study.images[study.default].size)
    return assistant.segment(study, box=body.get("box"), points=body.get("points"), scribble=scribble)


def _response(request: Request, study: Any, reply: Any) -> dict[str, Any]:
    if isinstance(reply, MedVLMError):
        return {"id": request.id, "error": {"type": type(reply).__name__, "message": str(reply)}}
    if isinstance(reply, Exception):
        log.error("a request failed", exc_info=reply if log.isEnabledFor(logging.DEBUG) else None)
        message = f"The model failed on this request ({type(reply).__name__}); the others are not affected."
        return {"id": request.id, "error": {"type": "InternalError", "message": message}}
    if request.body["task"] == "segment":
        return {"id": request.id, "regions": [region.to_json() for region in reply], "notices": study.notices}
    body = reply.to_json()
    if request.body["task"] == "ground":
        presence = float(next(iter(reply.presence.values()), 0.0))
        kept = {key: body[key] for key in ("regions", "notes", "scope")}
        body = kept | {"presence": round(presence, 4)}
    labels = [region.label for region in reply.regions]
    return {"id": request.id, **body, "notices": notices(study, labels)}
