"""Stage two: LoRA on the language model and the projector, over the frozen heads of stage one."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.nn import functional as F
from torch.utils.data import SequentialSampler
from transformers import Trainer, get_wsd_schedule

from medvlm.model.modeling_medvlm import MedVLMForConditionalGeneration

from .checkpoints import Progress, last_checkpoint
from .config import LanguageSettings, Recipe
from .language_examples import LanguageExamples
from .stage_heads import training_arguments

LORA_TARGETS = ["q_proj", "v_proj", "up_proj", "down_proj"]


def add_adapter(model: MedVLMForConditionalGeneration, rank: int) -> None:
    """Put a trainable LoRA adapter on the language model."""
    settings = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=LORA_TARGETS, task_type="CAUSAL_LM")
    model.language_model = get_peft_model(model.language_model, settings)


class LanguageStage(nn.Module):
    """What the trainer sees: the trainable part of the model and its loss."""

    def __init__(self, model: MedVLMForConditionalGeneration):
        super().__init__()
        self.model = model
        model.grounder.requires_grad_(False)
        model.query_projector.requires_grad_(False)
        model.word_votes.requires_grad_(False)
        model.projector.requires_grad_(True)

    def state_dict(self, *args, **kwargs):
        """Only what is trained: the rest comes from stage one and the language model's own files."""
        wanted = {f"model.{n}" for n, p in self.model.named_parameters() if p.requires_grad}
        return {k: v for k, v in super().state_dict(*args, **kwargs).items() if k in wanted}

    def load_state_dict(self, state_dict, *_, **__):
        """As much as `state_dict` gives; what is not trained is not missed."""
        result = super().load_state_dict(state_dict, strict=False)
        return result._replace(missing_keys=sorted(self.state_dict().keys() & set(result.missing_keys)))

    def forward(self, pixel_values, **batch) -> dict[str, torch.Tensor]:
        """The language model's loss on the answers."""
        self.model.grounder.eval()
        with torch.no_grad():
            features = self.model.encode_images(pixel_values)
        return {"loss": answer_loss(self.model, features, **batch)}


def answer_loss(model: MedVLMForConditionalGeneration, features, input_ids, labels, **inputs) -> torch.Tensor:
    """Cross-entropy of the answers' tokens; the vocabulary is scored at their places alone, which saves a fifth."""
    states = model.language_model.get_decoder()(
        inputs_embeds=model.embed(input_ids, features), use_cache=False, **inputs
    ).last_hidden_state[:, :-1]
    targets = labels[:, 1:]
    logits = model.get_output_embeddings()(states[targets != -100])
    return F.cross_entropy(logits.float(), targets[targets != -100])


class LanguageTrainer(Trainer):
    """`Trainer` that takes the examples in their order and counts their images."""

    def __init__(self, progress: Progress, **kwargs):
        super().__init__(**kwargs)
        self.progress = progress

    def _get_train_sampler(self, *_):
        return SequentialSampler(self.train_dataset)

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        self.progress.images += len(inputs["pixel_values"]) * self.args.world_size
        return super().compute_loss(model, inputs, return_outputs, **kwargs)


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


def train_language(
    model: MedVLMForConditionalGeneration,
    examples: LanguageExamples,
    recipe: Recipe,
    settings: LanguageSettings,
    folder: Path,
    callbacks=(),
) -> Progress:
    """Train to the recipe's steps, going on from the last checkpoint in `folder` if there is one."""
    stage, progress = LanguageStage(model), Progress()
    groups = [{"params": [p for p in stage.parameters() if p.requires_grad], "lr": settings.lr}]
    trainer = LanguageTrainer(
        progress=progress,
        model=stage,
        args=training_arguments(recipe, folder, settings.steps, settings.batch),
        train_dataset=examples,
        data_collator=examples.collate,
        optimizers=optimizer_and_schedule(groups, settings.steps, settings.warmup, settings.decay),
        callbacks=[*callbacks, progress],
    )
    last = last_checkpoint(folder)
    if last:
        progress.load(last)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    return progress
