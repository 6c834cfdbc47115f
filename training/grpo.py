"""Reinforcement learning: `python -m training.grpo --config training/recipes/grpo.yaml [key=value …]`.

GRPO (Shao et al., 2024) on TRL's trainer. Differs from the paper in its rewards, which are the published metrics of the
same tasks (`training.rewards`) and no learned model, and in what learns: a LoRA adapter on the language model alone,
going on from the starting model's own where it has one; the reference is that starting model. Ends in a model folder
of the starting model's layout with a card that holds the scores before and after.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np
import PIL.Image
import torch
import yaml
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from transformers.trainer_utils import get_last_checkpoint
from trl import GRPOConfig, GRPOTrainer

from medvlm.errors import MedVLMError, RequestError
from medvlm.memory import keep_freed_memory
from medvlm.model.loading import EMBEDDED, HEADS, load, load_compact, model_folder, save_compact, shown_name
from medvlm.model.modeling_medvlm import MedVLMForConditionalGeneration
from medvlm.model.processing_medvlm import MedVLMProcessor
from medvlm.policy import FILE as POLICY
from medvlm.policy import read_policy
from medvlm.records import Record

from .chain import StageRecord, changed_parts, device_name, read_chain, versions, weights_code, write_chain
from .config import GRPOSettings, read_config
from .curves import CurveCallback
from .data import load_split
from .record_questions import english
from .rewards import LabelFinder, choose_rewards
from .stage_language import LORA_TARGETS
from .start import READER
from .tasks import questions

LANGUAGE = "base_model.model.language_model."  # where peft keeps the language model's adapter, of the whole model …
ALONE = "base_model.model."  # … and of the language model by itself
CURVES = ("reward", "reward_std", "frac_reward_zero_std", "kl", "entropy", "completions/clipped_ratio")


class AnswerTrainer(GRPOTrainer):
    """`GRPOTrainer` that keeps the pixel half as it was: batch norms must not follow the sampled questions."""

    def _prepare_inputs(self, generation_batch):
        self.model.get_base_model().grounder.eval()
        return super()._prepare_inputs(generation_batch)


class RewardCurves(CurveCallback):
    """The rewards and what tells whether a policy goes astray, out of the trainer's many numbers."""

    def on_log(self, args, state, control, logs=None, **_):
        kept = {
            name: value
            for name, value in (logs or {}).items()
            if value is not None and (name in CURVES or (name.startswith("rewards/") and name.endswith("/mean")))
        }  # a reward that could judge nothing in these steps has no mean
        if kept:
            super().on_log(args, state, control, kept)


def start_model(settings: GRPOSettings) -> tuple[PeftModel, MedVLMProcessor, LoraConfig]:
    """The starting model with a trainable adapter on its language model alone, and that adapter's own settings."""
    folder = EMBEDDED.get(settings.init_from, Path(settings.init_from))
    state = None
    if (folder / HEADS).is_file():
        model, processor = load_compact(folder, adapter_trainable=True)
    else:
        model, processor, _ = load(settings.init_from)
    own = LoraConfig(
        r=settings.lora_rank, lora_alpha=2 * settings.lora_rank, target_modules=LORA_TARGETS, task_type="CAUSAL_LM"
    )
    if isinstance(model.language_model, PeftModel):
        own = cast(LoraConfig, model.language_model.peft_config["default"])
        state = get_peft_model_state_dict(model.language_model)
        model.language_model = model.language_model.unload()
    targets = (
        own.target_modules
        if isinstance(own.target_modules, str)
        else rf"({'|'.join(sorted(own.target_modules or ()))})"
    )
    # no dropout: the sampled and the scored answer must come from the same model
    spread = LoraConfig(
        r=own.r, lora_alpha=own.lora_alpha, target_modules=rf"language_model\..*\.{targets}", task_type="CAUSAL_LM"
    )
    whole = get_peft_model(model, spread)
    if state is not None:
        set_peft_model_state_dict(whole, {k.replace(ALONE, LANGUAGE, 1): v for k, v in state.items()})
    return whole, processor, own


def save(whole: PeftModel, processor: MedVLMProcessor, own: LoraConfig, settings: GRPOSettings, folder: Path) -> None:
    """Write the trained model in the layout that the starting model had, with its policy and its reader."""
    start = EMBEDDED.get(settings.init_from, Path(settings.init_from))
    for path in (*start.glob(POLICY), *start.glob(READER)):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    if not (start / HEADS).is_file():
        whole.merge_and_unload().save_pretrained(folder)
        processor.save_pretrained(folder)
        return
    state = get_peft_model_state_dict(whole)
    model = whole.unload()
    model.language_model = get_peft_model(model.language_model, own)
    set_peft_model_state_dict(model.language_model, {k.replace(LANGUAGE, ALONE, 1): v for k, v in state.items()})
    save_compact(model, folder)


def prompt_rows(records: list[Record], facts: dict[str, list[str]], settings: GRPOSettings) -> list[dict]:
    """Questions with short answers: a record's own English ones and those that the training tasks make of it."""
    rows = []
    for number, record in enumerate(records):
        rng = np.random.default_rng((settings.seed, number))
        pairs = english(record) + questions(record, rng, record.image.shape[:2], facts)
        pairs = [(q, a) for q, a in pairs if 0 < len(a.split()) <= settings.longest_answer]
        for i in rng.permutation(len(pairs))[: settings.per_record]:
            question, answer = pairs[i]
            rows.append({"prompt": [{"role": "user", "content": question}], "answer": answer, "record": number})
    return rows


def prompt_dataset(rows: list[dict], records: list[Record]) -> Dataset:
    """The rows as TRL wants them; images and true regions come along when a row is read."""

    def attach(batch: dict[str, list]) -> dict[str, list]:
        here = [records[number] for number in batch["record"]]
        return batch | {"image": [PIL.Image.fromarray(r.image) for r in here], "truth": [r.regions for r in here]}

    return Dataset.from_list(rows).with_transform(attach)


def trainer_arguments(settings: GRPOSettings) -> GRPOConfig:
    """Raises `RequestError` where the batch does not divide a step's answers."""
    answers = settings.prompts * settings.generations
    if answers % settings.batch or len(settings.reward_weights) != len(settings.rewards):
        raise RequestError(
            f"prompts × generations ({answers}) must be a multiple of batch ({settings.batch}), and each of the "
            f"{len(settings.rewards)} rewards needs one of the {len(settings.reward_weights)} reward_weights."
        )
    cpu = not torch.cuda.is_available()
    return GRPOConfig(
        output_dir=str(Path(settings.output_dir) / "grpo"),
        max_steps=settings.steps,
        per_device_train_batch_size=settings.batch,
        gradient_accumulation_steps=answers // settings.batch,
        num_generations=settings.generations,
        max_completion_length=settings.max_tokens,
        temperature=settings.temperature,
        beta=settings.beta,
        reward_weights=settings.reward_weights,
        learning_rate=settings.lr,
        lr_scheduler_type="constant",
        gradient_checkpointing=False,
        bf16=settings.bf16 and not cpu,
        use_cpu=cpu,
        logging_steps=settings.log_every,
        save_steps=settings.save_every,
        save_total_limit=2,
        report_to=[],
        seed=settings.seed,
    )


@torch.no_grad()
def score(
    model: MedVLMForConditionalGeneration,
    processor: MedVLMProcessor,
    dataset: Dataset,
    rewards: dict[str, Callable],
    settings: GRPOSettings,
) -> dict[str, dict[str, float]]:
    """Each reward's mean over greedy answers, and over how many it could be judged."""
    model.eval()
    values: dict[str, list[float]] = {name: [] for name in rewards}
    for start in range(0, len(dataset), settings.batch):
        batch = dataset[start : start + settings.batch]
        texts = [processor.question(prompt[0]["content"]) for prompt in batch["prompt"]]
        inputs = processor(images=batch["image"], text=texts, return_tensors="pt").to(model.device)
        generated = model.generate(**inputs, max_new_tokens=settings.max_tokens, do_sample=False)
        answers = processor.tokenizer.batch_decode(
            generated[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
        for name, reward in rewards.items():
            values[name] += [v for v in reward(completions=answers, **batch) if v is not None]
    return {k: {"mean": float(np.mean(v)) if v else float("nan"), "n": len(v)} for k, v in values.items()}


def write_card(folder: Path, settings: GRPOSettings, before: dict, after: dict, prompts: int) -> None:
    """README.md and the run's settings beside the weights."""
    rows = "\n".join(f"| {k} | {before[k]['mean']:.3f} | {after[k]['mean']:.3f} | {after[k]['n']} |" for k in after)
    card = f"""# {Path(settings.output_dir).name}

A medvlm model: {Path(settings.init_from).name} after {settings.steps} steps of GRPO (`python -m training.grpo`, settings
in `training.yaml` beside this file) on {prompts} questions: {settings.prompts} questions a step, {settings.generations}
sampled answers each. Only the adapter of the language model was trained.

For research. Not a medical device: not for diagnosis, treatment or triage. The licences of the starting model and of its
data hold for these weights too: research only, no commercial use.

Rewards of greedy answers to held-out questions, before and after (n judged):

| reward | before | after | n |
|---|---|---|---|
{rows}
"""
    (folder / "README.md").write_text(card, encoding="utf-8")
    values = asdict(settings) | {
        "data": [Path(d).name for d in settings.data],
        "init_from": Path(settings.init_from).name,
    }
    (folder / "training.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def record_stage(folder: Path, settings: GRPOSettings, data: Counter[str], seconds: float) -> None:
    """Hand the record of how the model came to be on, with this stage's own; `seconds` are those since the last kill."""
    start = model_folder(settings.init_from)
    record = StageRecord(
        "grpo",
        weights_code(folder),
        changed_parts(start, folder),
        {"name": shown_name(start), "weights": weights_code(start)},
        settings={k: v for k, v in asdict(settings).items() if k not in ("data", "init_from", "output_dir")},
        steps=settings.steps,
        seconds=round(seconds, 1),
        device=device_name(),
        seed=settings.seed,
        data={name: {"train": n, "val": 0, "weight": 1.0} for name, n in sorted(data.items())},
        versions=versions(),
    )
    write_chain(folder, read_chain(start), record)


def run(settings: GRPOSettings) -> Path:
    """Train, going on from the last checkpoint in the output folder if there is one; returns the model's folder."""
    args = trainer_arguments(settings)
    whole, processor, own = start_model(settings)
    model = cast(MedVLMForConditionalGeneration, whole.get_base_model())
    functions = choose_rewards(
        settings.rewards, LabelFinder(model, processor, read_policy(model_folder(settings.init_from)))
    )
    rewards = dict(zip(settings.rewards, functions, strict=True))
    facts = model.config.grounding_config.facts
    train, val = (load_split(settings.data, split, settings.limit) for split in ("train", "val"))
    rows, held_out = prompt_rows(train, facts, settings), prompt_rows(val, facts, settings)
    if not rows or not held_out:
        raise RequestError(
            "No question with a short answer in the train or the val split: check the paths under `data`."
        )
    order = np.random.default_rng(settings.seed).permutation(len(held_out))[: settings.held_out]
    held_out_prompts = prompt_dataset([held_out[i] for i in order], val)
    output = Path(settings.output_dir)
    trainer = AnswerTrainer(
        model=whole,
        reward_funcs=list(functions),
        args=args,
        train_dataset=prompt_dataset(rows, train),
        processing_class=processor,
        callbacks=[RewardCurves(output / "curves.png", output / "log.jsonl")],
    )
    before = score(model, processor, held_out_prompts, rewards, settings)
    checkpoints = str(args.output_dir)
    last = get_last_checkpoint(checkpoints) if Path(checkpoints).is_dir() else None
    began = time.monotonic()
    trainer.train(resume_from_checkpoint=last)
    seconds = time.monotonic() - began
    after = score(model, processor, held_out_prompts, rewards, settings)
    folder = output / "model"
    save(whole, processor, own, settings, folder)
    write_card(folder, settings, before, after, len(rows))
    record_stage(folder, settings, Counter(record.set for record in train), seconds)
    return folder


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="training.grpo", description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="a YAML file with the keys of training.config.GRPOSettings")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="keys to set over the file's")
    args = parser.parse_args(argv)
    keep_freed_memory()
    try:
        folder = run(read_config(args.config, GRPOSettings, args.overrides))
    except MedVLMError as error:
        print(f"training.grpo: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"model": str(folder)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
