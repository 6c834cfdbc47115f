"""Short answers without generation: a question is one more query, over the image and what the heads see of it.

As in VQA by classification over frequent answers (Antol et al., 2015; MEVF with BAN, Nguyen et al., 2019). The question
attends to pixels, and to a token for each label that says whether, how large and where it is seen, so that "is the
liver in it?" and "which organ is on the left?" can be read off.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from .grounding import DecoderLayer, MedVLMGroundingConfig, position_grid

SIZE, LAYERS, HEADS = 192, 2, 6
GRID = 5  # pixel tokens a side
DROPOUT = 0.4


class Standard(nn.Module):
    """Inputs to zero mean and unit deviation, as they were in training; the deviation is at least `least`."""

    mean: torch.Tensor  # (size,)
    deviation: torch.Tensor  # (size,)

    def __init__(self, size: int, least: float):
        super().__init__()
        self.least = least
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def fit(self, x: torch.Tensor) -> None:
        """Take mean and deviation from samples `(N, size)`."""
        self.mean.copy_(x.mean(0))
        self.deviation.copy_(x.std(0) + self.least)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / self.deviation


def mlp(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 2 * SIZE), nn.GELU(), nn.Dropout(DROPOUT), nn.Linear(2 * SIZE, outputs))


class AnswerHead(nn.Module):
    def __init__(self, question_size: int, channels: int, grounding: MedVLMGroundingConfig, answers: int):
        super().__init__()
        self.labels = len(grounding.labels)
        self.scales = nn.ModuleDict(
            {
                "question": Standard(question_size, 1e-3),
                "pixels": Standard(channels, 1e-3),
                "evidence": Standard(grounding.evidence_size, 0.05),
            }
        )
        self.question = mlp(question_size, SIZE)
        self.pixels, self.position = nn.Linear(channels, SIZE), nn.Linear(8, SIZE)
        self.evidence = nn.Sequential(nn.Dropout(0.2), mlp(grounding.evidence_size, SIZE))
        self.label = nn.Parameter(torch.randn(self.labels, SIZE) * 0.5)
        self.seen = nn.Linear(4, SIZE)
        self.layers = nn.ModuleList(DecoderLayer(SIZE, HEADS, DROPOUT) for _ in range(LAYERS))
        self.gate = nn.Linear(SIZE, SIZE)
        self.out = nn.Sequential(nn.LayerNorm(3 * SIZE), nn.Dropout(DROPOUT), mlp(3 * SIZE, answers))

    def standard(self, name: str) -> Standard:
        """The scale of "question", "pixels" or "evidence"."""
        return cast(Standard, self.scales[name])

    def forward(self, question: torch.Tensor, pixels: torch.Tensor, evidence: torch.Tensor) -> torch.Tensor:
        """Question states `(B, question_size)`, the coarsest map `(B, C, h, w)` and `GroundingHeads.evidence` `(B, E)` to
        logits `(B, answers)`."""
        state = self.question(self.scales["question"](question))
        evidence = self.scales["evidence"](evidence)
        described = self.evidence(evidence)
        pooled = F.adaptive_avg_pool2d(pixels, GRID).flatten(2).transpose(1, 2)  # (B, GRID * GRID, C)
        patches = self.pixels(self.scales["pixels"](pooled))
        numbers = (
            evidence[:, evidence.shape[1] - 4 * self.labels :].reshape(len(evidence), 4, self.labels).transpose(1, 2)
        )
        rest = torch.cat([described[:, None], self.label + self.seen(numbers)], dim=1)
        keys = torch.cat(
            [patches + self.position(position_grid(GRID, GRID, patches.device, patches.dtype)), rest], dim=1
        )
        values = torch.cat([patches, rest], dim=1)
        query = state[:, None]
        for layer in self.layers:
            query = layer(query, keys, values)
        return self.out(torch.cat([query[:, 0], state, 3 * self.gate(state).sigmoid() * described], dim=1))
