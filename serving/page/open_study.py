"""A study that is open, with all that is known of it: its conversation, what lies over it, its prior, and what waits to be done."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace

from medvlm.report.alignment import Alignment
from medvlm.studies.priors import Relation
from medvlm.types import Answer, Region, Report, Study

from .corrections import Corrected
from .outline import Outlines

MOST_TURNS = 50  # of a conversation that later questions can speak of
MOST_MESSAGES = 400  # of a conversation, beside one on what is refused; each may show regions, which are large


Message = dict[str, str]  # role (user, assistant) and what `said` makes: all of it plain text


def said(content: str, detail: str = "", note: str = "", trace: str = "") -> Message:
    """What a message says: its text, sentences beside it, a line on how sure it is and what it rests on, and how it was found."""
    return {"content": content, "detail": detail, "note": note, "trace": trace}


@dataclass(eq=False)
class Layer:
    """What lies over the study: the regions of one answer, search, prompt or report."""

    title: str
    regions: list[Region]
    report: Report | None = None
    note: str = ""
    prior: str = ""  # key of the study that its report was compared with
    work: Corrected | Outlines | None = None  # what the user changes in it: a report, or what they drew themselves
    key: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def drawn(self) -> bool:
        """Whether its regions were drawn by the user."""
        return isinstance(self.work, Outlines)

    def on(self, image: int) -> Region | None:
        """Its first region on an image."""
        return next((region for region in self.regions if region.image == image), None)

    def refreshed(self) -> Layer:
        """With what its user's work is now. Of what they drew it is another layer: questions were asked over the one before."""
        if isinstance(self.work, Corrected):
            self.report, self.regions = self.work.report, self.work.report.regions
        elif self.work is not None:
            return replace(self, title=self.work.title, regions=self.work.regions)
        return self


@dataclass(eq=False)
class Turn:
    """A question with its answer, and what is needed to ask it again at another operating point."""

    question: str
    answer: Answer
    image: int  # that was in view
    drawn: Layer | None = None  # the drawn region that it was asked over
    wanted: int | None = None  # the operating point that it waits to be answered at, if it does


@dataclass(eq=False)
class Conversation:
    """The chat over one study; a new study starts a new one, so that two patients never meet in one chat."""

    messages: list[Message] = field(default_factory=list)
    layers: dict[int, Layer] = field(default_factory=dict)  # index of the reply -> what it showed
    turns: dict[int, Turn] = field(default_factory=dict)  # index of the reply -> what later questions can speak of

    @property
    def full(self) -> bool:
        """Whether it has no room for a question with its answer."""
        return len(self.messages) > MOST_MESSAGES - 2

    def say(self, text: str, role: str = "assistant") -> int:
        """Append a message and return its index."""
        del self.messages[MOST_MESSAGES:]
        self.messages.append({"role": role, **said(text)})
        return len(self.messages) - 1

    def before(self, reply: int) -> list[tuple[str, Answer]]:
        """The turns before a reply, oldest first."""
        past = [(turn.question, turn.answer) for index, turn in self.turns.items() if index < reply]
        return past[-MOST_TURNS:]


@dataclass(eq=False)
class Prior:
    """An earlier study beside the open one, with what its own chat held while it was the open one."""

    study: Study
    upload: str
    relation: Relation  # of the open study to this one
    agreed: bool = True  # False until the user takes the study of another patient all the same
    exchanged: bool = False  # whether the dates put it in the place of the study that was open
    ordered: bool = False  # whether it is another series of what was the prior before, whatever the dates say
    alignment: Alignment | None = None  # as it is shown on the open study; None until it was laid there
    key: str = field(default_factory=lambda: secrets.token_hex(8))
    image: int = 0
    layer: Layer | None = None
    chat: Conversation = field(default_factory=Conversation)


@dataclass(eq=False)
class Pending:
    """A request that waits for the model."""

    kind: str  # ask | find | report | check
    text: str  # the question, the phrase, or the report to check
    study: Study | None
    image: int
    conversation: Conversation
    reply: int  # index of the message that will hold the answer
    drawn: Layer | None = None  # the drawn region that was shown on the image in view
    at: int | None = None  # the operating point of an answer that is asked for again …
    sensitivity: float | None = None  # … and the sensitivity that chooses it
    prior: Prior | None = None  # that was beside the study

    @property
    def turn(self) -> Turn | None:
        """The turn that is asked for again."""
        return self.conversation.turns.get(self.reply)

    @property
    def overtaken(self) -> bool:
        """Whether its answer is wanted at another operating point by now."""
        return self.turn is not None and self.turn.wanted != self.at

    def settle(self) -> None:
        """Its answer waits no more, unless for another operating point."""
        if self.turn and not self.overtaken:
            self.turn.wanted = None

    def give_up(self, sentence: str) -> None:
        """It is not answered; an answer that it has already stays."""
        if self.at is None:
            self.conversation.messages[self.reply].update(said(sentence))
        self.settle()

    @property
    def in_view(self) -> Study:
        """The study with the image that was in view as the one that is meant by "this image"."""
        assert self.study is not None
        return replace(self.study, default=self.image)

    def fresh(self, notices: list[str]) -> list[str]:
        """Those that the conversation has not said before."""
        earlier = self.conversation.messages[: self.reply]
        before = "\n".join(f"{m['content']}\n{m['note']}" for m in earlier)
        return [text for text in notices if text not in before]


@dataclass(eq=False)
class OpenStudy:
    """A study that is open in a tab of the page, with all that belongs to it."""

    study: Study | None = None
    key: str = ""  # names the study, so that the browser never draws one study's regions over another
    upload: str = ""  # of which another series can be opened, or that DICOM is written beside
    title: str = ""  # of its tab: the name of the file, which its user alone sees
    tab: str = field(default_factory=lambda: secrets.token_hex(8))  # names the tab, whatever study is in it
    image: int = 0
    plane: str = ""  # of a volume, where another than its slices' own is shown …
    cut: int = 0  # … and which picture of it
    layer: Layer | None = None
    cleared: Layer | None = None  # that was taken off the image, and can be put back
    chat: Conversation = field(default_factory=Conversation)
    prior: Prior | None = None  # beside the open study
    candidate: Prior | None = None  # that is about to be, once the user agrees and it is laid on the study

    @property
    def layers(self) -> list[Layer]:
        """All that can be shown again, of the prior too."""
        chats = [self.chat, *([self.prior.chat] if self.prior else [])]
        shown = [self.layer, self.cleared, *([self.prior.layer] if self.prior else [])]
        return list(dict.fromkeys([*filter(None, shown), *(layer for chat in chats for layer in chat.layers.values())]))

    @property
    def unsaved(self) -> bool:
        """Whether a person drew or corrected something and did not save it since."""
        return any(layer.work is not None and layer.work.history.unsaved for layer in self.layers)

    @property
    def studies(self) -> list[Study]:
        beside = [prior.study for prior in (self.prior, self.candidate) if prior]
        return [study for study in (self.study, *beside) if study is not None]

    @property
    def nbytes(self) -> int:
        return sum(study.nbytes for study in self.studies)

    @property
    def uploads(self) -> set[str]:
        """Those whose files are still needed."""
        held = {prior.upload for prior in (self.prior, self.candidate) if prior}
        return {self.upload, *held} - {""}
