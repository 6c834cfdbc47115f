"""Who asks: the session or the account behind a request, and that it touches nothing that is another's.

On loopback everybody may come in, and a browser is given a cookie of its own all the same. Elsewhere a password or the word
of a proxy is asked for. It stands behind the gate, which has refused foreign sites and closed routes already.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, field

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..page.desks import Desks
from ..store import AGAIN, Store, StoreGone
from ..uploads import Inbox
from . import audit
from .accounts import Accounts, TrustedHeader
from .clients import CLIENT, PEER, network_of, user_of
from .gate import refusal
from .limits import FULL, Ration
from .login import OWN, Login, give
from .sessions import Browser, Refused, Sessions

PAGE = "/page/"  # before what is of one page, by the number that it gave itself
BY_ITSELF = ("/here", "/results")  # what a page asks for without its user, which is no use of a session
LOGIN = ("/login", "/logout")
FREE = ("/v1/health", "/v1/ready", "/favicon.ico")  # told to everybody: supervisors have no account
READING = ("GET", "HEAD", "OPTIONS")
UNKNOWN = "Log in first: open the page, or send the name and the password of an account."
NO_SESSION = "This tab has no session any more; load the page again."
NO_ORIGIN = "The browser does not say which site asks; load the page again."
# Of a link on another site browsers bring no cookie along; a page of our own then asks once more.
ONCE_MORE = '<!doctype html><meta http-equiv="refresh" content="0;url=./"><title>medvlm</title><a href="./">medvlm</a>'


@dataclass(frozen=True)
class Way:
    """How one comes in: with neither, as anybody."""

    accounts: Accounts | None = None
    header: TrustedHeader | None = None

    @property
    def login(self) -> bool:
        return bool(self.accounts or self.header)

    @property
    def routes(self) -> list[tuple[str, str]]:
        """Those that it needs beside the page's."""
        paths = (LOGIN if self.accounts else LOGIN[1:]) if self.login else ()
        return [(method, path) for path in paths for method in ("GET", "POST")]


ANYBODY = Way()


@dataclass
class Asker:
    client: str  # whose what is opened will be
    browser: Browser | None = None
    cookies: dict[str, str] = field(default_factory=dict)  # to be given with the reply

    @property
    def user(self) -> str:
        return user_of(self.client)


class Entrance:
    """An ASGI app before another."""

    def __init__(
        self,
        app: ASGIApp,
        way: Way,
        sessions: Sessions,
        desks: Desks,
        inbox: Inbox,
        ration: Ration,
        store: Store | None = None,
        actions: Collection[str] = (),
    ):
        """`actions` are the names of what a page's event or a request of the API about a study does."""
        self.app, self.way, self.sessions, self.desks, self.inbox = app, way, sessions, desks, inbox
        self.actions = actions
        self.ration, self.login = ration, Login(way.accounts, sessions, store)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            await self.http(request, receive, send)
        except Refused as refused:
            reply = refusal(scope["path"], refused.status, refused.message, refused.retry_after)
            if refused.status == 401 and "sec-fetch-site" not in request.headers:  # a browser would ask by itself
                reply.headers["www-authenticate"] = 'Basic realm="medvlm", charset="UTF-8"'
            await reply(scope, receive, send)
        except StoreGone as gone:
            await refusal(scope["path"], 503, str(gone), AGAIN)(scope, receive, send)

    async def http(self, request: Request, receive: Receive, send: Send) -> None:
        scope, path = request.scope, request.scope["path"]
        if path in FREE:
            await self.app(scope, receive, send)
        elif path in ("/", *LOGIN) and request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            await HTMLResponse(ONCE_MORE, headers=OWN)(scope, receive, send)
        elif path in LOGIN:  # which the gate opens where there is one
            reply = await self.login.respond(request, cookie_name(request), address_of(request))
            await reply(scope, receive, send)
        else:
            asker = await self.asker(request)
            if asker is None and path == "/" and self.way.accounts:
                await RedirectResponse("./login", 303, OWN)(scope, receive, send)
            elif asker is None:
                raise Refused(401, UNKNOWN)
            else:
                await self.let_in(request, asker, receive, send)

    async def asker(self, request: Request) -> Asker | None:
        """Who sends a request; `None` where a login is missing. Raises `Refused`."""
        address = address_of(request)
        name, passes = cookie_name(request), not request.scope["path"].endswith(BY_ITSELF)
        browser = await run_in_threadpool(self.sessions.find, request.cookies.get(name), passes)
        user: str | None = address
        if self.way.header:
            user = self.way.header.account(request.headers, request.scope.get(PEER, ""))
        elif self.way.accounts:
            user = await self.account(request, address)
            if user:  # a program, whatever cookies it has
                return Asker(user)
            user = browser.user if browser else None
        if user is None:
            return None
        if browser and browser.user == user:
            return Asker(browser.client, browser)
        if request.scope["path"] != "/" or request.method != "GET":
            return Asker(user)
        value, started = await run_in_threadpool(self.sessions.start, user, self.way.login)
        return Asker(started.client, started, {name: value})

    async def account(self, request: Request, address: str) -> str | None:
        """The account whose name and password a program sends, if it does. Raises `Refused`."""
        given, accounts = credentials(request.headers), self.way.accounts
        if given is None or accounts is None:
            return None
        if not accounts.remembers(*given):
            await self.login.check(*given, address)
            accounts.remember(*given)
        return given[0]

    async def let_in(self, request: Request, asker: Asker, receive: Receive, send: Send) -> None:
        """Hand the request on, with who asks in its scope. Raises `Refused`."""
        scope = {**request.scope, CLIENT: asker.client}
        path, told = scope["path"], _Told(send, request, asker.cookies)
        with ExitStack() as stack:
            if request.method not in READING:
                self.check_origin(request, asker)
                stack.enter_context(self.ration.write(asker.user, path))
            if path == "/uploads":
                self.check_room(asker)
            if path.startswith(PAGE):
                # What a page asks by itself may come when it has said that it is left.
                tab = self.sessions.tab(browser_of(asker), path.split("/")[2], new=not path.endswith(BY_ITSELF))
                if tab and request.method == "GET":
                    stack.enter_context(self.sessions.stream(tab))
            deed = self.deed(scope, asker)
            stack.callback(self.note, deed, told)
            stack.callback(audit.deed.reset, audit.deed.set(deed))
            await self.app(scope, receive, told)
        await told.end()

    def check_origin(self, request: Request, asker: Asker) -> None:
        """The gate has refused wrong ones; of a browser that was let in by its cookie, one must be there."""
        if asker.browser and self.way.login and not {"origin", "sec-fetch-site"} & set(request.headers.keys()):
            raise Refused(403, NO_ORIGIN)

    def check_room(self, asker: Asker) -> None:
        if self.ration.allowance.full(self.desks.held(asker.user), self.desks.held()):
            raise Refused(429, FULL, 60)

    def deed(self, scope: Scope, asker: Asker) -> audit.Deed:
        action, study = audit.action_of(scope["method"], scope["path"], self.actions)
        if scope["path"].startswith(PAGE):
            study = self.desks.study(scope["path"].split("/")[2])
        return audit.Deed(asker.user, asker.browser.name if asker.browser else "", action, study)

    def note(self, deed: audit.Deed, told: _Told) -> None:
        if not deed.later:
            deed.study = deed.study or told.opened
            deed.note(told.status)


class _Told:
    """`send` that gives cookies along, and remembers what the reply was."""

    def __init__(self, send: Send, request: Request, cookies: dict[str, str]):
        self.send, self.request, self.cookies = send, request, cookies
        self.status, self.opened, self.whole = 0, "", False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = Headers(raw=message["headers"])
            self.opened = headers.get("location", "").rpartition("/studies/")[2] if self.status == 201 else ""
            for name, value in self.cookies.items():
                reply = Response()
                give(reply, self.request, name, value)
                message["headers"] = [*message["headers"], *(h for h in reply.raw_headers if h[0] == b"set-cookie")]
        elif message["type"] == "http.response.body":
            self.whole = not message.get("more_body", False)
        await self.send(message)

    async def end(self) -> None:
        """The session was over before the reply was."""
        if self.status and not self.whole:
            await self.send({"type": "http.response.body"})


def browser_of(asker: Asker) -> Browser:
    if asker.browser is None:
        raise Refused(403, NO_SESSION)
    return asker.browser


def cookie_name(request: Request) -> str:
    """Of the session's cookie; browsers share cookies between the ports of a machine."""
    if request.url.scheme == "https":
        return "__Host-medvlm"
    port = re.search(r":(\d+)$", request.headers.get("host", ""))
    return f"medvlm-{port[1]}" if port else "medvlm"


def credentials(headers: Headers) -> tuple[str, str] | None:
    """Name and password of an `Authorization` header: Basic, or Bearer with `name:password` as the key."""
    kind, _, given = headers.get("authorization", "").partition(" ")
    try:
        if kind.lower() == "basic":
            given = base64.b64decode(given.strip(), validate=True).decode("utf-8")
        elif kind.lower() != "bearer":
            return None
    except (binascii.Error, ValueError):
        return None
    name, colon, password = given.strip().partition(":") if kind.lower() == "bearer" else given.partition(":")
    return (name, password) if colon else None


def address_of(request: Request) -> str:
    return network_of(request.client.host if request.client else "")
