"""Served under a path of another site, by a proxy that takes the path away or leaves it."""

from __future__ import annotations

import re

from starlette.datastructures import MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medvlm.errors import RequestError


def check_prefix(text: str) -> str:
    """A path as `Prefixed` takes it: "/medvlm/" → "/medvlm", "/" → "". Raises `RequestError`."""
    path = text.rstrip("/")
    if path and not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+", path):
        raise RequestError(
            f"{text!r} is no path that the page can be served under; give one as in --root-path /medvlm."
        )
    return path


class Prefixed:
    """An ASGI app before another, which hears of no prefix: its own addresses are relative, but for those in `Location`."""

    def __init__(self, app: ASGIApp, prefix: str):
        self.app, self.prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("location", "").startswith("/"):
                    headers["location"] = self.prefix + headers["location"]
            await send(message)

        path = scope["path"]
        if path == self.prefix:  # without the slash, relative addresses would lead beside it
            await RedirectResponse(f"{self.prefix}/", 308)(scope, receive, send)
        elif path.startswith(f"{self.prefix}/"):
            inner = path.removeprefix(self.prefix)
            await self.app({**scope, "path": inner, "raw_path": inner.encode()}, receive, told)
        else:
            await self.app(scope, receive, told)
