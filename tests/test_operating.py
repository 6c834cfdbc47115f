"""Operating points: chosen on one half, quoted on the other, read and written whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from medvlm.errors import ModelError
from medvlm.operating import FEW, FILE, STEPS, USUAL, Scores, read_operating, write_operating

SCORES = Scores("yes", (0.9, 0.2, 0.6, 0.4), (0.8, 0.7, 0.5, 0.3, 0.1), (0.6, 0.35, 0.2, 0.1, 0.0))


@pytest.mark.parametrize(
    ("sensitivity", "least"), [(1.0, 0.2), (0.75, 0.4), (0.7, 0.4), (0.5, 0.6), (0.25, 0.9), (0.0, 0.9)]
)
def test_a_point_is_the_highest_that_finds_as_many(sensitivity, least):
    assert SCORES.at(sensitivity) == least
    found = sum(score >= least for score in SCORES.chosen_with) / len(SCORES.chosen_with)
    assert found >= sensitivity


def test_without_images_there_is_only_the_usual_point():
    assert Scores("yes", (), (), ()).at(0.9) == USUAL


def test_a_point_is_quoted_as_it_did_on_the_other_half():
    assert SCORES.quoted(0.5) == (
        "“yes” is said from a probability of 0.50: on images kept aside its sensitivity was 0.60 (of 5) and its "
        "specificity 0.80 (of 5)."
    )


def test_few_images_are_not_quoted():
    few = (0.5,) * (FEW - 1)
    assert Scores("yes", (), few, (0.5,) * 50).quoted(0.5) == "" == Scores("yes", (), (0.5,) * 50, few).quoted(0.5)


def test_the_points_that_can_be_asked_for_are_each_measured_once():
    usual = SCORES.operating("fracture", None)
    assert (usual.fact, usual.images, usual.point.asked) == ("fracture", (5, 5), None)
    assert (usual.point.sensitivity, usual.point.specificity) == SCORES.worth(USUAL) == (0.6, 0.8)
    least = [SCORES.least(point.asked) for point in usual.curve]
    assert least == [0.9, 0.6, 0.5, 0.4, 0.2], "from the surest on"
    assert [(p.sensitivity, p.specificity) for p in usual.curve] == [SCORES.worth(one) for one in least]


@pytest.mark.parametrize("sensitivity", [None, 0.93, 1.0, 0.01])
def test_the_point_that_is_used_is_the_one_that_was_asked_for(sensitivity):
    operating = SCORES.operating("fracture", sensitivity)
    assert SCORES.least(operating.point.asked) == SCORES.least(sensitivity)
    for number, point in enumerate(operating.curve):
        again = SCORES.operating("fracture", point.asked)
        assert (again.used, len(again.curve)) == (number, len(operating.curve)), "asking for one leads to it"


def test_many_images_give_no_more_points_than_a_person_moves_through():
    many = tuple(number / 1000 for number in range(1000))
    assert len(Scores("yes", many, many, many).operating("fracture", None).curve) <= len(STEPS) + 1


def test_few_images_measure_no_points():
    assert Scores("yes", (0.5,) * 9, (0.5,) * (FEW - 1), (0.5,) * 50).operating("fracture", None) is None


def test_what_is_written_is_read(tmp_path: Path):
    assert read_operating(tmp_path) == {}, "never measured"
    write_operating(tmp_path, {"fracture": SCORES})
    assert read_operating(tmp_path) == {"fracture": SCORES}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "{",
        '{"fracture": 3}',
        '{"fracture": {"value": "yes"}}',
        '{"fracture": {"value": "yes", "chosen_with": ["a"]}}',
    ],
)
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ModelError, match="benchmarks/operating.py"):
        read_operating(tmp_path)
