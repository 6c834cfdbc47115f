"""The model card of a run: what it is, what it saw, and under which licences."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import yaml

from medvlm.records import Record

from .config import SFTConfig


def write_card(folder: Path, config: SFTConfig, train: list[Record], held_out: list[Record]) -> None:
    """README.md and the run's settings beside the weights. Scores are added by `medvlm eval`, never by hand."""
    sizes = Counter(r.set for r in train)
    val = Counter(r.set for r in held_out)
    weights = sum(p.stat().st_size for p in folder.rglob("*.safetensors")) / 2**20
    rows = "\n".join(f"| {name} | {count} | {val[name]} |" for name, count in sorted(sizes.items()))
    started = f"It goes on from the weights of {config.init_from!r}. " if config.init_from else ""
    card = f"""# {Path(config.output_dir).name}

A medvlm model: {config.vision.get("model_type")} vision encoder with grounding heads at {config.side} px, and
{config.language} with a LoRA adapter of rank {config.lora_rank}. {weights:.1f} MiB of trained weights.

For research. Not a medical device: not for diagnosis, treatment or triage.

{started}Trained by `python -m training.sft` with the settings in `training.yaml` beside this file:
{config.heads_steps} steps of {config.heads_batch} images for the heads, {config.language_steps} steps of
{config.language_batch} images with up to {config.language_questions} questions each for the language model,
{config.answer_epochs} epochs of all questions for the head of short answers.

## Scores

<!-- results -->
Not measured yet: `medvlm eval DATA… --model FOLDER -o results.json`.
<!-- /results -->

## Limits

It knows the labels of `medvlm/records/vocabulary.py` and the kinds of images below, in English. A phrase that is not
found may be there all the same. Left and right follow the way in which images are usually shown.

## Data and licences

The weights may be used under the strictest licence among their data: research only, no commercial use.

| data set | train images | val images |
|---|---|---|
{rows}
"""
    (folder / "README.md").write_text(card, encoding="utf-8")
    settings = asdict(config) | {"data": [Path(d).name for d in config.data]}
    (folder / "training.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
