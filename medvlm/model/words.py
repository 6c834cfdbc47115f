"""What single words say of a phrase's meaning, beside the language model's reading of the whole."""

from __future__ import annotations

import torch
from torch import nn

BUCKETS = 4096
HASH = 2654435761  # Knuth's multiplicative hash


class WordVotes(nn.Module):
    """Each token of a phrase votes for labels, the rarer the louder: a linear bag of words over hashed tokens (fastText,
    Joulin et al., 2017), weighted by inverse document frequency."""

    rarity: torch.Tensor  # (BUCKETS,)

    def __init__(self, labels: int):
        super().__init__()
        self.votes = nn.Embedding(BUCKETS, labels)
        nn.init.zeros_(self.votes.weight)
        self.register_buffer("rarity", torch.ones(BUCKETS))

    def buckets(self, input_ids: torch.Tensor) -> torch.Tensor:
        return input_ids * HASH % 2**32 % BUCKETS

    @torch.no_grad()
    def count(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> None:
        """Learn how rare each token is from phrases `(N, T)`; what stands in every one of them loses its voice."""
        present = torch.zeros(len(input_ids), BUCKETS, dtype=torch.bool, device=input_ids.device)
        present.scatter_(1, self.buckets(input_ids), attention_mask.bool())
        self.rarity.copy_((len(input_ids) / (1 + present.sum(0))).log().clamp(min=0))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Tokens `(N, T)` to logits `(N, labels)`."""
        buckets = self.buckets(input_ids)
        loud = self.rarity[buckets] * attention_mask
        loud = 8 * loud / loud.norm(dim=1, keepdim=True).clamp(min=1e-6)
        return torch.einsum("nt,ntl->nl", loud, self.votes(buckets))
