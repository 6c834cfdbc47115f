"""Records of what a person corrected, and training on them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from medvlm.errors import RequestError
from medvlm.model.efficientnet import EfficientNetLiteModel
from medvlm.records import read_records
from medvlm.records.check import check_folder
from medvlm.records.corrected import write_records
from medvlm.report.corrections import Corrections, apply
from medvlm.report.edits import AddRegion, EditSentence, RedrawRegion, RejectFinding
from training import sft
from training.config import Recipe, from_values

from .drafts import LUNG, drafted, mask
from .tiny import tiny_language


def test_records_hold_what_a_person_said_and_nothing_else(tmp_path):
    draft, study = drafted(2)
    made = [
        RejectFinding(LUNG),
        AddRegion("lung nodule", 0, None, mask(60, 5, 70, 15)),
        AddRegion("fracture", 1, (1.0, 2.0, 9.0, 9.0)),
    ]
    corrections = Corrections.of(draft, made)
    out = apply(draft, corrections, study)
    write_records(draft, out, corrections, study, tmp_path / "set")
    assert check_folder(tmp_path / "set") == []
    first, second = read_records(tmp_path / "set")
    assert (first.split, first.modality, first.body_part, first.spacing_mm) == ("train", "x-ray", "chest", (0.5, 0.25))
    assert first.patient == second.patient and first.absent == ["left lung"] and second.absent == []
    (nodules,) = first.regions  # all of the label in the image, the draft's own as well
    assert nodules.label == "lung nodule" and len(nodules.boxes) == 2 and set(np.unique(nodules.mask)) == {0, 1, 2}
    assert [(r.label, r.boxes, r.mask) for r in second.regions] == [("fracture", [[1, 2, 9, 9]], None)]
    assert (first.image[..., 0] == study.images[0].pixels).all()
    assert "corrected by a person" in first.report and "A person corrected" not in first.report


def test_records_of_a_study_are_replaced_and_others_stay(tmp_path):
    for number, size in enumerate((8, 8, 12)):
        draft, study = drafted()
        study.images[0].pixels[:2] = number // 2  # the third is another study
        corrections = Corrections.of(draft, [RedrawRegion(1, None, mask(20, 15, 20 + size, 25))])
        write_records(draft, apply(draft, corrections, study), corrections, study, tmp_path)
    assert len(read_records(tmp_path)) == 2 and check_folder(tmp_path) == []


def test_sentences_alone_make_a_record_of_the_text(tmp_path):
    draft, study = drafted()
    corrections = Corrections.of(draft, [EditSentence("Impression", 0, "A granuloma.")])
    write_records(draft, apply(draft, corrections, study), corrections, study, tmp_path)
    (record,) = read_records(tmp_path)
    assert record.regions == [] and record.absent == [] and "A granuloma." in record.report
    with pytest.raises(RequestError, match="Nothing was corrected"):
        write_records(draft, draft, Corrections.of(draft), study, tmp_path)


def test_training_reads_the_records(tmp_path, monkeypatch):
    monkeypatch.setattr(EfficientNetLiteModel, "load_imagenet", lambda self: None)
    for number in range(2):
        draft, study = drafted()
        study.images[0].pixels[:2] = number
        corrections = Corrections.of(draft, [RedrawRegion(1, None, mask(20, 15, 40, 35)), RejectFinding(LUNG)])
        write_records(draft, apply(draft, corrections, study), corrections, study, tmp_path / "set")
    values = {
        "data": [str(tmp_path / "set")], "cache": str(tmp_path / "cache"), "workers": 0, "bf16": False, "side": 64,
        "vision": {"model_type": "efficientnet_lite", "variant": 0}, "language": str(tiny_language(tmp_path / "language")),
        "lora_rank": 4, "image_grid": 2, "log_every": 1, "output_dir": str(tmp_path / "run"),
        "stages": {"heads": {"steps": 1, "phases": [[1.0, 64, 2]], "prompts": 0.0, "warmup": 1}},
    }  # fmt: skip
    sft.run(from_values(Recipe, values, "test"))
    (row,) = [r for r in map(json.loads, (tmp_path / "run" / "log.jsonl").read_text().splitlines()) if "loss" in r]
    assert np.isfinite(row["loss"])
