"""Single results that a stopped run goes on from, whose they are, and which half of val they are of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from benchmarks.common import chosen
from medvlm.cli import main
from medvlm.errors import RequestError
from medvlm.evaluation import evaluate, to_tables
from medvlm.evaluation.store import ItemStore
from medvlm.records.record import part_of

from .fakes import FakeAssistant

STAMP = {"fingerprint": "a", "split": "val", "part": None}
VAL = [f"p{number}" for number in range(8)]
PARTS = {part: [patient for patient in VAL if part_of(patient) == part] for part in ("tune", "report")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight val images of as many patients and two training images, each of one modality."""
    (tmp_path / "own" / "images").mkdir(parents=True)
    PIL.Image.fromarray(np.full((8, 8), 200, np.uint8)).save(tmp_path / "own" / "images" / "1.png")
    rows = [("train", "t1"), ("train", "t2"), *(("val", patient) for patient in VAL)]
    lines = [
        {"id": patient, "split": split, "patient": patient, "file_name": "images/1.png", "modality": "ultrasound"}
        for split, patient in rows
    ]
    (tmp_path / "own" / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path / "own"


@pytest.mark.parametrize("other", [{"fingerprint": "b"}, {"split": "test"}, {"part": "tune"}])
def test_rows_of_something_else_are_refused(tmp_path: Path, other: dict) -> None:
    items = tmp_path / "out.items.jsonl"
    ItemStore(items, STAMP).add([{"key": "1"}])
    before = items.read_text()
    assert "1" in ItemStore(items, STAMP)
    with pytest.raises(RequestError, match=r"out\.items\.jsonl .*--fresh.* -o"):
        ItemStore(items, {**STAMP, **other})
    assert items.read_text() == before
    fresh = ItemStore(items, {**STAMP, **other}, fresh=True)
    assert not fresh.items and (tmp_path / "out.items.old.jsonl").read_text() == before
    fresh.add([{"key": "2"}])
    assert list(ItemStore(items, {**STAMP, **other}).items) == ["2"]


def test_rows_from_before_there_were_stamps_are_refused(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text(json.dumps({"model": "nano", "split": "val", "key": "1"}) + "\n")
    with pytest.raises(RequestError):
        ItemStore(tmp_path / "items.jsonl", STAMP)


def test_a_failed_row_is_tried_again_and_a_cut_one_does_no_harm(tmp_path: Path) -> None:
    items = tmp_path / "items.jsonl"
    ItemStore(items, STAMP).add([{"key": "1"}, {"key": "2", "error": "ValueError"}, {"key": "3"}])
    items.write_text(items.read_text()[:-5])
    store = ItemStore(items, STAMP)
    assert list(store.items) == ["1"]
    store.add([{"key": "3"}])
    assert list(ItemStore(items, STAMP).items) == ["1", "3"]


def test_other_weights_do_not_take_up_old_rows(folder: Path, tmp_path: Path) -> None:
    items, other = tmp_path / "items.jsonl", FakeAssistant()
    evaluate(FakeAssistant(), [folder], tasks=["facts"], items=items, progress=False)
    other.fingerprint = "other"
    with pytest.raises(RequestError, match="--fresh"):
        evaluate(other, [folder], tasks=["facts"], items=items, progress=False)
    assert not other.calls
    result = evaluate(other, [folder], tasks=["facts"], items=items, fresh=True, progress=False)
    assert len(other.calls) == 8 and result["fingerprint"] == "other"


def test_an_assistant_without_a_fingerprint_is_a_mistake(folder: Path) -> None:
    class Nameless(FakeAssistant):
        @property
        def fingerprint(self):
            raise AttributeError("fingerprint")

    with pytest.raises(AttributeError, match="fingerprint"):
        evaluate(Nameless(), [folder], tasks=["facts"], progress=False)


def test_a_half_of_val(folder: Path, tmp_path: Path) -> None:
    assert all(len(some) >= 2 for some in PARTS.values())
    for part, patients in PARTS.items():
        items = tmp_path / f"{part}.jsonl"
        result = evaluate(FakeAssistant(), [folder], tasks=["facts"], part=part, items=items, progress=False)
        assert result["part"] == part and result["metrics"]["facts/own/modality"]["n"] == len(patients)
        rows = [json.loads(line) for line in items.read_text().splitlines()]
        assert [row["patient"] for row in rows] == patients and {row["part"] for row in rows} == {part}
        assert to_tables(result).startswith(f"Model fake, split val, the {part} part; ")
        assert result["metrics"]["facts/own/modality"]["baseline"]["commonest"] == 1.0  # from train, which has no parts
    whole = evaluate(FakeAssistant(), [folder], tasks=["facts"], progress=False)
    assert whole["part"] is None and whole["metrics"]["facts/own/modality"]["n"] == 8


@pytest.mark.parametrize("part", PARTS)
def test_a_limit_is_spread_over_the_half(folder: Path, tmp_path: Path, part: str) -> None:
    items, patients = tmp_path / "items.jsonl", PARTS[part]
    evaluate(FakeAssistant(), [folder], tasks=["facts"], limit=2, part=part, items=items, progress=False)
    rows = [json.loads(line) for line in items.read_text().splitlines()]
    assert [row["patient"] for row in rows] == [patients[0], patients[-1]]


def test_the_scripts_name_a_half_as_their_split(folder: Path) -> None:
    for split, patients in (*PARTS.items(), ("val", VAL)):
        (records,) = chosen([folder], split, None, lambda _: True)
        assert [record.patient for record in records] == patients


@pytest.mark.parametrize(("split", "part"), [("train", "tune"), ("test", "report"), ("val", "half")])
def test_only_val_has_two_known_parts(folder: Path, split: str, part: str) -> None:
    with pytest.raises(RequestError, match="part"):
        evaluate(FakeAssistant(), [folder], split, part=part)


def test_the_command_takes_them(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake, out = FakeAssistant(), tmp_path / "out.json"

    def load(_):
        return fake

    call = ["eval", str(folder), "--tasks", "facts", "-o", str(out), "--json"]
    assert main([*call, "--part", "report"], load) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["part"], result["fingerprint"]) == ("report", fake.fingerprint) and json.loads(
        out.read_text()
    ) == result
    assert main([*call, "--part", "tune"], load) == 2 and "--fresh" in capsys.readouterr().err
    fake.fingerprint = "other"
    assert main([*call, "--part", "report"], load) == 2 and "--fresh" in capsys.readouterr().err
    assert main([*call, "--part", "report", "--fresh"], load) == 0
    assert (tmp_path / "out.items.old.jsonl").is_file()

    def never(_):
        raise AssertionError("a model was loaded for nothing")

    assert main(["eval", str(folder), "--split", "test", "--part", "tune"], never) == 2
    assert main(["eval", str(folder), "--tasks", "guess"], never) == 2
