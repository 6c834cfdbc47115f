"""The page: its layout, and which event calls which handler."""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.themes.utils import fonts

from medvlm.vocabulary import LABELS

from ..dicomweb import AT_ONCE, Dicomweb
from ..uploads import Inbox
from . import looking
from .archive import ArchivePanel
from .correcting import Correcting
from .desks import Desks
from .drawing import Drawing
from .examples import EXAMPLES
from .handlers import Handlers
from .priors import Priors
from .progress import followed, stop
from .session import Session
from .studies import Studies
from .words import ESCAPED, WORDS, Page, script

HERE = Path(__file__).parent
SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "Menlo", "Consolas", "monospace")
SCRIPTS = (
    "words.js",
    "refused.js",
    "stream.js",
    "regions.js",
    "planes.js",
    "brush.js",
    "windows.js",
    "reading.js",
    "keys.js",
    "viewer.js",
    "prompts.js",
    "magnifier.js",
    "thumbnails.js",
    "triplanar.js",
    "jumps.js",
    "compare.js",
    "corrections.js",
    "findings.js",
    "panel.js",
    "chat.js",
    "studies.js",
    "gone.js",
    "working.js",
    "archive.js",
)
EVENTS = ["upload", "example", "series", "slice", "segment", "clear_layer", "download"]
ASKED = ["check", "correct", "carry"]  # by the panel
EVENTS += ["thumbnails", "planes", "detail"]
EVENTS += ["prior", "agree", "swap", "close_prior", "paint", "step"]
ARCHIVED = ["search", "fetch", "store"]  # by the panel of the archive

QUIET = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple"}
LIGHT = {"concurrency_limit": None, **QUIET}
# For what comes after the other in one window's line (see `followed`); `Turns` decides among the windows of all users.
MODEL = {"concurrency_id": "model", "concurrency_limit": None, **QUIET}
READING = {"concurrency_id": "reading", "concurrency_limit": 32, **QUIET}
MOST_EVENTS = 400  # that have begun at a time, most of which wait for the model
ARCHIVE = {"concurrency_id": "archive", "concurrency_limit": AT_ONCE, **QUIET}
ORDERED = {"concurrency_id": "ordered", "concurrency_limit": 1, **QUIET}  # each change builds on the one before
EMPTY = "(accepted) => medvlm.empty('#mv-text textarea', accepted)"


def scripts() -> list[str]:
    return [script(), *((HERE / name).read_text("utf-8") for name in SCRIPTS)]


def head() -> str:
    """The page's own scripts and styles, inline: Gradio's HTML components call them from `js_on_load`."""
    return '<meta name="color-scheme" content="dark">' + "".join(f"<script>{text}</script>" for text in scripts())


def theme() -> gr.themes.Base:
    """Dark in both of Gradio's modes, with the system's own fonts."""
    return gr.themes.Base(
        primary_hue="sky",
        neutral_hue="zinc",
        font=[fonts.Font(name) for name in SANS],
        font_mono=[fonts.Font(name) for name in MONO],
    )


def build(
    assistant: Callable[[], Any],
    inbox: Inbox,
    login: bool = False,
    dicomweb: Dicomweb | None = None,
    check_room: Callable[[int], None] = lambda more: None,
) -> gr.Blocks:
    """The page over the assistant that `assistant()` returns; it may wait until the model is loaded. `login`: one can log out;
    `check_room` as the one of `Handlers`."""
    leave_link = f'<a href="logout">{ESCAPED["page.log_out"]}</a>' if login else ""
    do, prior, drawing, correcting, desks = (
        Handlers(assistant, inbox, check_room),
        Priors(assistant, inbox, check_room),
        Drawing(assistant),
        Correcting(),
        Desks(inbox),
    )
    studies = Studies(desks, inbox)
    with gr.Blocks(title="medvlm", analytics_enabled=False, fill_width=True) as page:
        session = gr.State(Session())
        tabs = gr.HTML(
            html_template=f'<h1>medvlm</h1><span class="mv-warning">{ESCAPED["page.warning"]}</span><nav class="mv-studies"></nav>{leave_link}',
            js_on_load="medvlm.studies(element, {show: (data) => trigger('show_study', data), close: (data) => trigger('close_study', data)})",
            elem_id="mv-head",
            apply_default_css=False,
        )
        with gr.Row(elem_id="mv-main", equal_height=True):
            with gr.Column(elem_id="mv-left", min_width=0):
                viewer = gr.HTML(
                    html_template=template("viewer.html"),
                    js_on_load=f"medvlm.viewer(element, trigger, props, watch, {EVENTS})",
                    elem_id="mv-viewer",
                    apply_default_css=False,
                )
            with gr.Column(elem_id="mv-right", min_width=0):
                archive = gr.HTML(
                    html_template=template("archive.html"),
                    js_on_load=f"medvlm.archive(element, trigger, props, watch, {ARCHIVED})",
                    elem_id="mv-archive",
                    apply_default_css=False,
                    render=dicomweb is not None,
                )
                chat = gr.HTML(  # not gr.Chatbot, which reads every message as HTML, whatever its options are
                    html_template=template("chat.html"),
                    js_on_load="medvlm.chat(element, {recall: (data) => trigger('recall', data), move: (data) => trigger('move', data)}, props, watch)",
                    elem_id="mv-chat",
                    apply_default_css=False,
                )
                working = gr.HTML(
                    html_template=template("working.html"),
                    js_on_load="medvlm.working(element, () => trigger('stop', {}), props, watch)",
                    elem_id="mv-working",
                    apply_default_css=False,
                )
                with gr.Row(elem_id="mv-ask"):
                    text = gr.Textbox(
                        label=WORDS["page.question"],
                        show_label=False,
                        container=False,
                        placeholder=WORDS["page.question_hint"],
                        elem_id="mv-text",
                        max_lines=4,
                        scale=1,
                        min_width=0,
                    )
                    ask = gr.Button(WORDS["page.ask"], elem_id="mv-ask-button", variant="primary", min_width=0, scale=0)
                    find = gr.Button(WORDS["page.find"], elem_id="mv-find-button", min_width=0, scale=0)
                    report = gr.Button(WORDS["page.report"], elem_id="mv-report-button", min_width=0, scale=0)
                panel = gr.HTML(
                    html_template=template("panel.html"),
                    js_on_load=f"medvlm.panel(element, trigger, props, watch, {ASKED})",
                    elem_id="mv-panel",
                    apply_default_css=False,
                )
        outbox = gr.HTML(
            js_on_load="medvlm.outbox(element, props, watch)", elem_id="mv-outbox", html_template="<i></i>"
        )

        accepted, window = gr.Textbox(visible=False), gr.Textbox(visible=False)

        everything = [chat, viewer, panel, outbox]
        handler: Callable[..., Any]
        in_line = partial(followed, in_line=True)
        work, describe = (
            in_line(do.work, WORDS["working.answering"], 2),
            in_line(do.describe, WORDS["working.looking"], 1),
        )
        for event, handler in (
            (viewer.upload, do.open_upload),
            (viewer.example, do.open_example),
            (viewer.series, do.open_series),
        ):
            shown = event(followed(handler, WORDS["working.reading"], 4), session, [*everything, working], **READING)
            shown.then(describe, session, [chat, working], **MODEL)
        lay = in_line(prior.lay, WORDS["working.laying"], 4)
        for event, handler, outputs in (
            (viewer.prior, prior.take, [chat, outbox]),
            (viewer.agree, prior.agree, [outbox]),
        ):
            event(handler, session, outputs, **LIGHT).then(lay, session, [*everything, working], **MODEL)
        viewer.swap(in_line(prior.swap, WORDS["working.exchanging"], 4), session, [*everything, working], **MODEL)
        viewer.close_prior(prior.close, session, [viewer, panel, outbox], **LIGHT)
        for trigger, handler in ((ask.click, do.ask), (text.submit, do.ask), (find.click, do.find)):
            shown = trigger(handler, [text, session], [chat, accepted], **LIGHT)
            shown.then(None, accepted, None, js=EMPTY, **QUIET)
            shown.then(work, session, [chat, panel, working], **MODEL)
        for event, handler in ((report.click, do.report), (panel.check, do.check), (chat.move, do.move)):
            event(handler, session, chat, **LIGHT).then(work, session, [chat, panel, working], **MODEL)
        chat.recall(do.recall, session, panel, **LIGHT)
        viewer.slice(do.slice, session, [viewer, outbox], **LIGHT)
        for event, handler, lane in (
            (viewer.paint, drawing.paint, ORDERED),
            (panel.correct, correcting.correct, ORDERED),
            (viewer.step, correcting.step, ORDERED),
        ):
            event(handler, session, [panel, outbox], **lane)
        for event, handler, what in (
            (viewer.segment, drawing.segment, WORDS["working.segmenting"]),
            (panel.carry, drawing.carry, WORDS["working.carrying"]),
        ):
            event(in_line(handler, what, 2), session, [panel, outbox, working], **MODEL)
        if dicomweb:
            held = ArchivePanel(dicomweb, do)
            archive.search(held.archive_search, session, archive, **ARCHIVE)
            archive.store(held.archive_store, session, archive, **ARCHIVE)
            brought = archive.fetch(held.archive_open, session, [*everything, archive], **ARCHIVE)
            brought.then(describe, session, [chat, working], **MODEL)
        viewer.clear_layer(do.clear_layer, session, [panel, outbox], **LIGHT)
        for event, handler in (
            (viewer.thumbnails, looking.thumbnails),
            (viewer.planes, looking.planes),
            (viewer.detail, looking.detail),
        ):
            event(handler, session, outbox, **LIGHT)
        viewer.download(
            followed(do.download, WORDS["working.writing"], 1, drop=True), session, [outbox, working], **LIGHT
        )
        working.stop(stop, session, None, **LIGHT)
        tabs.show_study(studies.show_study, session, everything, **LIGHT)
        tabs.close_study(studies.close_study, session, everything, **LIGHT)
        entered = page.load(studies.enter, [window, session], everything, js="() => [medvlm.windowName()]", **LIGHT)
        entered.then(in_line(do.resume, WORDS["working.answering"], 2), session, [chat, panel, working], **MODEL)

        def leave(request: gr.Request) -> None:
            page.state_holder.session_data.pop(
                request.session_hash, None
            )  # else kept for an hour, last outputs and all

        page.unload(leave)
    page.desks = desks  # type: ignore[attr-defined]
    page.max_threads = MOST_EVENTS
    page.queue(max_size=200)
    page.state_session_capacity = 64
    return page


def template(name: str) -> str:
    options = "".join(
        f'<button type="button" data-example="{key}">{html.escape(title)}</button>' for key, title in EXAMPLES.items()
    )
    labels = "".join(f'<option value="{html.escape(label)}">' for label in sorted(LABELS))
    text = Page((HERE / name).read_text("utf-8")).substitute(ESCAPED)
    return text.replace("<!-- examples -->", options).replace("<!-- labels -->", labels)
