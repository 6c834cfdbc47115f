"""The routes of OpenAI's protocol, and what they take and give, for the description. `serving.openai` answers them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from ..openai import Chats
from ..openai.requests import MOST_MESSAGES
from .replies import EVENT, EVENTS
from .schemas import AnswerOut, Given, RegionOut

COMPLETE = (
    "Answer the last question about the images that were sent last, each a data URL. What OpenAI's protocol has beside "
    "these fields is taken and changes nothing."
)
STREAM = "With `stream` the same in pieces: events that are `chat.completion.chunk`s, the last one `[DONE]`."


class CalledFunction(Given):
    name: str
    arguments: Annotated[str, Field(description="as JSON")]


class ToolCall(Given):
    """A call of a tool of ours, which has been run already."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class ToolResult(Given):
    tool_call_id: str
    content: str
    regions: list[RegionOut]


class ChatAnswer(AnswerOut):
    """The whole answer, with the calls' results where calls are told."""

    disclaimer: str
    tool_results: list[ToolResult] | None = None


class ChatMessage(Given):
    role: Literal["assistant"]
    content: str
    tool_calls: Annotated[list[ToolCall] | None, Field(description="where the request names a tool of ours")] = None
    medvlm: ChatAnswer


class Choice(Given):
    index: int
    message: ChatMessage
    finish_reason: Literal["stop"]


class Completion(Given):
    id: str
    object: Literal["chat.completion"]
    created: Annotated[int, Field(description="seconds since 1970")]
    model: str
    choices: Annotated[list[Choice], Field(min_length=1, max_length=1)]


class ServedModel(Given):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    tools: Annotated[list[dict[str, Any]], Field(description="as a request names them")]


class ModelList(Given):
    object: Literal["list"]
    data: list[ServedModel]


class ChatFault(Given):
    message: str
    type: str
    param: Annotated[str | None, Field(description="the field that is wrong")] = None
    code: str | None = None


class ChatErrorBody(Given):
    """What a refusal looks like in OpenAI's protocol; without `param` and `code` where nothing was read of the request."""

    error: ChatFault


def _object(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


DATA_URL = {"type": "string", "pattern": "^data:[^,]*;base64,", "description": "of any file that a study may have"}
PARTS = [
    _object("type", "text", type={"const": "text"}, text={"type": "string"}),
    _object("type", "image_url", type={"const": "image_url"}, image_url=_object("url", url=DATA_URL)),
    _object("type", "file", type={"const": "file"}, file=_object("file_data", file_data=DATA_URL)),
]
SAID = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"anyOf": PARTS}}]}
MESSAGES = [
    _object("role", "content", role={"const": "user"}, content=SAID),
    _object("role", role={"enum": ["assistant", "system", "developer", "tool"]}),
]
# Written out, since the route reads its body itself: it may be larger than any other.
CHAT = _object(
    "model",
    "messages",
    model={"type": "string", "description": "as GET /models lists it"},
    messages={"type": "array", "minItems": 1, "maxItems": MOST_MESSAGES, "items": {"anyOf": MESSAGES}},
    stream={"type": "boolean", "default": False},
    tools={"type": "array", "items": {"type": "object"}, "description": "with one of ours, calls and results are told"},
    n={"enum": [1, None], "description": "how many answers"},
)
BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": CHAT}}}}
REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "model": ChatErrorBody,
        "description": "Refused: 400 not to be read or answered, 401 without a login, 403 asked under another name or by "
        "another site, 404 another model, 408 too slow, 413 too large, 429 too many at a time (`Retry-After` says when to "
        "try again).",
    },
    "5XX": {"model": ChatErrorBody, "description": "A fault of ours, or a store that does not answer (503)."},
}
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {"content": {EVENTS: {"schema": EVENT}}, "description": f"The answer. {STREAM}"}
}


def router(chats: Chats) -> APIRouter:
    """`POST /chat/completions` and `GET /models`."""
    routes = APIRouter(tags=["openai"])
    routes.add_api_route(
        "/models",
        chats.models,
        methods=["GET"],
        response_model=ModelList,
        responses=REFUSALS,
        summary="The model that is served",
        description="With the tools that a chat may name.",
        operation_id="models",
    )
    routes.add_api_route(
        "/chat/completions",
        chats.complete,
        methods=["POST"],
        response_model=Completion,
        responses=REFUSALS | STREAMED,
        openapi_extra=BODY,
        summary="Ask in OpenAI's protocol",
        description=COMPLETE,
        operation_id="chat",
    )
    return routes
