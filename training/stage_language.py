"""Stage two: LoRA on the language model and the projector, over the frozen heads of stage one."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.nn import functional as F
from transformers import Trainer
from transformers.trainer_utils import get_last_checkpoint

from medvlm.model.modeling_medvlm import MedVLMForConditionalGeneration

from .config import SFTConfig
from .stage_heads import optimizer_and_schedule, training_arguments

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
    told = labels[:, 1:]
    logits = model.get_output_embeddings()(states[told != -100])
    return F.cross_entropy(logits.float(), told[told != -100])


def train_language(model: MedVLMForConditionalGeneration, examples, config: SFTConfig, callbacks=()) -> None:
    """Train to `language_steps`, going on from the last checkpoint in the output folder if there is one."""
    args = training_arguments(config, "language", config.language_steps, config.language_batch)
    stage = LanguageStage(model)
    groups = [{"params": [p for p in stage.parameters() if p.requires_grad], "lr": config.language_lr}]
    trainer = Trainer(
        model=stage,
        args=args,
        train_dataset=examples,
        data_collator=examples.collate,
        optimizers=optimizer_and_schedule(groups, config.language_steps, config.warmup // 2, config.decay),
        callbacks=list(callbacks),
    )
    last = get_last_checkpoint(args.output_dir) if Path(args.output_dir).is_dir() else None
    trainer.train(resume_from_checkpoint=last)
