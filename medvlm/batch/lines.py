"""Lines of JSON → requests that are checked before an image is read; a bad line is an error, not an end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import MedVLMError, RequestError
from ..types import Answer
from ..validation import check_one_prompt, check_options, check_phrase, check_question

TASKS = ("answer", "choose", "ground", "segment", "report")


@dataclass
class Request:
    """What a line asks for: its object, or the error that it is."""

    id: str | int | None
    body: dict[str, Any]
    images: tuple[str, ...] = ()
    error: MedVLMError | None = None
    number: int = 0  # of its line, from 1


@dataclass(frozen=True)
class Line:
    """A line as it was read; `number` counts from 1, `twice` says that one before it has the same id."""

    number: int
    text: bytes
    twice: bool = False

    def request(self) -> Request:
        if self.twice:
            said = f"Line {self.number}: its id was used before; give each request its own."
            return Request(None, {}, error=RequestError(said), number=self.number)
        request = _parse(self.text, self.number)
        request.number = self.number
        return request


def read_lines(texts: Iterable[bytes]) -> Iterator[Line]:
    """The lines that are not blank."""
    seen: set[str | int] = set()
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            continue
        name = _name(text)
        yield Line(number, text, name in seen)
        if name is not None:
            seen.add(name)


def _name(text: bytes) -> str | int | None:
    try:
        name = json.loads(text).get("id")
    except (ValueError, RecursionError, AttributeError):
        return None
    return name if isinstance(name, (str, int)) and not isinstance(name, bool) else None


def _broken(name: str | int | None, error: MedVLMError) -> Request:
    return Request(name, {}, error=error)


def _parse(line: bytes, number: int) -> Request:
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
        if drawn(body):
            check_one_prompt(body.get("box"), body.get("points"))
    if task == "choose":
        check_options(body.get("options"))
    if task == "ground":
        check_phrase(body.get("phrase", ""))
    if task == "segment":
        check_one_prompt(body.get("box"), body.get("points"), body.get("scribble"))


def drawn(body: dict[str, Any]) -> bool:
    """Whether a question is about a drawn region."""
    return body.get("box") is not None or body.get("points") is not None


def read_history(turns: Any) -> list[tuple[str, Answer]]:
    """The turns of a history as JSON, a list of `{"question", "answer": Answer}`; none of `None`. Raises `RequestError`."""
    if turns is None:
        return []
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise RequestError('The history is a list of {"question": …, "answer": {…}}, the oldest first.')
    return [(check_question(turn.get("question", "")), Answer.from_json(turn.get("answer"))) for turn in turns]
