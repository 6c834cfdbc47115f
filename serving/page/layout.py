"""The page: its layout, and which event calls which handler."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.themes.utils import fonts

from medvlm.vocabulary import LABELS

from ..uploads import Inbox
from .correcting import Correcting
from .drawing import Drawing
from .examples import EXAMPLES
from .handlers import Handlers
from .priors import Priors
from .session import Session

HERE = Path(__file__).parent
SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "Menlo", "Consolas", "monospace")
SCRIPTS = (
    "stream.js",
    "regions.js",
    "planes.js",
    "brush.js",
    "windows.js",
    "reading.js",
    "keys.js",
    "viewer.js",
    "compare.js",
    "corrections.js",
    "panel.js",
    "chat.js",
)
WARNING = "Research use, not a medical device"
EVENTS = ["upload", "example", "series", "slice", "segment", "clear_layer", "download"]
ASKED = ["check", "correct", "carry"]  # by the panel
EVENTS += ["prior", "agree", "swap", "close_prior", "paint", "step"]

QUIET = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple"}
# One request to the model at a time, over all users; the rest of the page answers meanwhile.
MODEL = {"concurrency_id": "model", "concurrency_limit": 1, **QUIET}
LIGHT = {"concurrency_limit": None, **QUIET}
ORDERED = {"concurrency_id": "ordered", "concurrency_limit": 1, **QUIET}  # each change builds on the one before
EMPTY = "(accepted) => medvlm.empty('#mv-text textarea', accepted)"


def scripts() -> list[str]:
    return [(HERE / name).read_text("utf-8") for name in SCRIPTS]


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


def build(assistant: Callable[[], Any], inbox: Inbox, login: bool = False) -> gr.Blocks:
    """The page over the assistant that `assistant()` returns; it may wait until the model is loaded. `login`: one can log out."""
    leave_link = '<a href="logout">Log out</a>' if login else ""
    do, prior, drawing, correcting = (
        Handlers(assistant, inbox),
        Priors(assistant, inbox),
        Drawing(assistant),
        Correcting(),
    )
    with gr.Blocks(title="medvlm", analytics_enabled=False, fill_width=True) as page:
        session = gr.State(Session())
        gr.HTML(
            f"<b>medvlm</b><span>{WARNING}</span>{leave_link}",
            elem_id="mv-head",
            js_on_load=None,
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
                chat = gr.HTML(  # not gr.Chatbot, which reads every message as HTML, whatever its options are
                    html_template=template("chat.html"),
                    js_on_load="medvlm.chat(element, {recall: (data) => trigger('recall', data), move: (data) => trigger('move', data)}, props, watch)",
                    elem_id="mv-chat",
                    apply_default_css=False,
                )
                with gr.Row(elem_id="mv-ask"):
                    text = gr.Textbox(
                        show_label=False,
                        container=False,
                        placeholder="Ask a question, or name what to find",
                        elem_id="mv-text",
                        max_lines=4,
                        scale=1,
                        min_width=0,
                    )
                    ask = gr.Button("Ask", elem_id="mv-ask-button", variant="primary", min_width=0, scale=0)
                    find = gr.Button("Find", elem_id="mv-find-button", min_width=0, scale=0)
                    report = gr.Button("Report", elem_id="mv-report-button", min_width=0, scale=0)
                panel = gr.HTML(
                    html_template=template("panel.html"),
                    js_on_load=f"medvlm.panel(element, trigger, props, watch, {ASKED})",
                    elem_id="mv-panel",
                    apply_default_css=False,
                )
        outbox = gr.HTML(
            js_on_load="medvlm.outbox(element, props, watch)", elem_id="mv-outbox", html_template="<i></i>"
        )

        accepted = gr.Textbox(visible=False)

        everything = [chat, viewer, panel, outbox]
        handler: Callable[..., Any]
        for event, handler in (
            (viewer.upload, do.open_upload),
            (viewer.example, do.open_example),
            (viewer.series, do.open_series),
        ):
            event(handler, session, everything, **LIGHT).then(do.describe, session, chat, **MODEL)
        viewer.prior(prior.take, session, [chat, outbox], **LIGHT).then(prior.lay, session, everything, **MODEL)
        viewer.agree(prior.agree, session, outbox, **LIGHT).then(prior.lay, session, everything, **MODEL)
        viewer.swap(prior.swap, session, everything, **MODEL)
        viewer.close_prior(prior.close, session, [viewer, panel, outbox], **LIGHT)
        for trigger, handler in ((ask.click, do.ask), (text.submit, do.ask), (find.click, do.find)):
            shown = trigger(handler, [text, session], [chat, accepted], **LIGHT)
            shown.then(None, accepted, None, js=EMPTY, **QUIET)
            shown.then(do.work, session, [chat, panel], **MODEL)
        for event, handler in ((report.click, do.report), (panel.check, do.check)):
            event(handler, session, chat, **LIGHT).then(do.work, session, [chat, panel], **MODEL)
        chat.move(do.move, session, chat, **LIGHT).then(do.work, session, [chat, panel], **MODEL)
        chat.recall(do.recall, session, panel, **LIGHT)
        viewer.slice(do.slice, session, [viewer, outbox], **LIGHT)
        for event, handler, lane in (
            (viewer.segment, drawing.segment, MODEL),
            (panel.carry, drawing.carry, MODEL),
            (viewer.paint, drawing.paint, ORDERED),
            (panel.correct, correcting.correct, ORDERED),
            (viewer.step, correcting.step, ORDERED),
        ):
            event(handler, session, [panel, outbox], **lane)
        viewer.clear_layer(do.clear_layer, session, [panel, outbox], **LIGHT)
        viewer.download(do.download, session, outbox, **LIGHT)

        def leave(request: gr.Request) -> None:
            do.leave(request)
            page.state_holder.session_data.pop(
                request.session_hash, None
            )  # else kept for an hour, last outputs and all

        page.unload(leave)
    page.queue(max_size=200)
    page.state_session_capacity = 64
    return page


def template(name: str) -> str:
    options = "".join(f'<button type="button" data-example="{key}">{title}</button>' for key, title in EXAMPLES.items())
    labels = "".join(f'<option value="{html.escape(label)}">' for label in sorted(LABELS))
    text = (HERE / name).read_text("utf-8")
    return text.replace("<!-- examples -->", options).replace("<!-- labels -->", labels)
