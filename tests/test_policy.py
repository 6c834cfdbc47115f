"""The policy: read and written whole, refused with one sentence, and chosen where it costs least."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from medvlm.errors import ModelError
from medvlm.evaluation.metrics import ece
from medvlm.evaluation.tune import (
    FEW,
    Look,
    ScoredAnswer,
    best_threshold,
    calibrated,
    choose_presence,
    choose_recalled,
    choose_types,
    costs,
    platt,
    recalled,
)
from medvlm.policy import FILE, DecisionPolicy, read_policy


def test_what_is_saved_is_read(tmp_path):
    assert read_policy(tmp_path) == DecisionPolicy(), "a model that was never tuned"
    policy = DecisionPolicy(
        finding=0.4, labels={"liver": 0.7}, calibration={"present": [1.0, 0.5]}, read=0.2, recalled={"count": 0.7}
    )
    policy.save(tmp_path)
    assert read_policy(tmp_path) == policy


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"findings": 0.3}, "'findings', the nearest known is 'finding'"),
        ({"finding": None}, "no usable value for 'finding'"),
        ({"finding": "0.5"}, "no usable value for 'finding'"),
        ({"calibration": {"present": [1.0]}}, "no usable value for 'calibration'"),
        ({"labels": [0.5]}, "no usable value for 'labels'"),
        ({"recalled": {"count": "0.5"}}, "no usable value for 'recalled'"),
        ({"read": True}, "no usable value for 'read'"),
        ({"one_sided": 0.5}, "a field 'one_sided'"),  # of an earlier version
    ],
)
def test_a_wrong_policy_is_refused(tmp_path, change, said):
    (tmp_path / FILE).write_text(json.dumps(asdict(DecisionPolicy()) | change))
    with pytest.raises(ModelError, match=said) as error:
        read_policy(tmp_path)
    assert "medvlm tune" in str(error.value)


@pytest.mark.parametrize("text", ["", "[1]", '{"finding": 0.5}', "{"])
def test_a_policy_that_is_cut_off_is_refused(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ModelError, match="medvlm tune"):
        read_policy(tmp_path)


def test_least():
    policy = DecisionPolicy(finding=0.4, anatomy=0.8, labels={"spleen": 0.3})
    assert [policy.least(name) for name in ("polyp", "liver", "Spleen", "the scar", None)] == [0.4, 0.8, 0.3, 0.4, 0.4]


def test_verdict():
    policy = DecisionPolicy(certain=0.65, ruled_out=0.35)
    assert policy.verdict(0.7, True) == "present" and policy.verdict(0.6, True) == "uncertain"
    assert policy.verdict(0.6, False) == "uncertain" and policy.verdict(0.2, False) == "absent"


def looks(label, there, chances, gain=1.0, share=1.0):
    return [
        Look("set", f"p{i}", label, there, there or share < 1, c, share, gain if there else 0.0)
        for i, c in enumerate(chances)
    ]


def test_the_threshold_lies_between_what_is_there_and_what_is_not():
    rows = looks("polyp", True, [0.7] * 20) + looks("polyp", False, [0.3] * 20)
    assert 0.3 < best_threshold(rows, 0.5, DecisionPolicy()) <= 0.7


def test_costs_move_the_threshold():
    rows = looks("polyp", True, np.linspace(0.1, 0.9, 40)) + looks("polyp", False, np.linspace(0.05, 0.8, 40))
    eager = best_threshold(rows, 0.5, DecisionPolicy(show_cost=0.2))
    careful = best_threshold(rows, 0.5, DecisionPolicy(show_cost=5.0))
    assert eager < 0.3 < 0.7 < careful


def test_what_is_badly_drawn_is_less_worth_showing():
    there, absent = [0.6] * 10, [0.5] * 10 + [0.62] * 4
    good, bad = (looks("polyp", True, there, gain) + looks("polyp", False, absent) for gain in (1.0, 0.1))
    assert best_threshold(good, 0.5, DecisionPolicy()) < best_threshold(bad, 0.5, DecisionPolicy())


def test_few_images_move_a_threshold_little():
    few, many = (looks("polyp", True, [0.99] * n) + looks("polyp", False, [0.95] * n) for n in (1, 50))
    assert best_threshold(few, 0.5, DecisionPolicy(show_cost=0.3)) == pytest.approx(0.5)
    assert best_threshold(many, 0.5, DecisionPolicy(show_cost=0.3)) > 0.95


def test_a_label_needs_images_without_it_to_have_a_threshold_of_its_own():
    rows = looks("liver", True, [0.9] * 10) + looks("liver", False, [0.6] * 10)
    rows += looks("spleen", True, [0.2] * 9) + looks("spleen", False, [0.1] * 3)
    policy = choose_presence(rows, DecisionPolicy(labels={"colon": 0.5}))
    assert set(policy.labels) == {"liver"} and 0.6 < policy.least("liver") <= 0.9
    assert policy.least("spleen") == policy.anatomy == 0.5


def test_types_are_shown_where_it_pays():
    rows = looks("malignant tumour", True, [0.9] * 20, share=0.8) + looks(
        "malignant tumour", False, [0.9] * 20, share=0.2
    )
    policy = choose_types(rows, DecisionPolicy(type_sure=0.9))
    assert 0.2 < policy.type_least <= 0.8 and policy.type_sure == 0.9
    cell = costs(rows, policy)["all"]
    assert (
        cell["shown"] == 1 and cell["false"] == 0 and costs(rows, replace(policy, type_least=0.0))["all"]["false"] == 1
    )


def test_confidence_is_what_is_right():
    rng = np.random.default_rng(0)
    chances = rng.uniform(0.05, 0.95, 4000)
    said = [ScoredAnswer("p", "present", float(c**0.25), bool(rng.random() < c)) for c in chances]
    policy = DecisionPolicy(calibration={"present": platt(said)})
    right = [s.right for s in said]
    assert ece([s.likelihood for s in said], right) > 0.2 > 0.04 > ece([calibrated(policy, s) for s in said], right)


# Short answers in the place of what a tool gives


def answers(tool: str, own: list[bool], short: list[bool], chances: list[float]) -> list[ScoredAnswer]:
    return [
        ScoredAnswer(f"p{n}", tool, 0.6, mine, tool, chance, other)
        for n, (mine, other, chance) in enumerate(zip(own, short, chances, strict=True))
    ]


def test_short_answers_are_preferred_from_where_they_are_right_more_often():
    sure, unsure = [0.9] * 20, [0.4] * 20
    said = answers("count", [False] * 20 + [True] * 20, [True] * 20 + [False] * 20, sure + unsure)
    least = choose_recalled(said)
    assert list(least) == ["count"] and 0.4 < least["count"] <= 0.9
    told = recalled(said, least)
    assert all(s.right for s in told) and [s.who for s in told] == ["short"] * 20 + ["count"] * 20
    assert [s.likelihood for s in told[:20]] == sure and [s.likelihood for s in told[20:]] == [0.6] * 20


def test_short_answers_that_are_no_better_are_not_preferred():
    said = answers("place", [True] * 40, [True] * 20 + [False] * 20, [0.9] * 40)
    assert choose_recalled(said) == {} and recalled(said, {}) == said


def test_a_tool_that_was_hardly_asked_keeps_its_own_answers():
    few = answers("measure", [False] * (FEW - 1), [True] * (FEW - 1), [0.9] * (FEW - 1))
    assert choose_recalled(few) == {}
    assert choose_recalled(answers("measure", [False] * FEW, [True] * FEW, [0.9] * FEW))


def test_what_was_recalled_anyway_is_not_counted_for_a_tool():
    said = [replace(s, who="short") for s in answers("recall", [False] * 40, [True] * 40, [0.9] * 40)]
    assert choose_recalled(said) == {} and recalled(said, {"recall": 0.5}) == said
