"""What a window of a browser holds: its open studies, one of them shown."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from medvlm.types import Study

from .open_study import Conversation, Layer, OpenStudy, Pending, Prior

if TYPE_CHECKING:
    from .progress import Effort

T = TypeVar("T")

MOST_WAITING = 40  # requests of a window, those included that waited for the page before it was loaded anew

Data = Any  # what a page sends with an event: an object, in which a browser may have put anything
Outputs = dict[str, Any]  # what a page draws, by the name of what draws it


class Desk:
    """The open studies of a window, one shown; it outlives the window's being loaded anew (see `desks`)."""

    def __init__(self) -> None:
        self.tabs = [OpenStudy()]
        self.now = self.tabs[0]
        self.waiting: deque[Pending] = deque()
        self.line: list[Effort] = []  # what the model is asked for, one after another
        self.efforts: list[Effort] = []  # what is worked on for its user
        self.order = asyncio.Lock()  # for changes that build on the one before

    def find(self, tab: object) -> OpenStudy | None:
        return next((one for one in self.tabs if one.tab == tab), None)

    def holder(self, conversation: Conversation) -> OpenStudy | None:
        """The open study with a conversation."""
        return next((one for one in self.tabs if one.chat is conversation), None)

    def add(self) -> None:
        """An empty tab, which is shown, unless the one that is shown is empty."""
        if self.now.study is not None:
            self.now = OpenStudy()
            self.tabs.append(self.now)

    def close(self, one: OpenStudy) -> None:
        """Let go of a study; its neighbour is shown, or an empty tab."""
        at = self.tabs.index(one)
        self.tabs.remove(one)
        self.waiting = deque(p for p in self.waiting if p.conversation is not one.chat)
        self.tabs = self.tabs or [OpenStudy()]
        if one is self.now:
            self.now = self.tabs[min(at, len(self.tabs) - 1)]

    def take(self) -> Pending | None:
        """The request that waits for longest."""
        with suppress(IndexError):
            return self.waiting.popleft()
        return None

    def give_up(self, sentence: str) -> bool:
        """Answer whatever waits with a sentence; whether anything did."""
        waited = False
        while pending := self.take():
            pending.give_up(sentence)
            waited = True
        return waited

    def clear(self) -> None:
        """Let go of everything that came from the user."""
        for effort in list(self.efforts):
            effort.stopped = True
        self.tabs = [OpenStudy()]
        self.now = self.tabs[0]
        self.waiting.clear()

    @property
    def uploads(self) -> set[str]:
        """Those whose files are still needed."""
        return set().union(*(one.uploads for one in self.tabs))

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels that are open."""
        return sum(one.nbytes for one in self.tabs)


class _Shown(Generic[T]):
    """An attribute of the study that is shown, as one of the session."""

    def __set_name__(self, _: type, name: str) -> None:
        self.name = name

    def __get__(self, session: Session, _: type | None = None) -> T:
        value: T = getattr(session.desk.now, self.name)
        return value

    def __set__(self, session: Session, value: T) -> None:
        setattr(session.desk.now, self.name, value)


class Session:
    """What a window shows, and through it all that is open there."""

    study, key, upload, title = _Shown[Study | None](), _Shown[str](), _Shown[str](), _Shown[str]()
    image, plane, cut = _Shown[int](), _Shown[str](), _Shown[int]()
    layer, cleared, chat = _Shown[Layer | None](), _Shown[Layer | None](), _Shown[Conversation]()
    prior, candidate = _Shown[Prior | None](), _Shown[Prior | None]()

    def __init__(self) -> None:
        self.desk = Desk()

    @property
    def waiting(self) -> deque[Pending]:
        return self.desk.waiting

    @property
    def drawn(self) -> Layer | None:
        """What is shown, if it is a region that was drawn on the image in view."""
        top = self.layer
        return top if top and top.drawn and top.on(self.image) else None

    @property
    def layers(self) -> list[Layer]:
        """All of the shown study that can be shown again, of the prior too."""
        return self.desk.now.layers

    @property
    def unsaved(self) -> bool:
        """Whether something was drawn or corrected in any of the open studies, and not saved since."""
        return any(one.unsaved for one in self.desk.tabs)

    @property
    def uploads(self) -> set[str]:
        """Those whose files are still needed."""
        return self.desk.uploads

    def open(self, study: Study, upload: str = "") -> None:
        """Put a new study in the place of the one that is shown."""
        now = self.desk.now
        self.desk.waiting = deque(p for p in self.desk.waiting if p.conversation is not now.chat)
        at = self.desk.tabs.index(now)
        self.desk.now = OpenStudy(study, secrets.token_hex(8), upload, now.title, now.tab, study.default)
        self.desk.tabs[at] = self.desk.now

    def exchange(self) -> None:
        """Put the open study in the prior's place, and the prior in its; each keeps its own chat."""
        old = self.prior
        assert old is not None and self.study is not None
        # Another object, since a request that waits still speaks of the old one.
        self.prior = Prior(
            self.study, self.upload, old.relation.turned,
            key=self.key, image=self.image, layer=self.layer, chat=self.chat,
        )  # fmt: skip
        self.study, self.upload, self.key = old.study, old.upload, old.key
        self.image, self.layer, self.chat, self.cleared = old.image, old.layer, old.chat, None

    def clear(self) -> None:
        """Let go of everything that came from the user."""
        self.desk.clear()
