"""What a chat request asks: the images that its last study is made of, and the questions about them. Nothing is fetched."""

from __future__ import annotations

import base64
import binascii
import json
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medvlm.conversation.grammar import TOOLS
from medvlm.errors import MedVLMError
from medvlm.studies import load_study
from medvlm.types import Study
from medvlm.validation import check_question

MOST_MESSAGES = 200
MOST_IMAGES = 100  # in all messages
MOST_PARTS = 1_000_000  # of JSON, each of which takes some dozen bytes of memory as an object; images have none inside
NO_IMAGE = "Send the image that the question is about, as a data URL in an image_url part of a user's message."
ELSEWHERE = (
    "Send the image itself as a data URL, such as data:image/png;base64,…: nothing is fetched from another place."
)
NOT_BASE64 = "An image is not whole base64: send the file's bytes as data:image/png;base64,… again."


class Refused(MedVLMError):
    """A request that is not answered: one sentence, and what OpenAI's schema says of an error beside it."""

    def __init__(self, message: str, param: str | None = None, status: int = 400, code: str | None = None):
        super().__init__(message)
        self.param, self.status, self.code = param, status, code


@dataclass
class Turn:
    """What the user said at once, in one message or several: texts, and images as data URLs."""

    texts: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)

    @property
    def question(self) -> str:
        return "\n".join(self.texts)


@dataclass(frozen=True)
class Chat:
    """A conversation over one study, which the last images that were sent make."""

    model: str
    images: tuple[str, ...]  # data URLs
    earlier: tuple[str, ...]  # questions since these images, oldest first
    question: str
    stream: bool = False
    traced: bool = False  # whether the calls of our tools are wanted as `tool_calls`


def read_chat(body: bytes) -> Chat:
    """The chat in the body of a request. Raises `Refused` and `RequestError`."""
    if sum(map(body.count, (b",", b"[", b"{"))) > MOST_PARTS:
        raise Refused("The body has too many parts: send fewer messages.")
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("The body is no JSON: send an object with model and messages.") from None
    if not isinstance(data, dict) or not isinstance(data.get("model"), str):
        raise Refused("Name the model as GET /v1/models lists it.", "model")
    if data.get("n") not in (None, 1):
        raise Refused("One answer is given to a question: leave n out.", "n")
    turns = _turns(data.get("messages"))
    if sum(len(turn.images) for turn in turns) > MOST_IMAGES:
        raise Refused(f"More than {MOST_IMAGES} images are too many: send fewer, or a zip archive of them.", "messages")
    if not turns[-1].texts and not turns[-1].images:
        raise Refused("The last message must be the user's question.", "messages")
    opened = max((at for at, turn in enumerate(turns) if turn.images), default=None)
    if opened is None:
        raise Refused(NO_IMAGE, "messages", code="image_missing")
    since = [turn.question for turn in turns[opened:]]
    return Chat(
        data["model"],
        tuple(turns[opened].images),
        tuple(question for question in since[:-1] if question.strip()),
        check_question(since[-1]),
        data.get("stream") is True,
        _names_ours(data.get("tools")),
    )


def read_study(images: tuple[str, ...], folder: Path | None = None) -> Study:
    """The study that data URLs make, read from files in `folder` that are gone afterwards. Raises `Refused`, `StudyError`."""
    with tempfile.TemporaryDirectory(prefix="chat-", dir=folder) as place:
        paths = []
        for number, url in enumerate(images, start=1):
            paths.append(Path(place) / f"image {number}")  # as messages name it
            try:
                paths[-1].write_bytes(base64.b64decode(url[url.index(",") + 1 :], validate=True))
            except (binascii.Error, ValueError):
                raise Refused(NOT_BASE64, "messages") from None
        return load_study(paths)


def _turns(messages: Any) -> list[Turn]:
    """The user's turns, of which an assistant's message ends each but the last; that one may be empty."""
    if not isinstance(messages, list) or not messages:
        raise Refused("Send messages as a list with at least the user's question.", "messages")
    if len(messages) > MOST_MESSAGES:
        raise Refused(f"{len(messages)} messages are too many: send the last {MOST_MESSAGES} or fewer.", "messages")
    turns = [Turn()]
    for message in messages:
        role = message.get("role") if isinstance(message, dict) else None
        if role == "user":
            _take(message.get("content"), turns[-1])
        elif role == "assistant":
            turns += [Turn()] if turns[-1].texts or turns[-1].images else []
        elif role not in ("system", "developer", "tool"):
            raise Refused("A message is an object with a role, such as user, and content.", "messages")
    return turns


def _take(content: Any, turn: Turn) -> None:
    for part in [{"type": "text", "text": content}] if isinstance(content, str) else _objects(content):
        kind = part.get("type")
        if kind == "text" and isinstance(part.get("text"), str):
            turn.texts.append(part["text"])
        elif kind == "image_url":
            turn.images.append(_data_url(part.get("image_url"), "url"))
        elif kind == "file":
            turn.images.append(_data_url(part.get("file"), "file_data"))
        else:
            raise Refused("A part of a message is text, image_url or file.", "messages")


def _objects(content: Any) -> list[dict[str, Any]]:
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise Refused("The content of a user's message is text, or a list of parts.", "messages")
    return content


def _data_url(part: Any, name: str) -> str:
    url = part.get(name) if isinstance(part, dict) else None
    if not isinstance(url, str) or not (url.isascii() and re.match(r"data:[^,]{0,200};base64,", url, re.I)):
        raise Refused(ELSEWHERE, "messages")
    return url


def _names_ours(tools: Any) -> bool:
    named = [tool.get("function") for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return any(isinstance(function, dict) and function.get("name") in list(TOOLS) for function in named)
