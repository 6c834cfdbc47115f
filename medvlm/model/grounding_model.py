"""The pixel half of the model on its own: a vision encoder with grounding heads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from transformers import PretrainedConfig

from .grounding import GroundingHeads, GroundingOutput, MedVLMGroundingConfig
from .vision import build_vision, detail_channels, feature_maps, map_channels


@dataclass
class ImageFeatures:
    """One batch of images, encoded once for many queries."""

    maps: list[torch.Tensor]  # encoder maps (B, C_i, H_i, W_i), finest first
    pyramid: list[torch.Tensor]  # (B, C, H_i, W_i), finest first

    def __getitem__(self, index) -> ImageFeatures:
        """The features of some images: an index or slice into the batch that keeps the batch dimension."""
        rows = slice(index, index + 1) if isinstance(index, int) else index
        return ImageFeatures([m[rows] for m in self.maps], [p[rows] for p in self.pyramid])


@dataclass
class GrounderOutput:
    """All that one pass says of B images, which training compares with the truth."""

    queries: GroundingOutput  # of the labels in `label_ids`
    labels: torch.Tensor  # (B, L) presence logits of every label with a query of its own
    facts: list[torch.Tensor]  # (B, values) logits of each fact, those without a name last
    prompt_masks: torch.Tensor  # (B, P, S/2, S/2) logits
    prompt_quality: torch.Tensor  # (B, P) logits of the masks' expected IoU


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

    def glance(self, features: ImageFeatures, queries: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """N queries `(N, query_size)` on B images: mask logits `(B, N, S/8, S/8)` and presence logits `(B, N)`."""
        return self.heads.glance(features.pyramid, queries)

    def ground(self, features: ImageFeatures, queries: torch.Tensor) -> GroundingOutput:
        """Queries `(B, Q, query_size)` on B images."""
        return self.heads(features.pyramid, queries)

    def segment(
        self, features: ImageFeatures, prompts: torch.Tensor, kinds: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Drawn prompts `(B, P, 4, S/4, S/4)` and the channel of each one's kind `(B, P)` to mask logits
        `(B, P, S/2, S/2)` and logits of the masks' expected IoU `(B, P)`."""
        return self.heads.segment(features.pyramid, prompts, kinds)

    def forward(
        self,
        pixel_values: torch.Tensor,
        label_ids: torch.Tensor,  # (B, Q) rows of the learned label queries
        prompts: torch.Tensor,  # (B, P, 4, S/4, S/4)
        prompt_kinds: torch.Tensor,  # (B, P) channel of each drawn prompt, -1 for none
    ) -> GrounderOutput:
        """All outputs at once, for label numbers and drawn prompts, as training needs them."""
        features = self.encode(pixel_values)
        queries = self.heads(features.pyramid, self.heads.labels(label_ids))
        _, labels = self.heads.glance(features.pyramid, self.heads.labels.weight[:-1])
        facts = self.heads.fact_logits(features.maps)
        masks, quality = self.heads.segment(features.pyramid, prompts, prompt_kinds.clamp(min=0))
        return GrounderOutput(queries, labels, facts, masks, quality)
