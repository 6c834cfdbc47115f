"""How answers are scored: withheld ones with their coverage, declined ones apart, and nothing gained by declining."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medvlm.evaluation import evaluate, to_tables
from medvlm.evaluation.summary import Metrics
from medvlm.evaluation.task import Run
from medvlm.evaluation.tasks.answer import Answering, scored
from medvlm.records import QA
from medvlm.types import Answer

from .fakes import FakeAssistant
from .squares import write_data_set


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_data_set(tmp_path / "own")


def row(number: int, said: str, true: str, variant: str = "image", kind: str = "closed", **told) -> dict:
    qa = QA(f"Question {number}?", true, kind)
    answer = Answer(said, told.pop("confidence", 0.9), **told)
    base = {"key": f"answer/{variant}/own/a/{number}", "set": "own", "id": "a", "patient": str(number)}
    return {**base, **scored(qa, answer, variant, "yes")}


def summed(*items: dict) -> Metrics:
    return Answering().summarise(items, Run())


ROWS = (
    row(1, "Yes", "yes", confidence=0.9),
    row(2, "No", "no", confidence=0.8),
    row(3, "Yes", "no", confidence=0.3, abstained=True),
    row(4, "liver", "liver", kind="open", confidence=0.4, abstained=True),
    row(5, "surgery", "medicine", kind="open", confidence=0.7, declined=True, abstained=True),
)


def test_withheld_answers_are_scored_and_counted() -> None:
    got = summed(*ROWS)
    assert got["answer/own/accuracy"]["value"] == 0.75 and got["answer/own/accuracy"]["n"] == 4
    assert got["answer/own/closed"]["value"] == pytest.approx(2 / 3, abs=1e-3) and got["answer/own/closed"]["n"] == 3
    assert got["answer/own/open"]["value"] == 1.0 and got["answer/own/open"]["n"] == 1
    assert got["answer/own/coverage"]["value"] == 0.5 and got["answer/own/coverage"]["n"] == 4
    assert got["answer/own/accuracy_answered"]["value"] == 1.0 and got["answer/own/accuracy_answered"]["n"] == 2
    assert got["answer/own/accuracy_answered"]["baseline"] == {"commonest": 0.5}
    assert got["answer/own/accuracy"]["baseline"] == {"commonest": 0.25}
    assert got["answer/own/ece"]["n"] == got["answer/own/token_recall"]["n"] == 4
    assert got["answer/own/accuracy_at_80_coverage"]["value"] == 1.0  # three of four, the surest
    table = to_tables({"model": "m", "split": "val", "failed": 0, "metrics": got})
    assert "| own | coverage                | 4         | 0.500 [" in table
    assert "| own | declined                | 5         | 0.200 [" in table


def test_nothing_is_gained_by_declining() -> None:
    got = summed(*ROWS)
    assert got["answer/own/declined"]["value"] == 0.2 and got["answer/own/declined"]["n"] == 5
    assert got["answer/own/all_questions"]["value"] == 0.6 and got["answer/own/all_questions"]["n"] == 5
    lucky = summed(*ROWS[:4], row(5, "medicine", "medicine", kind="open", declined=True))
    assert lucky["answer/own/all_questions"]["value"] == 0.6  # what is declined is wrong, whatever stands behind it
    shy = summed(ROWS[0], *(row(n, "No", "yes", declined=True) for n in range(2, 5)))
    assert shy["answer/own/accuracy"]["value"] == 1.0 and shy["answer/own/all_questions"]["value"] == 0.25
    assert shy["answer/own/all_questions"]["baseline"] == {"commonest": 1.0}


def test_controls_are_of_the_same_questions() -> None:
    controls = [
        row(n, "yes", "yes" if n < 3 else "no", variant) for variant in ("blank", "shuffled") for n in range(1, 6)
    ]
    got = summed(*ROWS, *controls)
    assert got["answer/own/accuracy"]["baseline"] == {"commonest": 0.25, "blank": 0.5, "shuffled": 0.5}
    assert got["answer/own/accuracy_answered"]["baseline"]["blank"] == 1.0
    assert got["answer/own/all_questions"]["baseline"]["shuffled"] == 0.4


def test_where_everything_is_declined_no_accuracy_is_made_up() -> None:
    got = summed(row(1, "surgery", "surgery", declined=True))
    assert set(got) == {"answer/own/declined", "answer/own/all_questions"}
    assert got["answer/own/declined"]["value"] == 1.0 and got["answer/own/all_questions"]["value"] == 0.0
    assert "declined" in to_tables({"model": "m", "split": "val", "failed": 0, "metrics": got})


def test_every_question_is_asked_without_abstention(folder, tmp_path) -> None:
    class Careful(FakeAssistant):
        asked: set[bool] = set()

        def ask_many(self, requests, abstain=True):
            self.asked.add(abstain)
            answers = super().ask_many(requests, abstain)
            for answer in answers:
                answer.abstained = True
            return answers

    assistant = Careful()
    result = evaluate(assistant, [folder], tasks=["answer"], items=tmp_path / "items.jsonl", progress=False)
    assert assistant.asked == {False}
    assert result["metrics"]["answer/own/accuracy"]["value"] == pytest.approx(2 / 3, abs=1e-3)
    assert result["metrics"]["answer/own/coverage"]["value"] == 0.0
    assert "answer/own/accuracy_answered" not in result["metrics"]
    rows = [json.loads(line) for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    assert all(row["abstained"] and row["declined"] is False for row in rows)


def test_a_row_says_what_would_be_withheld() -> None:
    made = scored(QA("q", "yes"), Answer("yes", 0.5, abstained=True, declined=True), "image", "")
    assert made["abstained"] is True and made["declined"] is True and made["said"] == "yes"
