"""The evaluation against a model whose answers are known: what it scores, resumes from and survives."""

import json
import math

import numpy as np
import PIL.Image
import pytest

from medvlm.errors import RequestError
from medvlm.evaluation import evaluate, to_tables
from medvlm.evaluation.baselines import CommonestAnswer, mean_masks, scale_mask, shuffled_partners
from medvlm.evaluation.summary import metric
from medvlm.records import QA, read_records

from .fakes import FakeAssistant, square


@pytest.fixture
def folder(tmp_path):
    """Two training and three validation images of one set, each of one bright rectangle."""
    rows = []
    for i, split in enumerate(["train", "train", "val", "val", "val"]):
        box = [16, 16, 48, 40]
        truth = square(box=box, value=1)
        if i == 4:
            truth = square(box=[16, 16, 32, 40], value=1)  # half of what the image shows: Dice 2/3
        for kind, pixels in (("images", square(box=box)), ("masks", truth)):
            (tmp_path / "own" / kind).mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(pixels).save(tmp_path / "own" / kind / f"{i}.png")
        rows.append(
            {
                "id": f"image{i}", "set": "own", "split": split, "patient": f"p{i}",
                "file_name": f"images/{i}.png",
                "modality": "ultrasound", "body_part": "fetal head" if i < 4 else "breast",
                "regions": [{"label": "fetal head", "mask": f"masks/{i}.png", "boxes": [box]}],
                "absent": ["absent mass", "liver"],
                "qa": [
                    {"question": "Is it bright?", "answer": "Yes" if i != 3 else "No", "type": "closed", "lang": "en"},
                    {"question": "亮吗?", "answer": "是", "type": "closed", "lang": "zh"},
                ],
            }
        )  # fmt: skip
    (tmp_path / "own" / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "own"


def test_scores(folder):
    result = evaluate(FakeAssistant(), [folder], progress=False)
    scores = result["metrics"]
    dice = scores["ground/own/fetal head/dice"]
    assert dice["value"] == pytest.approx((1 + 1 + 2 / 3) / 3, abs=1e-3)
    assert dice["n"] == 3 and dice["low"] <= dice["value"] <= dice["high"]
    assert dice["baseline"]["mean mask"] == pytest.approx((1 + 1 + 2 / 3) / 3, abs=0.02)
    assert scores["ground/own/fetal head/ap50"]["value"] == 1.0
    assert scores["ground/own/absent_false_positive"]["value"] == 0.5
    assert scores["ground/all/absent_false_positive"]["n"] == 6
    accuracy = scores["answer/own/accuracy"]
    assert accuracy["value"] == pytest.approx(2 / 3, abs=1e-3)
    assert accuracy["n"] == 3  # English alone
    assert accuracy["baseline"] == pytest.approx({"commonest": 2 / 3, "blank": 1 / 3, "shuffled": 2 / 3}, abs=1e-3)
    assert scores["answer/own/ece"]["value"] == pytest.approx((0.2 + 0.2 + 0.8) / 3, abs=1e-3)
    assert "answer/own/open" not in scores
    assert scores["facts/own/modality"]["value"] == 1.0
    assert scores["facts/all/body_part"]["value"] == pytest.approx(2 / 3, abs=1e-3)
    assert scores["facts/own/medical"]["value"] == 1.0
    assert result["failed"] == 0
    json.dumps(result, allow_nan=False)
    table = to_tables(result)
    assert "| own | fetal head | 3" in table and "0.889 [" in table and "shuffled images" in table


def test_languages_are_counted_apart(folder):
    result = evaluate(FakeAssistant(), [folder], tasks=["answer"], languages=("en", "zh"), progress=False)
    assert result["metrics"]["answer/own/accuracy"]["n"] == 3
    assert result["metrics"]["answer/own-zh/accuracy"]["n"] == 3
    assert result["failed"] == 9  # the fake refuses another script, with each of the three images


def test_a_stopped_run_goes_on(folder, tmp_path):
    items, first, second = tmp_path / "out.items.jsonl", FakeAssistant(), FakeAssistant()
    once = evaluate(first, [folder], items=items, progress=False)
    lines = items.read_text().splitlines(keepends=True)
    items.write_text("".join(lines[:-1]) + lines[-1][:20])  # killed while it wrote
    again = evaluate(second, [folder], items=items, progress=False)
    assert again["metrics"] == once["metrics"]
    assert len(second.calls) == 1
    other = FakeAssistant()
    other.name = "other"
    evaluate(other, [folder], items=items, progress=False)
    assert len(other.calls) == len(first.calls)


def test_failures_are_recorded_and_count_as_wrong(folder, tmp_path):
    class Shaky(FakeAssistant):
        def ground_many(self, requests, image=None):
            if len(requests) > 1:
                raise MemoryError("too many")
            self.seen = getattr(self, "seen", 0) + 1
            if self.seen == 1:
                raise ValueError("bad image")
            return super().ground_many(requests, image)

    items = tmp_path / "items.jsonl"
    result = evaluate(Shaky(), [folder], tasks=["ground"], items=items, progress=False)
    assert result["failed"] == 1
    assert result["metrics"]["ground/own/fetal head/dice"]["value"] == pytest.approx((0 + 1 + 2 / 3) / 3, abs=1e-3)
    assert "ValueError: bad image" in items.read_text()
    assert "1 items failed" in to_tables(result)
    mended = evaluate(FakeAssistant(), [folder], tasks=["ground"], items=items, progress=False)
    assert mended["failed"] == 0  # what failed is tried again


def test_an_unreadable_image_does_not_stop_the_rest(folder):
    (folder / "images" / "3.png").write_bytes(b"broken")
    result = evaluate(FakeAssistant(), [folder], tasks=["ground", "facts"], progress=False)
    assert result["failed"] == 2
    assert result["metrics"]["facts/own/modality"]["n"] == 3


def test_limit_and_unknown_task(folder):
    assert evaluate(FakeAssistant(), [folder], limit=2, progress=False)["metrics"]["facts/own/modality"]["n"] == 2
    with pytest.raises(RequestError, match="ground, answer, facts"):
        evaluate(FakeAssistant(), [folder], tasks=["guess"])


def test_baselines(folder):
    train, val = read_records(folder, "train"), read_records(folder, "val")
    mean = mean_masks(train)["fetal head"]
    assert mean.shape == (64, 64) and (mean == (square(value=1) > 0)).all()
    assert scale_mask(mean, (128, 32)).sum() == pytest.approx(mean.sum(), rel=0.05)
    guess = CommonestAnswer(train)
    assert guess("is it BRIGHT", "closed") == "yes"
    assert guess("never asked", "closed") == "yes"
    assert guess("never asked", "open") == ""
    train[0].qa = [QA("q", "no", "closed")] * 3
    assert CommonestAnswer(train)("never asked", "closed") == "no"
    partners = shuffled_partners(val)
    assert {r.key for r in val} == set(partners) == {r.key for r in partners.values()}
    assert all(key != partner.key for key, partner in partners.items())
    assert shuffled_partners(val[:1]) == {}


def test_a_metric_has_no_nan():
    assert metric([], [], statistic=lambda _: math.nan)["value"] is None
    assert metric(np.array([1.0, 0.0]), ["a", "b"], {"x": math.nan})["baseline"] == {"x": None}
