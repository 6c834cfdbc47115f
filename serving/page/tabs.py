"""What Gradio holds of each tab, by the hash that it knows it by: looked at for limits and the log, and forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .session import Session


class Tabs:
    def __init__(self, page: Any):
        """`page` is the mounted `gr.Blocks`, which has `desks`."""
        self._page = page

    def session(self, hash: str) -> Session | None:
        state = self._page.state_holder.session_data.get(hash)
        held = list(state.state_data.values()) if state else []
        return next((value for value in held if isinstance(value, Session)), None)

    def study(self, hash: str) -> str:
        """The key of the study that is open in a tab."""
        session = self.session(hash)
        return session.key if session else ""

    def overtaken(self, hash: str) -> bool:
        """Whether what is open in a tab was opened in another one since, which alone changes it then."""
        overtaken: bool = self._page.desks.overtaken(hash)
        return overtaken

    def event(self, number: Any) -> str:
        """What the page calls an event."""
        known = self._page.fns.get(number) if isinstance(number, int) else None
        return str(known.name) if known else ""

    def waiting(self, hashes: Iterable[str]) -> int:
        """Events of these tabs whose results have not come yet."""
        pending = self._page._queue.pending_event_ids_session
        return sum(len(pending.get(hash, ())) for hash in hashes)

    def held(self, user: str | None = None, hashes: Iterable[str] | None = None) -> int:
        """Bytes of the pixels that are open, in all tabs or in these of a user, with what their closed windows left for a while."""
        known = list(self._page.state_holder.session_data) if hashes is None else hashes
        sessions = filter(None, map(self.session, known))
        desks = {*(session.desk for session in sessions), *self._page.desks.parted(user)}
        return sum(desk.nbytes for desk in desks)

    def forget(self, hash: str) -> None:
        """A tab was closed: nothing of it stays in memory or on disk, unless it comes back within some minutes."""
        session = self.session(hash)
        self._page.state_holder.session_data.pop(hash, None)
        self._page.state_holder.time_last_used.pop(hash, None)
        self._page.desks.part(session, hash)

    def leave(self, client: str) -> None:
        """Log-out: nothing of a client stays."""
        self._page.desks.leave(client)
