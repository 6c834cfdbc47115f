"""What the page's events do to a report draft: sentences edited, findings judged and added, regions rejected, and all undone."""

from __future__ import annotations

from typing import Any

from medvlm.errors import RequestError
from medvlm.vocabulary import known_name

from . import payload
from .corrections import GONE, Corrected
from .handlers import message, told
from .open_study import Layer
from .outline import Outlines
from .session import Data, Outputs, Session
from .words import WORDS

NO_REPORT = WORDS["corrections.no_report"]


class Correcting:
    """The listeners of the page for a report that is corrected; all that belongs to a user is in `Session`."""

    def correct(self, session: Session, data: Data) -> Outputs:
        """One change that the panel asks for."""
        try:
            if data.get("do") == "rename" and session.layer is not None and session.layer.drawn:
                return named(session, _text(data, "text"))
            top, work = corrected(session, data.get("layer"))
            change(work, str(data.get("do")), data)
        except Exception as error:
            return {"layer": payload.layer(session), **message(session, told(error))}
        top = top.refreshed()
        return {"layer": payload.layer(session, **aimed(top, data) if top is session.layer else {}), **message(session)}

    def step(self, session: Session, data: Data) -> Outputs:
        """Undo (-1) or redo (1) a change of what is shown."""
        top, by = session.layer, data.get("by")
        if top is None and by == -1 and session.cleared is not None:
            session.layer, session.cleared = session.cleared, None
            return {"layer": payload.layer(session), **message(session)}
        if top is None or top.work is None or type(by) is not int:
            return message(session)
        try:
            top.work.step(by)
        except Exception as error:
            return message(session, told(error))
        session.layer = top.refreshed()
        return {"layer": payload.layer(session), **message(session)}


def named(session: Session, text: str) -> Outputs:
    """What the user drew has a name now. Raises `RequestError`."""
    top = session.layer
    assert top is not None and isinstance(top.work, Outlines)
    top.work.name(text)
    session.layer = top.refreshed()
    return {"layer": payload.layer(session), **message(session)}


def corrected(session: Session, key: Any) -> tuple[Layer, Corrected]:
    """The report that an event is about, which need not be shown any more. Raises `RequestError`."""
    for layer in session.layers:
        if layer.key == key and isinstance(layer.work, Corrected):
            return layer, layer.work
    raise RequestError(NO_REPORT)


def change(work: Corrected, do: str, data: Data) -> None:
    """One change of a report. Raises `RequestError`."""
    section, name, text = (_text(data, key) for key in ("section", "name", "text"))
    number = data.get("number")
    if do in ("judge", "reject region", "rename") and type(number) is not int:
        raise RequestError(GONE)
    match do:
        case "edit":
            work.edit(section, name, text)
        case "reject":
            work.reject(section, name)
        case "restore":
            work.restore(section, name)
        case "add":
            work.add(section, text)
        case "judge":
            work.judge(number, text)
        case "rename":
            work.rename(number, text)
        case "compare":
            work.compare_anew()
        case "add finding":
            work.add_finding(text)
        case "reject region":
            work.reject_region(number)
        case _:
            raise RequestError(GONE)


def aimed(top: Layer, data: Data) -> dict[str, Any]:
    """What is selected after a change, so that drawing goes on with a finding that was added; as in `payload.layer`."""
    if data.get("do") != "add finding" or top.report is None:
        return {}
    label = known_name(_text(data, "text")) or ""
    regions = next((finding.regions for finding in top.report.findings if finding.label == label), [])
    return {"selected": regions, "aim": label}


def _text(data: Data, name: str) -> str:
    """A text on one line."""
    value = data.get(name)
    return " ".join(value.split()) if isinstance(value, str) else ""
