"""Metrics against values worked out by hand."""

import math

import numpy as np
import pytest

from medvlm.evaluation import metrics as m
from medvlm.normalise import normalise_answer


def rectangle(shape, y0, y1, x0, x1):
    mask = np.zeros(shape, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_dice():
    a, b = rectangle((10, 10), 0, 4, 0, 4), rectangle((10, 10), 0, 4, 2, 6)
    empty = np.zeros((10, 10), bool)
    assert m.dice(a, b) == 0.5  # 2 * 8 / 32
    assert m.dice(a, a) == 1.0
    assert m.dice(empty, a) == 0.0
    assert m.dice(a, empty) == 0.0
    assert m.dice(empty, empty) == 1.0


def test_nsd_depends_on_the_tolerance():
    a, b = rectangle((40, 40), 10, 20, 10, 20), rectangle((40, 40), 10, 20, 11, 21)
    empty = np.zeros((40, 40), bool)
    assert m.nsd(a, b, 1) == 1.0
    # 36 outline pixels each, of which the shared top and bottom rows hold 9 + 9.
    assert m.nsd(a, b, 0) == pytest.approx((18 + 18) / 72)
    assert m.nsd(empty, a, 2) == m.nsd(a, empty, 2) == 0.0
    assert m.nsd(empty, empty, 2) == 1.0


def test_nsd_of_a_shift_beyond_the_tolerance_loses_two_sides():
    a, b = rectangle((60, 60), 10, 40, 10, 40), rectangle((60, 60), 10, 40, 15, 45)
    assert m.nsd(a, a, 0) == 1.0
    assert 0.3 < m.nsd(a, b, 2) < 0.7


def test_box_iou():
    got = m.box_iou([[0, 0, 2, 2], [5, 5, 5, 5]], [[1, 0, 3, 2], [0, 0, 2, 2], [8, 8, 9, 9]])
    assert np.allclose(got, [[1 / 3, 1, 0], [0, 0, 0]])
    assert m.box_iou([], [[0, 0, 1, 1]]).shape == (0, 1)
    assert m.box_iou([[0, 0, 1, 1]], []).shape == (1, 0)


def test_a_true_box_is_taken_once_and_by_the_best_score():
    truth = [[0, 0, 10, 10]]
    assert m.match_boxes([[0, 0, 10, 9], [0, 0, 10, 10]], [0.3, 0.9], truth) == [False, True]
    assert m.match_boxes([[0, 0, 10, 4]], [0.9], truth) == [False]
    assert m.match_boxes([], [], truth) == []
    assert m.match_boxes([[0, 0, 1, 1]], [0.9], []) == [False]


def test_average_precision():
    assert m.average_precision([([0.9], [True], 1)]) == 1.0
    assert m.average_precision([([], [], 2)]) == 0.0
    assert math.isnan(m.average_precision([([0.9], [False], 0)]))
    # Ranked hit, miss, hit over 3 true boxes: precision 1 at recall 1/3, 2/3 at recall 2/3, nothing after.
    images = [([0.9, 0.7], [True, True], 2), ([0.8], [False], 0), ([], [], 1)]
    assert m.average_precision(images) == pytest.approx((1 + 2 / 3) / 3)


def test_precision_is_interpolated():
    # miss, hit, hit of 2: precisions 1/2 and 2/3, both raised to 2/3.
    assert m.average_precision([([0.9, 0.8, 0.7], [False, True, True], 2)]) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Yes.", "yes"),
        ("  TRUE", "yes"),
        ("Nope!", "no"),
        ("The left lung", "left lung"),
        ("Two", "2"),
        ("Transverse  Plane", "transverse plane"),
        ("X-ray", "x ray"),
        ("1.5 cm.", "1.5 cm"),
        ("no abnormality", "no abnormality"),
        ("", ""),
        ("the", ""),
    ],
)
def test_normalise_answer(text, wanted):
    assert normalise_answer(text) == wanted


def test_exact_match_is_strict():
    assert m.exact_match("three", "3")
    assert m.exact_match("Left Lung, Right", "left lung right")
    assert not m.exact_match("normal", "no")
    assert not m.exact_match("no", "none")
    assert not m.exact_match("yes, there is", "yes")


def test_token_recall():
    assert m.token_recall("it is the left lung", "Left Lung, Upper") == pytest.approx(2 / 3)
    assert m.token_recall("", "lung") == 0.0
    assert m.token_recall("normal", "no") == 0.0


def test_specificity_at_sensitivity():
    scores, truth = [0.9, 0.6, 0.3, 0.8, 0.5, 0.1], [True, True, True, False, False, False]
    assert m.specificity_at_sensitivity(scores, truth) == pytest.approx(1 / 3)  # all three, so from 0.3 on
    assert m.specificity_at_sensitivity(scores, truth, 2 / 3) == pytest.approx(2 / 3)  # two of three, from 0.6 on
    assert m.specificity_at_sensitivity([0.9, 0.1], [True, False]) == 1.0
    assert m.specificity_at_sensitivity([0.5, 0.5], [True, False]) == 0.0  # a tie is not told apart
    assert m.specificity_at_sensitivity([0.1] + [0.9] * 9 + [0.5], [True] * 10 + [False]) == 1.0  # 9 of 10 are 0.9
    assert math.isnan(m.specificity_at_sensitivity([0.9], [True])) and math.isnan(m.specificity_at_sensitivity([], []))


def test_mean_average_precision_leaves_out_labels_without_boxes():
    hit, missed, false = ([0.9], [True], 1), ([], [], 1), ([0.9], [False], 0)
    assert m.mean_average_precision([{"a": hit, "b": missed}, {"a": hit}, {"c": false}]) == 0.5
    assert m.mean_average_precision([{"a": hit}, {"a": missed}, {"b": hit}]) == 0.75  # of labels, not of boxes
    assert math.isnan(m.mean_average_precision([{"c": false}])) and math.isnan(m.mean_average_precision([]))


def test_ece_uses_equal_mass_bins():
    assert m.ece([0.9] * 10, [True] * 9 + [False], bins=1) == pytest.approx(0.0)
    # Two bins of two: |0.15 - 0| and |0.85 - 1|.
    assert m.ece([0.9, 0.1, 0.8, 0.2], [True, False, True, False], bins=2) == pytest.approx(0.15)
    assert m.ece([0.7], [False]) == pytest.approx(0.7)


def test_accuracy_at_coverage():
    assert m.accuracy_at_coverage([0.9, 0.8, 0.7, 0.1], [True, True, False, False], 0.5) == 1.0
    assert m.accuracy_at_coverage([0.9, 0.8, 0.7, 0.1], [True, True, False, False], 1.0) == 0.5


def test_auc():
    assert m.auc([0.1, 0.4, 0.35, 0.8], [False, False, True, True]) == 0.75  # 3 of 4 pairs in order
    assert m.auc([0.5, 0.5, 0.5], [True, False, False]) == 0.5
    assert m.auc([0.9, 0.1], [False, True]) == 0.0
    assert math.isnan(m.auc([0.9, 0.1], [True, True]))
    assert math.isnan(m.auc([], []))


def test_spearman():
    assert m.spearman([1, 2, 3], [10, 100, 1000]) == pytest.approx(1.0)
    assert m.spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)
    # 1 - 6 * (1 + 1) / (4 * 15)
    assert m.spearman([0.1, 0.2, 0.3, 0.4], [1, 3, 2, 4]) == pytest.approx(0.8)
    # Ranks 1.5, 1.5, 3 against 1, 2, 3.
    assert m.spearman([5, 5, 9], [1, 2, 3]) == pytest.approx(math.sqrt(3) / 2)
    assert math.isnan(m.spearman([1, 1, 1], [1, 2, 3]))
    assert math.isnan(m.spearman([], []))


def test_a_mean_of_means_weighs_groups_alike():
    assert m.mean_of_means([("a", 1.0), ("a", 0.0), ("a", 0.5), ("b", 0.1)]) == pytest.approx(0.3)
    assert math.isnan(m.mean_of_means([]))


def test_bootstrap_draws_patients_not_images():
    values = [1.0] * 50 + [0.0] * 50
    same = m.bootstrap_interval(values, ["one"] * 100)
    assert same == (0.5, 0.5)
    by_patient = m.bootstrap_interval(values, ["one"] * 50 + ["two"] * 50)
    assert by_patient == (0.0, 1.0)
    alone = m.bootstrap_interval(values, range(100))
    assert 0.38 < alone[0] < 0.43 and 0.57 < alone[1] < 0.62
    assert alone == m.bootstrap_interval(values, range(100), statistic=np.mean)
    assert alone == m.bootstrap_interval(values, range(100), seed=0)
    assert all(math.isnan(v) for v in m.bootstrap_interval([], []))
