"""Stage one: vision encoder and grounding heads, queried by label numbers; no language model takes part.

What makes it fast on a GPU: images are decoded once, workers send small types, light and colour change on the device in
batches, small sides come first, and the exponential mean of the weights (Polyak & Juditsky, 1992) replaces a long tail of
small steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainingArguments

from medvlm.errors import RequestError
from medvlm.model.grounding_model import Grounder

from .augment import generator, relight
from .checkpoints import Progress, last_checkpoint
from .config import HeadsSettings, Recipe
from .grounding_examples import TARGETS, GroundingExamples, collate
from .losses import GroundingTargets, loss_parts, total
from .schedule import Plan, read_phases

PREFETCH = 3  # batches ahead of each worker
MEAN = "mean.safetensors"


def freeze_norms(module: nn.Module) -> None:
    """Batch statistics of mixed data sets are noise: keep the pretrained ones, train scale and shift."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


class WeightMean(TrainerCallback):
    """The exponential mean of a module's weights, kept in every checkpoint; young runs forget faster."""

    def __init__(self, module: nn.Module, decay: float):
        self.module, self.decay = module, decay
        self.means: dict[str, torch.Tensor] = {}

    def load(self, checkpoint: Path) -> None:
        self.means = load_file(checkpoint / MEAN)

    def on_train_begin(self, args, state, control, **_):
        self.live = {k: v for k, v in self.module.state_dict().items() if v.is_floating_point()}
        start = self.means or self.live
        self.means = {k: start[k].detach().to(v.device, copy=True) for k, v in self.live.items()}

    @torch.no_grad()
    def on_step_end(self, args, state, control, **_):
        decay = min(self.decay, (1 + state.global_step) / (10 + state.global_step))
        torch._foreach_lerp_([self.means[k] for k in self.live], list(self.live.values()), 1 - decay)

    def on_save(self, args, state, control, **_):
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            save_file({k: v.contiguous() for k, v in self.means.items()}, folder / MEAN)

    def hand_over(self) -> None:
        """Put the mean in the place of the last weights."""
        self.module.load_state_dict(self.means, strict=False)


@dataclass
class Batches:
    """A run's batches of (item, side), from where the run is when it is asked: in order, a share for each process."""

    plan: Plan
    progress: Progress
    processes: int
    process: int

    def __len__(self) -> int:
        return self.plan.steps

    def __iter__(self):
        return self.plan.batches(self.progress.steps, self.progress.images, self.processes, self.process)


class HeadsTrainer(Trainer):
    """`Trainer` that keeps batch norms frozen, takes its plan's batches and logs the parts of the loss."""

    def __init__(self, plan: Plan, progress: Progress, examples: GroundingExamples, **kwargs):
        super().__init__(train_dataset=examples, **kwargs)
        self.plan, self.progress, self.examples = plan, progress, examples

    def get_train_dataloader(self) -> DataLoader:
        workers = self.args.dataloader_num_workers
        batches = Batches(self.plan, self.progress, self.args.world_size, self.args.process_index)
        return DataLoader(
            self.examples,
            batch_sampler=batches,
            collate_fn=collate,
            num_workers=workers,
            prefetch_factor=PREFETCH if workers else None,
            persistent_workers=workers > 0,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def _prepare_inputs(self, inputs):
        return {name: tensor.to(self.args.device, non_blocking=True) for name, tensor in inputs.items()}

    def _save(self, output_dir=None, state_dict=None):
        # safetensors takes no tensor whose channels come last
        super()._save(output_dir, {k: v.contiguous() for k, v in (state_dict or self.model.state_dict()).items()})

    def compute_loss(self, model, inputs, return_outputs=False, **_):
        freeze_norms(model)
        batch = inputs
        with torch.no_grad():
            pixels = batch.pop("pixel_values").float() / 255
            seeds = (self.args.seed, self.state.global_step, self.args.process_index)
            pixels = relight(pixels, generator(pixels.device, *seeds)) * 2 - 1
        targets = GroundingTargets(**{name: batch.pop(name) for name in TARGETS})
        targets.centres, targets.boxes = targets.centres.float(), targets.boxes.float()
        given = model(pixels, batch["label_ids"], batch["prompts"].float(), batch["prompt_kinds"])
        parts = loss_parts(given, targets, batch["prompt_kinds"] >= 0)
        loss = total(parts)
        self.progress.images += len(pixels) * self.args.world_size
        if self.state.global_step % self.args.logging_steps == 0:
            if not math.isfinite(float(loss.detach())):
                raise RequestError(
                    f"The loss of heads is no longer a number at step {self.state.global_step}: lower its lr and vision_lr "
                    "and start again, which goes on from the last checkpoint."
                )
            self.log({k: round(float(v.detach()), 4) for k, v in parts.items()})
        return (loss, given) if return_outputs else loss


def training_arguments(recipe: Recipe, folder: Path, steps: int, batch: int, **more) -> TrainingArguments:
    cpu = not torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=batch,
        bf16=recipe.bf16 and not cpu,
        use_cpu=cpu,
        max_grad_norm=1.0,
        logging_steps=recipe.log_every,
        save_steps=recipe.save_every,
        save_total_limit=2,
        dataloader_num_workers=recipe.processes,
        dataloader_persistent_workers=recipe.processes > 0,
        dataloader_pin_memory=not cpu,
        remove_unused_columns=False,
        logging_nan_inf_filter=False,  # it would wait for the device at each step
        report_to=[],
        seed=recipe.seed,
        **more,
    )


def train_heads(
    grounder: Grounder,
    examples: GroundingExamples,
    side: int,
    recipe: Recipe,
    settings: HeadsSettings,
    folder: Path,
    callbacks=(),
) -> Progress:
    """Train to the recipe's steps or seconds, going on from the last checkpoint in `folder` if there is one.

    `side` is the model's own, in pixels. The grounder is left with the mean of its weights.
    """
    plan = Plan(
        settings.steps,
        read_phases(settings, side),
        settings.max_seconds,
        settings.warmup,
        settings.flat,
        settings.floor,
    )

    def finished(seconds: float) -> bool:
        plan.elapsed = seconds
        return plan.progress(0) >= 1  # of the clock alone; the trainer counts the steps

    cuda = torch.cuda.is_available()
    if cuda:
        torch.backends.cuda.matmul.allow_tf32 = True
    grounder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch takes it, its hints do not
    if settings.compile:
        grounder.vision.compile(dynamic=False)
        grounder.heads.pyramid.compile(dynamic=False)
    groups = [
        {"params": list(grounder.vision.parameters()), "lr": settings.vision_lr},
        {"params": list(grounder.heads.parameters()), "lr": settings.lr},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=cuda)
    progress = Progress(finished)
    mean = WeightMean(grounder, settings.mean)
    trainer = HeadsTrainer(
        plan=plan,
        progress=progress,
        model=grounder,
        args=training_arguments(recipe, folder, plan.steps, plan.phases[0].batch, ignore_data_skip=True),
        examples=examples,
        optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: plan.rate(step))),
        callbacks=[*callbacks, mean, progress],
    )
    if settings.max_seconds and trainer.args.world_size > 1:
        raise RequestError("max_seconds of heads is for one process: give several steps instead.")
    last = last_checkpoint(folder)
    if last:
        progress.load(last)
        mean.load(last)
        plan.elapsed = progress.seconds
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    mean.hand_over()
    return progress
