"""What the page's events around a prior do: one is read, agreed on, laid on the open study, exchanged with it, closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from medvlm.report.alignment import Alignment, align, check_installed
from medvlm.report.prior import check_kind, middle_on_middle
from medvlm.studies.priors import Relation, relate, remarks_on
from medvlm.types import Study

from ..uploads import Inbox, needs_files
from . import payload
from .handlers import message, opened, shown, told
from .open_study import Prior
from .session import Data, Outputs, Session
from .words import WORDS

LAYING = WORDS["prior.laying"]
NOT_OPENED = WORDS["prior.not_opened"]
OTHER_PATIENT = WORDS["prior.other_patient"]
UNLAID = WORDS["prior.unlaid"]


class Priors:
    """The listeners of the page for a prior; all that belongs to a user is in `Session`."""

    def __init__(
        self, assistant: Callable[[], Any], inbox: Inbox, check_room: Callable[[int], None] = lambda more: None
    ):
        """`check_room` as the one of `Handlers`."""
        self.assistant, self.inbox, self.check_room = assistant, inbox, check_room

    def take(self, session: Session, data: Data) -> Outputs:
        """Read an upload as the prior of what is open, or another series of what is the prior already; the user is asked where
        the ids are those of two patients."""
        upload, number, old = data.get("upload"), data.get("number"), session.prior
        if number is not None and old is not None:
            return self.take_series(session, old, number)
        try:
            study = opened(session)
            check_installed()
            prior = self.inbox.read(upload, values=True)
            self.check_room(prior.nbytes)
            kept = upload if needs_files(prior) else ""
            relation = self.relation(session.upload, kept)
        except Exception as error:  # a bad file must leave all that is open as it is
            self.inbox.release([upload] if isinstance(upload, str) else [], session.uploads)
            session.chat.say(told(error))
            return {"chat": payload.chat(session), **message(session, NOT_OPENED)}
        if study is not session.study:  # another one was opened meanwhile
            self.inbox.release([upload], session.uploads)
            return message(session)
        agreed, held = relation.same_patient is not False, session.uploads
        session.candidate = Prior(prior, kept, relation, agreed, image=prior.default)
        self.inbox.release(held, session.uploads)
        return message(session, LAYING, stay="yes") if agreed else message(session, ask=OTHER_PATIENT)

    def take_series(self, session: Session, old: Prior, number: Any) -> Outputs:
        """Read another series of the prior, which is laid in its place: what was agreed on it stays, and so does the order."""
        try:
            prior = self.inbox.read(old.upload, number, values=True)
            self.check_room(prior.nbytes)
        except Exception as error:
            session.chat.say(told(error))
            return {"chat": payload.chat(session), **message(session, NOT_OPENED)}
        if session.prior is not old:
            return message(session)
        session.candidate = Prior(
            prior, old.upload, old.relation, exchanged=old.exchanged, ordered=True, image=prior.default
        )
        return message(session, LAYING, stay="yes")

    def relation(self, upload: str, other: str) -> Relation:
        """How the headers of one upload stand to those of another; nothing is known where the files of one are gone."""
        if not (upload and other):
            return Relation(None, None)
        return relate(self.inbox.files(upload), self.inbox.files(other), self.inbox.limits)

    def agree(self, session: Session, data: Data) -> Outputs:
        """The user takes the study of another patient all the same, or does not."""
        if session.candidate and data.get("sure") is True:
            session.candidate.agreed = True
            return message(session, LAYING, stay="yes")
        self.refuse(session)
        return message(session, NOT_OPENED)

    def lay(self, session: Session) -> Outputs:
        """Put the study that waits for it beside the open one."""
        study, prior = session.study, session.candidate
        if study is None or prior is None or not prior.agreed:
            return {}
        earlier = prior.ordered or prior.relation.days is None or prior.relation.days >= 0
        try:
            alignment = self.alignment(*((study, prior.study) if earlier else (prior.study, study)))
        except Exception as error:
            if session.candidate is prior:
                self.refuse(session)
            session.chat.say(told(error))
            return {"chat": payload.chat(session), **message(session, NOT_OPENED)}
        if session.candidate is not prior or session.study is not study:
            return {}
        held = session.uploads
        session.prior, session.candidate = prior, None
        self.inbox.release(held, session.uploads)
        if not earlier:
            session.exchange()
            session.prior.exchanged = True
        return self.shown(session, alignment)

    def swap(self, session: Session) -> Outputs:
        """The prior becomes the open study, and the open study its prior."""
        study, prior = session.study, session.prior
        if study is None or prior is None:
            return message(session)
        try:
            alignment = self.alignment(prior.study, study)
        except Exception as error:
            return message(session, told(error))
        if session.prior is not prior or session.study is not study:
            return message(session)
        session.exchange()
        return self.shown(session, alignment)

    def close(self, session: Session) -> Outputs:
        """The plain view of the open study again."""
        held = session.uploads
        session.prior = None
        self.inbox.release(held, session.uploads)
        return {"picture": payload.picture(session), "layer": payload.layer(session), **message(session)}

    def alignment(self, study: Study, prior: Study) -> Alignment:
        """How a prior lies on a study. Raises `RequestError` where the two are not of one kind."""
        facts = self.assistant().facts
        return align(study, prior, check_kind(study, prior, facts(study), facts(prior)))

    def shown(self, session: Session, alignment: Alignment) -> Outputs:
        """What the page shows once a prior was laid on the open study, which the chat tells."""
        prior = session.prior
        assert prior is not None
        prior.alignment = alignment if alignment.usable else middle_on_middle(alignment)
        unlaid = [] if alignment.usable else [UNLAID]
        session.chat.say("\n".join([WORDS["prior.beside"], *remarks_on(prior.relation, prior.exchanged), *unlaid]))
        return shown(session)

    def refuse(self, session: Session) -> None:
        """Let go of the study that waits to be a prior."""
        held = session.uploads
        session.candidate = None
        self.inbox.release(held, session.uploads)
