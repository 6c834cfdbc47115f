"""Reinforcement learning: the rewards as functions, and a run of TRL's trainer over a tiny random composite."""

import io
import json

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file

from medvlm.errors import RequestError
from medvlm.model.instances import Instance
from medvlm.model.loading import load, save_compact
from medvlm.records import read_records
from medvlm.records.record import RecordRegion
from medvlm.types import mask_box
from training import grpo, rewards
from training.chain import read_chain, weights_code
from training.config import GRPOSettings, read_config
from training.stage_language import add_adapter

from .tiny import picture, tiny_model, write_squares

# Rewards


def test_exact_answer():
    told = ["Left lung.", [{"role": "assistant", "content": " the left lung "}], "left", ""]
    assert rewards.exact_answer(completions=told, answer=["Left Lung"] * 4) == [1, 1, 0, 0]


def test_format_is_short_and_of_the_kind_wanted():
    def score(text: str, true: str) -> float:
        return rewards.answer_format(completions=[text], answer=[true])[0]

    assert score("Yes", "No") == 1 and score("Yes, clearly", "No") == 0 and score("Maybe", "No") == 0
    assert score("heart", "Left Lung") == 1 and score("over there", "Left Lung") == 0
    assert score("T2", "T1") == 1 and score("", "T1") == 0 and score("T2\nT2", "T1") == 0
    assert score("it is one of the many weightings that there are", "T1") == 0


def found(*boxes, mask: bool = True) -> list[Instance]:
    out = []
    for x0, y0, x1, y1 in boxes:
        drawn = np.zeros((20, 20), bool)
        drawn[y0:y1, x0:x1] = True
        out.append(Instance(mask_box(drawn), drawn if mask else None, 0.9))
    return out


def region(label: str, box, mask: bool = True) -> RecordRegion:
    region = RecordRegion(label, [list(box)])
    if mask:
        drawn = np.zeros((20, 20), np.uint8)
        drawn[box[1] : box[3], box[0] : box[2]] = 1
        buffer = io.BytesIO()
        PIL.Image.fromarray(drawn).save(buffer, "PNG")
        region.source = buffer.getvalue()
    return region


def iou(completion: str, answer: str, truth: list[RecordRegion], where: dict) -> float | None:
    return rewards.region_iou(
        completions=[completion],
        answer=[answer],
        truth=[truth],
        image=[None],
        record=[0],
        find=lambda _, x: where.get(x),
    )[0]


def test_region_iou():
    truth = [region("left lung", (0, 0, 10, 10)), region("heart", (12, 12, 16, 16))]
    where = {"left lung": found((0, 0, 10, 10)), "heart": found((12, 12, 16, 16)), "liver": found((5, 0, 15, 10))}
    assert iou("Left lung", "Left Lung", truth, where) == 1
    assert iou("the liver", "Left Lung", truth, where) == pytest.approx(1 / 3)
    assert iou("heart", "Left Lung", truth, where) == 0
    assert iou("nothing", "Left Lung", truth, where) == 0
    assert iou("heart and left lung", "Left Lung, Heart", truth, where) == 1


def test_region_iou_says_none_for_what_it_cannot_judge():
    truth = [region("left lung", (0, 0, 10, 10))]
    assert iou("Left lung", "Yes", truth, {}) is None
    assert iou("Left lung", "Spleen", truth, {}) is None
    assert iou("Left lung", "Left Lung", truth, {}) is None  # no query for it
    assert iou("Left lung", "Left Lung", truth, {"left lung": []}) == 0


def test_boxes_are_compared_where_an_outline_is_missing():
    boxes_only = [region("polyp", (0, 0, 10, 10), mask=False)]
    exact, half = found((0, 0, 10, 10)), found((0, 0, 5, 10))
    assert rewards.overlap(exact, boxes_only) == 1 and rewards.overlap(half, boxes_only) == pytest.approx(0.5)
    assert rewards.overlap([*exact, *found((15, 15, 20, 20))], boxes_only) == pytest.approx(0.75)
    assert rewards.overlap(found((0, 0, 5, 10), mask=False), [region("polyp", (0, 0, 10, 10))]) == pytest.approx(0.5)


def test_each_image_is_looked_at_once_for_a_label():
    asked = []

    def find(image, label):
        asked.append((image, label))
        return []

    truth = [region("heart", (0, 0, 5, 5))]
    rewards.region_iou(
        completions=["heart", "heart", "heart"], answer=["Heart"] * 3, truth=[truth] * 3, image=["a", "a", "b"], record=[0, 0, 1], find=find
    )  # fmt: skip
    assert asked == [("a", "heart"), ("b", "heart")]


def test_unknown_reward_lists_the_known_ones():
    with pytest.raises(RequestError, match="'kindness'.*answer, format, region"):
        rewards.choose_rewards(["answer", "kindness"], find=None)


def test_finder_uses_the_labels_own_query(tmp_path):
    model, processor = tiny_model(tmp_path / "language", "vit")
    heads = model.eval().grounder.heads
    torch.nn.init.zeros_(heads.scores[-1].weight)
    heads.scores[-1].bias.data[:] = torch.tensor([9.0, 9.0, 9.0])  # present, outlined, good
    find = rewards.LabelFinder(model, processor)
    image = PIL.Image.fromarray(picture(size=(50, 90)))
    assert find(image, "no such label") is None
    assert all(i.mask.shape == (50, 90) for i in find(image, "heart"))
    heads.scores[-1].bias.data[0] = -9.0
    assert find(image, "heart") == []


# The run


def tiny_start(folder):
    """A compact model whose adapter does something and whose answers are not all equally likely."""
    model, _ = tiny_model(folder / "language", spread=0.2)
    add_adapter(model, 4)
    torch.manual_seed(2)
    for name, parameter in model.language_model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    save_compact(model, folder / "start")
    return folder / "start"


def settings(folder, start, **changes) -> GRPOSettings:
    values = {
        "output_dir": str(folder / "run"), "init_from": str(start), "data": [str(write_squares(folder / "squares", 4))],
        "steps": 2, "prompts": 2, "generations": 4, "batch": 8, "max_tokens": 6, "held_out": 3, "save_every": 2,
        "log_every": 1, "lr": 1e-2, "lora_rank": 4,
    }  # fmt: skip
    return GRPOSettings(**values | changes)


def logged(folder, name: str) -> list[float]:
    rows = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
    return [row[name] for row in rows if name in row]


def test_questions_come_from_records_and_tasks(tmp_path):
    records = read_records(write_squares(tmp_path / "squares"), "train")
    wanted = settings(tmp_path, "nano", per_record=20)
    rows = grpo.prompt_rows(records, {}, wanted)
    asked = {row["prompt"][0]["content"] for row in rows}
    assert "Which organ is bright?" in asked and any("modality" in q or "image" in q for q in asked)
    assert all(len(row["answer"].split()) <= wanted.longest_answer for row in rows)
    assert rows == grpo.prompt_rows(records, {}, wanted)
    dataset = grpo.prompt_dataset(rows, records)
    example = dataset[len(rows) - 1]
    assert example["image"].size == (64, 64) and example["truth"][0].label == "left lung"


def chances(model, processor, told: list[dict]) -> torch.Tensor:
    """The log-probability of each told answer, image and question given."""
    out = []
    for row in told:
        text = processor.question(row["question"])
        batch = processor(images=[row["image"]], text=[text], return_tensors="pt")
        ids = torch.tensor([row["ids"]])
        prompt = batch["input_ids"].shape[1]
        with torch.no_grad():
            logits = model(input_ids=torch.cat([batch["input_ids"], ids], 1), pixel_values=batch["pixel_values"]).logits
        out.append(logits[0, prompt - 1 : -1].log_softmax(-1).gather(1, ids.T).sum())
    return torch.stack(out)


def test_a_run_learns_what_is_rewarded_and_nothing_else(tmp_path, monkeypatch):
    """Better answers become likelier than worse ones; the adapter goes on, the pixel half stays bit for bit."""
    start, told = tiny_start(tmp_path), []
    (start / "reader.json").write_text("the reader goes with it")

    def lower(prompts, completions, completion_ids, image, **_):
        values = [sum(map(str.islower, rewards.text_of(c))) / 6 for c in completions]
        for prompt, ids, shown, value in zip(prompts, completion_ids, image, values, strict=True):
            question = prompt[0]["content"][-1]["text"]
            told.append({"question": question, "ids": ids, "image": shown, "value": value})
        return values

    monkeypatch.setitem(rewards.REWARDS, "answer", lower)
    monkeypatch.setattr(grpo, "score", lambda *_: {"answer": {"mean": 0.25, "n": 3}})
    chosen = settings(tmp_path, start, steps=1, beta=0.0, rewards=["answer", "region"], reward_weights=[1.0, 0.5])
    folder = grpo.run(chosen)
    assert len(told) == 8 and len(logged(tmp_path, "rewards/lower/mean")) == 1
    assert (tmp_path / "run" / "curves.png").stat().st_size > 1000

    (old, processor, _), (new, _, _) = load(str(start)), load(str(folder))
    gained = (chances(new, processor, told) - chances(old, processor, told)).view(2, 4)
    value = torch.tensor([row["value"] for row in told]).view(2, 4)
    assert ((value - value.mean(1, keepdim=True)) * gained).sum() > 0.01

    before, after = load_file(start / "heads.safetensors"), load_file(folder / "heads.safetensors")
    assert before.keys() == after.keys() and all(torch.equal(before[k], after[k]) for k in before)
    before, after = (load_file(f / "adapter" / "adapter_model.safetensors") for f in (start, folder))
    assert before.keys() == after.keys() and not any(torch.equal(before[k], after[k]) for k in before if "lora_B" in k)
    card = (folder / "README.md").read_text()
    assert "1 steps of GRPO" in card and "| answer | 0.250 | 0.250 | 3 |" in card and "not for diagnosis" in card
    assert (folder / "reader.json").read_text() == "the reader goes with it"
    chain = read_chain(folder)
    assert [record["stage"] for record in chain] == ["unrecorded", "grpo"] and list(chain[1]["changed"]) == ["adapter"]
    assert chain[1]["started_from"]["weights"] == chain[0]["weights"] and chain[1]["weights"] == weights_code(folder)


def test_the_start_is_the_trained_model_and_its_reference(tmp_path):
    """The wrapped start answers as the loaded model does, and its divergence from the reference begins at nothing."""
    start = tiny_start(tmp_path)
    chosen = settings(tmp_path, start, steps=1, beta=0.1)
    whole, processor, _ = grpo.start_model(chosen)
    batch = processor(images=[picture()], text=[processor.question("CT?")], return_tensors="pt")
    model, _, _ = load(str(start))
    with torch.no_grad():
        torch.testing.assert_close(whole.eval()(**batch).logits, model(**batch).logits, atol=1e-4, rtol=1e-4)
    grpo.run(chosen)
    assert logged(tmp_path, "kl")[0] == pytest.approx(0, abs=1e-6)


def test_a_model_in_transformers_own_layout_comes_back_in_it(tmp_path):
    model, processor = tiny_model(tmp_path / "language", "siglip_vision_model", "qwen3")
    model.save_pretrained(tmp_path / "start")
    processor.save_pretrained(tmp_path / "start")
    folder = grpo.run(settings(tmp_path, tmp_path / "start", rewards=["format"], reward_weights=[1.0], beta=0.0))
    again, _, _ = load(str(folder))
    assert (folder / "model.safetensors").is_file() and again.config.text_config.model_type == "qwen3"


def test_refusals(tmp_path, capsys):
    path = tmp_path / "grpo.yaml"
    path.write_text("generations: 4\ngenerationz: 3\n")
    assert grpo.main(["--config", str(path)]) == 2
    assert "'generationz'; the nearest known one is 'generations'" in capsys.readouterr().err
    path.write_text("prompts: 3\ngenerations: 4\nbatch: 8\n")
    assert grpo.main(["--config", str(path)]) == 2 and "multiple of batch" in capsys.readouterr().err
    path.write_text("init_from: nowhere\nprompts: 1\ngenerations: 4\nbatch: 4\n")
    assert grpo.main(["--config", str(path)]) == 2 and "No model 'nowhere'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["grpo", "grpo_smoke"])
def test_configs_are_read(name):
    chosen = read_config(f"training/recipes/{name}.yaml", GRPOSettings)
    grpo.trainer_arguments(chosen)
    assert set(chosen.rewards) == set(rewards.REWARDS)
