"""The network behind the reader: a small bidirectional language model, and a decoder that writes symbols or points at words."""

from __future__ import annotations

import torch
from torch import nn

MOST_SYMBOLS = 48


class ReaderModel(nn.Module):
    """Question → symbols of calls. A pointer-generator (See et al. 2017, arXiv:1704.04368) over the states of an encoder.

    `encoder` is any transformers model that gives `last_hidden_state` `(B, T, hidden)`.
    """

    def __init__(self, encoder: nn.Module, hidden: int, symbols: int, copy: int, size: int = 256, layers: int = 2):
        super().__init__()
        self.encoder, self.copy = encoder, copy
        self.project = nn.Linear(hidden, size)
        self.symbol = nn.Embedding(symbols, size)
        self.place = nn.Embedding(MOST_SYMBOLS, size)
        self.start = nn.Parameter(torch.zeros(size))
        layer = nn.TransformerDecoderLayer(size, 4, 2 * size, dropout=0.1, batch_first=True, norm_first=True)
        self.decoder = nn.TransformerDecoder(layer, layers, norm=nn.LayerNorm(size))
        self.point = nn.Linear(size, size)
        self.bias = nn.Parameter(torch.zeros(symbols))
        nn.init.normal_(self.symbol.weight, std=size**-0.5)
        nn.init.normal_(self.place.weight, std=0.02)

    def read(self, tokens: dict[str, torch.Tensor], pieces: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """States of the tokens `(B, T, size)` and of the pieces that can be copied `(B, P, size)`, which start at tokens
        `pieces` `(B, P)`."""
        memory = self.project(self.encoder(**tokens).last_hidden_state)
        return memory, memory.gather(1, pieces[..., None].expand(-1, -1, memory.shape[-1]))

    def write(
        self,
        memory: torch.Tensor,
        words: torch.Tensor,
        mask: torch.Tensor,
        there: torch.Tensor,
        symbols: torch.Tensor,
        copied: torch.Tensor,
    ) -> torch.Tensor:
        """Logits `(B, S + 1, symbols + P)` of what follows each prefix: symbols, then the pieces to copy.

        `mask` `(B, T)` and `there` `(B, P)` say which tokens and pieces are there; `symbols` and `copied` `(B, S)` are what
        was written, with the piece beside each copied word (any number elsewhere).
        """
        pointed = words.gather(1, copied.clamp(min=0)[..., None].expand(-1, -1, words.shape[-1]))
        embedded = self.symbol(symbols) + pointed * (symbols == self.copy)[..., None]
        start = self.start.expand(len(embedded), 1, -1)
        embedded = torch.cat([start, embedded], 1) + self.place.weight[: embedded.shape[1] + 1]
        causal = nn.Transformer.generate_square_subsequent_mask(
            embedded.shape[1], device=embedded.device, dtype=embedded.dtype
        )
        state = self.decoder(
            embedded, memory, tgt_mask=causal, tgt_is_causal=True, memory_key_padding_mask=~mask.bool()
        )
        scale = state.shape[-1] ** -0.5
        logits = state @ self.symbol.weight.T + self.bias
        logits[..., self.copy] = -torch.inf
        pointers = (self.point(state) @ words.transpose(1, 2)) * scale
        return torch.cat([logits, pointers.masked_fill(~there[:, None], -torch.inf)], -1)
