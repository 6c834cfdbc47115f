"""Make docs/API.md of signatures, fields and docstrings: `python docs/api.py`. A test says when the page is behind the code."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import is_dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import medvlm
import medvlm.assistant
import medvlm.errors
import medvlm.report.claims
import medvlm.studies
import medvlm.types
import training.config

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "API.md"
SECTIONS = {"Args:", "Returns:", "Raises:"}  # of docstrings
START = """\
# API

Made by `python docs/api.py` from the docstrings: change these, not this page. What is shown here is `from medvlm import …`, but
for what names another module. The commands and their JSON are in the [README](../README.md)."""
CONVENTIONS = """\
Pixels count from the top left of the image as shown, x to the right and y down. Boxes are `[x0, y0, x1, y1]`, half-open, in
pixels. Masks are bool arrays `(H, W)` at the image's own size, and COCO run-length codes `{"size": [H, W], "counts": "…"}` in
JSON. Spacing is in millimetres a pixel, `(row, column)`, and `None` where it is unknown. Scores, presences and confidences are
probabilities in 0..1. Left and right in a label are the patient's."""


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The whole page, in Markdown."""
    return "\n\n".join([START, prose(medvlm), CONVENTIONS, *parts()]) + "\n"


def parts() -> Iterator[str]:
    studies, assistant = medvlm.studies, medvlm.assistant.Assistant
    yield "## Files to a study"
    for thing in (medvlm.load_study, medvlm.list_series, medvlm.Limits, studies.Listing):
        yield from entry(thing)
    yield "## Assistant"
    yield prose(assistant)
    for method in methods(assistant):
        yield from entry(method, "Assistant.")
    yield "## Studies, answers, regions and reports"
    yield "Those that `medvlm` does not offer by name are in `medvlm.types`."
    for thing in dataclasses_of(medvlm.types):
        yield from entry(thing)
    yield "## Reports as files, and claims of reports"
    for thing in (medvlm.write_report, medvlm.report.claims.Claim):
        yield from entry(thing)
    yield "## Errors"
    yield prose(medvlm.errors)
    yield "\n".join(f"- `{e.__name__}({e.__base__.__name__})`: {prose(e)}" for e in classes_of(medvlm.errors))
    yield "## Training"
    yield "What runs as `python -m training.NAME`; of `sft` and `grpo` the keys are set in a recipe or on the command line."
    for name, text in entry_points(ROOT / "training"):
        yield f"### `python -m training.{name}`"
        yield text
    yield "### Keys of a recipe"
    yield prose(training.config)
    for thing in dataclasses_of(training.config):
        yield from entry(thing, level=4)


def entry(thing: Any, prefix: str = "", level: int = 3) -> Iterator[str]:
    """A function or a class under its heading: what it is called with, or its fields, and its docstring; then its methods."""
    function = plain(thing)
    yield f"{'#' * level} {prefix}{function.__name__}"
    yield f"```python\n{signature(function) if isinstance(function, FunctionType) else fields(function)}\n```"
    yield prose(function)
    if isinstance(function, type) and (own := methods(function)):
        yield "\n".join(map(item, own))


def item(method: Any) -> str:
    """A method as an item of a list."""
    told = " ".join((plain(method).__doc__ or "").split())
    return f"- `{one_line(method)}`{': ' * bool(told)}{told}"


def plain(thing: Any) -> Any:
    """The function in a property or a class method."""
    return getattr(thing, "fget", None) or getattr(thing, "__func__", thing)


def methods(kind: type) -> list[Any]:
    """The public methods and properties of a class itself, in the order of its source."""
    return [m for name, m in vars(kind).items() if name[0] != "_" and isinstance(plain(m), FunctionType)]


def classes_of(module: ModuleType) -> list[type]:
    """The classes of a module itself, in the order of its source."""
    return [c for c in vars(module).values() if isinstance(c, type) and c.__module__ == module.__name__]


def dataclasses_of(module: ModuleType) -> Iterable[type]:
    return [c for c in classes_of(module) if is_dataclass(c)]


def parsed(thing: Any) -> tuple[list[str], Any]:
    """The source lines of a class or function, and its syntax tree."""
    text = textwrap.dedent(inspect.getsource(thing))
    return text.splitlines(), ast.parse(text).body[0]


def signature(function: FunctionType) -> str:
    """What stands before a function's body, as it is written, decorators and comments included."""
    lines, tree = parsed(function)
    return "\n".join(lines[: tree.body[0].lineno - 1])


def one_line(method: Any) -> str:
    """The signature of a method without `self`, or the name and type of a property, in one line."""
    tree = parsed(plain(method))[1]
    returned = ast.unparse(tree.returns)
    if isinstance(method, property):
        return f"{tree.name}: {returned}"
    del tree.args.args[0]
    return f"{tree.name}({ast.unparse(tree.args)}) -> {returned}"


def fields(kind: type) -> str:
    """The head of a class and its fields, as they are written, decorators and comments included."""
    lines, tree = parsed(kind)
    told = [line for f in tree.body if isinstance(f, ast.AnnAssign) for line in lines[f.lineno - 1 : f.end_lineno]]
    return "\n".join([*lines[: tree.lineno], *told])


def prose(thing: Any) -> str:
    """A docstring as Markdown, its sections (Args, Returns, Raises) as lists. Raises `ValueError` where there is none."""
    if not thing.__doc__:
        raise ValueError(f"{thing.__name__} has no docstring.")
    return markdown(inspect.cleandoc(thing.__doc__))


def markdown(text: str) -> str:
    """A docstring's text with lists in the place of its indented sections."""
    out, inside = [], False
    for line in text.splitlines():
        if line in SECTIONS:
            inside = True
            out += [line[:-1] + ":", ""]
        elif inside and line.startswith("    "):
            item = line[4:]
            out.append(f"  {item.strip()}" if item.startswith(" ") else f"- {item}")
        else:
            inside = inside and not line
            out.append(line)
    return "\n".join(out)


def entry_points(folder: Path) -> Iterator[tuple[str, str]]:
    """The modules of a folder that can be run, with their docstrings; they are read, not imported."""
    for path in sorted(folder.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if 'if __name__ == "__main__":' in text:
            yield path.stem, markdown(ast.get_docstring(ast.parse(text)) or "")


if __name__ == "__main__":
    main()
