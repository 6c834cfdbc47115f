"""Connections: one that does not say what it wants, or does not take its reply, is closed, and no machine takes the room of all
others."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from .accounts import Proxies
from .gate import refusal

HEAD_S = 20.0  # seconds for the headers of a request to come
READ_S = (
    60.0  # seconds in which some of a reply has to be taken; the system's buffer hides what is taken slowly for a while
)
MOST, MOST_OF_ONE = 512, 256  # connections, of all and of one machine
MOST_UNREAD = 2**28  # bytes of replies to one machine that it has not taken yet, beside which no other one is begun …
MOST_UNREAD_OF_PROXY = 2**31  # … nor to a proxy
CROWDED = "Too many are connected to this server at this moment; try again in a few seconds."


async def crowded(scope: Scope, receive: Receive, send: Send) -> None:
    """What answers on a connection for which there is no room."""
    reply = refusal(scope["path"], 503, CROWDED, 5)
    reply.headers["connection"] = "close"
    await reply(scope, receive, send)


def lines(
    trusted: Proxies,
    most_of_one: int = MOST_OF_ONE,
    head_s: float = HEAD_S,
    read_s: float = READ_S,
    most_unread: int = MOST_UNREAD,
    most: int = MOST,
) -> type[H11Protocol]:
    """uvicorn's connection with these limits; the `trusted` proxies, who speak for many, may have more than
    `most_of_one`."""

    class Line(H11Protocol):
        late: asyncio.TimerHandle | None = None
        slow: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.wait_for_head()
            if len(self.of_same_machine()) > most_of_one and _peer(self) not in trusted:
                transport.close()
            elif len(self.connections) > most:
                self.app = crowded

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self.rest()
            elif self.late is None:
                self.wait_for_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self.rest()
            self.resume_writing()
            super().connection_lost(exc)

        def wait_for_head(self) -> None:
            self.late = self.loop.call_later(head_s, self.transport.close)

        def rest(self) -> None:
            if self.late:
                self.late.cancel()
                self.late = None

        def pause_writing(self) -> None:
            """More of a reply waits here than is taken at once."""
            super().pause_writing()
            unread = sum(_unread(line) for line in self.of_same_machine() if line is not self)
            if unread > (MOST_UNREAD_OF_PROXY if _peer(self) in trusted else most_unread):
                self.transport.abort()
            else:
                self.wait_for_reader()

        def resume_writing(self) -> None:
            if self.slow:
                self.slow.cancel()
                self.slow = None
            super().resume_writing()

        def wait_for_reader(self) -> None:
            self.slow = self.loop.call_later(read_s, self.look_at_reader, _unread(self))

        def look_at_reader(self, before: int) -> None:
            if _unread(self) >= before:
                self.transport.abort()
            else:
                self.wait_for_reader()

        def of_same_machine(self) -> list[Any]:
            return [line for line in self.connections if _peer(line) == _peer(self)]

    return Line


def _peer(line: Any) -> str:
    return line.client[0] if line.client else ""


def _unread(line: Any) -> int:
    """Bytes of its reply that are not taken yet."""
    return line.transport.get_write_buffer_size()
