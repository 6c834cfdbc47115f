"""Drawn prompts over an image's pyramid: what lies under a prompt becomes its query, and its mask is corrected by it.

The encoder and the pyramid do not see prompts, so any number of them share one pass. Pooling what a drawing covers into
a query follows SEEM's visual prompts (Zou et al., 2023); the correction at the prompt's own resolution, RITM's maps of
clicks (Sofiiuk et al., 2021).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

PROMPT_CHANNELS = 4  # box, positive points, negative points, scribble
PLACE = 12  # channels of a place's encoding
NARROW, WIDTH = 16, 32  # channels of the pixels that the correction sees, and of its own layers
DILATIONS = (1, 2, 4, 8, 1)


def places(height: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """`(8, H, W)`: sines and cosines of x and y, so that "left lung" can be told from "right lung"."""
    y, x = torch.meshgrid(
        (torch.arange(height, device=like.device) + 0.5) / height,
        (torch.arange(width, device=like.device) + 0.5) / width,
        indexing="ij",
    )
    return torch.stack([f(k * torch.pi * a) for a in (x, y) for k in (1, 2) for f in (torch.sin, torch.cos)]).to(like)


def under(prompts: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """The mean of maps `(B, D, h, w)` under each channel of prompts `(B, P, 4, h, w)`: `(B, P, 4, D)`, 0 where none is drawn."""
    share = prompts / prompts.sum((-2, -1), keepdim=True).clamp(min=1e-3)
    return (maps.flatten(2)[:, None] @ share.flatten(3).transpose(2, 3)).transpose(2, 3)


class PromptHeads(nn.Module):
    def __init__(self, channels: int, size: int):
        super().__init__()
        self.kinds = nn.Embedding(PROMPT_CHANNELS, size)
        self.read = nn.Sequential(
            nn.Linear(PROMPT_CHANNELS * (2 * channels + PLACE), size), nn.GELU(), nn.Linear(size, size)
        )
        self.narrow = nn.Conv2d(channels, NARROW, 1)
        inputs = [NARROW + PROMPT_CHANNELS + 1] + [WIDTH] * (len(DILATIONS) - 1)
        layers = [
            nn.Sequential(nn.Conv2d(c, WIDTH, 3, padding=d, dilation=d, bias=False), nn.GroupNorm(4, WIDTH), nn.ReLU())
            for c, d in zip(inputs, DILATIONS, strict=True)
        ]
        last = nn.Conv2d(WIDTH, 1, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]  # it has one
        self.correct = nn.Sequential(*layers, last)

    def queries(
        self, finest: torch.Tensor, coarse: torch.Tensor, prompts: torch.Tensor, kinds: torch.Tensor
    ) -> torch.Tensor:
        """Queries `(B, P, size)` of prompts `(B, P, 4, h, w)` of `kinds` `(B, P)` on maps `(B, C, h, w)` and coarser."""
        height, width = finest.shape[-2:]
        where = places(height, width, finest)
        fine = under(prompts, finest), under(prompts, where[None])
        size = coarse.shape[-2], coarse.shape[-1]
        smaller = F.adaptive_avg_pool2d(prompts.flatten(1, 2), size).unflatten(1, prompts.shape[1:3])
        given = prompts.amax((-2, -1))[..., None]
        sides = prompts.amax(-2).mean(-1, keepdim=True), prompts.amax(-1).mean(-1, keepdim=True)
        share = prompts.mean((-2, -1))[..., None]
        features = torch.cat([*fine, under(smaller, coarse), given, *sides, share], dim=-1)
        return self.kinds(kinds) + self.read(features.flatten(2))

    def corrections(self, finest: torch.Tensor, logits: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
        """What to add to mask logits `(B, P, h, w)` of prompts `(B, P, 4, h, w)`."""
        count = prompts.shape[1]
        pixels = self.narrow(finest)[:, None].expand(-1, count, -1, -1, -1)
        maps = torch.cat([pixels, prompts, logits[:, :, None] / 4], dim=2)
        return self.correct(maps.flatten(0, 1)).unflatten(0, (-1, count))[:, :, 0]
