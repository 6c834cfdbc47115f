"""What each event of the page does: at once, and one after another after its answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..dicomweb import AT_ONCE, Dicomweb
from ..fairness import Shares
from ..uploads import Inbox
from . import looking
from .archive import ArchivePanel
from .correcting import Correcting
from .drawing import Drawing
from .handlers import Handlers, shown
from .priors import Priors
from .progress import Work
from .session import Data, Outputs, Session
from .studies import Studies
from .wire import Event, Handler
from .words import WORDS

READ_AT_ONCE, READ_OF_ONE = 32, 8  # studies that are read from files at a time, of all and of one user
WRITTEN_AT_ONCE, WRITTEN_OF_ONE = 16, 4  # files that are written to be saved
ASKED_OF_ONE = AT_ONCE // 2  # requests of one user to the archive


def events_of(
    assistant: Callable[[], Any],
    inbox: Inbox,
    dicomweb: Dicomweb | None = None,
    check_room: Callable[[int], None] = lambda more: None,
) -> dict[str, Event]:
    """The page's events over the assistant that `assistant()` returns, which may wait until the model is loaded; `check_room`
    as the one of `Handlers`."""
    do, prior, drawing = (
        Handlers(assistant, inbox, check_room),
        Priors(assistant, inbox, check_room),
        Drawing(assistant),
    )
    correcting, studies, files = Correcting(), Studies(inbox), Shares(READ_AT_ONCE, READ_OF_ONE)

    def reading(handler: Handler) -> Event:
        return Event(then=(Work(handler, WORDS["working.reading"], in_line=False, beside=files), describe))

    describe = Work(plain(do.describe), WORDS["working.looking"])
    work = Work(plain(do.work), WORDS["working.answering"])
    lay = Work(plain(prior.lay), WORDS["working.laying"])
    places = Shares(WRITTEN_AT_ONCE, WRITTEN_OF_ONE)
    writing = Work(do.download, WORDS["working.writing"], in_line=False, drop=True, beside=places)
    events = {
        "enter": Event(plain(shown), (Work(plain(do.resume), WORDS["working.answering"]),)),
        "show_study": Event(studies.show_study),
        "close_study": Event(studies.close_study),
        "open_upload": reading(do.open_upload),
        "open_example": reading(do.open_example),
        "open_series": reading(do.open_series),
        "ask": Event(lambda session, data: do.ask(data.get("text"), session), (work,)),
        "find": Event(lambda session, data: do.find(data.get("text"), session), (work,)),
        "report": Event(plain(do.report), (work,)),
        "check": Event(do.check, (work,)),
        "move": Event(do.move, (work,)),
        "recall": Event(do.recall),
        "slice": Event(do.slice),
        "thumbnails": Event(looking.thumbnails),
        "planes": Event(looking.planes),
        "detail": Event(looking.detail),
        "clear_layer": Event(plain(do.clear_layer)),
        "paint": Event(drawing.paint, ordered=True),
        "correct": Event(correcting.correct, ordered=True),
        "step": Event(correcting.step, ordered=True),
        "segment": Event(then=(Work(drawing.segment, WORDS["working.segmenting"]),)),
        "carry": Event(then=(Work(drawing.carry, WORDS["working.carrying"]),)),
        "prior": Event(then=(Work(prior.take, in_line=False, beside=files), lay)),
        "agree": Event(prior.agree, (lay,)),
        "swap": Event(then=(Work(plain(prior.swap), WORDS["working.exchanging"]),)),
        "close_prior": Event(plain(prior.close)),
        "download": Event(then=(writing,)),
        "stop": Event(plain(do.stop)),
    }
    if dicomweb:
        held, lines = ArchivePanel(dicomweb, do), Shares(AT_ONCE, ASKED_OF_ONE)
        search, fetch, store = (
            Work(handler, in_line=False, beside=lines)
            for handler in (held.archive_search, held.archive_open, plain(held.archive_store))
        )
        events |= {"archive_search": Event(then=(search,)), "archive_store": Event(then=(store,))}
        events["archive_open"] = Event(then=(fetch, describe))
    return events


def plain(handler: Callable[[Session], Outputs]) -> Handler:
    """A listener to which it is all the same what came with the event."""

    def handle(session: Session, _: Data) -> Outputs:
        return handler(session)

    return handle
