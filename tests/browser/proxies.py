"""A reverse proxy as sites have them: under a path that it takes away or leaves, holding replies back, losing uploads."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass

HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass
class Proxy:
    port: int  # of the server behind it
    prefix: str = ""  # of its own addresses
    strips: bool = True  # takes the prefix away
    buffers: bool = False  # sends a reply when all of it is there
    loses: bool = False  # ends an upload with its last hundredth missing

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Its address, with the prefix."""
        handler = type("Handler", (_Handler,), {"proxy": self})
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
            web.daemon_threads, web.block_on_close = True, False
            threading.Thread(target=web.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{web.server_address[1]}{self.prefix}/"
            web.shutdown()


class _Handler(http.server.BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        proxy, self.close_connection = self.proxy, True
        if proxy.prefix and not self.path.startswith(f"{proxy.prefix}/"):
            self.send_error(404)
            return
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        behind = http.client.HTTPConnection("127.0.0.1", proxy.port)
        lost = proxy.loses and self.path.endswith("/uploads")
        path = self.path.removeprefix(proxy.prefix) if proxy.strips else self.path
        behind.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "connection":
                behind.putheader(name, value)
        behind.endheaders()
        behind.send(body[: len(body) * 99 // 100] if lost else body)
        if lost:
            behind.close()
            return
        with contextlib.suppress(OSError, http.client.HTTPException):  # either side may be gone
            self.hand_back(behind.getresponse())
        behind.close()

    do_POST = do_DELETE = do_OPTIONS = do_GET

    def hand_back(self, reply: http.client.HTTPResponse) -> None:
        whole = reply.read() if self.proxy.buffers else None
        self.send_response(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.send_header("connection", "close")
        self.end_headers()
        if whole is not None:
            self.wfile.write(whole)
            return
        while part := reply.read1(65536):
            self.wfile.write(part)
            self.wfile.flush()

    def log_message(self, *_: object) -> None:
        pass
