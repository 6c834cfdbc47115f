"""Choosing the value of a fact among its options: what is asked, and how a choice is scored."""

from __future__ import annotations

from pathlib import Path

import pytest

from medvlm.cli import build_parser
from medvlm.evaluation import TASKS, evaluate, to_tables
from medvlm.evaluation.task import Request
from medvlm.evaluation.tasks.choose import Choosing, question
from medvlm.records import Record
from medvlm.types import Answer, Image, Study

from .fakes import FakeAssistant, square
from .squares import write_data_set


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_data_set(tmp_path / "own")


class Chooser(FakeAssistant):
    """Takes the last option and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def choose(self, study, question, options, image=None) -> Answer:
        self.asked.append((question, tuple(options)))
        return Answer(options[-1], 0.7)


def test_questions_come_from_the_name_of_the_fact() -> None:
    assert question("tumour_type", ["glioma", "meningioma"]) == "What is the tumour type here?"
    assert question("covid-19", ["no", "yes"]) == "Is there covid-19?"
    assert question("covid-19", ["no", "yes", "unclear"]) == "What is the covid-19 here?"


def test_only_learned_facts_are_asked() -> None:
    assistant, study = Chooser(), Study([Image(square())])
    record = Record("1", "own", "val", "p", b"", labels={"fracture": "no", "grade": "middle", "age": "40"})
    assert Choosing().ask(assistant, [(study, record)]) == [{"fracture": ("yes", ["no", "yes"])}]
    assert assistant.asked == [("Is there fracture?", ("no", "yes"))]


def test_a_fact_that_a_set_calls_like_itself_is_asked_by_its_name_in_the_model() -> None:
    class Seer(Chooser):
        def labels_many(self, studies):
            return [{"tumour type": {"benign": 0.5, "malignant": 0.5}}]

    assistant, study = Seer(), Study([Image(square())])
    record = Record("1", "tumourset", "val", "p", b"", labels={"tumourset": "benign"})
    assert Choosing().ask(assistant, [(study, record)]) == [{"tumourset": ("malignant", ["benign", "malignant"])}]
    assert assistant.asked == [("What is the tumour type here?", ("benign", "malignant"))]


def test_scores(folder) -> None:
    assistant = Chooser()
    result = evaluate(assistant, [folder], tasks=["choose"], progress=False)
    score = result["metrics"]["choose/own/fracture/accuracy"]
    assert list(result["metrics"]) == ["choose/own/fracture/accuracy"] and result["failed"] == 0
    assert score["value"] == pytest.approx(2 / 3, abs=1e-3) and score["n"] == 3
    assert score["baseline"] == {"commonest": pytest.approx(2 / 3, abs=1e-3)}
    assert evaluate(FakeAssistant(), [folder], tasks=["choose"], progress=False)["metrics"][
        "choose/own/fracture/accuracy"
    ]["value"] == pytest.approx(1 / 3, abs=1e-3)  # takes the first option
    assert "| own | fracture | 3      | 0.667 [" in to_tables(result)


def test_a_failure_is_a_wrong_choice(folder) -> None:
    class Shaky(Chooser):
        seen = 0

        def labels_many(self, studies):
            self.seen += 1
            if len(studies) > 1 or self.seen == 2:
                raise ValueError("bad image")
            return super().labels_many(studies)

    result = evaluate(Shaky(), [folder], tasks=["choose"], progress=False)
    assert result["failed"] == 1
    assert result["metrics"]["choose/own/fracture/accuracy"]["value"] == pytest.approx(1 / 3, abs=1e-3)
    assert result["metrics"]["choose/own/fracture/accuracy"]["n"] == 3
    record = Record("1", "own", "val", "p", b"", labels={"fracture": "yes"})
    request = Request("choose/own/1", record, record, {})
    cell = Choosing().score(request, Choosing.nothing)["choices"]["fracture"]
    assert cell == {"true": "yes", "said": "", "right": False, "options": [], "commonest": None}


def test_only_where_it_is_named(folder, capsys) -> None:
    assert "choose" not in TASKS
    assistant = Chooser()
    evaluate(assistant, [folder], progress=False)
    assert not assistant.asked
    with pytest.raises(SystemExit):
        build_parser().parse_args(["eval", "--help"])
    assert "choose" in capsys.readouterr().out
