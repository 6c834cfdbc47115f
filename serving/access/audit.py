"""Who did what to which study: one JSON object a line, without what was said or sent. And logs that quote nobody."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Collection
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from medvlm.errors import RequestError

from ..store import digest
from .limits import Rate

LINES_S, LINES = 5.0, 100.0  # of the log, over time and at once

audit = logging.getLogger("medvlm.audit")
request_id: ContextVar[str] = ContextVar("request_id", default="")  # of the request that is answered


@dataclass
class Deed:
    """What a request does. It may go on after the answer, and fail where that said nothing of it."""

    user: str
    session: str
    action: str
    study: str = ""
    failed: int = 0  # the status that says why, whatever the answer's is
    later: bool = False  # it goes on after the answer, and is noted when it is done

    def note(self, status: int) -> None:
        if self.action:
            note(self.user, self.action, self.study, self.failed or status, self.session)


deed: ContextVar[Deed | None] = ContextVar("deed", default=None)  # that is being done


def about(study: str) -> None:
    """What is being done is of this study, whatever was shown when it began."""
    done = deed.get()
    if done:
        done.study = study


def failed(status: int) -> None:
    """What is being done fails."""
    done = deed.get()
    if done:
        done.failed = status


def note(user: str, action: str, study: str = "", status: int | None = None, session: str = "") -> None:
    """Log an action. Of a study's id the start of a digest is told, which tells studies apart, opens none, and quotes nothing."""
    line = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "request": request_id.get(),
        "user": user,
        "session": session,
        "action": action,
        "study": study and digest(study)[:8],
        "status": status,
    }
    audit.info(json.dumps({key: value for key, value in line.items() if value}))


def action_of(method: str, path: str, known: Collection[str] = ()) -> tuple[str, str]:
    """What a request does, and to which study; ("", "") for what changes and shows nothing. `known` are the names of events and
    of what is below a study; other ones are not quoted."""

    def named(name: str) -> str:
        return name if name in known else "unknown"

    if found := re.fullmatch(r"/v1/studies(?:/([\w-]{8,64})(?:/([\w-]{1,20})(?:/\d{1,6})?)?)?", path):
        study, below = found[1] or "", found[2]
        return named(below) if below else {"POST": "open", "DELETE": "close"}.get(method, "show"), study
    if event := re.fullmatch(r"/page/\w+/events/(\w{1,20})", path):
        return named(event[1]), ""
    others = {"/uploads": "upload", "/v1/chat/completions": "chat"}
    return (others.get(path, ""), "") if method == "POST" else ("", "")


def keep(path: str | Path | None) -> None:
    """Write the audit log to the end of a file, or to stderr where none is named. Raises `RequestError`."""
    try:
        handler = logging.FileHandler(path, encoding="utf-8") if path else logging.StreamHandler(sys.stderr)
    except OSError as error:
        raise RequestError(
            f"The audit log {str(path)!r} cannot be written ({error.strerror}); name another file."
        ) from None
    handler.setFormatter(logging.Formatter("%(message)s"))
    audit.handlers[:] = [handler]
    audit.setLevel(logging.INFO)
    audit.propagate = False


class Discreet(logging.Filter):
    """Lets through a few lines a second, with the place of an exception instead of its traceback, which may quote a patient."""

    def __init__(self) -> None:
        super().__init__()
        self.rate = Rate(LINES_S, LINES)

    def filter(self, record: logging.LogRecord) -> bool:
        if self.rate.take(""):
            return False
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is not None:
            record.msg, record.args = f"{type(error).__name__} at {place_of(error)}", ()
        elif "Traceback" in str(record.msg):  # written into the message, as uvicorn does at its start and end
            record.msg, record.args = "an exception", ()
        record.exc_info = record.exc_text = record.stack_info = None
        return True


def place_of(error: BaseException) -> str:
    """Where an exception arose."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"


def be_discreet() -> None:
    """From now on nothing that a framework logs or a thread dies of quotes what was sent, and a flood of faults is no flood of
    lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    handler.addFilter(Discreet())
    logging.getLogger().handlers[:] = [handler]

    def died(thread: threading.ExceptHookArgs) -> None:
        error = thread.exc_value
        if error is not None:
            logging.getLogger("medvlm.serving").error("%s at %s", type(error).__name__, place_of(error))

    threading.excepthook = died
