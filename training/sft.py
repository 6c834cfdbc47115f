"""Supervised fine-tuning: `python -m training.sft --config training/recipes/nano.yaml [key=value …]`.

Differs from LLaVA-style recipes in its order: the vision encoder and the grounding heads learn first, asked by label
numbers; then LoRA and the projector learn over them, frozen. Both stages run on `transformers.Trainer` and resume from
their last checkpoint. Short fits over cached states follow: of the query projector, so that the wordings of a phrase say
what the label's number said, and of the head that chooses among short answers. The reader of questions learns from text
alone. Last comes a compact model folder with its card, which says how each of its tensors came to be.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
from dataclasses import asdict
from pathlib import Path

import yaml

from medvlm.errors import MedVLMError
from medvlm.memory import keep_freed_memory

from .cache import open_cache
from .card import write_card
from .chain import weights_code
from .config import Recipe, read_config
from .data import check_mixture
from .stages import process, run_stages


def run(recipe: Recipe) -> Path:
    """Decode, train every stage of the recipe that is not finished yet, and return the folder of the finished model.

    A finished model that has these weights already stays as it is, with the policy and the scores that it got since.
    """
    state = process()
    with state.main_process_first():
        cache = open_cache(recipe)
    check_mixture(recipe.mixture, {record.set for record in cache.records}, recipe.leave_out)
    last = run_stages(recipe, cache)
    folder = Path(recipe.output_dir) / "model"
    if state.is_main_process and not (folder.is_dir() and weights_code(folder) == weights_code(last)):
        shutil.copytree(last, folder, dirs_exist_ok=True)
        settings = asdict(recipe) | {"data": [Path(d).name for d in recipe.data]}
        (folder / "training.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        write_card(folder, Path(recipe.output_dir).name)
    return folder


def stopped(*_) -> None:
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="training.sft", description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="a YAML file with the keys of training.config.Recipe")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="keys to set over the file's")
    args = parser.parse_args(argv)
    keep_freed_memory()
    signal.signal(signal.SIGTERM, stopped)
    try:
        folder = run(read_config(args.config, Recipe, args.overrides))
    except MedVLMError as error:
        print(f"training.sft: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ntraining.sft: stopped; the same command goes on from the last checkpoint.", file=sys.stderr)
        return 130
    print(json.dumps({"model": str(folder)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
