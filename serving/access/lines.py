"""Connections: one that does not say what it wants is closed, and no machine takes the room of all others."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .accounts import Proxies

HEAD_S = 20.0  # seconds for the headers of a request to come
MOST_OF_ONE = 256  # connections of one machine


def lines(trusted: Proxies, most: int = MOST_OF_ONE, head_s: float = HEAD_S) -> type[H11Protocol]:
    """uvicorn's connection with these limits; the `trusted` proxies, who speak for many, may have more than `most`."""

    class Line(H11Protocol):
        late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.wait_for_head()
            peer = self.client[0] if self.client else ""
            of_one = sum(_peer(line) == peer for line in self.connections)
            if of_one > most and peer not in trusted:
                transport.close()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self.rest()
            elif self.late is None:
                self.wait_for_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self.rest()
            super().connection_lost(exc)

        def wait_for_head(self) -> None:
            self.late = self.loop.call_later(head_s, self.transport.close)

        def rest(self) -> None:
            if self.late:
                self.late.cancel()
                self.late = None

    return Line


def _peer(line: Any) -> str:
    return line.client[0] if line.client else ""
