"""What Gradio holds of each tab, by the hash that it knows it by: looked at for limits and the log, and forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..uploads import Inbox
from .session import Session


class Tabs:
    def __init__(self, page: Any, inbox: Inbox):
        """`page` is the mounted `gr.Blocks`."""
        self._page, self._inbox = page, inbox

    def session(self, hash: str) -> Session | None:
        state = self._page.state_holder.session_data.get(hash)
        held = list(state.state_data.values()) if state else []
        return next((value for value in held if isinstance(value, Session)), None)

    def study(self, hash: str) -> str:
        """The key of the study that is open in a tab."""
        session = self.session(hash)
        return session.key if session else ""

    def event(self, number: Any) -> str:
        """What the page calls an event."""
        known = self._page.fns.get(number) if isinstance(number, int) else None
        return str(known.name) if known else ""

    def waiting(self, hashes: Iterable[str]) -> int:
        """Events of these tabs whose results have not come yet."""
        pending = self._page._queue.pending_event_ids_session
        return sum(len(pending.get(hash, ())) for hash in hashes)

    def held(self, hashes: Iterable[str] | None = None) -> int:
        """Bytes of the pixels that are open in these tabs, else in all."""
        known = list(self._page.state_holder.session_data) if hashes is None else hashes
        studies = []
        for session in filter(None, map(self.session, known)):
            studies += [session.study, *(prior.study for prior in (session.prior, session.candidate) if prior)]
        return sum(image.nbytes for study in filter(None, studies) for image in study.images)

    def forget(self, hash: str) -> None:
        """Nothing of a tab stays in memory or on disk."""
        session = self.session(hash)
        self._page.state_holder.session_data.pop(hash, None)
        self._page.state_holder.time_last_used.pop(hash, None)
        if session:
            held = session.uploads
            session.clear()
            self._inbox.release(held, set())
