"""Stage one: vision encoder and grounding heads, asked by label numbers; no language model in memory."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainingArguments, get_wsd_schedule
from transformers.trainer_utils import get_last_checkpoint

from medvlm.model.grounding_model import Grounder

from .config import SFTConfig


def freeze_norms(module: nn.Module) -> None:
    """Batch statistics of mixed data sets are noise: keep the pretrained ones, train scale and shift."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


class HeadsTrainer(Trainer):
    """`Trainer` that keeps batch norms frozen, takes the examples in their order and logs the parts of the loss."""

    def _get_train_sampler(self, *_):
        return SequentialSampler(self.train_dataset)

    def compute_loss(self, model, inputs, return_outputs=False, **_):
        freeze_norms(model)
        result = model(**inputs)
        if self.state.global_step % self.args.logging_steps == 0:
            self.log({k: round(float(v), 4) for k, v in result["parts"].items()})
        return (result["loss"], result) if return_outputs else result["loss"]


def optimizer_and_schedule(groups: list[dict], steps: int, warmup: int, decay: float):
    """AdamW with warm-up, a plateau and a linear fall over the last share of the steps."""
    optimizer = torch.optim.AdamW(groups, weight_decay=0.02)
    falling = int(steps * decay)
    warmup = min(warmup, steps // 5)
    schedule = get_wsd_schedule(
        optimizer,
        num_warmup_steps=warmup,
        num_decay_steps=falling,
        num_stable_steps=steps - warmup - falling,
        decay_type="linear",
    )
    return optimizer, schedule


def training_arguments(config: SFTConfig, stage: str, steps: int, batch: int) -> TrainingArguments:
    cpu = not torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(Path(config.output_dir) / stage),
        max_steps=steps,
        per_device_train_batch_size=batch,
        bf16=config.bf16 and not cpu,
        use_cpu=cpu,
        max_grad_norm=1.0,
        logging_steps=config.log_every,
        save_steps=config.save_every,
        save_total_limit=2,
        dataloader_num_workers=config.workers,
        dataloader_persistent_workers=config.workers > 0,
        dataloader_pin_memory=not cpu,
        remove_unused_columns=False,
        report_to=[],
        seed=config.seed,
    )


def train_heads(grounder: Grounder, examples, collate, config: SFTConfig, callbacks=()) -> Grounder:
    """Train to `heads_steps`, going on from the last checkpoint in the output folder if there is one."""
    args = training_arguments(config, "heads", config.heads_steps, config.heads_batch)
    groups = [
        {"params": list(grounder.vision.parameters()), "lr": config.vision_lr},
        {"params": list(grounder.heads.parameters()), "lr": config.heads_lr},
    ]
    trainer = HeadsTrainer(
        model=grounder,
        args=args,
        train_dataset=examples,
        data_collator=collate,
        optimizers=optimizer_and_schedule(groups, config.heads_steps, config.warmup, config.decay),
        callbacks=list(callbacks),
    )
    last = get_last_checkpoint(args.output_dir) if Path(args.output_dir).is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    return grounder
