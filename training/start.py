"""What a run starts from, and how models lie on disk between its stages."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PretrainedConfig

from medvlm.errors import ModelError
from medvlm.model.configuration_medvlm import MedVLMConfig
from medvlm.model.efficientnet import EfficientNetLiteModel
from medvlm.model.grounding import MedVLMGroundingConfig
from medvlm.model.grounding_model import Grounder
from medvlm.model.loading import HEADS, build, load_compact, model_folder, save_compact, shown_name
from medvlm.model.modeling_medvlm import MedVLMForConditionalGeneration
from medvlm.model.processing_medvlm import MedVLMProcessor
from medvlm.model.sums import write_sums
from medvlm.policy import FILE as POLICY
from medvlm.records import Record
from medvlm.vocabulary import LABELS

from .chain import FILE as CHAIN
from .chain import StageRecord, changed_parts, read_chain, versions, weights_code, write_chain
from .config import Recipe
from .data import fact_kinds, fact_values, question_kinds, unnamed_sizes
from .stage_language import add_adapter

READER = "reader.*"  # the reader of questions beside the weights
SIDE = 448  # pixels of a new model's input
PREFIX = "grounder."


class HeadsOnly(nn.Module):
    """Encoder and heads where no language model is at hand, in the compact layout: a `heads_from` of other runs."""

    def __init__(self, config: MedVLMConfig):
        super().__init__()
        self.config = config
        self.grounder = Grounder(config.vision_config, config.grounding_config)


Model = MedVLMForConditionalGeneration | HeadsOnly


def load_model(folder: Path) -> tuple[Model, MedVLMProcessor | None]:
    """A model to train on, with its adapter apart; one without a language model has no processor.

    Raises `ModelError` where the folder holds no model in the compact layout.
    """
    if not (folder / HEADS).is_file():
        raise ModelError(
            f"The model in {folder.name!r} has no {HEADS}: training goes on from the compact layout alone."
        )
    config = MedVLMConfig.from_pretrained(folder)
    if config.language_source:
        return load_compact(folder, adapter_trainable=True)
    model = HeadsOnly(config)
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in load_file(folder / HEADS).items()})
    return model, None


def leave(model: Model, folder: Path, source: Path | None, chain: list[dict], record: StageRecord) -> None:
    """Write a model and its record into a folder that is there whole or not at all; the policy of `source` goes with it."""
    beside = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    if isinstance(model, HeadsOnly):
        beside.mkdir(parents=True)
        half = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
        save_file({k: v.contiguous() for k, v in half.items()}, beside / HEADS)
        model.config.save_pretrained(beside)
    else:
        save_compact(model, beside)
    kept = [*source.glob(POLICY), *source.glob(READER)] if source else []
    for path in [*kept, *folder.parent.glob(READER)]:  # a stage's own reader comes last
        shutil.copy(path, beside)
    write_sums(beside)
    record.weights, record.changed = weights_code(beside), changed_parts(source, beside)
    write_chain(beside, chain, record)
    beside.rename(folder)


def begin(recipe: Recipe, records: list[Record], folder: Path) -> None:
    """Write the model that a run starts from: a trained one, or new heads on pretrained parts.

    Raises `ModelError` where `init_from` or `heads_from` is no model that fits.
    """
    source = model_folder(recipe.init_from) if recipe.init_from else None
    given = Path(recipe.heads_from) if recipe.heads_from else None
    chain: list[dict] = read_chain(source) if source else []
    if source:
        model, _ = load_model(source)
        made_of = {"everything": f"{shown_name(source)} ({weights_code(source)})"}
    else:
        model, made_of = new_model(recipe, records, given)
    if recipe.side:
        model.config.image_size = recipe.side
    if isinstance(model, MedVLMForConditionalGeneration) and not hasattr(model.language_model, "peft_config"):
        add_adapter(model, recipe.lora_rank)
    if given:
        replace_heads(model.grounder, given)
        made_of |= dict.fromkeys(("grounder.vision", "grounder.heads"), f"{shown_name(given)} ({weights_code(given)})")
        chain += read_chain(given) if (given / CHAIN).is_file() else []
    named = {"name": shown_name(source), "weights": weights_code(source)} if source else None
    record = StageRecord("start", "", {}, named, made_of, seed=recipe.seed, versions=versions())
    leave(model, folder, source, chain, record)


def new_model(recipe: Recipe, records: list[Record], given: Path | None) -> tuple[Model, dict[str, str]]:
    """New heads on pretrained parts, and where each part's weights are from; the form is that of the heads in `given`."""
    vision: dict[str, Any] | PretrainedConfig
    if given and (given / "config.json").is_file():
        form = MedVLMConfig.from_pretrained(given)
        vision, grounding, side = form.vision_config, form.grounding_config, form.image_size
    else:
        facts = fact_values(records)
        vision, side = recipe.vision, SIDE
        grounding = MedVLMGroundingConfig(
            labels=list(LABELS),
            facts=facts,
            unnamed=unnamed_sizes(records),
            asked_kinds=question_kinds(records),
            fact_kinds=fact_kinds(records, facts),
        )
    torch.manual_seed(recipe.seed)
    made_of = {"everything else": f"random numbers, seed {recipe.seed}"}
    side, grid = recipe.side or side, recipe.image_grid
    model: Model
    if recipe.language:
        model, _ = build(vision, recipe.language, grounding, side, grid)
        made_of["language model"] = f"{Path(recipe.language).name}, whose own weights stay as they are"
    else:
        model = HeadsOnly(
            MedVLMConfig(
                vision_config=vision, grounding_config=grounding, image_grid=grid, image_size=side, language_source=None
            )
        )
    if isinstance(model.grounder.vision, EfficientNetLiteModel) and not given:
        model.grounder.vision.load_imagenet()
        made_of["grounder.vision"] = f"ImageNet weights of {' '.join(map(str, recipe.vision.values()))}"
    return model, made_of


def replace_heads(grounder: Grounder, folder: Path) -> None:
    """Put the encoder and heads of a folder's safetensors files, named with or without `grounder.`, in the place of a model's.

    Raises `ModelError` where they are not of the model's form.
    """
    try:
        tensors = {k: v for path in sorted(folder.glob("*.safetensors")) for k, v in load_file(path).items()}
        if any(k.startswith(PREFIX) for k in tensors):
            tensors = {k.removeprefix(PREFIX): v for k, v in tensors.items() if k.startswith(PREFIX)}
        grounder.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"The files of heads_from, {folder.name!r}, are not an encoder and heads of the starting model's form: put their "
            "config.json beside them, or name an init_from of their form."
        ) from error
