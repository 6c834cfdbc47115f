"""What the page's events do: a session and what the user did → what the page shows. All logic of images is `Assistant`'s."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import replace
from typing import Any

from medvlm.errors import MedVLMError, RequestError
from medvlm.perception.planes import planes_of
from medvlm.report.sentences import check_report_text
from medvlm.types import Study
from medvlm.validation import check_image, check_phrase, check_question

from ..access import audit
from ..turns import Abandoned
from ..uploads import Inbox, needs_files
from . import payload
from .examples import EXAMPLES, load_example
from .open_study import MOST_MESSAGES, Pending, said
from .progress import go_on, stop
from .replies import greeting, reply_to
from .saving import download
from .session import MOST_WAITING, Data, Outputs, Session
from .windows import display_of
from .words import WORDS

SORRY = WORDS["chat.sorry"]
OPEN_FIRST = WORDS["files.open_first"]
GIVEN_UP = WORDS["chat.given_up"]
MOST_TABS = 16  # studies that are open in one window
CROWDED = WORDS["files.crowded"].format(most=MOST_TABS)
CHAT_FULL, MANY = WORDS["chat.full"].format(most=MOST_MESSAGES), WORDS["events.many"]
WORKING = "…"
CHECKS = {"ask": check_question, "find": check_phrase, "check": check_report_text}  # of what is asked, by its kind
SHOWN = {  # of it in the chat
    "ask": "{text}",
    "find": WORDS["chat.find"],
    "report": WORDS["chat.draft"],
    "check": WORDS["chat.check"],
}

log = logging.getLogger("medvlm.serving")


def told(error: Exception) -> str:
    """The one sentence for the user. Logs say where a fault of ours arose, never its message: it may quote a patient."""
    if isinstance(error, MedVLMError):
        audit.failed(422)
        return str(error)
    audit.failed(500)
    if isinstance(error, Abandoned | CancelledError):
        return GIVEN_UP
    place = traceback.extract_tb(error.__traceback__)[-1]
    log.error("%s at %s:%s", type(error).__name__, place.filename, place.lineno)
    return SORRY


def message(session: Session, note: str = "", **file: str) -> Outputs:
    """What the page's scripts are told beside pictures and regions: that a request is done, a note, a file to save."""
    studies = [
        {"tab": one.tab, "title": one.title, "shown": one is session.desk.now, "unsaved": one.unsaved}
        for one in session.desk.tabs
        if one.study is not None
    ]
    return {"message": {"note": note, "unsaved": session.unsaved, "studies": studies, **file}}


def shown(session: Session, note: str = "") -> Outputs:
    """All that the page draws of the study that is shown."""
    drawn = {"chat": payload.chat(session), "picture": payload.picture(session), "layer": payload.layer(session)}
    return drawn | message(session, note)


class Handlers:
    """The listeners of the page: a session and what came with an event → what is drawn anew. They hold the model and the
    inbox; all that belongs to a user is in `Session`."""

    def __init__(
        self, assistant: Callable[[], Any], inbox: Inbox, check_room: Callable[[int], None] = lambda more: None
    ):
        """`check_room` raises where the user whose event it is has no room for so many more bytes of pixels."""
        self.assistant, self.inbox, self.check_room = assistant, inbox, check_room

    # Opening

    def open_upload(self, session: Session, data: Data) -> Outputs:
        upload = data.get("upload")
        return self.open(session, lambda: self.inbox.read(upload, values=True), upload)

    def open_example(self, session: Session, data: Data) -> Outputs:
        name = str(data.get("name"))
        return self.open(session, lambda: load_example(name), title=EXAMPLES.get(name, ""))

    def open_series(self, session: Session, data: Data) -> Outputs:
        """Another series of the upload that is open, in its place."""
        upload, read = session.upload, lambda: self.inbox.read(session.upload, data.get("number"), True)
        return self.open(session, read, upload, session.title, here=True)

    def open(
        self,
        session: Session,
        read: Callable[[], Study],
        upload: str = "",
        title: str = "",
        here: bool = False,
    ) -> Outputs:
        """Show what `read` gives in a tab of its own, or `here` in the place of what is shown; the files that it may be read
        from again stay until that is closed."""
        audit.about("")  # it has no name yet
        try:
            if not here and len(session.desk.tabs) >= MOST_TABS:
                raise RequestError(CROWDED)
            title = title or self.inbox.title(upload)
            study, held, left = read(), session.uploads, session.desk.now.nbytes if here else 0
            go_on()
            self.check_room(study.nbytes - left)
            if not here:
                session.desk.add()
            session.title = title or WORDS["studies.numbered"].format(number=len(session.desk.tabs))
            session.open(study, upload if needs_files(study) else "")
            self.inbox.release(held, session.uploads)
        except Exception as error:  # a bad file must leave all that is open as it is
            self.inbox.release([upload] if isinstance(upload, str) else [], session.uploads)
            session.chat.say(told(error))
            return {"chat": payload.chat(session), **message(session, WORDS["files.not_opened"])}
        session.chat.say(WORKING)
        return shown(session)

    def describe(self, session: Session) -> Outputs:
        """What the model takes studies for, in place of the first message after opening."""
        for one in list(session.desk.tabs):
            first = one.chat.messages[0] if one.chat.messages else {"content": ""}
            if one.study is not None and first["content"] == WORKING:
                first["content"] = self.described(one.study)
        return {"chat": payload.chat(session)}

    def described(self, study: Study) -> str:
        try:
            assistant = self.assistant()
            return greeting(study, assistant.facts(study), assistant.policy)
        except Exception as error:
            return told(error)

    # Chat: `submit` shows the request at once, `work` answers it when the model is free

    def ask(self, text: str, session: Session) -> Outputs:
        return self.submit("ask", text, session)

    def find(self, text: str, session: Session) -> Outputs:
        return self.submit("find", text, session)

    def report(self, session: Session) -> Outputs:
        return self.submit("report", "", session)

    def check(self, session: Session, data: Data) -> Outputs:
        """An existing report that was pasted into the panel."""
        return self.submit("check", data.get("text"), session)

    def submit(self, kind: str, text: Any, session: Session) -> Outputs:
        """Put a request into the chat and the queue; the text is given back where it was `accepted`."""
        chat = session.chat
        try:
            if session.study is None:
                raise RequestError(OPEN_FIRST)
            if chat.full or len(session.waiting) >= MOST_WAITING:
                raise RequestError(CHAT_FULL if chat.full else MANY)
            checked = CHECKS.get(kind, str)(text)
        except MedVLMError as error:
            if not chat.messages or chat.messages[-1]["content"] != str(error):
                chat.say(str(error))
            return {"chat": payload.chat(session)}
        chat.say(SHOWN[kind].format(text=checked), "user")
        waits = Pending(kind, checked, session.study, session.image, chat, chat.say(WORKING), session.drawn)
        session.waiting.append(replace(waits, prior=session.prior))
        return {"chat": payload.chat(session), "accepted": text}

    def move(self, session: Session, data: Data) -> Outputs:
        """Ask a question again at another operating point: its answer is replaced where it stands."""
        index, point, chat = data.get("index"), data.get("point"), session.chat
        turn = chat.turns.get(index) if isinstance(index, int) else None
        operating = turn.answer.operating if turn else None
        if turn is None or operating is None or type(point) is not int or not 0 <= point < len(operating.curve):
            return {}
        if len(session.waiting) >= MOST_WAITING:
            return {"chat": payload.chat(session), **message(session, MANY)}
        turn.wanted = point
        again = Pending("ask", turn.question, session.study, turn.image, chat, index, turn.drawn)
        session.waiting.append(replace(again, at=point, sensitivity=operating.curve[point].asked))
        return {"chat": payload.chat(session)}

    def work(self, session: Session) -> Outputs:
        """Answer the oldest request that waits."""
        desk = session.desk
        pending = desk.take()
        if pending is None or pending.overtaken:  # the chat again: an answer given beside a refusal may have hidden it
            return {"chat": payload.chat(session)}
        entry = pending.conversation.messages[pending.reply]
        try:
            reply, layer = reply_to(pending, self.assistant())
        except (Abandoned, CancelledError):  # the page is loaded anew, and goes on with it
            desk.waiting.appendleft(pending)
            return {"chat": payload.chat(session)}
        except Exception as error:
            reply, layer = said(told(error)), None
        pending.settle()
        entry.update(reply)
        holder = desk.holder(pending.conversation)  # whose tab need not be shown any more
        if layer is None or holder is None or holder.study is not pending.study:
            return {"chat": payload.chat(session)}
        pending.conversation.layers[pending.reply] = holder.layer = layer
        return {"chat": payload.chat(session), **({"layer": payload.layer(session)} if holder is desk.now else {})}

    def resume(self, session: Session) -> Outputs:
        """What a page that was loaded anew still waits for: as `work`, one after another."""
        self.describe(session)
        waits = -1
        while len(session.waiting) != waits:  # else the page was closed once more, and what was begun waits again
            waits = len(session.waiting)
            self.work(session)
        return {"chat": payload.chat(session), "layer": payload.layer(session)}

    def stop(self, session: Session) -> Outputs:
        """End what is worked on, and all that waits behind it."""
        waited = stop(session)
        return {"chat": payload.chat(session), **message(session, WORDS["working.stopped_all"] if waited else "")}

    def recall(self, session: Session, data: Data) -> Outputs:
        """Show again what an earlier reply showed."""
        index = data.get("index")
        layer = session.chat.layers.get(index) if isinstance(index, int) else None
        if layer is None:
            return {}
        session.layer = layer
        return {"layer": payload.layer(session)}

    # The viewer: its own events, with what it needs in the event's data

    def slice(self, session: Session, data: Data) -> Outputs:
        """Another image of the study, or of a plane through it; in a plane without a number, the one in the middle."""
        try:
            study, plane, index = opened(session), str(data.get("plane")), data.get("image")
            cut = planes_of(study).get(plane)
            if cut is None or cut.across == 0:
                session.image, session.plane = check_image(session.image if index is None else index, study), ""
            else:
                inside = type(index) is int and 0 <= index < cut.count
                session.plane, session.cut = plane, index if inside else cut.count // 2
        except Exception as error:
            return message(session, told(error))
        return {"picture": payload.picture(session), **message(session)}

    def clear_layer(self, session: Session) -> Outputs:
        """Take all regions off the image; an undo puts them back."""
        session.cleared, session.layer = session.layer or session.cleared, None
        return {"layer": payload.layer(session), **message(session)}

    def download(self, session: Session, data: Data) -> Outputs:
        try:
            opened(session)
            opacity = data.get("opacity")
            opacity = min(1.0, max(0.0, opacity)) if isinstance(opacity, int | float) else 0.0
            name, href = download(session, str(data.get("what")), opacity, self.inbox.folder, display_of(data))
        except Exception as error:
            return message(session, told(error))
        return message(session, WORDS["viewer.saved"].format(name=name), name=name, href=href)


def opened(session: Session) -> Study:
    if session.study is None:
        raise RequestError(OPEN_FIRST)
    return session.study
