"""What stands left in the flow of docs/ARCHITECTURE.md knows nothing of what stands right."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RIGHT = ["commands", "cli", "archive", "evaluation", "assistant", "report", "conversation", "perception"]
OTHERS = ("training", "serving", "benchmarks", "tests")


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, anywhere in it: "medvlm.report.draft"."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) + 1 - node.level], node.module or ""] if node.level else [node.module or ""]
            yield from (".".join(filter(None, [*base, name.name])) for name in node.names)


def importing(folder: str, *names: str) -> list[str]:
    """Files of a folder that import modules of some packages."""
    starts = tuple(f"{name}." for name in names)
    files = sorted((ROOT / folder).rglob("*.py"))
    return [str(f.relative_to(ROOT)) for f in files if any(f"{name}.".startswith(starts) for name in imported(f))]


def test_imports_are_seen() -> None:
    assert "medvlm/report/export/gsps.py" in importing("medvlm/report/export", "medvlm.report.overlay")
    assert importing("serving", "medvlm.types")


def test_the_product_knows_neither_training_nor_the_page() -> None:
    """But for the commands that start what serves."""
    found = importing("medvlm", *OTHERS)
    assert [path for path in found if not path.startswith("medvlm/commands/")] == []
    assert importing("medvlm/commands", "training", "benchmarks", "tests") == []
    assert importing("training", "serving") == importing("serving", "training") == []


@pytest.mark.parametrize(
    ("folder", "beyond"),
    [("studies", 8), ("vocabulary", 8), ("model", 8), ("perception", 7), ("conversation", 5), ("report", 5)],
)
def test_no_import_runs_back_up_the_flow(folder: str, beyond: int) -> None:
    assert importing(f"medvlm/{folder}", *(f"medvlm.{name}" for name in RIGHT[:beyond])) == []


def test_a_server_answers_before_torch_is_loaded() -> None:
    """Its health is asked for within seconds of a start; the model is loaded behind it."""
    code = "import sys; sys.modules['torch'] = None; import serving.server"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0
