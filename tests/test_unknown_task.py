"""What is no medical image: the pictures that stand against the medical ones, and how they are told apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medvlm.evaluation import evaluate, to_tables
from medvlm.evaluation.nothing_medical import EVERYDAY, GREYS, NOISES, nothing_medical
from medvlm.evaluation.task import Run
from medvlm.evaluation.tasks.unknown import Unknown
from medvlm.types import ImageFacts

from .fakes import FakeAssistant
from .squares import write_data_set


class Doubting(FakeAssistant):
    """Takes what shows something in part of it for a medical image."""

    def facts(self, study, image=None) -> ImageFacts:
        self.calls.append("facts")
        pixels = study.images[0].rgb
        dark = float((pixels == 0).all(axis=2).mean())
        return ImageFacts("ct", 0.9, "chest", 0.8, 0.9 if 0.5 < dark < 1 else 0.1)


def item(kind: str, patient: str, unknown: float) -> dict:
    return {"set": kind, "patient": patient, "kind": kind, "unknown": unknown, "flagged": unknown > 0.5}


def test_pictures_are_of_three_kinds_and_always_the_same():
    pictures = nothing_medical()
    count = {kind: sum(record.set == kind for record in pictures) for kind in dict.fromkeys(r.set for r in pictures)}
    assert count["noise"] == 3 * NOISES and count["blank"] == GREYS and 0 < count["everyday pictures"] <= len(EVERYDAY)
    assert len({record.key for record in pictures}) == len(pictures)
    greys = [int(record.image.max()) for record in pictures if record.set == "blank"]
    assert greys == list(range(0, 256, 17))
    assert all(np.ptp(record.image) > 200 for record in pictures if record.set == "noise")


def test_each_kind_stands_against_the_medical_images():
    items = [item("medical", "1", 0.1), item("medical", "2", 0.6), item("noise", "a", 0.9), item("noise", "b", 0.4)]
    got = Unknown().summarise(items, Run())
    assert got["unknown/medical/flagged"]["value"] == 0.5 and "unknown/medical/auc" not in got
    assert got["unknown/noise/flagged"]["value"] == 0.5 and got["unknown/noise/auc"]["value"] == 0.75
    assert "unknown/noise/auc" not in Unknown().summarise(items[2:], Run()), "there is nothing to tell it from"


def test_they_are_asked_once_beside_several_sets(tmp_path: Path):
    folders = [write_data_set(tmp_path / name) for name in ("own", "other")]
    for folder in folders:
        text = (folder / "metadata.jsonl").read_text()
        rows = [json.loads(line) | {"set": folder.name} for line in text.splitlines()]
        rows[4]["modality"] = "photograph"
        (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assistant = Doubting()
    result = evaluate(assistant, folders, tasks=["unknown"], progress=False)
    assert len(assistant.calls) == 6 + len(nothing_medical())
    scores = result["metrics"]
    assert scores["unknown/medical/flagged"]["value"] == 0.0 and scores["unknown/medical/flagged"]["n"] == 4
    assert scores["unknown/photographs/flagged"]["n"] == 2 and scores["unknown/photographs/auc"]["value"] == 0.5
    assert scores["unknown/blank/flagged"]["value"] == scores["unknown/blank/auc"]["value"] == 1.0
    assert "| blank " in to_tables(result)


def test_a_failure_is_wrong_of_every_kind(tmp_path: Path):
    class Broken(FakeAssistant):
        def facts(self, study, image=None):
            raise ValueError("no")

    scores = evaluate(Broken(), [write_data_set(tmp_path / "own")], tasks=["unknown"], progress=False)["metrics"]
    assert scores["unknown/medical/flagged"]["value"] == 1.0 and scores["unknown/noise/flagged"]["value"] == 0.0
    assert scores["unknown/noise/auc"]["value"] == pytest.approx(0.0)
