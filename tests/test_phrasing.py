"""benchmarks/phrasing.py: when answers to a question and its negation go together, and which pairs are new."""

from __future__ import annotations

import json
import sys
from itertools import cycle
from pathlib import Path

import pytest

from medvlm.errors import RequestError
from medvlm.records import Record, RecordRegion
from medvlm.types import Answer

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))  # whose scripts import each other by name
import phrasing
from phrasing import Pair, consistent, pair_rows, pair_table, plain, read_pairs, trained_forms

YES, NO, OTHER = Answer("Yes, there is.", 0.9), Answer("No, none.", 0.9), Answer("Perhaps.", 0.5)
SILENT, DECLINED = Answer("Yes", 0.1, abstained=True), Answer("That cannot be told.", 0.0, declined=True)


@pytest.mark.parametrize(
    ("answers", "together"),
    [
        ((YES, NO), True),
        ((NO, YES), True),
        ((YES, YES), False),
        ((NO, NO), False),
        ((SILENT, DECLINED), True),
        ((YES, DECLINED), False),
        ((SILENT, NO), False),
        ((OTHER, NO), False),
        ((OTHER, OTHER), False),
    ],
)  # fmt: skip
def test_answers_go_together(answers: tuple[Answer, Answer], together: bool) -> None:
    assert consistent(answers) is together


def test_a_pair_that_training_asks_is_known(tmp_path: Path) -> None:
    file = tmp_path / "pairs.yaml"
    new = [["Any {x}?", "None?"], ["Got {x}?", "Not got {x}?"], ["The {x}?", "Got the {x}."]]
    file.write_text(json.dumps({"known": [["{x}", "no {x}"]], "new": new}))
    pairs = read_pairs(file, {plain("got {x}")})
    assert [pair.known for pair in pairs] == [True, False, True, True]
    assert pairs[1] == Pair("Any {x}?", "None?", known=False)


def test_forms_of_training_hold_a_placeholder() -> None:
    assert plain("Is there a {x} in this image?") in trained_forms()  # of training/tasks.py
    assert plain("is it false that there's a {x}?") in trained_forms()  # of training/questions


class Deaf:
    """Says yes to everything but "free", which it refuses to take."""

    def ask(self, study, question, *, history, region) -> Answer:
        if "free" in question:
            raise RequestError("Ask otherwise.")
        return YES


def test_pairs_are_asked_of_what_is_there_and_what_is_not(sight: Record) -> None:
    pairs = [Pair("any {x}?", "no {x}?", known=False), Pair("{x}?", "free of {x}?", known=True)]
    there, absent = pair_rows(Deaf(), sight, cycle(pairs))
    assert (there["label"], there["present"], there["form"]) == ("polyp", True, "any {x}? / no {x}?")
    assert (absent["label"], absent["present"]) == ("fracture", False)
    assert not any(row[key] for row in (there, absent) for key in ("consistent", "unanswered", "right", "yes"))
    assert "| all forms | 2 | 0.000 [0.000, 0.000] |" in pair_table([there, absent])


@pytest.fixture
def sight(monkeypatch: pytest.MonkeyPatch) -> Record:
    """A polyp; nothing is decoded."""
    monkeypatch.setattr(Record, "study", lambda record: None)
    return Record("1", "made", "val", "1", b"", regions=[RecordRegion("polyp", [])], absent=["fracture"])


def test_the_shipped_files_are_read() -> None:
    folder = Path(phrasing.__file__).parent
    assert len(read_pairs(folder / "negations.yaml", trained_forms())) > 100
    assert len(phrasing.read_phrasings(folder / "phrasings.yaml")) > 50
