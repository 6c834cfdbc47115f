"""Whether a picture is a medical image at all, and no page, chart, screen or drawing."""

from __future__ import annotations

import torch
from torch import nn

from .answers import Standard

MAPS = 4  # of the encoder, the coarsest ones


class MedicalHead(nn.Module):
    """A linear reading of the means, deviations and maxima over the place of each channel of the encoder's maps.

    Letters, rules and plain fields show in the fine maps, which the classifier of facts does not see.
    """

    def __init__(self, channels: list[int]):
        """`channels` of the encoder's maps, finest first."""
        super().__init__()
        size = 3 * sum(channels[-MAPS:])
        self.scale = Standard(size, 1e-3)
        self.read = nn.Linear(size, 1)
        nn.init.zeros_(self.read.weight)
        nn.init.constant_(self.read.bias, 4.0)  # untrained, it refuses nothing

    @staticmethod
    def pooled(maps: list[torch.Tensor]) -> torch.Tensor:
        """Maps `(B, C_i, H_i, W_i)` to `(B, 3 * sum of C_i)`."""
        flat = [m.float().flatten(2) for m in maps[-MAPS:]]
        return torch.cat([part for m in flat for part in (m.mean(2), m.std(2, correction=0), m.amax(2))], dim=1)

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """Maps to logits `(B,)` of a medical image."""
        return self.read(self.scale(self.pooled(maps)))[:, 0]
