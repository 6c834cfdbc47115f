"""What the page's events around its tabs do: another open study is shown, one is closed, and all are found after a reload."""

from __future__ import annotations

from ..uploads import Inbox
from .handlers import shown
from .session import Data, Outputs, Session


class Studies:
    """The listeners of the page for its tabs; all that belongs to a user is in `Session`."""

    def __init__(self, inbox: Inbox):
        self.inbox = inbox

    def show_study(self, session: Session, data: Data) -> Outputs:
        """Another of the open studies."""
        one = session.desk.find(data.get("tab"))
        if one is not None:
            session.desk.now = one
        return shown(session)

    def close_study(self, session: Session, data: Data) -> Outputs:
        """Nothing of it stays."""
        one, held = session.desk.find(data.get("tab")), session.uploads
        if one is not None:
            session.desk.close(one)
            self.inbox.release(held, session.uploads)
        return shown(session)
