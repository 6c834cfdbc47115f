"""What stands before the page: the names it answers to, the routes it opens, and the headers that keep all else out."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medvlm.errors import RequestError

from ..api.errors import ApiError
from .limits import Paced

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# All that the page asks for. Whatever else Gradio offers is closed, also what a later version may bring.
OPEN = [
    ("GET", r"/"),
    ("GET", r"/assets/[\w-]+(\.[\w-]+)+"),
    ("GET", r"/static/js/iframeResizer\.contentWindow\.min\.js"),
    ("GET", r"/theme\.css"),
    ("GET", r"/favicon\.ico"),
    ("GET", r"/page/\w{1,64}/(here|results)"),
    ("POST", r"/page/\w{1,64}/(left|events/\w{1,20})"),
    ("POST", r"/uploads"),
]
PLACES = ("/", "/login", "/logout")  # that a link on another site may lead to
# The API says itself what of it there is.
API = r"/v1/(health|ready|metrics|models|chat/completions|openapi\.json|studies(/.*)?)"
# 'unsafe-eval' is what Gradio needs to start the page's own components; scripts and handlers inside HTML stay dead.
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval' {scripts}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'self'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
# Scripts are looked for in the page, so it must not be compressed; and Gradio takes its own address from whoever says it.
MISLEADING = (b"accept-encoding", b"x-gradio-server")
WRONG_NAME = "The page is not served under this name; `medvlm serve --allow-host NAME` adds one."
WRONG_ORIGIN = "Another site asked for this; open the page itself."
NOTHING = "There is nothing here."
OWN_SITES = ("same-origin", "none")  # what `Sec-Fetch-Site` says where no other site has a hand in it


def host_name(text: str) -> str:
    """A host's name or address as browsers write it in `Host`, without brackets. Raises `RequestError`."""
    name = text.strip().lower()
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    if not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", name):
        raise RequestError(f"{text!r} is not a host's name; give it as in page.example.org, without http:// and port.")
    return name


def split_host(value: str) -> str | None:
    """The name in a `Host` header, or `None` where it is none: "localhost:7860" → "localhost"."""
    found = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(:\d+)?", value)
    try:
        return host_name(found[1]) if found else None
    except RequestError:
        return None


class Gate:
    """An ASGI app before another. Of the names that it answers to, `hosts` are the served one and `allowed` those that
    the user added: a proxy may serve the page under these, so they are taken as an `Origin` whatever `Host` says."""

    def __init__(
        self,
        app: ASGIApp,
        hosts: Iterable[str] = (),
        allowed: Iterable[str] = (),
        scripts: Iterable[str] = (),
        routes: Iterable[tuple[str, str]] = (),
    ):
        """`routes` are open besides those of the page."""
        self.app, self.routes = app, [*OPEN, *routes]
        self.allowed = set(map(host_name, allowed))
        self.hosts = {*LOOPBACK, *map(host_name, hosts), *self.allowed}
        self.scripts = [_hash(text) for text in scripts]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # the page uses none
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self.http(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        send, receive = _with_headers(send), Paced(receive)
        reason = self.refusal(method, path, Headers(scope=scope))
        if reason:
            await refusal(path, 403, reason)(scope, receive, send)
        elif not re.fullmatch(API, path) and not any(
            method == verb and re.fullmatch(route, path) for verb, route in self.routes
        ):
            await refusal(path, 404, NOTHING)(scope, receive, send)
        elif path == "/" and scope["query_string"]:  # a link must not choose what Gradio shows
            await RedirectResponse("./", 303)(scope, receive, send)
        elif path == "/":
            plain = [(name, value) for name, value in scope["headers"] if name not in MISLEADING]
            await self.app({**scope, "headers": plain}, receive, _Page(send, self.scripts))
        else:
            await self.app(scope, receive, send)

    def refusal(self, method: str, path: str, headers: Headers) -> str | None:
        """Why a request is refused by where it is sent to and from: DNS rebinding and foreign sites stop here."""
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        said = [name.strip() for value in headers.getlist("x-forwarded-host") for name in value.split(",")]
        if len(hosts) != 1 or not {split_host(name) for name in [*hosts, *said]} <= self.hosts:
            return WRONG_NAME
        for origin in origins:
            place = re.fullmatch(r"https?://(.+)", origin.lower())
            if not place or (place[1] != hosts[0].lower() and split_host(place[1]) not in self.allowed):
                return WRONG_ORIGIN
        linked = method == "GET" and headers.get("sec-fetch-mode") == "navigate" and path in PLACES
        if not linked and headers.get("sec-fetch-site", "none") not in OWN_SITES:
            return WRONG_ORIGIN
        return None


def refusal(path: str, status: int, sentence: str, retry_after: int | None = None) -> JSONResponse:
    """A refusal in the form of the API, or of the page."""
    reply = ApiError(status, sentence, retry_after=retry_after).response()
    if re.match(r"/v1(/|$)", path):
        return reply
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    return JSONResponse({"detail": sentence}, status, headers)


class _Page:
    """`send` for the page itself: holds it back until the scripts in it are known, and allows these."""

    def __init__(self, send: Send, scripts: list[str]):
        self.send, self.scripts, self.body = send, scripts, b""
        self.start: Message = {}

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            return
        if message["type"] != "http.response.body":
            await self.send(message)
            return
        self.body += message.get("body", b"")
        if message.get("more_body"):
            return
        inline = re.findall(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", self.body.decode(), re.DOTALL)
        known = [*map(_hash, inline), *self.scripts]
        MutableHeaders(scope=self.start)["content-security-policy"] = POLICY.format(scripts=" ".join(known))
        await self.send(self.start)
        await self.send({"type": "http.response.body", "body": self.body})


def _with_headers(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("content-security-policy", POLICY.format(scripts=""))
        await send(message)

    return wrapped


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
