"""docs/ARCHITECTURE.md names files and functions that are there, and its walks are short."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
TOPS = ("medvlm", "training", "serving", "benchmarks", "tests", "docs", "deploy")
FILE, FOLDER = r"[\w./-]+\.(?:py|js|csv|yaml)", r"\w+(?:/\w+)*/"
MOST_STOPS = 9


@cache
def tree() -> list[str]:
    """The files and folders of the packages, from the root, each after a "/"."""
    return [f"/{path.relative_to(ROOT)}" for top in TOPS for path in (ROOT / top, *(ROOT / top).rglob("*"))]


def there(name: str) -> list[Path]:
    """What a path from the root, the end of one, or a bare name stands for."""
    return [ROOT / path[1:] for path in tree() if path.endswith(f"/{name.rstrip('/')}")]


def functions(path: Path) -> set[str]:
    """The names of a file's functions and classes; of methods with their class before them too."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".js":
        return set(re.findall(r"(?:function|const) (\w+)", text))
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
            found |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.AsyncFunctionDef)}
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return found


def missing(text: str) -> list[str]:
    """What stands in code in a text and is not there: a file, a folder, or a function as in `file.py: function`."""
    out = []
    for code in re.findall(r"`([^`\n]+)`", text):
        match = re.fullmatch(rf"({FILE}|{FOLDER})(?:: ([\w.]+))?", code)
        if match and not any(match[2] is None or match[2] in functions(path) for path in there(match[1])):
            out.append(code)
    return out


def walks(text: str) -> dict[str, list[str]]:
    """The stops of each walk, by its heading."""
    part = re.split(r"^## ", text.partition("\n## Three walks\n")[2], flags=re.MULTILINE)[0]
    headings = re.split(r"^### (.+)$", part, flags=re.MULTILINE)
    return {
        name: re.findall(r"^\d+\. (.+)$", stops, re.MULTILINE)
        for name, stops in zip(headings[1::2], headings[2::2], strict=True)
    }


def test_every_file_and_function_that_is_named_is_there() -> None:
    assert missing(TEXT) == []
    assert len(re.findall(rf"`{FILE}", TEXT)) > 60


@pytest.mark.parametrize(
    "code", ["finder.py: fly", "medvlm/nothing.py", "finder.py: Finder.fly", "viewer.js: fly", "medvlm/rooms/"]
)
def test_what_is_not_there_is_seen(code: str) -> None:
    assert missing(f"as `{code}` has it") == [code]


@pytest.mark.parametrize(
    "code",
    ["finder.py: Finder.ground", "perception/finder.py", "losses.py: total", "medvlm/studies/", "regions.js: unpack"],
)
def test_what_is_there_is_seen(code: str) -> None:
    assert missing(f"as `{code}` has it") == []


def test_there_are_three_walks_of_few_stops_each_at_a_function() -> None:
    assert len(walks(TEXT)) == 3
    for name, stops in walks(TEXT).items():
        assert 4 <= len(stops) <= MOST_STOPS, name
        for stop in stops:
            file = re.match(rf"`({FILE}): [\w.]+`", stop)
            assert file and (ROOT / file[1]).is_file(), stop


def test_every_room_of_the_product_is_named() -> None:
    packages = [path.parent.name for path in (ROOT / "medvlm").glob("*/__init__.py")]
    modules = [path.name for path in (ROOT / "medvlm").glob("*.py") if path.name != "__init__.py"]
    named = set(re.findall(r"`(?:medvlm/)?(\w+(?:\.py|/))", TEXT))
    assert sorted({*modules, *(f"{name}/" for name in packages)} - named) == []
