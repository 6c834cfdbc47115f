"""Which questions no image can answer, read from the question alone."""

from __future__ import annotations

import torch
from torch import nn

from .answers import Standard
from .words import WordVotes

DEPTHS = (
    0.47,
    0.73,
    1.0,
)  # of the language model, whose states are read: what is asked for shows before the last layer


class DeclineHead(nn.Module):
    """Whether a question asks for treatment, cause, outlook, a person or anything else that no image shows.

    A linear reading of the language model's states of the question at some `DEPTHS`, and votes of its single words beside it.
    """

    def __init__(self, hidden: int):
        super().__init__()
        size = 2 * hidden * len(DEPTHS)
        self.scale = Standard(size, 1e-3)
        self.read = nn.Linear(size, 1)
        self.votes = WordVotes(1)
        nn.init.zeros_(self.read.weight)
        nn.init.constant_(self.read.bias, -4.0)  # untrained, it declines nothing

    def forward(self, states: torch.Tensor, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """States `(N, 2 * hidden * depths)` and tokens `(N, T)` of questions to logits `(N,)` of having to be declined."""
        return self.read(self.scale(states))[:, 0] + self.votes(input_ids, attention_mask)[:, 0]
