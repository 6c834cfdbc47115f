"""Supervised fine-tuning: `python -m training.sft --config training/configs/nano.yaml [key=value …]`.

Differs from LLaVA-style recipes in its order: the vision encoder and the grounding heads learn first, asked by label
numbers with no language model in memory; then LoRA and the projector learn over them, frozen. Both stages run on
`transformers.Trainer` and resume from their last checkpoint. Short fits over cached states follow: of the query
projector, so that the wordings of a phrase say what the label's number said, and of the head that chooses among short
answers. Last comes a compact model folder with its card.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

from medvlm.errors import MedVLMError
from medvlm.memory import keep_freed_memory
from medvlm.model.grounding import MedVLMGroundingConfig
from medvlm.model.loading import EMBEDDED, build, load_compact, save_compact
from medvlm.records import Record
from medvlm.records.vocabulary import LABELS

from .card import write_card
from .config import SFTConfig, read_config
from .curves import CurveCallback
from .data import asked_kinds, fact_values, load_split
from .grounding_examples import GroundingExamples, collate
from .language_examples import LanguageExamples
from .stage_answers import train_answers
from .stage_heads import train_heads
from .stage_language import add_adapter, train_language
from .stage_phrases import train_phrases


def start_model(config: SFTConfig, records: list[Record]):
    """A model to train: new heads on pretrained parts, or a trained model's, with an adapter to go on with."""
    if config.init_from:
        folder = EMBEDDED.get(config.init_from, Path(config.init_from))
        model, processor = load_compact(folder, adapter_trainable=True)
        return model, processor
    grounding = MedVLMGroundingConfig(labels=list(LABELS), facts=fact_values(records), asked_kinds=asked_kinds(records))
    model, processor = build(config.vision, config.language, grounding, config.side, config.image_grid)
    if hasattr(model.grounder.vision, "load_imagenet"):
        model.grounder.vision.load_imagenet()
    add_adapter(model, config.lora_rank)
    return model, processor


def run(config: SFTConfig) -> Path:
    """Both stages; returns the folder of the finished model."""
    torch.manual_seed(config.seed)
    output = Path(config.output_dir)
    records = load_split(config.data, "train", config.limit, config.leave_out)
    held_out = load_split(config.data, "val", config.limit, config.leave_out)
    model, processor = start_model(config, records)
    facts = model.config.grounding_config.facts
    grounding = GroundingExamples(
        records,
        facts,
        model.config.grounding_config.labels,
        side=config.side,
        small=(config.small_side, config.small_share),
        queries=config.heads_queries,
        length=config.heads_steps * config.heads_batch,
        power=config.set_power,
        weights=config.set_weights,
        prompts=config.heads_prompts,
        seed=config.seed,
        cache=config.cache_images,
    )
    curves = CurveCallback(output / "curves.png", output / "log.jsonl")
    if config.heads_steps:
        train_heads(model.grounder, grounding, collate, config, [curves])
    if config.language_steps:
        grounding.cache = None
        examples = LanguageExamples(
            records,
            processor,
            facts,
            config.side,
            packed=config.language_questions,
            length=config.language_steps * config.language_batch,
            seed=config.seed,
        )
        train_language(model, examples, config, [curves])
        train_phrases(
            model,
            processor,
            config.phrase_wordings,
            config.phrase_free,
            config.phrase_steps,
            config.phrase_lr,
            config.seed,
        )
        train_answers(
            model, processor, records, config.answer_epochs, config.answer_views, config.answer_lr, config.seed
        )
    folder = output / "model"
    save_compact(model, folder)
    write_card(folder, config, records, held_out)
    return folder


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="training.sft", description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="a YAML file with the keys of training.config.SFTConfig")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="keys to set over the file's")
    args = parser.parse_args(argv)
    keep_freed_memory()
    try:
        folder = run(read_config(args.config, SFTConfig, args.overrides))
    except MedVLMError as error:
        print(f"training.sft: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"model": str(folder)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
