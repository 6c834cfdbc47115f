"""What one open tab holds. Gradio's `State` keeps one of these per session; nothing else keeps a user's data."""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from medvlm.types import Region, Report, Study

Message = dict[str, Any]  # role (user, assistant) and content, plain text


@dataclass
class Layer:
    """What lies over the study: the regions of one answer, search, prompt or report."""

    title: str
    regions: list[Region]
    report: Report | None = None
    note: str = ""


@dataclass(eq=False)
class Conversation:
    """The chat over one study; a new study starts a new one, so that two patients never meet in one chat."""

    messages: list[Message] = field(default_factory=list)
    layers: dict[int, Layer] = field(default_factory=dict)  # index of the reply -> what it showed

    def say(self, text: str, role: str = "assistant") -> int:
        """Append a message and return its index."""
        self.messages.append({"role": role, "content": text})
        return len(self.messages) - 1


@dataclass(eq=False)
class Pending:
    """A request that waits for the model."""

    kind: str  # ask | find | report
    text: str
    study: Study | None
    image: int
    conversation: Conversation
    reply: int  # index of the message that will hold the answer

    @property
    def in_view(self) -> Study:
        """The study with the image that was in view as the one that is meant by "this image"."""
        assert self.study is not None
        return replace(self.study, default=self.image)

    def fresh(self, notices: list[str]) -> list[str]:
        """Those that the conversation has not said yet."""
        return [text for text in notices if not any(text in str(m["content"]) for m in self.conversation.messages)]


@dataclass(eq=False)
class Session:
    study: Study | None = None
    key: str = ""  # names the open study, so that the browser never draws one study's regions over another
    upload: str = ""  # of which another series can be opened
    image: int = 0
    layer: Layer | None = None
    chat: Conversation = field(default_factory=Conversation)
    waiting: deque[Pending] = field(default_factory=deque)
    sent: int = 0  # counts what was sent to the browser: two equal values in a row would not be noticed there

    def open(self, study: Study, upload: str = "") -> None:
        """Put a new study in the place of all that was open."""
        self.study, self.key, self.image, self.upload = study, secrets.token_hex(8), study.default, upload
        self.layer, self.chat = None, Conversation()

    def clear(self) -> None:
        """Let go of everything that came from the user."""
        self.study, self.key, self.upload, self.layer, self.chat = None, "", "", None, Conversation()
        self.waiting.clear()

    def count(self) -> int:
        self.sent += 1
        return self.sent
