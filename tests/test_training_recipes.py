"""Recipes: reading them, what is wrong with bad ones, and the plan of the heads' steps."""

import math
from pathlib import Path

import pytest

from medvlm.errors import RecordError, RequestError
from medvlm.records import data_sets
from training import sft
from training.config import GRPOSettings, HeadsSettings, LanguageSettings, Recipe, read_config
from training.data import check_mixture, load_split
from training.datasets import read_mixture
from training.schedule import Phase, Plan, read_phases

from .tiny import write_squares

RECIPES = Path(__file__).parents[1] / "training" / "recipes"
DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.mark.parametrize("name", ["nano", "own", "smoke"])
def test_recipes_are_read(name):
    recipe = read_config(RECIPES / f"{name}.yaml", Recipe)
    assert recipe.output_dir.startswith("runs/") and isinstance(recipe.stages["heads"], HeadsSettings)
    assert read_phases(recipe.stages["heads"], recipe.side or 320)


def test_the_default_recipe_has_every_stage_and_ends_at_the_models_side():
    recipe = read_config(RECIPES / "nano.yaml", Recipe)
    assert list(recipe.stages) == ["heads", "language", "phrases", "answers", "medical", "reader"]
    phases = read_phases(recipe.stages["heads"], recipe.side)
    assert phases[-1].side == recipe.side and [p.side for p in phases] == [256, 352, 448]


@pytest.mark.skipif(not DATA.is_dir(), reason="the data sets of ../shared/data are not here")
def test_the_default_mixture_names_every_set_that_is_here():
    recipe = read_config(RECIPES / "nano.yaml", Recipe)
    assert set(recipe.mixture) == {folder.name for folder in data_sets([DATA]) if folder.name != "volumes"}


def test_a_mixture_is_named_or_given(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("mixture: longer\n")
    assert read_config(path, Recipe).mixture == read_mixture("longer")
    assert read_config(path, Recipe, ["mixture={own: 2}"]).mixture == {"own": 2}


def test_keys_of_stages_are_set_by_dots_and_an_unknown_key_names_the_nearest(tmp_path, capsys):
    path = tmp_path / "run.yaml"
    path.write_text("stages: {answers: , heads: {steps: 3, lr: 1e-3}}\n")
    recipe = read_config(path, Recipe, ["stages.language.steps=7", "--side=96", "stages.answers=false"])
    assert list(recipe.stages) == ["heads", "language"]  # in the order in which they run
    assert recipe.stages["heads"] == HeadsSettings(steps=3, lr=1e-3) and recipe.side == 96
    assert recipe.stages["language"] == LanguageSettings(steps=7)
    assert sft.main(["--config", str(path), "stages.heads.stepps=3"]) == 2
    out = capsys.readouterr()
    assert "heads: unknown key 'stepps'; the nearest known one is 'steps'" in out.err and out.out == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sied: 3", "unknown key 'sied'; the nearest known one is 'side'"),
        ("stages: {haeds: {}}", "unknown key 'haeds'; the nearest known one is 'heads'"),
        ("stages: {heads: {lr: fast}}", "heads: lr must be a number, not 'fast'"),
        ("stages: {heads: 3}", "heads must be a mapping, not 3"),
        ("stages: [heads]", "stages must be a mapping"),
        ("side: large", "side must be a whole number, not 'large'"),
        ("data: own", "data must be a list, not 'own'"),
        ("mixture: nanno", "No mixture 'nanno'"),
        ("just text", "a mapping of keys to values is needed"),
        ("a: [", "is no YAML"),
    ],
)
def test_a_bad_recipe_is_said_in_one_sentence(tmp_path, text, words):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(RequestError) as error:
        read_config(path, Recipe)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_a_recipe_that_is_not_there(tmp_path, capsys):
    assert sft.main(["--config", str(tmp_path / "none.yaml")]) == 2
    assert (
        capsys.readouterr().err
        == "training.sft: No recipe 'none.yaml': those of this project are in training/recipes/.\n"
    )
    with pytest.raises(RequestError, match="nearest known one is 'prompts'"):
        read_config(RECIPES / "grpo.yaml", GRPOSettings, ["prompt=3"])


def test_data_that_is_not_there(tmp_path):
    with pytest.raises(RecordError, match="'nowhere'"):
        data_sets([str(tmp_path / "nowhere")])
    for name in ("one", "two"):
        write_squares(tmp_path / "sets" / name)
    assert [p.name for p in data_sets([str(tmp_path / "sets")])] == ["one", "two"]
    assert len(load_split([str(tmp_path / "sets")], "train", limit=3)) == 6
    left = load_split([str(tmp_path / "sets")], "train", leave_out=["one"])
    assert left and {record.set for record in left} == {"two"}


def test_a_mixture_names_sets_that_are_there():
    check_mixture({"one": 1.0}, {"one", "two"})
    check_mixture({"one": 1.0, "two": 2.0}, {"one"}, leave_out=["two"])
    with pytest.raises(RequestError, match="^The mixture names three, two, of which there is nothing under data"):
        check_mixture({"one": 1.0, "two": 2.0, "three": 1.0}, {"one"})


# The plan


@pytest.fixture
def plan() -> Plan:
    return Plan(10, (Phase(0.3, 64, 4), Phase(0.3, 96, 3), Phase(0.4, 128, 2)), warmup=2, flat=0.3, floor=0.01)


def test_phases_follow_each_other_and_items_are_never_drawn_twice(plan):
    batches = list(plan.batches(0, 0))
    assert [(len(b), b[0][1]) for b in batches] == [(4, 64)] * 3 + [(3, 96)] * 3 + [(2, 128)] * 4
    assert [item for batch in batches for item, _ in batch] == list(range(29))
    assert list(plan.batches(4, 15)) == batches[4:]


def test_several_processes_share_a_step(plan):
    both = [list(plan.batches(0, 0, 2, process)) for process in (0, 1)]
    assert [item for pair in zip(*both, strict=True) for batch in pair for item, _ in batch] == list(range(58))


def test_the_rate_warms_up_stays_and_falls_to_its_floor(plan):
    rates = [plan.rate(step) for step in range(11)]
    assert rates[0] == 0.5 and rates[1:4] == [1.0] * 3
    assert rates == sorted(rates[:2]) + sorted(rates[2:], reverse=True)
    assert plan.rate(5) == pytest.approx(0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * 0.2 / 0.7)))
    assert plan.rate(10) == pytest.approx(0.01)


def test_the_clock_takes_over_where_it_is_further(plan):
    plan.max_seconds = 100.0
    assert plan.progress(5) == 0.5
    plan.elapsed = 70.0
    assert plan.progress(5) == 0.7 and plan.phase(0).side == 128 and plan.rate(5) < 0.4
    plan.elapsed = 200.0
    assert plan.progress(0) == 1.0


@pytest.mark.parametrize(
    ("phases", "words"),
    [
        ([[0.5, 64, 4]], "sum to 1"),
        ([[1.0, 64, 0]], "an image a step"),
        ([[1.0, 100, 4]], "100 pixels is no multiple of 32"),
        ([[0.5, 64], [0.5, 64, 2]], "share of the run, side in pixels, images a step"),
    ],
)
def test_phases_that_are_none(phases, words):
    with pytest.raises(RequestError, match=words):
        read_phases(HeadsSettings(phases=phases), 64)


def test_without_phases_there_is_one_at_the_models_side():
    assert read_phases(HeadsSettings(batch=5), 64) == (Phase(1.0, 64, 5),)
