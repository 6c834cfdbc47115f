"""Pages, charts, screens and drawings are no medical images; medical ones stay so, framed by a viewer as well."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medvlm.assistant import Assistant
from medvlm.model.loading import load, save_compact
from medvlm.model.recognising import MedicalHead
from medvlm.perception.finder import Finder
from medvlm.records import read_records
from medvlm.types import Image, Study
from training import config
from training.cache import open_cache
from training.config import Recipe, from_values
from training.made import MADE, disguised
from training.made.disguises import viewed
from training.stage_medical import chance, fit, medical_pictures, train_medical
from training.stages import STAGES

from .tiny import picture, tiny_model, write_squares

SAMPLE = Path(__file__).parent / "sample"
SETS = ("slake", "dsb2018", "idrid", "retina_vessels", "brain_tumor_followup")
PAGES = ("page", "table", "window", "chart: curves", "terminal", "diagram")


@pytest.fixture(scope="module")
def nano():
    return Assistant.load("nano")


def medical(seer: Assistant | Finder, pixels: np.ndarray) -> float:
    return seer.facts(Study([Image(np.ascontiguousarray(pixels))])).medical


# Pictures that are made


@pytest.mark.parametrize("kind", MADE)
def test_a_kind_makes_pictures_that_the_seed_decides(kind):
    one, same, other = (MADE[kind](chance(seed, kind, 0)) for seed in (3, 3, 4))
    assert one.dtype == np.uint8 and one.ndim == 3 and one.shape[2] == 3 and min(one.shape[:2]) > 40
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_a_disguise_keeps_a_picture():
    pixels = picture((60, 40, 200, 180), (220, 260))
    for number in range(30):
        made = disguised(pixels, chance(0, "film", number))
        assert made.dtype == np.uint8 and made.shape[2] == 3 and min(made.shape[:2]) >= 50 and np.ptp(made) > 20


# The head


def test_an_untrained_head_refuses_nothing_and_a_model_without_one_neither(tmp_path):
    model, processor = tiny_model(tmp_path / "language")
    features = model.encode_images(processor(images=[picture()])["pixel_values"])
    assert model.medical_head is None and model.looks_medical(features).tolist() == [1.0]
    model.add_medical()
    assert model.looks_medical(features)[0] > 0.9


def test_the_head_lies_beside_the_weights_and_older_weights_have_none(tmp_path):
    model, processor = tiny_model(tmp_path / "language")
    save_compact(model, tmp_path / "old")
    assert load(str(tmp_path / "old"))[0].medical_head is None
    model.add_medical()
    torch.nn.init.constant_(model.medical_head.read.bias, -3.0)
    save_compact(model, tmp_path / "new")
    again = load(str(tmp_path / "new"))[0]
    assert again.config.medical and again.medical_head.read.bias.item() == -3.0


def test_facts_heed_the_head(tmp_path):
    model, processor = tiny_model(tmp_path / "language")
    model.add_medical()
    torch.nn.init.constant_(model.medical_head.read.bias, -9.0)
    assert medical(Finder(model, processor, "tiny"), picture()) < 0.01


def test_fitting_tells_two_sides_apart_whatever_their_numbers():
    generator = torch.Generator().manual_seed(0)
    head = MedicalHead([2, 3, 4, 5])
    truth = [1.0] * 60 + [0.0] * 8
    rows = torch.randn(68, 42, generator=generator) + 3 * torch.tensor(truth)[:, None]
    fit(head, rows, truth, ["set"] * 60 + ["page"] * 8, 50)
    told = head.read(head.scale(rows))[:, 0]
    assert (told[:60] > 0).all() and (told[60:] < 0).all()


def test_the_stage_learns_a_head_from_sets_and_made_pictures(tmp_path):
    model, processor = tiny_model(tmp_path / "language", "vit")
    values = {"data": [str(write_squares(tmp_path / "squares"))], "cache": str(tmp_path / "cache"), "workers": 0}
    cache = open_cache(from_values(Recipe, values, "test"))
    names = [(name, told) for name, told, _ in medical_pictures(cache, 4, 0)]
    assert names == [("squares", True)] * 4 and list(STAGES) == list(config.STAGES)
    train_medical(model, processor, cache, images=6, made=1, steps=20)
    features = model.encode_images(processor(images=[picture(), MADE["page"](chance(5, "page", 0))])["pixel_values"])
    square, page = model.looks_medical(features).tolist()
    assert model.config.medical and square > page + 0.1


# The shipped weights


@pytest.mark.parametrize("kind", PAGES)
def test_what_is_no_medical_image_is_not_taken_for_one(nano, kind):
    told = [medical(nano, MADE[kind](chance(99, kind, number))) for number in range(3)]
    assert max(told) < nano.policy.medical, told


@pytest.mark.parametrize("name", SETS)
def test_a_medical_image_is_one_in_a_viewers_window_too(nano, name):
    pixels = read_records(SAMPLE / name)[0].image
    assert medical(nano, pixels) >= nano.policy.medical
    assert medical(nano, viewed(pixels, chance(1, name, 0))) >= nano.policy.medical
