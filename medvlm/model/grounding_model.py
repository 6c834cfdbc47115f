"""The pixel half of the model on its own: a vision encoder with grounding heads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from transformers import PretrainedConfig

from .grounding import GroundingHeads, GroundingOutput, MedVLMGroundingConfig
from .losses import GroundingTargets, grounding_loss, prompt_loss, total
from .vision import build_vision, detail_channels, feature_maps, map_channels


@dataclass
class ImageFeatures:
    """One batch of images, encoded once and asked many times."""

    maps: list[torch.Tensor]  # encoder maps (B, C_i, H_i, W_i), finest first
    pyramid: list[torch.Tensor]  # (B, C, H_i, W_i), finest first

    def __getitem__(self, index) -> ImageFeatures:
        """The features of some images: an index or slice into the batch that keeps the batch dimension."""
        rows = slice(index, index + 1) if isinstance(index, int) else index
        return ImageFeatures([m[rows] for m in self.maps], [p[rows] for p in self.pyramid])


class Grounder(nn.Module):
    """Vision encoder and grounding heads."""

    def __init__(self, vision_config: PretrainedConfig, grounding_config: MedVLMGroundingConfig):
        super().__init__()
        self.vision = build_vision(vision_config)
        self.heads = GroundingHeads(grounding_config, map_channels(vision_config), detail_channels(vision_config))

    def encode(self, pixel_values: torch.Tensor) -> ImageFeatures:
        """`(B, 3, S, S)` in -1..1 to features."""
        maps = self.maps(pixel_values)
        return ImageFeatures(maps, self.heads.pyramid(maps))

    def maps(self, pixel_values: torch.Tensor) -> list[torch.Tensor]:
        """The encoder's maps alone, `ImageFeatures.maps`."""
        return feature_maps(self.vision, pixel_values.contiguous(memory_format=torch.channels_last))

    def forward(
        self,
        pixel_values: torch.Tensor,
        label_ids: torch.Tensor,  # (B, Q) rows of the learned label queries
        prompts: torch.Tensor | None = None,  # (B, P, 4, S/4, S/4)
        prompt_kinds: torch.Tensor | None = None,  # (B, P) channel of each drawn prompt, -1 for none
        targets: GroundingTargets | None = None,
    ) -> dict[str, torch.Tensor | GroundingOutput]:
        """Ask by label numbers, as training does; with targets the loss and its parts come along."""
        features = self.encode(pixel_values)
        output = self.heads(features.pyramid, self.heads.labels(label_ids))
        if targets is None:
            return {"output": output}
        labels = self.heads.presence(features.pyramid, self.heads.labels.weight[:-1])
        parts = grounding_loss(output, self.heads.classify(features.maps), labels, targets)
        if prompts is not None:
            drawn = prompt_kinds >= 0
            masks, quality = self.heads.segment(features.pyramid, prompts, prompt_kinds.clamp(min=0))
            parts |= prompt_loss(masks[drawn], quality[drawn], targets.prompted[drawn])
        return {"loss": total(parts), "parts": {k: v.detach() for k, v in parts.items()}, "output": output}
