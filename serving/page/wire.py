"""The page's line to the server: its events come in as JSON, and are answered with what the page draws.

What takes a moment alone is the answer itself. What takes longer goes on after it, and the page asks for its results again and
again: each is kept until the page says that it has read it. Now and then the page says that it is still there, and at last that it
is left. No request is held for long, since a browser has six connections for all of its windows, and so that what is told comes
through a proxy that holds replies back.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool

from ..access import audit
from ..access.clients import client_of, user_of
from ..access.sessions import Refused
from ..uploads import HEADER, Inbox
from .desks import Desks, Page, asking
from .progress import Work, follow
from .session import Data, Outputs, Session
from .words import WORDS

MOST_BYTES = 2**20  # of an event; files do not come this way
HELD_S = 0.5  # for which a request waits for results; what is done sooner is shown without delay
AT_ONCE = 8 * 2**20  # bytes of results in a reply, unless one alone has more
ELSEWHERE, UNKNOWN, MANY = WORDS["events.elsewhere"], WORDS["events.unknown"], WORDS["events.many"]
LARGE, WRONG, NOT_YOURS = WORDS["events.large"], WORDS["events.wrong"], WORDS["events.not_yours"]
OVERTAKEN, WROTE, UNREAD = WORDS["events.overtaken"], WORDS["events.wrote"], WORDS["events.unread"]

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
    leave: Callable[[str, str], None] = lambda client, page: None,
) -> APIRouter:
    """The routes of the page, behind the entrance, which has seen to it that a page is its browser's own. `most` events of
    one user wait at a time. `stay` raises where the session of a client has ended, which an event may take longer to come;
    `leave` is told each page that is left."""
    server = secrets.token_hex(8)  # another than that of the server before it
    routes = APIRouter(prefix="/page/{page}", include_in_schema=False)

    @routes.post("/events/{name}")
    async def event(page: str, name: str, request: Request) -> Response:
        if HEADER not in request.headers:
            raise HTTPException(403, ELSEWHERE)
        if name not in events:
            raise HTTPException(404, UNKNOWN)
        window, data = await given(request)
        # One that was forgotten may show what is not there any more.
        known = name == "enter" or desks.page(page) is not None
        here = desks.join(client_of(request), window, page, anew=name == "enter" and not data.get("again"))
        try:
            stay(here.client, page)
        except Refused:
            await run_in_threadpool(desks.part, page)
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
            here.begin(go_through(noted(does.then), here, data))
        return reply(known, b'"outputs": ' + await written(outputs), b'"more": ' + yes(bool(does.then)))

    @routes.get("/results")
    async def results(page: str, read: int = 0) -> Response:
        """Those behind the number of the last one that the page has `read`."""
        here = desks.page(page)
        return reply(here is not None, *(await unread(here, read) if here else ()))

    @routes.get("/here")
    async def here(page: str) -> Response:
        return reply(desks.page(page) is not None)

    @routes.post("/left", status_code=204)
    def left(page: str, request: Request) -> None:
        leave(client_of(request), page)

    def reply(known: bool, *fields: bytes) -> Response:
        """An object with these fields, and in any case with the server that answers and whether it knows the page."""
        said = b", ".join([b'"server": "%b"' % server.encode(), b'"known": ' + yes(known), *fields])
        return Response(b"{%b}" % said, headers={"cache-control": "no-store"}, media_type="application/json")

    return routes


async def written(value: Any) -> bytes:
    """As JSON; pictures are large, and others are not to wait for them."""
    return (await run_in_threadpool(json.dumps, value)).encode()


def noted(steps: tuple[Work, ...]) -> tuple[Work, ...]:
    """The same steps, of which the first one's end is what is audited: the answer, which comes before, cannot know it."""
    deed, first = audit.deed.get(), steps[0]
    if deed is None:
        return steps
    deed.later = True

    def handle(session: Session, data: Data) -> Outputs:
        try:
            return first.handler(session, data)
        except Exception:
            deed.failed = 500
            raise
        finally:
            if not deed.failed:
                deed.study = session.key
            deed.note(200)

    return (replace(first, handler=handle), *steps[1:])


async def go_through(steps: tuple[Work, ...], here: Page, data: Data) -> None:
    done: deque[Outputs] = deque()

    def tell(outputs: Outputs) -> None:
        if outputs.keys() == {"working"}:
            here.put(json.dumps(outputs).encode(), passing=True)
        else:
            done.append(outputs)

    for step in steps:
        await follow(step, here.session, data, tell, user_of(here.client))
        while done:
            here.put(await written(done.popleft()))


def yes(value: bool) -> bytes:
    return b"true" if value else b"false"


async def unread(here: Page, read: int) -> list[bytes]:
    """The results of a page behind number `read`, each with its number, and whether `more` may come. It waits a moment for the
    first. What is `lost` is a sentence where some were given up."""
    here.read(read)
    if here.tasks and not here.ready:
        here.news.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(here.news.wait(), HELD_S)
    sent: list[bytes] = []
    size = 0
    for result in here.ready:
        size += len(result.text)
        if sent and size > AT_ONCE:
            break
        sent.append(b"[%d, %b]" % (result.number, result.text))
    lost = json.dumps(UNREAD if here.dropped > read else "").encode()
    more = yes(bool(here.tasks or here.ready))
    return [b'"results": [%b]' % b", ".join(sent), b'"more": ' + more, b'"lost": ' + lost]


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
