"""The shipped weights on a small fixed sample of real validation images, against floors well below their scores."""

from __future__ import annotations

from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "shared" / "data"
SETS = ("hc18", "jsrt", "lung_ct", "ph2", "drishti_gs", "kvasir_seg", "slake", "brain_tumor_cheng")
IMAGES = 8  # of each set
FLOORS = {
    "ground/hc18/fetal head/dice": 0.80,
    "ground/jsrt/left lung/dice": 0.88,
    "ground/jsrt/right lung/dice": 0.90,
    "ground/jsrt/heart/dice": 0.82,
    "ground/lung_ct/lung/dice": 0.90,
    "ground/ph2/skin lesion/dice": 0.75,
    "ground/drishti_gs/optic disc/dice": 0.90,
    "ground/kvasir_seg/polyp/dice": 0.60,
    "facts/all/modality": 0.90,
    "facts/all/body_part": 0.80,
    "answer/slake/accuracy": 0.50,
}


@pytest.fixture(scope="module")
def metrics():
    if not DATA.is_dir():
        pytest.skip(f"the validation data is not at {DATA.parent.name}/{DATA.name} beside the checkout")
    from medvlm.assistant import Assistant
    from medvlm.evaluation import evaluate

    result = evaluate(
        Assistant.load("nano"), [DATA / name for name in SETS], limit=IMAGES, controls=False, progress=False
    )
    assert result["failed"] == 0
    return result["metrics"]


@pytest.mark.parametrize("name", FLOORS)
def test_a_score_stays_above_its_floor(metrics, name):
    assert metrics[name]["value"] >= FLOORS[name]


def test_absent_phrases_mostly_return_nothing(metrics):
    assert metrics["ground/all/absent_false_positive"]["value"] <= 0.3


def test_answers_come_from_the_image(metrics):
    answers = metrics["answer/slake/accuracy"]
    assert answers["value"] > answers["baseline"]["commonest"] - 0.05
