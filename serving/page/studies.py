"""What the page's events around its tabs do: another open study is shown, one is closed, and all are found after a reload."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..access.clients import client_of
from ..uploads import Inbox
from . import payload
from .desks import Desks
from .handlers import field, message
from .session import Session

NOTHING = (gr.skip(), gr.skip(), gr.skip(), gr.skip())


class Studies:
    """The listeners of the page for its tabs; all that belongs to a user is in `Session`."""

    def __init__(self, desks: Desks, inbox: Inbox):
        self.desks, self.inbox = desks, inbox

    def enter(self, window: Any, session: Session, request: gr.Request) -> tuple:
        """The page was loaded, in a window that names itself: what was open there before."""
        if request.request is not None and isinstance(window, str) and window:
            self.desks.enter(session, client_of(request.request), window[:64], str(request.session_hash))
        return shown(session) if session.study is not None else NOTHING

    def show_study(self, session: Session, event: gr.EventData) -> tuple:
        """Another of the open studies."""
        one = session.desk.find(field(event, "tab"))
        if one is not None:
            session.desk.now = one
        return shown(session)

    def close_study(self, session: Session, event: gr.EventData) -> tuple:
        """Nothing of it stays."""
        one, held = session.desk.find(field(event, "tab")), session.uploads
        if one is not None:
            session.desk.close(one)
            self.inbox.release(held, session.uploads)
        return shown(session)


def shown(session: Session) -> tuple:
    """Chat, picture, layer, message."""
    return payload.chat(session), payload.picture(session), payload.layer(session), message(session)
