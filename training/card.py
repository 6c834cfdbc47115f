"""The model card: what a model is and how each of its tensors came to be, printed from the records of its stages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .chain import read_chain

PARTS = {
    "grounder.vision": "vision encoder",
    "grounder.heads": "grounding heads",
    "projector": "image tokens for the language model",
    "seg_embedding": "the `<seg>` vector",
    "adapter": "LoRA adapter of the language model",
    "query_projector": "query of a phrase",
    "word_votes": "votes of single words",
    "answer_head": "short answers",
    "medical_head": "what is no medical image",
    "reader": "calls that a question asks for",
}


def write_card(folder: Path, name: str) -> None:
    """README.md beside the weights. Scores are added by `medvlm eval`, never by hand."""
    chain, config = read_chain(folder), json.loads((folder / "config.json").read_text(encoding="utf-8"))
    weights = sum(p.stat().st_size for p in folder.rglob("*.safetensors")) / 2**20
    language = config.get("language_source")
    with_language = f", and {Path(language).name} with a LoRA adapter" if language else ", and no language model"
    card = f"""# {name}

A medvlm model: {config["vision_config"]["model_type"]} vision encoder with grounding heads at {config["image_size"]} px{with_language}. {weights:.1f} MiB of trained weights.

For research. Not a medical device: not for diagnosis, treatment or triage.

## Scores

<!-- results -->
Not measured yet: `medvlm eval DATA… --model FOLDER -o results.json`.
<!-- /results -->

## How it was made

{stage_lines(chain)}

Which stage made which tensors, the last one last; `training.json` beside this file holds every setting:

| part | tensors | made by |
|---|---|---|
{part_rows(chain)}

## Limits

It knows the labels of `medvlm/vocabulary/labels.csv` and the kinds of images below, in English. A phrase that is not
found may be there all the same. Left and right follow the way in which images are usually shown.

## Data and licences

The weights may be used under the strictest licence among their data: research only, no commercial use.

| data set | train images | val images | weight in the mixture |
|---|---|---|---|
{data_rows(chain)}
"""
    (folder / "README.md").write_text(card, encoding="utf-8")


def stage_lines(chain: list[dict[str, Any]]) -> str:
    return "\n".join(f"{number}. {stage_line(record)}" for number, record in enumerate(chain, start=1))


def stage_line(record: dict[str, Any]) -> str:
    """What a stage did, in one line."""
    name, start, came = f"**{record['stage']}**", record["started_from"], f"Weights {record['weights']}."
    if record["stage"] == "unrecorded":
        return f"{name}: the weights of {start['name']}, of whose training there is no record. {came}"
    if record["stage"] == "start":
        return f"{name}: {'; '.join(f'{part} from {source}' for part, source in record['made_of'].items())}. {came}"
    if record["stage"] == "mean":
        share = record["settings"]["share"]
        return (
            f"{name} of encoders and heads: {share:g} of {start['name']} ({start['weights']}) and {1 - share:g} of "
            f"{start['other']} ({start['other_weights']}). {came}"
        )
    done = f"{record['steps']:,} steps" + (f", {record['images']:,} images" if record["images"] else "")
    spent = f" in {duration(record['seconds'])}" if record["seconds"] else ""
    text = f"{name}: {done}{spent} on {record['device']}, seed {record['seed']}"
    settings = record["settings"]
    shown = {
        k: v for k, v in settings.items() if k != ("batch" if settings.get("phases") else "") and v not in (None, [])
    }
    text += "".join(f", {k} {value(v)}" for k, v in shown.items() if k != "steps")
    for former in record["earlier"]:
        text += (
            f"; begun with {', '.join(f'{k} {value(v)}' for k, v in former.items() if v != record['settings'].get(k))}"
        )
    return f"{text}. {came}"


def value(v: Any) -> str:
    if v and isinstance(v, list) and isinstance(v[0], list):
        return ", then ".join(f"{share:g} at {side} px × {batch}" for share, side, batch in v)
    return f"{v:g}" if isinstance(v, float) else str(v)


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} minutes"


def part_rows(chain: list[dict[str, Any]]) -> str:
    """A row a part of the model: how many tensors it has and the stages that changed some of them."""
    made: dict[str, list[str]] = {}
    tensors: dict[str, int] = {}
    for number, record in enumerate(chain, start=1):
        for part, (changed, count) in record["changed"].items():
            some = "" if changed == count else f" ({changed} of them)"
            made.setdefault(part, []).append(f"{number}. {record['stage']}{some}")
            tensors[part] = count
    order = sorted(made, key=lambda part: list(PARTS).index(part) if part in PARTS else len(PARTS))
    return "\n".join(f"| {PARTS.get(p, p)} (`{p}`) | {tensors[p]} | {', '.join(made[p])} |" for p in order)


def data_rows(chain: list[dict[str, Any]]) -> str:
    sets: dict[str, dict[str, Any]] = {}
    for record in chain:
        sets |= record["data"]
    return "\n".join(f"| {k} | {v['train']} | {v['val'] or ''} | {v['weight']:g} |" for k, v in sorted(sets.items()))
