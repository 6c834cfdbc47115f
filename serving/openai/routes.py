"""What answers the routes of OpenAI's protocol. A request carries its whole conversation: questions before the last one are answered anew,
since a client does not know our regions, on what is known of the same images still."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import BoundedSemaphore, Event
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from medvlm.errors import RequestError
from medvlm.progress import telling
from medvlm.studies.limits import in_bytes
from medvlm.types import Answer, Study

from ..access import audit
from ..access.clients import client_of
from . import recent, replies
from .requests import Chat, Refused, read_chat, read_study

MAX_BODY = 64 * 2**20  # bytes of a request; its images are a third larger there than their files
UPLOAD_SECONDS = 120  # that a body may take to come
AT_ONCE = 8  # requests that are read, or wait for the model
MOST_RETOLD = 10  # questions before the last one that are answered anew; "it" is what the nearest ones showed
ALIVE_SECONDS = 10  # between signs of life in a stream, which proxies would close otherwise
BUSY = "Too many requests wait already; send this one again in a moment."
TOO_LARGE = f"A request holds at most {in_bytes(MAX_BODY)}; send fewer or smaller images."
SLOW = f"The request did not come whole within {UPLOAD_SECONDS} seconds; send it again."
CUT = "The request broke off before its end; send it again."

Answers = list[Answer]  # to the questions of a chat, the asked one last


class Gone(Exception):
    """The client has left, so its answer is not needed any more."""


class Chats:
    """Answers chats by the assistant that `assistant(client)` returns, which may wait until it is loaded, and decides whose
    turn it is. Images lie in `folder` (else the system's place for temporary files) while they are read. `stop` is given the
    assistant of a client that left."""

    def __init__(
        self,
        assistant: Callable[[str], Any],
        folder: Path | None = None,
        stop: Callable[[Any], None] = lambda _: None,
    ):
        self.assistant, self.stop, self.since = assistant, stop, int(time.time())
        self.recent = recent.Recent(lambda images: read_study(images, folder))
        self.places, self.pool = BoundedSemaphore(AT_ONCE), ThreadPoolExecutor(AT_ONCE, "chats")

    async def models(self, request: Request) -> Response:
        try:
            name = (await run_in_threadpool(self.assistant, client_of(request))).name
            return JSONResponse(replies.models(name, self.since))
        except Exception as raised:
            return replies.refusal(raised)

    async def complete(self, request: Request) -> Response:
        try:
            body = await body_of(request)  # which may come slowly, and takes no place of others meanwhile
        except Exception as raised:
            return replies.refusal(raised)
        if not self.places.acquire(blocking=False):
            return replies.refusal(Refused(BUSY, status=429))
        gone, client = Event(), client_of(request)
        try:
            chat = await run_in_threadpool(read_chat, body)
            del body  # it is large, and the answer may take a while
            assistant = await run_in_threadpool(self.assistant, client)
            check_model(chat, assistant.name)
            study = await run_in_threadpool(self.recent.study, client, chat.images)
            chat = replace(chat, images=())  # they are large, and the answer may take a while
            asyncio.get_running_loop().call_later(recent.KEPT_SECONDS, self.recent.sweep)
            future = self.pool.submit(answers, assistant, chat, study, gone)
        except BaseException as raised:
            self.places.release()
            if not isinstance(raised, Exception):
                raise
            return replies.refusal(raised)
        future.add_done_callback(lambda _: self.places.release())

        def leave() -> None:
            gone.set()
            self.stop(assistant)

        reply = replies.Reply(chat.model, chat.traced)
        if chat.stream:
            events = streamed(reply, future, leave)
            return StreamingResponse(events, media_type="text/event-stream")
        try:
            *before, answer = await waited(future, leave, request)
        except Exception as raised:
            return replies.refusal(raised)
        return JSONResponse(reply.whole(answer, before))


def answers(assistant: Any, chat: Chat, study: Study, gone: Event) -> Answers:
    """The answers to a chat's questions, the last one included. Raises `Gone` once nobody waits for them."""

    def tell(done: int = 0, of: int = 0) -> None:
        if gone.is_set():
            raise Gone

    history = list[tuple[str, Answer]]()
    with telling(tell):
        for question in chat.earlier[-MOST_RETOLD:]:
            tell()
            try:
                history.append((question, assistant.ask(study, question, history=tuple(history))))
            except RequestError:  # nor had it an answer when it was asked
                continue
        tell()
        return [*(a for _, a in history), assistant.ask(study, chat.question, history=tuple(history))]


async def body_of(request: Request) -> bytes:
    """The body of a request, counted as it comes. Raises `Refused`."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and (len(length) > 12 or int(length) > MAX_BODY):
        raise Refused(TOO_LARGE, status=413)
    body = bytearray()
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise Refused(TOO_LARGE, status=413)
    except TimeoutError:
        raise Refused(SLOW, status=408) from None
    except ClientDisconnect:
        raise Refused(CUT) from None
    return bytes(body)


def check_model(chat: Chat, name: str) -> None:
    if chat.model != name:
        raise Refused(f"The model that is served is called {name}.", "model", 404, "model_not_found")


async def waited(future: Future[Answers], leave: Callable[[], None], request: Request) -> Answers:
    """What a future brings; it is given up once the client has left."""
    answered = asyncio.wrap_future(future)
    try:
        while not (await asyncio.wait([answered], timeout=1))[0]:
            if await request.is_disconnected():
                raise Gone
        return answered.result()
    finally:
        leave()
        answered.cancel()


async def streamed(reply: replies.Reply, future: Future[Answers], leave: Callable[[], None]) -> AsyncIterator[str]:
    """The events of a reply, with signs of life while the model works; the work ends where the client leaves."""
    answered = asyncio.wrap_future(future)
    try:
        yield reply.opening()
        while not (await asyncio.wait([answered], timeout=ALIVE_SECONDS))[0]:
            yield ": the model is at work\n\n"
        *before, answer = answered.result()
        for one in reply.events(answer, before):
            yield one
    except Exception as raised:
        told, status = replies.error(raised)
        audit.failed(status)
        yield replies.event(told)
        yield replies.DONE
    finally:
        leave()
        answered.cancel()
