"""Requests → responses, in batches: what is on the same image goes together, and none stops the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..errors import MedVLMError, RequestError
from ..notices import notices
from ..types import Box, Region, Study
from ..validation import check_box, check_image, check_one_prompt, check_points, check_rle
from ..which import names_image
from .lines import Request, drawn, read_history

log = logging.getLogger(__name__)

BATCH = 64  # requests answered, and written, together
MOST_PIXELS = 64_000_000  # of the studies held at once

Item = TypeVar("Item")
Reply = TypeVar("Reply")
Response = dict[str, Any]
Load = Callable[[list[Path]], Study]


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


def answer_window(
    assistant: Any, todo: Sequence[Request], folder: Path, load: Load
) -> Iterator[tuple[Request, Response]]:
    """Responses in the requests' order, but for requests on the same image, which go together.

    Image paths are relative to `folder`.
    """
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


def _load(request: Request, folder: Path, load: Load) -> Study | Exception:
    if request.error:
        return request.error
    try:
        return load([folder / image for image in request.images])
    except Exception as error:
        return error


def _answer_batch(assistant, batch: list[tuple[Request, Study | Exception]]) -> list[tuple[Request, Response]]:
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
    return [(one, _response(one, study, reply)) for (one, study), reply in zip(batch, replies, strict=True)]


def _batched(body: dict[str, Any], study: Study, task: str) -> bool:
    """Whether a request of this task is about the only image of a study alone, so that it can share a pass with others."""
    if body["task"] != task or len(study.images) > 1:
        return False
    return task != "answer" or not (names_image(body["question"]) or body.get("history") or drawn(body))


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


def _response(request: Request, study: Any, reply: Any) -> Response:
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
