"""`medvlm tune` on a tiny model: it reads the `tune` half alone and writes a policy that the model is then loaded with."""

import json

import numpy as np
import pytest
from scipy.special import expit, logit

from medvlm.cli import main
from medvlm.evaluation.tune import Look, ScoredAnswer, _measured, graded, listen, measured, platt, tune_records
from medvlm.model.loading import save_compact
from medvlm.policy import DecisionPolicy, read_policy
from medvlm.records import Record, read_records
from medvlm.types import Answer, Region, mask_box

from .tiny import tiny_model, write_squares


@pytest.fixture
def model(tmp_path):
    model, _ = tiny_model(tmp_path / "language", spread=0.2)
    save_compact(model, tmp_path / "run" / "model")
    return tmp_path / "run" / "model"


@pytest.fixture
def data(tmp_path):
    return write_squares(tmp_path / "squares", held_out=12)


def test_it_writes_what_it_chose(model, data, capsys):
    assert main(["tune", str(data), "--model", str(model), "--show-cost", "2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    policy = read_policy(model)
    assert policy.show_cost == 2 and set(policy.calibration) and set(policy.labels) == {"pneumothorax"}
    assert said["policy"]["labels"] == policy.labels and said["after"]["all"]["n"] > 0
    assert main(["tune", str(data), "--model", str(model), "--dry-run", "--hide-cost", "9"]) == 0
    assert read_policy(model) == policy, "a dry run writes nothing"


def test_the_report_half_is_not_looked_at(data):
    used = {r.id for records in tune_records([data], None) for r in records}
    halves = {part: {r.id for r in read_records(data, "val") if r.part == part} for part in ("tune", "report")}
    assert used == halves["tune"] and halves["report"]
    assert len([r for records in tune_records([data], 2) for r in records]) == 2


def test_only_the_tune_half_is_opened(model, data, monkeypatch):
    opened, study = [], Record.study
    monkeypatch.setattr(Record, "study", lambda record: opened.append(record) or study(record))
    assert main(["tune", str(data), "--model", str(model), "--dry-run"]) == 0
    assert opened and {(r.split, r.part) for r in opened} == {("val", "tune")}


def test_plots_are_drawn(model, data, tmp_path):
    assert main(["tune", str(data), "--model", str(model), "--dry-run", "-o", str(tmp_path / "plots")]) == 0
    assert {p.name for p in (tmp_path / "plots").iterdir()} == {"presence.png", "reliability.png"}


def test_data_that_tells_nothing_is_refused(model, data, tmp_path, capsys):
    lines = [json.loads(line) for line in (data / "metadata.jsonl").read_text().splitlines()]
    bare = [{k: v for k, v in line.items() if k not in ("regions", "absent", "qa")} for line in lines]
    (data / "metadata.jsonl").write_text("\n".join(map(json.dumps, bare)))
    assert main(["tune", str(data), "--model", str(model)]) == 2
    assert "name sets with regions or questions" in capsys.readouterr().err
    assert not (model / "policy.json").exists()


class Told:
    """Answers with what it is given, whatever is asked, and keeps the policy that it had meanwhile."""

    def __init__(self, **answer):
        self.policy = DecisionPolicy(recalled={"count": 0.5})
        self.answer, self.had = Answer("No", 0.9, **answer), []

    def ask_many(self, requests, abstain=True):
        assert not abstain
        self.had.append(self.policy)
        return [self.answer for _ in requests]

    def recall(self, study, question):
        return "Left Lung", 0.7


def heard(data, **answer):
    told = Told(**answer)
    return told, listen(told, read_records(data, "val")[:1], [])


def test_what_a_tool_says_is_heard_beside_the_short_answer(data):
    told, said = heard(data, thoughts="count(polyp) → 2 (0.90)", source="count", likelihood=0.8)
    assert [(s.who, s.tool, s.likelihood, s.short) for s in said] == [("count", "count", 0.8, 0.7)] * 2
    assert [(s.right, s.short_right) for s in said] == [(False, True), (True, False)]  # of "Left Lung" and "No"
    assert told.had[0].recalled == {} and told.policy.recalled == {"count": 0.5}, "put back"


def test_two_calls_are_of_no_one_tool_and_a_decline_is_not_heard(data):
    _, said = heard(data, thoughts="count(polyp) → 2\nkind(modality) → ct", source="count", likelihood=0.8)
    assert len(said) == 2 and {s.tool for s in said} == {""}
    assert heard(data, thoughts="decline(outlook) → outlook", declined=True)[1] == []


def test_presence_is_heard_from_what_was_looked_at(data):
    rows = [Look("squares", "p", "left lung", True, True, 0.9, 1.0, 1.0)]
    rows += [Look("squares", "p", "pneumothorax", False, False, 0.8, 1.0, 0.0)]
    rows += [Look("squares", "p", "glioma", True, True, 0.9, 0.5, 1.0)]  # which type it is, is not yes or no
    said = listen(Told(declined=True), read_records(data, "val")[:1], rows)
    assert [(s.who, s.right) for s in said] == [("present", True), ("present", False)]
    assert said[0].likelihood == pytest.approx(0.9)


def test_what_is_measured_is_held_against_the_outlines(data):
    record = read_records(data, "val")[0]
    truth = record.region("left lung")
    right = [Region("left lung", 0, mask_box(truth.mask > 0), truth.mask > 0, 0.9)]
    assert _measured(record, right, "left lung") == {"measure": True, "place": True}
    low = np.zeros_like(truth.mask, bool)
    low[-2:, :2] = True
    wrong = [Region("left lung", 0, mask_box(low), low, 0.9)]
    assert _measured(record, wrong, "left lung") == {"measure": False, "place": False}
    assert _measured(record, [], "left lung") == {}


def test_what_is_hidden_is_not_measured():
    rows = [Look("squares", "p", "left lung", True, True, chance, 1.0, 1.0, {"count": True}) for chance in (0.9, 0.1)]
    assert [(s.who, s.right) for s in measured(rows, DecisionPolicy())] == [("count", True)]


def test_few_answers_that_happen_to_be_right_are_no_reason_to_be_sure():
    few, many = ([ScoredAnswer("p", "grade", 0.7, True)] * n for n in (3, 300))
    slopes = [expit(a * logit(0.7) + b) for a, b in (platt(few), platt(many))]
    assert 0.7 < slopes[0] < 0.9 < slopes[1]


def test_facts_of_the_whole_image_are_held_against_what_records_state(data):
    record = read_records(data, "val")[0]
    record.labels = {"side": "left", "untaught": "x"}

    class Seen:
        def labels_many(self, studies):
            return [{"side": {"left": 0.8, "right": 0.2}}]

    assert graded(Seen(), [record]) == [ScoredAnswer(record.patient, "grade", 0.8, True)]
