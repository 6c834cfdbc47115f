"""The page's line to the server: its events come in as JSON, and are answered with what the page draws.

What takes a moment alone is the answer itself. What takes longer goes on after it, and its results wait for a second request,
which ends when nothing is left: so they reach the page also through a proxy that holds replies back. A browser has few
connections for one site, of which a window so holds two at most; the other one says that the window is still there.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from ..access.clients import client_of, user_of
from ..access.sessions import Refused
from ..uploads import HEADER, Inbox
from .desks import Desks, Page, asking
from .progress import Work, follow
from .session import Data, Outputs, Session
from .words import WORDS

MOST_BYTES = 2**20  # of an event; files do not come this way
ALIVE_S = 15.0  # how often an open line is written to, so that no proxy takes it for a dead one
ELSEWHERE, UNKNOWN, MANY = WORDS["events.elsewhere"], WORDS["events.unknown"], WORDS["events.many"]
LARGE, WRONG, NOT_YOURS = WORDS["events.large"], WORDS["events.wrong"], WORDS["events.not_yours"]
OVERTAKEN, WROTE = WORDS["events.overtaken"], WORDS["events.wrote"]
LINES = {"cache-control": "no-store", "x-accel-buffering": "no"}

Handler = Callable[[Session, Data], Outputs]


@dataclass(frozen=True)
class Event:
    """What an event of the page does: at once, and one after another after its answer. What is `ordered` waits for those of
    its window that came before."""

    now: Handler | None = None
    then: tuple[Work, ...] = ()
    ordered: bool = False


def router(
    desks: Desks,
    events: Mapping[str, Event],
    inbox: Inbox,
    most: int,
    stay: Callable[[str, str], None] = lambda client, page: None,
) -> APIRouter:
    """The routes of the page, behind the entrance, which has seen to it that a page is its browser's own. `most` events of
    one user wait at a time. `stay` raises where the session of a client has ended, which an event may take longer to come."""
    server = secrets.token_hex(8)  # another than that of the server before it
    routes = APIRouter(prefix="/page/{page}", include_in_schema=False)

    @routes.post("/events/{name}")
    async def event(page: str, name: str, request: Request) -> Response:
        if HEADER not in request.headers:
            raise HTTPException(403, ELSEWHERE)
        if name not in events:
            raise HTTPException(404, UNKNOWN)
        window, data = await given(request)
        here = desks.join(client_of(request), window, page, anew=name == "enter" and not data.get("again"))
        try:
            stay(here.client, page)
        except Refused:
            desks.part(page)
            raise
        if desks.overtaken(page):
            raise HTTPException(403, " ".join([OVERTAKEN, *wrote(data)]))
        upload, does = data.get("upload"), events[name]
        if isinstance(upload, str) and inbox.owner(upload) not in (None, here.client):
            raise HTTPException(403, NOT_YOURS)
        if does.then and desks.waiting(user_of(here.client)) >= most:
            raise HTTPException(429, MANY, {"retry-after": "2"})
        asking.set(here)
        outputs: Outputs = {}
        if does.now:
            async with here.session.desk.order if does.ordered else nullcontext():
                outputs = await run_in_threadpool(does.now, here.session, data)
        if does.then:
            here.begin(go_through(does.then, here, data))
        return Response(await written({"outputs": outputs, "more": bool(does.then)}), media_type="application/json")

    @routes.get("/results")
    async def results(page: str) -> StreamingResponse:
        return StreamingResponse(lines_of(desks.page(page)), headers=LINES, media_type="application/x-ndjson")

    @routes.get("/here")
    async def here(page: str) -> StreamingResponse:
        return StreamingResponse(beats(server), headers=LINES, media_type="application/x-ndjson")

    return routes


async def written(value: Any) -> str:
    """A line of JSON; pictures are large, and others are not to wait for them."""
    return await run_in_threadpool(json.dumps, value) + "\n"


async def go_through(steps: tuple[Work, ...], here: Page, data: Data) -> None:
    for step in steps:
        await follow(step, here.session, data, here.put)


async def lines_of(here: Page | None) -> AsyncIterator[str]:
    """Results as they come, a line each, until there is nothing to wait for; then `null`, which a line that was cut lacks."""
    while here and (here.ready or here.tasks):
        if here.ready:
            outputs = here.ready[0]
            yield await written(outputs)
            if here.ready and here.ready[0] is outputs:  # it was sent, so nothing is lost where the line breaks
                here.ready.popleft()
            continue
        here.news.clear()
        try:
            await asyncio.wait_for(here.news.wait(), ALIVE_S)
        except TimeoutError:
            yield "\n"
    yield "null\n"


async def beats(server: str) -> AsyncIterator[str]:
    yield json.dumps(server) + "\n"
    while True:
        await asyncio.sleep(ALIVE_S)
        yield "\n"


async def given(request: Request) -> tuple[str, Data]:
    """The window and the data of an event. Raises `HTTPException`."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(413, LARGE)
    event: Any = None
    with suppress(ValueError, RecursionError):
        event = json.loads(body)
    window, data = (event.get("window"), event.get("data", {})) if isinstance(event, dict) else (None, None)
    if not isinstance(window, str) or not 0 < len(window) <= 64 or not isinstance(data, dict):
        raise HTTPException(400, WRONG)
    return window, data


def wrote(data: Data) -> list[str]:
    """What a user typed that an event would have brought, so that it is not lost."""
    text = data.get("text")
    return [WROTE.format(text=text.encode(errors="replace").decode())] if isinstance(text, str) and text else []
