"""The page's English is in one file: no script, template or module of the page holds a text of its own, and no text is left over."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from serving.page import layout, words
from serving.page.words import ESCAPED, WORDS, Markup

PAGE = Path(words.__file__).parent
LOGIN = PAGE.parent / "access"
SCRIPTS, TEMPLATES = sorted(PAGE.glob("*.js")), [*sorted(PAGE.glob("*.html")), LOGIN / "login.html"]
MODULES = [*sorted(PAGE.glob("*.py")), LOGIN / "login.py"]

KEY = re.compile(r"\$[a-z_]+(?:\.[a-z_]+)*")
SENTENCE = re.compile(r"[A-Za-z]+[,;:.!?]? +[A-Za-z]+")  # two words at least
TOKEN = re.compile(r"//[^\n]*|/\*.*?\*/|(\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)", re.DOTALL)
MARKUP = re.compile(
    r"mv-|[<>\[\]=]|px |:[a-z]|medvlm\.|%s|^(?:Segoe UI|Helvetica Neue)$"
)  # selectors, scripts, fonts, the log
# Between script and server, and names that the library gives.
SPOKEN = {"use strict", "add finding", "reject region", "told anew", "name it", "longest diameter", "login refused"}
ATTRIBUTES = ("title", "aria-label", "placeholder", "alt", "aria-valuetext")
SHOWN = re.compile(
    r"""(?:\b(?:textContent|title|ariaLabel|placeholder|alt)\s*[:=]\s*|setAttribute\("(?:title|placeholder|aria-label|aria-valuetext)",\s*"""
    r"""|\b(?:say|confirm|alert)\(|\bmake\("\w+",\s*"[^"]*",\s*|\baction\("[^"]*",\s*)"([^"]*[A-Za-z][^"]*)\""""
)


def literals(script: str) -> list[str]:
    """What stands in quotes in a script, outside its comments."""
    return [found[1][1:-1] for found in TOKEN.finditer(script) if found[1]]


def texts_of_script(script: str) -> list[str]:
    """Texts in a script that are shown, as far as this can be seen: all of several words, and single ones where they are set."""
    several = [text for text in literals(script) if SENTENCE.search(text) and not MARKUP.search(text)]
    bare = TOKEN.sub(lambda found: found[1] or "", script)
    return [text for text in several if text not in SPOKEN] + SHOWN.findall(bare)


class Shown(HTMLParser):
    """The texts of a template: what stands between its tags, and what its attributes say."""

    def __init__(self, template: str):
        super().__init__()
        self.texts: list[str] = []
        self.inside = ""
        self.feed(template)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        self.texts += [value for name, value in attrs if name in ATTRIBUTES and value]

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside != "style" and data.strip():
            self.texts.append(data.strip())


def texts_of_template(template: str) -> list[str]:
    left = [KEY.sub("", text) for text in Shown(template).texts]
    return [text for text in left if re.search("[A-Za-z]", text.replace("medvlm", ""))]


def constants(tree: ast.AST) -> Iterator[str]:
    """The texts in a module, without what documents it."""
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
            yield node.value


def texts_of_module(module: str) -> list[str]:
    found = [text for text in constants(ast.parse(module)) if SENTENCE.search(text) and text not in SPOKEN]
    several = [text for text in found if not MARKUP.search(text)]
    return several + [text for html in found if "<" in html for text in texts_of_template(html)]


def used(path: Path) -> set[str]:
    """The keys that a file names; of a group that is read by other names than ours, the group's."""
    text = path.read_text("utf-8")
    if path.suffix == ".js":
        return set(re.findall(r"(?<![\w.])words\.([a-z_]+(?:\.[a-z_]+)*)(?![\w(])", text))
    if path.suffix == ".html":
        return {key[1:] for key in KEY.findall(text) if "." in key}
    reads = [n.slice for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Subscript) and isinstance(n.value, ast.Name)
             and n.value.id in ("WORDS", "ESCAPED")]  # fmt: skip
    return {text for read in reads for text in constants(read) if "." in text}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_has_a_text_of_its_own(path: Path) -> None:
    assert texts_of_script(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_a_text_of_its_own(path: Path) -> None:
    assert texts_of_template(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_module_has_a_text_of_its_own(path: Path) -> None:
    assert texts_of_module(path.read_text("utf-8")) == []


def test_the_scans_see_texts() -> None:
    """What they are for, and that they look at much: else they would find nothing whatever was there."""
    script = """// a comment of words
      const make = (tag) => tag; find(".mv-a .mv-b"); one.title = "Stop"; const LOST = "It is lost"; list.push('two words', `two words ${here}`);"""
    assert texts_of_script(script) == ["It is lost", "two words", "two words ${here}", "Stop"]
    assert texts_of_template('<p title="Stop it">$viewer.fit<b>Stop</b></p><style>p { margin: 0 }</style>') == [
        "Stop it",
        "Stop",
    ]
    assert texts_of_module('"""Two words."""\nA = "two words"\nB = f"<b>Stop {1}</b>"') == ["two words"]
    assert sum(len(literals(path.read_text("utf-8"))) for path in SCRIPTS) > 700
    assert sum(len(Shown(path.read_text("utf-8")).texts) for path in TEMPLATES) > 120
    assert sum(len(list(constants(ast.parse(path.read_text("utf-8"))))) for path in MODULES) > 700


def test_every_text_is_used_and_every_used_one_is_there() -> None:
    named = set().union(*(used(path) for path in [*SCRIPTS, *TEMPLATES, *MODULES]))
    covers = {name: {key for key in WORDS if key == name or key.startswith(f"{name}.")} for name in named}
    assert [name for name, keys in covers.items() if not keys] == []
    assert set(WORDS) - set().union(*covers.values()) == set()


def test_a_script_reads_no_group_as_a_text() -> None:
    """What a script names is a text, unless it goes on with a name that is not ours."""
    for path in SCRIPTS:
        groups = {name for name in used(path) if name not in WORDS}
        assert groups <= {"refused.statuses", "panel.names", "panel.formats", "marks", "keys.sheet"}


def test_texts_are_handed_over_whole_and_safe() -> None:
    handed = words.script()
    assert "<" not in handed and layout.scripts()[0] == handed  # no text can end the script
    tree = json.loads(handed.removeprefix("window.medvlm = { words: ").removesuffix(" };"))
    assert tree["refused"]["statuses"]["401"] == WORDS["refused.statuses.401"]
    assert (
        Markup("$archive.patient, $viewer.size_title.").substitute(ESCAPED)
        == "Patient&#x27;s id, Width of brush and eraser ([ and ])."
    )
    with pytest.raises(TypeError):
        WORDS["page.ask"] = "?"  # type: ignore[index]


def test_braces_are_filled() -> None:
    """Every pair of braces is closed and names one thing, in the scripts' way where a script fills it."""
    filled = {name for path in SCRIPTS for name in used(path)}
    for key, text in WORDS.items():
        assert text == text.strip()
        left = re.sub(r"\{[a-z_]+\}" if key in filled else r"\{[a-z_]+(?::\.\d+f)?\}", "", text)
        assert not re.search(r"[{}]", left), key
