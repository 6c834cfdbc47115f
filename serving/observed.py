"""Every request: an id of ours, which its answer and its lines in the logs bear; counts; and, where wanted, a line of JSON.

A line says the route and never the address itself, so neither ids nor what was searched for are in it.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .access.audit import request_id
from .metrics import Metrics

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PAGE = (
    "/",
    "/login",
    "/logout",
    "/uploads",
    "/favicon.ico",
    "/theme.css",
    "/assets/{name}",
    "/page/{page}/here",
    "/page/{page}/left",
    "/page/{page}/results",
    "/page/{page}/events/{name}",
)
PROBES = ("/v1/health", "/v1/ready")  # asked so often that their lines would bury the others'
OTHER = "other"
GONE = "gone"  # instead of a status: whoever asked has left before there was an answer

lines = logging.getLogger("medvlm.requests")


class Observed:
    """An ASGI app before all others."""

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: Iterable[str] = ()):
        """`routes` are those of the API, as "/v1/studies/{id}"."""
        self.app, self.metrics = app, metrics
        self.routes = [
            (re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(route))), route) for route in (*routes, *PAGE)
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, id = time.monotonic(), GONE, secrets.token_hex(8)
        mark = request_id.set(id)

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
                message["headers"] = [*message["headers"], (b"x-request-id", id.encode())]
            await send(message)

        try:
            await self.app(scope, receive, told)
        finally:
            request_id.reset(mark)
            self.note(scope, status, time.monotonic() - began, id)

    def note(self, scope: Scope, status: str, seconds: float, id: str) -> None:
        method = scope["method"] if scope["method"] in METHODS else OTHER
        route = self.route(scope["path"])
        self.metrics.requests.labels(method, route, status).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        if lines.isEnabledFor(logging.INFO) and not (route in PROBES and status == "200"):
            line = {"request": id, "method": method, "route": route, "status": status, "seconds": round(seconds, 4)}
            lines.info(json.dumps({"time": _now(), "level": "info", **line}))

    def route(self, path: str) -> str:
        """The route that a path takes, without what is in it."""
        return next((route for pattern, route in self.routes if pattern.fullmatch(path)), OTHER)


class AsJson(logging.Formatter):
    """A log record as a line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        said = {"level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        return json.dumps({"time": _now(), **said})


def log_json() -> None:
    """From now on each request is a line of JSON on stderr, and so is whatever else is logged there."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    lines.handlers[:], lines.propagate = [handler], False
    lines.setLevel(logging.INFO)
    for other in logging.getLogger().handlers:
        other.setFormatter(AsJson())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
