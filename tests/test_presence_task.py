"""Presence as a task: what is there is told from what is not, by score and by what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from medvlm.evaluation import evaluate, to_tables
from medvlm.evaluation.task import Run
from medvlm.evaluation.tasks.presence import Presence
from medvlm.types import Grounding

from .fakes import FakeAssistant
from .squares import write_data_set


def item(of: str, patient: str, **known: tuple[bool, float, bool]) -> dict:
    cells = {k: dict(zip(("there", "chance", "shown"), v, strict=True)) for k, v in known.items()}
    return {"set": of, "patient": patient, "known": cells}


ITEMS = [
    item("a", "1", polyp=(True, 0.9, True), mass=(False, 0.2, False)),
    item("a", "2", polyp=(False, 0.4, True), mass=(True, 0.3, False)),
    item("b", "1", polyp=(True, 0.8, True)),
]


def test_scores_worked_out_by_hand():
    got = Presence().summarise(ITEMS, Run())
    assert got["presence/a/auc"]["value"] == 0.75 and got["presence/a/auc"]["n"] == 4  # three of four pairs
    assert got["presence/all/auc"]["value"] == pytest.approx(5 / 6, abs=1e-3)
    assert got["presence/all/shown"]["value"] == pytest.approx(2 / 3, abs=1e-3) and got["presence/all/shown"]["n"] == 3
    assert got["presence/all/false"]["value"] == 0.5 and got["presence/all/false"]["n"] == 2
    assert got["presence/b/ece"]["value"] == pytest.approx(0.2)
    assert "presence/b/auc" not in got and "presence/b/false" not in got, "nothing is known to be absent there"


def test_all_labels_of_which_a_record_tells_are_asked(tmp_path: Path):
    class Sure(FakeAssistant):
        """Has the fetal head for there and the liver not, and cannot tell of a fracture."""

        def ground_many(self, requests, image=None):
            self.calls += [set(phrases) for _, phrases in requests]
            chances = {"fetal head": 0.9, "liver": 0.2, "fracture": 0.5}
            return [Grounding([], {p: chances[p] for p in phrases}, list(phrases)) for _, phrases in requests]

    assistant = Sure()
    result = evaluate(assistant, [write_data_set(tmp_path / "own")], tasks=["presence"], progress=False)
    assert assistant.calls == [{"fetal head", "liver", "fracture"}] * 3, "and no phrase that is no label"
    assert result["failed"] == 0 and result["metrics"]["presence/own/auc"]["value"] == 0.95  # two ties of twenty pairs
    assert result["metrics"]["presence/own/shown"]["value"] == 0.0, "it shows none of what it has for there"
    assert "| own | 5 " in to_tables(result)
