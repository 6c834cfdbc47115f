"""Tiny randomly initialised models of every kind, an assistant over one, and a data set of bright squares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from medvlm.assistant import Assistant
from medvlm.conversation.grammar import Program, parse
from medvlm.conversation.reader import Reading
from medvlm.model.grounding import MedVLMGroundingConfig
from medvlm.model.loading import build
from medvlm.perception.finder import Finder
from medvlm.policy import DecisionPolicy
from medvlm.vocabulary import LABELS

SIDE = 64
VISION = {
    "efficientnet_lite": {"model_type": "efficientnet_lite", "variant": 0},
    "siglip_vision_model": {"model_type": "siglip_vision_model"},
    "dinov2": {"model_type": "dinov2", "mlp_ratio": 2},
    "vit": {"model_type": "vit"},
}
LANGUAGE = ("llama", "qwen3", "gemma3_text")
FACTS = {"modality": ["x-ray", "ct", "photograph"], "body_part": ["chest", "abdomen"]}
TEXT = "Yes No X-Ray CT chest abdomen Is there a left lung in this image? Find: liver user assistant system"


def tiny_vision(name: str) -> dict:
    """An encoder of two layers for images of `SIDE` pixels."""
    if name == "efficientnet_lite":
        return VISION[name]
    size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    return VISION[name] | size | {"image_size": SIDE, "patch_size": 8}


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE, so that any text comes back whole."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|im_start|>", "<|im_end|>"],
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>")


def tiny_language(folder: Path, name: str = "llama", spread: float = 0.02) -> Path:
    """A causal language model of two layers with its tokenizer, saved in transformers' layout; `spread` of its weights."""
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    config = AutoConfig.for_model(
        name,
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=512,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        initializer_range=spread,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_model(folder: Path, vision: str = "efficientnet_lite", language: str = "llama", spread: float = 0.02):
    """A composite and its processor; its language model lies in `folder`."""
    source = tiny_language(folder, language, spread)
    torch.manual_seed(1)
    grounding = MedVLMGroundingConfig(channels=16, query_size=24, layers=1, heads=2, labels=list(LABELS), facts=FACTS)
    return build(tiny_vision(vision), str(source), grounding, image_size=SIDE, image_grid=2)


class ScriptedReader:
    """Reads each question as the calls that are given for it, any other as `otherwise`, and keeps what it was asked with."""

    def __init__(self, calls: Mapping[str, str] | None = None, otherwise: str = "recall()", chance: float = 1.0):
        self.calls, self.otherwise, self.chance = calls or {}, otherwise, chance
        self.asked: list[tuple[str, Program | None, bool]] = []

    def read(self, question: str, before: Program | None = None, has_region: bool = False) -> Reading:
        self.asked.append((question, before, has_region))
        return Reading(parse(self.calls.get(question, self.otherwise)), self.chance)


def tiny_finder(folder: Path) -> Finder:
    """Over random weights, but everything asked for is present, outlined and good, and every image is medical."""
    model, processor = tiny_model(folder, "vit", spread=0.2)
    heads = model.grounder.heads
    with torch.no_grad():
        heads.scores[-1].weight.zero_()
        heads.scores[-1].bias.fill_(6.0)
        heads.facts.weight.zero_()
        heads.facts.bias[FACTS["modality"].index("photograph")] = -9.0
    return Finder(model, processor, "tiny", policy=DecisionPolicy(answer=0.0))


def tiny_assistant(folder: Path, calls: Mapping[str, str] | None = None, otherwise: str = "recall()") -> Assistant:
    """An assistant over `tiny_finder` that reads questions as the given calls."""
    return Assistant(tiny_finder(folder), ScriptedReader(calls, otherwise))


def picture(box=(16, 16, 48, 40), size=(SIDE, SIDE)) -> np.ndarray:
    """uint8 `(H, W, 3)`: a bright rectangle on grey."""
    pixels = np.full((*size, 3), 40, np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = 220
    return pixels


def write_squares(folder: Path, count: int = 6, side: int = SIDE, held_out: int = 2) -> Path:
    """A data set in the folder form: chest X-rays with a bright left lung, no fracture, and two questions each; `count` of
    the train split and `held_out` of val."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rows = []
    for split, number in [("train", count), ("val", held_out)]:
        for i in range(number):
            x, y = (int(v) for v in rng.integers(4, side // 2, 2))
            box = [x, y, x + side // 3, y + side // 4]
            PIL.Image.fromarray(picture(box, (side, side))).save(folder / "images" / f"{split}{i}.png")
            mask = np.zeros((side, side), np.uint8)
            mask[box[1] : box[3], box[0] : box[2]] = 1
            PIL.Image.fromarray(mask).save(folder / "masks" / f"{split}{i}.png")
            rows.append(
                {
                    "file_name": f"images/{split}{i}.png",
                    "id": f"{split}{i}",
                    "split": split,
                    "modality": "x-ray",
                    "body_part": "chest",
                    "regions": [{"label": "left lung", "mask": f"masks/{split}{i}.png", "boxes": [box]}],
                    "absent": ["pneumothorax"],
                    "qa": [
                        {"question": "Which organ is bright?", "answer": "Left Lung", "type": "open", "lang": "en"},
                        {"question": "Is it dark?", "answer": "No", "type": "closed", "lang": "en"},
                    ],
                }
            )
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return folder
