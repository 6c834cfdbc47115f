"""CONTRIBUTING leads to files that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACEHOLDERS = re.compile("SET|FORMAT|NAME")


def named_files() -> set[str]:
    """What stands in code in CONTRIBUTING and looks like a file; those with a placeholder in their name are left out."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    words = " ".join(re.findall(r"`([^`]+)`", text)).split()
    return {w for w in words if re.fullmatch(r"[\w./]+\.(py|csv|yaml|md|toml)", w) and not PLACEHOLDERS.search(w)}


def test_every_file_that_is_named_is_there() -> None:
    files = [path for top in ("medvlm", "training", "tests", "benchmarks") for path in (ROOT / top).rglob("*.*")]
    there = {path.name for path in files}
    named = named_files()
    assert len(named) > 25
    assert [n for n in sorted(named) if not ((ROOT / n).is_file() or ("/" not in n and n in there))] == []


def test_what_a_step_names_in_a_file_is_in_it() -> None:
    text = " ".join((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split())
    pairs = re.findall(r"`(\w+)` (?:of|in) `([\w./]+\.(?:py|toml))`", text)
    assert len(pairs) > 4
    for name, file in pairs:
        (path,) = [p for p in ROOT.glob(f"**/{file}" if "/" not in file else file) if ".venv" not in p.parts]
        assert re.search(rf"\b{name}\b", path.read_text(encoding="utf-8")), f"{file} has no {name}"
