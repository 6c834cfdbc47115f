"""Servers that stop when a test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from .language_models import Served


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[BaseHTTPRequestHandler], None]], Served]]:
    servers: list[Served] = []

    def start(answer: Callable[[BaseHTTPRequestHandler], None]) -> Served:
        servers.append(Served(answer))
        return servers[-1]

    yield start
    for one in servers:
        one.server.shutdown()
        one.server.server_close()
