"""Worse images: what is asked of them, and what they cost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medvlm.evaluation import evaluate, to_tables
from medvlm.evaluation.corruptions import CORRUPTIONS
from medvlm.evaluation.task import Run
from medvlm.evaluation.tasks.robustness import CLEAN, VARIANTS, Robustness, turned, worse
from medvlm.records import read_records

from .fakes import FakeAssistant, square
from .squares import write_data_set


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_data_set(tmp_path / "own")


def test_an_image_is_asked_clean_and_with_every_corruption(folder: Path, tmp_path: Path):
    class Keeping(FakeAssistant):
        def ground_many(self, requests, image=None):
            self.calls += [(study.images[0].pixels, list(phrases)) for study, phrases in requests]
            return super().ground_many(requests, image)

    assistant, path = Keeping(), tmp_path / "items.jsonl"
    result = evaluate(assistant, [folder], tasks=["robustness"], limit=1, items=path, progress=False)
    asked = [call for call in assistant.calls if not isinstance(call, str)]
    assert len(asked) == len(VARIANTS) == 1 + 3 * len(CORRUPTIONS)
    assert all(phrases == ["fetal head"] for _, phrases in asked), "only what is outlined"
    assert (asked[0][0] == read_records(folder, "val")[0].image).all()
    same = [v for v, (pixels, _) in zip(VARIANTS, asked, strict=True) if (pixels == asked[0][0]).all()]
    assert not {f"{name}/strong" for name in CORRUPTIONS if name != "JPEG"} & set(same), "JPEG keeps whole blocks"
    (item,) = (json.loads(line) for line in path.read_text().splitlines())
    assert list(item["dice"]) == list(VARIANTS) and item["dice"][CLEAN] == 1.0
    assert item["dice"]["blur/weak"] > 0.9 and item["dice"]["contrast/strong"] < item["dice"]["contrast/weak"]
    score = result["metrics"]["robustness/all/contrast/strong/loss"]
    assert score["value"] == pytest.approx(1 - item["dice"]["contrast/strong"], abs=1e-4) and score["n"] == 1


def test_means_are_over_sets():
    items = [
        {"set": of, "patient": str(n), "dice": {v: 0.9 if v == CLEAN else value for v in VARIANTS}}
        for n, (of, value) in enumerate((("a", 0.8), ("a", 0.6), ("a", 0.7), ("b", 0.1)))
    ]
    items[3]["dice"]["noise/middle"] = 0.9
    got = Robustness().summarise(items, Run())
    assert got["robustness/all/clean/dice"]["value"] == 0.9
    assert got["robustness/all/blur/weak/dice"]["value"] == pytest.approx((0.7 + 0.1) / 2)
    assert got["robustness/all/blur/weak/loss"]["value"] == pytest.approx((0.2 + 0.8) / 2)
    kinds = len(CORRUPTIONS)
    assert got["robustness/all/loss"]["value"] == pytest.approx((0.2 + 0.8 * (kinds - 1) / kinds) / 2, abs=1e-4)
    assert got["robustness/all/loss"]["n"] == 4 * kinds
    table = to_tables({"model": "m", "split": "val", "failed": 0, "metrics": got})
    assert "| blur          | 0.003, 0.006, 0.012 | 4 " in table and "| none " in table and "| mean of these" in table


def test_masks_turn_with_their_image():
    image, masks = square((100, 140), (30, 20, 80, 50)), {"liver": square((100, 140), (30, 20, 80, 50)) > 0}
    for (pixels, truth), variant in zip(worse(image, masks, "own/1"), VARIANTS[1:], strict=True):
        assert (truth is masks) == (not variant.startswith("rotation"))
        if variant.startswith("rotation"):
            assert np.count_nonzero((pixels >= 100) != truth["liver"]) < 8, "but for rounding"
    gone = {**masks, "speck": square((100, 140), (0, 0, 1, 1)) > 0}
    assert list(turned(gone, 15, 3)) == ["liver"], "what leaves the image is not asked for"


def test_what_is_not_outlined_is_not_asked(folder: Path):
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    for row in rows:
        row["regions"][0].pop("mask")
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assistant = FakeAssistant()
    assert not evaluate(assistant, [folder], tasks=["robustness"], progress=False)["metrics"] and not assistant.calls
