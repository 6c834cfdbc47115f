"""Whatever goes wrong in the API, in one form: a status, a type that programs tell apart, and one sentence for people."""

from __future__ import annotations

import logging
from asyncio import CancelledError
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medvlm.archive import ArchiveError
from medvlm.errors import LanguageError, MedVLMError, ModelError

from ..access.audit import place_of
from ..store import AGAIN, StoreGone

MOST_BYTES = 2**24  # of a body, whose history may hold many masks
WHOLE_STUDIES = ("/studies", "/chat/completions")  # routes with limits of their own
SORRY = "Something went wrong here, which is no fault of the request; try it again."
TYPES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "TooSlow",
    409: "Conflict",
    413: "TooLarge",
    415: "UnsupportedMediaType",
    422: "RequestError",
    429: "TooManyRequests",
    500: "InternalError",
    503: "Unavailable",
    507: "DiskFull",
}
STOPPED = "The server was stopped; send it again when it is back."
SENTENCES = {
    400: "The request is no readable JSON or form; send it as the description says.",
    404: "There is nothing here; /v1/openapi.json lists what there is.",
    405: "This address does not take that method; /v1/openapi.json lists what there is.",
    413: "The request is too large; send less at a time.",
}

PARSING = "There was an error parsing the body"  # FastAPI's words

log = logging.getLogger("medvlm.serving")


class ApiError(Exception):
    """A refusal: its status, its sentence, and in how many seconds it is worth trying again, if at all."""

    def __init__(self, status: int, message: str, type: str = "", retry_after: int | None = None):
        super().__init__(message)
        self.status, self.message, self.type, self.retry_after = status, message, type or TYPES[status], retry_after

    def body(self) -> dict[str, Any]:
        return {"error": {"type": self.type, "message": self.message}}

    def response(self) -> JSONResponse:
        headers = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        return JSONResponse(self.body(), self.status, headers)


def api_error(error: BaseException) -> ApiError:
    """Any exception as what the caller is told. Logs say where a fault of ours arose, never its message: it may quote a patient."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, MedVLMError):
        status = (
            503 if isinstance(error, (ModelError, LanguageError)) else 502 if isinstance(error, ArchiveError) else 422
        )
        return ApiError(status, str(error), type(error).__name__)
    if isinstance(error, StoreGone):
        return ApiError(503, str(error), retry_after=AGAIN)
    if isinstance(error, CancelledError):
        return ApiError(503, STOPPED, retry_after=10)
    if isinstance(error, RequestValidationError):
        return ApiError(422, invalid(error))
    if isinstance(error, HTTPException):
        status = error.status_code
        own = "" if error.detail in (HTTPStatus(status).phrase, PARSING) else error.detail
        return ApiError(status, own or SENTENCES.get(status, SORRY), TYPES.get(status, "Error"))
    log.error("%s at %s", type(error).__name__, place_of(error))
    return ApiError(500, SORRY)


def invalid(error: RequestValidationError) -> str:
    """The first thing that is wrong with a request's fields, in one sentence that quotes no value."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path", "header"))[:100]
    if first["type"] == "json_invalid":
        return "The body is no readable JSON; send one object."
    if first["type"] == "extra_forbidden":
        return f"There is no field {where!r} here; /v1/openapi.json lists those that there are."
    if not where:
        return "The body is missing or no object; send one JSON object."
    said = first["msg"].removeprefix("Value error, ").rstrip(".")
    return f"The field {where!r} cannot be used: {said[0].lower()}{said[1:]}."


def add_handlers(app: FastAPI) -> None:
    """Have an app tell all its errors in this form."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        told = api_error(error)
        response = told.response()
        if isinstance(error, HTTPException) and error.headers:
            response.headers.update(error.headers)
        return response

    for kind in (ApiError, MedVLMError, StoreGone, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)
    app.add_middleware(Outermost)


class Outermost:
    """An ASGI app around another: bodies have a limit, but where whole studies come; faults of ours, and being
    stopped in the middle, become an answer, not a traceback in the log; and no answer is cached."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, taken = False, 0
        uploading = scope.get("path", "").endswith(WHOLE_STUDIES)

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MOST_BYTES and not uploading:
                raise HTTPException(413)
            return message

        async def told(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], (b"cache-control", b"no-store")]
            await send(message)

        try:
            await self.app(scope, limited, told)
        except (Exception, CancelledError) as error:  # cancelled is what is still going on where the server stops
            response = api_error(error).response()
            if not started:
                await response(scope, receive, told)
