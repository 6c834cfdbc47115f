"""Servers of a test's own, in this process."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn


@contextlib.contextmanager
def served(app: Any, host: str = "127.0.0.1", **options: Any) -> Iterator[int]:
    """The port that an app is served on meanwhile; `options` are uvicorn's."""
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as bound:
        web = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1, **options))
        thread = threading.Thread(target=web.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        try:
            end = time.monotonic() + 30
            while not web.started:
                assert thread.is_alive() and time.monotonic() < end, "the server does not start"
                time.sleep(0.01)
            yield bound.getsockname()[1]
        finally:
            web.should_exit = True
            thread.join(20)


def results_of(client: Any, page: str) -> list[dict[str, Any]]:
    """What a page is sent until nothing more is to come."""
    read, results = 0, []
    while True:
        reply = client.get(f"/page/{page}/results", params={"read": read}).json()
        results += [outputs for _, outputs in reply["results"]]
        read = max([read, *(number for number, _ in reply["results"])])
        if not reply["more"]:
            return results


def cookie_of(port: int) -> str:
    """The cookie of a browser that has just opened the page."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(line):
        line.request("GET", "/")
        given = line.getresponse().getheader("set-cookie") or ""
    return given.partition(";")[0]
