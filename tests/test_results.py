"""The script that puts an evaluation's numbers into the documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.results import END, ROOT, START, fill, headline, main

FILES = ("README.md", "docs/RESULTS.md", "medvlm/weights/nano/README.md")
RESULT = {
    "model": "nano",
    "split": "val",
    "failed": 0,
    "metrics": {
        "ground/hc18/fetal head/dice": {"value": 0.95, "n": 137, "low": 0.94, "high": 0.96, "baseline": {"mean mask": 0.7}},
        "ground/hc18/fetal head/nsd": {"value": 0.5, "n": 137, "low": 0.4, "high": 0.6, "baseline": {}},
        "answer/slake/accuracy": {"value": 0.7, "n": 900, "low": 0.6, "high": 0.8, "baseline": {"commonest": 0.57, "shuffled": 0.4}},
        "facts/all/modality": {"value": None, "n": 1, "low": None, "high": None, "baseline": {}},
    },
}  # fmt: skip


def test_headline_has_n_interval_and_baselines() -> None:
    text = headline(RESULT)
    assert "| fetal head (hc18) | Dice | 137 | **0.950** | 0.940 to 0.960 | 0.700 mean mask of the label |" in text
    assert "0.570 commonest training answer, 0.400 another image" in text and "modality" not in text


def test_all_files_are_filled_again_and_again(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "medvlm/weights/nano").mkdir(parents=True)
    (tmp_path / "results.json").write_text(json.dumps(RESULT))
    for name in FILES:
        (tmp_path / name).write_text(f"before\n\n{START}\nold\n{END}\n\nafter\n")
    for _ in range(2):
        assert main([str(tmp_path / "results.json")], tmp_path) == 0
        for name in FILES:
            text = (tmp_path / name).read_text()
            assert text.startswith(f"before\n\n{START}\n") and text.endswith(f"{END}\n\nafter\n")
            assert "old" not in text and "fetal head" in text
    assert "Known failures, the lowest Dice: fetal head in hc18 (0.950)." in (tmp_path / FILES[2]).read_text()


def test_our_documents_have_the_markers(tmp_path: Path) -> None:
    for name in FILES:
        copy = tmp_path / Path(name).name
        copy.write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
        fill(copy, "numbers")
        assert f"{START}\nnumbers\n{END}" in copy.read_text(encoding="utf-8")
    (tmp_path / "none.md").write_text("")
    with pytest.raises(ValueError, match=r"none\.md"):
        fill(tmp_path / "none.md", "numbers")
