"""Answers and errors in the form of OpenAI's protocol; what only we say stands under `medvlm`."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse

from medvlm.errors import LanguageError, MedVLMError, ModelError
from medvlm.types import DISCLAIMER, Answer

from ..folder import takes_nothing
from ..uploads import DISK_FULL
from .requests import Refused
from .trace import functions, traced

DONE = "data: [DONE]\n\n"


@dataclass(frozen=True)
class Reply:
    """An answer on its way to a client, after those to the questions before it."""

    model: str
    traced: bool = False
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, answer: Answer, before: Sequence[Answer] = ()) -> dict[str, Any]:
        """A `chat.completion`."""
        message = {"role": "assistant", "content": said(answer, before), **self.beside(answer)}
        return self._object("chat.completion", {"index": 0, "message": message, "finish_reason": "stop"})

    def opening(self) -> str:
        """The event that begins a stream."""
        return self._chunk({"role": "assistant", "content": ""})

    def events(self, answer: Answer, before: Sequence[Answer] = ()) -> Iterator[str]:
        """The events of a stream after its opening, up to its end."""
        for word in re.findall(r"\s*\S+", said(answer, before)):
            yield self._chunk({"content": word})
        last = self.beside(answer)
        for index, call in enumerate(last.get("tool_calls", [])):
            call["index"] = index
        yield self._chunk(last, "stop")
        yield DONE

    def beside(self, answer: Answer) -> dict[str, Any]:
        """What a message has beside its words: the answer with its regions and, where they are wanted, calls and results."""
        told = {**answer.to_json(), "disclaimer": DISCLAIMER}
        if not self.traced:
            return {"medvlm": told}
        calls, results = traced(answer)
        return {"tool_calls": calls, "medvlm": {**told, "tool_results": results}}

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> str:
        return event(self._object("chat.completion.chunk", {"index": 0, "delta": delta, "finish_reason": finish}))

    def _object(self, kind: str, choice: dict[str, Any]) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": [choice]}


def said(answer: Answer, before: Sequence[Answer] = ()) -> str:
    """An answer as a message's text: what is said, how sure it is, and notices that the answers before it had not."""
    told = {notice for earlier in before for notice in earlier.notices}
    why = answer.reason if answer.abstained and answer.reason != answer.text else None
    sure = "" if answer.abstained else f"Confidence {answer.confidence:.2f}{f' ({answer.scope})' * bool(answer.scope)}."
    notes = [f"Note: {notice}" for notice in answer.notices if notice not in told]
    return "\n\n".join(part for part in (answer.text, answer.detail, why, sure, *notes) if part)


def models(name: str, since: int) -> dict[str, Any]:
    """The list of the one model that is served, with the tools that a request can name."""
    one = {"id": name, "object": "model", "created": since, "owned_by": "medvlm", "tools": functions()}
    return {"object": "list", "data": [one]}


def event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value)}\n\n"


def error(raised: BaseException) -> tuple[dict[str, Any], int]:
    """OpenAI's error object for an exception, and the status that goes with it."""
    status, param, code = 500, None, None
    message = (
        f"The model stopped with a fault of ours ({type(raised).__name__}); ask again."  # no text: it may quote input
    )
    if isinstance(raised, MedVLMError):
        message, status = str(raised), 503 if isinstance(raised, (LanguageError, ModelError)) else 400
    if takes_nothing(raised):  # while images are read
        message, status = DISK_FULL, 507
    if isinstance(raised, HTTPException):  # of a body that came too slowly
        message, status = raised.detail, raised.status_code
    if isinstance(raised, Refused):
        status, param, code = raised.status, raised.param, raised.code
    kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}, status


def refusal(raised: BaseException) -> JSONResponse:
    """The response to a request that raised something."""
    body, status = error(raised)
    return JSONResponse(body, status, {"retry-after": "2"} if status in (429, 503) else None)
