"""The patient's sides, found by the shipped weights, whichever way round a file stores its pixels."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medvlm.assistant import Assistant
from medvlm.records import read_records
from medvlm.studies import load_study
from medvlm.types import Study

from .studies import write
from .test_studies_dicom_orientation import OPPOSITE, TURNS, L, P, turned

DATA = Path(__file__).parents[2] / "shared" / "data"
SLICE = 17  # of the torso, with liver, spleen and both kidneys
OUTLINES = {"liver": 5, "spleen": 1, "right kidney": 2, "left kidney": 3}
pytestmark = pytest.mark.skipif(not (DATA / "volumes").is_dir(), reason="the volumes lie beside the checkout")


@pytest.fixture(scope="module")
def assistant() -> Assistant:
    return Assistant.load("nano")


@pytest.fixture(scope="module")
def torso() -> tuple[np.ndarray, np.ndarray]:
    """Hounsfield units and outlines `(X, Y, Z)`, RAS+."""
    values = [np.asarray(nib.load(DATA / "volumes" / f"{n}.nii.gz").dataobj) for n in ("ct_torso", "ct_torso_seg")]
    return values[0].astype(np.int16), values[1]


def check_organs(assistant: Assistant, study: Study, index: int, outlines: np.ndarray) -> None:
    """Each organ that is found lies on its own, in the image `(H, W)` as shown; the liver and the spleen are."""
    found = assistant.ground(study, list(OUTLINES), index)
    overlap = {}
    for label, number in OUTLINES.items():
        truth = outlines == number
        masks = [region.mask for region in found.of(label)]
        mask = np.logical_or.reduce(masks) if masks else np.zeros(truth.shape, bool)
        overlap[label] = 2 * (mask & truth).sum() / max(1, mask.sum() + truth.sum()) if masks else None
    assert overlap["liver"] and overlap["liver"] > 0.8 and overlap["spleen"] and overlap["spleen"] > 0.6, overlap
    assert all(value is None or value > 0.5 for value in overlap.values()), overlap


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_a_ct_slice(assistant, torso, tmp_path, turn) -> None:
    shown, outlines = (volume[::-1, ::-1, SLICE].T for volume in torso)
    stored, row, column = turned(shown, L, P, turn, np.negative)
    where = {"ImageOrientationPatient": [*row, *column], "ImagePositionPatient": [0, 0, 0], "PixelSpacing": [3, 3]}
    path = write(tmp_path / "slice.dcm", stored, BodyPartExamined="ABDOMEN", **where)
    study = load_study(path)
    check_organs(assistant, study, 0, outlines)
    (liver,) = (region.to_json() for region in assistant.ground(study, ["liver"]).regions[:1])
    assert ("stored" in liver) == any(turn)


@pytest.mark.parametrize("flips", list(product((1, -1), repeat=3)), ids=str)
def test_a_nifti_volume(assistant, torso, tmp_path, flips) -> None:
    values, outlines = torso
    image = nib.Nifti1Image(values, np.diag([3.0, 3.0, 3.0, 1.0]))
    order = np.array([[0, flips[0]], [1, flips[1]], [2, flips[2]]])
    nib.save(image.as_reoriented(order), tmp_path / "torso.nii.gz")
    study = load_study(tmp_path / "torso.nii.gz")
    assert study.sides_known
    check_organs(assistant, study, SLICE, outlines[::-1, ::-1, SLICE].T)


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_a_film(assistant, tmp_path, turn) -> None:
    pixels = next(iter(read_records(DATA / "jsrt", "val"))).image
    shown = pixels if pixels.ndim == 2 else pixels[..., 0]
    stored, row, column = turned(shown, "L", "F", turn, OPPOSITE.get)
    path = write(
        tmp_path / "film.dcm", stored, Modality="CR", BodyPartExamined="CHEST", PatientOrientation=[row, column]
    )
    study = load_study(path)
    found = assistant.ground(study, ["left lung", "right lung"])
    middle = {r.label: (r.box[0] + r.box[2]) / 2 / study.images[0].size[1] for r in found.regions}
    assert middle["right lung"] < 0.5 < middle["left lung"] and found.notices == []
