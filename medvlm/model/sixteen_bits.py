"""A language model's weights in bfloat16 among states in float32, for a CPU: half the memory, and half the time or less where
the processor multiplies such numbers itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

# Elsewhere products are of float32, as in training.
MULTIPLIES = getattr(torch.cpu, "_is_avx512_bf16_supported", bool)()
ROWS = 4096  # of a weight that are float32 at a time


class HalfLinear(nn.Module):
    def __init__(self, layer: nn.Linear):
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """`(..., in)` to `(..., out)`."""
        if MULTIPLIES:
            out = F.linear(states.to(self.weight.dtype), self.weight).to(states.dtype)
        else:
            out = torch.cat([F.linear(states, rows.to(states.dtype)) for rows in self.weight.split(ROWS)], -1)
        return out if self.bias is None else out + self.bias


class HalfEmbedding(nn.Module):
    def __init__(self, layer: nn.Embedding):
        super().__init__()
        self.weight = layer.weight

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """`(...)` to `(..., size)`, float32."""
        return F.embedding(words, self.weight).float()


HALVES: dict[type, Callable[[Any], nn.Module]] = {nn.Linear: HalfLinear, nn.Embedding: HalfEmbedding}


@torch.no_grad()
def hold_in_bfloat16(model: nn.Module) -> None:
    """Replace a model's linear layers and embeddings, one after another; weights that they share they still do. All else,
    such as norms, becomes float32."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if half := HALVES.get(type(layer)):
                layer.weight.data = layer.weight.data.bfloat16()
                setattr(parent, name, half(layer))
    for layer in model.modules():
        if not isinstance(layer, HalfLinear | HalfEmbedding):
            for parameter in layer.parameters(recurse=False):
                parameter.data = parameter.data.float()
