"""The page: its layout, which Gradio hosts. What its scripts ask for goes to routes of our own (see `wire`)."""

from __future__ import annotations

import html
from pathlib import Path

import gradio as gr
from gradio.themes.utils import fonts

from medvlm.vocabulary import LABELS

from .examples import EXAMPLES
from .words import ESCAPED, WORDS, Markup, script

HERE = Path(__file__).parent
SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "Menlo", "Consolas", "monospace")
SCRIPTS = (
    "words.js",
    "refused.js",
    "wire.js",
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


def build(login: bool = False, archive: bool = False) -> gr.Blocks:
    """The page. `login`: one can log out; `archive`: there is one to search."""
    leave_link = f'<a href="logout">{ESCAPED["page.log_out"]}</a>' if login else ""
    with gr.Blocks(title="medvlm", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(
            html_template=f'<h1>medvlm</h1><span class="mv-warning">{ESCAPED["page.warning"]}</span><nav class="mv-studies"></nav>{leave_link}',
            js_on_load="medvlm.studies(element)",
            elem_id="mv-head",
            apply_default_css=False,
        )
        with gr.Row(elem_id="mv-main", equal_height=True):
            with gr.Column(elem_id="mv-left", min_width=0):
                gr.HTML(
                    html_template=template("viewer.html"),
                    js_on_load="medvlm.viewer(element)",
                    elem_id="mv-viewer",
                    apply_default_css=False,
                )
            with gr.Column(elem_id="mv-right", min_width=0):
                gr.HTML(
                    html_template=template("archive.html"),
                    js_on_load="medvlm.archive(element)",
                    elem_id="mv-archive",
                    apply_default_css=False,
                    render=archive,
                )
                gr.HTML(  # not gr.Chatbot, which reads every message as HTML, whatever its options are
                    html_template=template("chat.html"),
                    js_on_load="medvlm.chat(element)",
                    elem_id="mv-chat",
                    apply_default_css=False,
                )
                gr.HTML(
                    html_template=template("working.html"),
                    js_on_load="medvlm.working(element)",
                    elem_id="mv-working",
                    apply_default_css=False,
                )
                with gr.Row(elem_id="mv-ask"):
                    gr.Textbox(
                        label=WORDS["page.question"],
                        show_label=False,
                        container=False,
                        placeholder=WORDS["page.question_hint"],
                        elem_id="mv-text",
                        max_lines=4,
                        scale=1,
                        min_width=0,
                    )
                    gr.Button(WORDS["page.ask"], elem_id="mv-ask-button", variant="primary", min_width=0, scale=0)
                    gr.Button(WORDS["page.find"], elem_id="mv-find-button", min_width=0, scale=0)
                    gr.Button(WORDS["page.report"], elem_id="mv-report-button", min_width=0, scale=0)
                gr.HTML(
                    html_template=template("panel.html"),
                    js_on_load="medvlm.panel(element)",
                    elem_id="mv-panel",
                    apply_default_css=False,
                )
    return page


def template(name: str) -> str:
    options = "".join(
        f'<button type="button" data-example="{key}">{html.escape(title)}</button>' for key, title in EXAMPLES.items()
    )
    labels = "".join(f'<option value="{html.escape(label)}">' for label in sorted(LABELS))
    text = Markup((HERE / name).read_text("utf-8")).substitute(ESCAPED)
    return text.replace("<!-- examples -->", options).replace("<!-- labels -->", labels)
