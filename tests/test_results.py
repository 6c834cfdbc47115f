"""The script that puts an evaluation's numbers into the documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.results import BRIEF, END, ROOT, SHOWN, START, fill, headline, main

FILES = ("README.md", "docs/RESULTS.md", "medvlm/weights/nano/README.md")
ROW = {"value": 0.5, "n": 9, "low": 0.4, "high": 0.6, "baseline": {}}
RESULT = {
    "model": "nano",
    "split": "val",
    "part": "report",
    "failed": 0,
    "metrics": {
        "ground/hc18/fetal head/dice": {"value": 0.95, "n": 137, "low": 0.94, "high": 0.96, "baseline": {"mean mask": 0.7}},
        "ground/hc18/fetal head/nsd": {"value": 0.5, "n": 137, "low": 0.4, "high": 0.6, "baseline": {}},
        "answer/slake/accuracy": {"value": 0.7, "n": 900, "low": 0.6, "high": 0.8, "baseline": {"commonest": 0.57, "shuffled": 0.4}},
        "answer/slake/declined": {"value": 0.04, "n": 950, "low": 0.03, "high": 0.05, "baseline": {}},
        "ground/jsrt/all/dice": {"value": 0.91, "n": 26, "low": 0.9, "high": 0.92, "baseline": {}},
        "ground/busi/absent_false_positive": {"value": 0.45, "n": 60, "low": 0.3, "high": 0.6, "baseline": {}},
        "ground/all/absent_false_positive": {"value": 0.13, "n": 571, "low": 0.1, "high": 0.2, "baseline": {}},
        "ground/all/chest_findings_shown": {"value": 0.4, "n": 42, "low": 0.3, "high": 0.5, "baseline": {}},
        "facts/all/modality": {"value": None, "n": 1, "low": None, "high": None, "baseline": {}},
    },
}  # fmt: skip


def test_headline_has_n_interval_and_baselines() -> None:
    text = headline(RESULT)
    assert "| fetal head (hc18) | Dice | 137 | **0.950** | 0.940 to 0.960 | 0.700 mean mask of the label |" in text
    assert "0.570 commonest training answer, 0.400 another image" in text and "modality" not in text
    assert text.startswith("`nano` on the report half of the val splits;")
    assert "| … of these, declined as no image can answer them | share | 950 | **0.040** |" in text
    assert "| mean of labels (jsrt) | Dice | 26 | **0.910** |" in text and "| 42 | **0.400** |" in text


def test_absent_phrases_are_shown_of_all_sets_and_then_of_each() -> None:
    lines = headline(RESULT).splitlines()
    first = next(i for i, line in enumerate(lines) if "phrases that are not there (all sets)" in line)
    assert "| 571 | **0.130** |" in lines[first]
    assert lines[first + 1].startswith("| … in busi | the same | 60 | **0.450** |")
    assert lines[first + 2].startswith("| findings on chest X-rays")


def test_every_row_is_named_once() -> None:
    keys = [key for _, _, key in SHOWN]
    assert len(keys) == len(set(keys))
    assert len(headline(RESULT | {"metrics": dict.fromkeys(keys, ROW)}).splitlines()) == 4 + len(SHOWN)


def test_the_readme_has_some_of_these_rows() -> None:
    everything = headline(RESULT | {"metrics": dict.fromkeys((key for _, _, key in SHOWN), ROW)}, brief=True)
    assert len(everything.splitlines()) == 4 + len(BRIEF) < 45
    assert "in busi" not in headline(RESULT, brief=True)


@pytest.mark.parametrize("change", [{"part": "tune"}, {"part": None}, {"split": "test"}, {"model": "nano_x"}])
def test_only_the_report_half_of_the_shipped_model_is_quoted(documents: Path, capsys, change: dict) -> None:
    before = {name: (documents / name).read_text() for name in FILES}
    (documents / "results.json").write_text(json.dumps(RESULT | change))
    assert main([str(documents / "results.json")], documents) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and ("--part report" in said or "'nano_x'" in said)
    assert {name: (documents / name).read_text() for name in FILES} == before


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "medvlm/weights/nano").mkdir(parents=True)
    for name in FILES:
        (tmp_path / name).write_text(f"before\n\n{START}\nold\n{END}\n\nafter\n")
    return tmp_path


def test_all_files_are_filled_again_and_again(documents: Path) -> None:
    (documents / "results.json").write_text(json.dumps(RESULT))
    for _ in range(2):
        assert main([str(documents / "results.json")], documents) == 0
        for name in FILES:
            text = (documents / name).read_text()
            assert text.startswith(f"before\n\n{START}\n") and text.endswith(f"{END}\n\nafter\n")
            assert "old" not in text and "fetal head" in text
    assert "Known failures, the lowest Dice: fetal head in hc18 (0.950)." in (documents / FILES[2]).read_text()


def test_our_documents_have_the_markers(tmp_path: Path) -> None:
    for name in FILES:
        copy = tmp_path / Path(name).name
        copy.write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
        fill(copy, "numbers")
        assert f"{START}\nnumbers\n{END}" in copy.read_text(encoding="utf-8")
    (tmp_path / "none.md").write_text("")
    with pytest.raises(ValueError, match=r"none\.md"):
        fill(tmp_path / "none.md", "numbers")
