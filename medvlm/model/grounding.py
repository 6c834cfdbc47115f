"""The grounding heads: a feature pyramid and a decoder that turns a query into masks, boxes and scores.

One image is encoded once into a pyramid; each query (a phrase's vector or a drawn prompt's) then costs one short
decoder pass. Queries do not see each other, so an answer never depends on what else was asked. The decoder follows
MaskFormer (Cheng et al., 2021: a query's dot product with pixel embeddings) and finds instances by centres and
distances to the four sides (FCOS, Tian et al., 2019; CenterNet, Zhou et al., 2019).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PretrainedConfig

from .prompt_heads import PromptHeads, places

LEVELS = 4  # of the pyramid, at strides 4, 8, 16 and 32; one of detail at stride 2 may precede them
FACT_GRID = 2  # cells a side of the coarsest map that facts are read from


class MedVLMGroundingConfig(PretrainedConfig):
    """`labels` are the phrases with a learned query (used by training); `facts` maps an image-level fact to its values.

    `unnamed` are the numbers of values of further facts, which nobody asks for: they are evidence alone.

    Questions were learned on images of `asked_kinds`, pairs of modality and body part, and each fact on images of its
    `fact_kinds`.

    The order of the facts is that of the weights, so `to_dict` gives pairs: JSON's keys are saved sorted.
    """

    model_type = "medvlm_grounding"

    def __init__(
        self,
        channels: int = 96,
        query_size: int = 192,
        layers: int = 2,
        heads: int = 6,
        detail: int = 32,
        labels: list[str] | None = None,
        facts: dict[str, list[str]] | list | None = None,
        unnamed: list[int] | None = None,
        asked_kinds: list[list[str]] | None = None,
        fact_kinds: dict[str, list[list[str]]] | None = None,
        **kwargs,
    ):
        self.channels = channels
        self.query_size = query_size
        self.layers = layers
        self.heads = heads
        self.detail = detail
        self.labels = labels or []
        self.facts = dict(facts or {})
        self.unnamed = unnamed or []
        self.asked_kinds = asked_kinds or []
        self.fact_kinds = fact_kinds or {}
        super().__init__(**kwargs)

    def to_dict(self):
        return super().to_dict() | {"facts": [list(pair) for pair in self.facts.items()]}

    @property
    def fact_sizes(self) -> list[int]:
        """The numbers of values of all facts, those with a name first."""
        return [*map(len, self.facts.values()), *self.unnamed]

    @property
    def evidence_size(self) -> int:
        """How many numbers `GroundingHeads.evidence` gives an image."""
        return sum(self.fact_sizes) + 4 * len(self.labels)


@dataclass
class GroundingOutput:
    """What the decoder says of Q queries on B images; maps `(h, w)` are at stride 4 of the model's input."""

    masks: torch.Tensor  # (B, Q, 2h, 2w) logits
    centres: torch.Tensor  # (B, Q, h, w) logits of an instance's centre
    sides: torch.Tensor  # (B, Q, 4, h, w) distances to left, top, right, bottom in fractions of the input's side
    presence: torch.Tensor  # (B, Q) logits
    outlined: torch.Tensor  # (B, Q) logits that the mask, not only the box, can be trusted
    quality: torch.Tensor  # (B, Q) logits of the mask's expected IoU: one minus it is the uncertainty

    def to_cpu(self) -> GroundingOutput:
        """The same in single precision on the CPU, where regions are made."""
        return GroundingOutput(**{f.name: getattr(self, f.name).float().cpu() for f in fields(self)})


def conv_block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.GroupNorm(8, outputs), nn.ReLU(inplace=True)
    )


class Pyramid(nn.Module):
    """Top-down feature pyramid (Lin et al., 2017).

    An encoder with a map at stride 2 gives a narrow level of detail as well, for what is thinner than a pixel of the
    others.
    """

    def __init__(self, inputs: list[int], channels: int, detail_input: int, detail: int):
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in inputs)
        self.smooth = nn.ModuleList(conv_block(channels, channels) for _ in inputs)
        self.pixel = conv_block(channels, channels)
        self.detail = None
        if detail_input:
            self.narrow = nn.Conv2d(channels, detail, 1)
            self.detail = conv_block(detail_input + detail, detail)

    def forward(self, maps) -> list[torch.Tensor]:
        """Maps finest first, `(B, C_i, H_i, W_i)`, to as many `(B, C, H_i, W_i)`."""
        finest, maps = maps[0], maps[-LEVELS:]
        out: list[torch.Tensor] = []
        above = None
        for i in reversed(range(len(maps))):
            x = self.lateral[i](maps[i])
            if above is not None:
                x = x + F.interpolate(above, size=x.shape[-2:], mode="bilinear", align_corners=False)
            above = self.smooth[i](x)
            out.insert(0, above)
        out[0] = self.pixel(out[0])
        if self.detail is not None:
            above = F.interpolate(self.narrow(out[0]), size=finest.shape[-2:], mode="bilinear", align_corners=False)
            out.insert(0, self.detail(torch.cat([finest, above], dim=1)))
        return out


class DecoderLayer(nn.Module):
    def __init__(self, size: int, heads: int, dropout: float = 0.0):
        super().__init__()
        self.norm_query, self.norm_mlp = nn.LayerNorm(size), nn.LayerNorm(size)
        self.attention = nn.MultiheadAttention(size, heads, dropout=dropout / 4, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size))
        self.dropout = nn.Dropout(dropout)

    def forward(self, query, keys, values):
        query = query + self.attention(self.norm_query(query), keys, values, need_weights=False)[0]
        return query + self.dropout(self.mlp(self.norm_mlp(query)))


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # the same grids serve training
def position_grid(height: int, width: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """`places` as tokens `(H * W, 8)`."""
    return places(height, width, torch.empty(0, device=device, dtype=dtype)).flatten(1).T


def positions(maps: torch.Tensor) -> torch.Tensor:
    """The place of each pixel of maps `(B, C, H, W)` as tokens `(H * W, 8)`."""
    return position_grid(*maps.shape[-2:], maps.device, maps.dtype)


class GroundingHeads(nn.Module):
    def __init__(self, config: MedVLMGroundingConfig, inputs: list[int], detail_input: int = 0):
        super().__init__()
        self.config = config
        channels, size = config.channels, config.query_size
        self.pyramid = Pyramid(inputs, channels, detail_input, config.detail)
        self.labels = nn.Embedding(len(config.labels) + 1, size)  # the last row names nothing
        self.prompts = PromptHeads(channels, size)
        self.values = nn.Linear(channels, size)
        self.position = nn.Linear(8, size)
        self.pixel_position = nn.Linear(8, channels)
        self.layers = nn.ModuleList(DecoderLayer(size, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(size)
        self.kernels = nn.Linear(size, 6 * (channels + 1))
        if detail_input:
            self.detail_kernels = nn.Linear(size, config.detail)
            nn.init.zeros_(self.detail_kernels.weight)
            nn.init.zeros_(self.detail_kernels.bias)
        self.scores = nn.Sequential(nn.Linear(size, size), nn.GELU(), nn.Linear(size, 3))
        self.drawn = nn.Linear(size, 2)  # how much a query's presence heeds its mask's peak and extent
        nn.init.zeros_(self.drawn.weight)
        nn.init.zeros_(self.drawn.bias)
        self.fact_norm = nn.LayerNorm(FACT_GRID**2 * inputs[-1])
        self.facts = nn.Linear(FACT_GRID**2 * inputs[-1], max(1, sum(config.fact_sizes)))
        nn.init.constant_(self.kernels.bias, 0.0)
        with torch.no_grad():  # centres are rare: start from a low probability
            self.kernels.bias[2 * channels + 1] = -4.0

    def fact_logits(self, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        """Logits `(B, values)` of every image-level fact, those with a name first, from the coarsest map's quarters."""
        pooled = F.adaptive_avg_pool2d(maps[-1], FACT_GRID).flatten(1)
        sizes = self.config.fact_sizes
        return list(self.facts(self.fact_norm(pooled))[:, : sum(sizes)].split(sizes, dim=1))

    def classify(self, maps: list[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Logits `(B, values)` of every fact that has a name."""
        return dict(zip(self.config.facts, self.fact_logits(maps), strict=False))

    def glance(self, pyramid: list[torch.Tensor], queries: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """N queries `(N, size)` drawn coarsely: mask logits `(B, N, h / 2, w / 2)` for a finest level `(h, w)`, and presence
        logits `(B, N)`."""
        queries = self.look(pyramid, queries.expand(len(pyramid[0]), -1, -1))
        masks = self.coarse_masks(pyramid, queries, 2)
        return masks, self.judge(queries, masks)[..., 0]

    def look(self, pyramid: list[torch.Tensor], queries: torch.Tensor) -> torch.Tensor:
        """Queries `(B, Q, size)` after they have attended to the two coarsest levels."""
        coarse = pyramid[-2:]
        values = torch.cat([self.values(x.flatten(2).transpose(1, 2)) for x in coarse], dim=1)
        grids = torch.cat([positions(x) for x in coarse])
        keys = values + self.position(grids)
        for layer in self.layers:
            queries = layer(queries, keys, keys)
        return self.norm(queries)

    def on_pixels(self, kernels: torch.Tensor, finest: torch.Tensor) -> torch.Tensor:
        """Logits `(B, K, h * w)` that kernels `(B, K, C + 1)`, an offset last, give pixels `(B, C, h, w)` with their places."""
        kernels, offset = kernels[..., :-1], kernels[..., -1:]
        place = self.pixel_position
        dots = kernels @ finest.flatten(2) + (kernels @ place.weight) @ positions(finest).T
        return (dots + (kernels @ place.bias)[..., None]) * self.config.channels**-0.5 + offset

    def judge(self, queries: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits `(B, Q, 3)` of presence, trust in the mask and its expected IoU, for queries that have looked and what
        `coarse_masks` draws of them in steps of 2.

        Something small is there if its mask has a peak, which the coarse levels that queries look at may not show. A
        quarter, and an extent in thousandths of the image, bring the two to the scale of the queries.
        """
        extent = (1000 * mask.sigmoid().mean((2, 3))).log1p()
        strength = torch.stack([mask.amax((2, 3)), extent], dim=-1) / 4
        presence = (self.drawn(queries) * strength).sum(-1)
        return self.scores(queries) + F.pad(presence[..., None], (0, 2))

    def coarse_masks(self, pyramid: list[torch.Tensor], queries: torch.Tensor, step: int) -> torch.Tensor:
        """Mask logits `(B, Q, h / step, w / step)` from the finest level `(h, w)` averaged over `step` × `step` pixels."""
        finest = F.avg_pool2d(pyramid[-LEVELS], step) if step > 1 else pyramid[-LEVELS]
        kernels = self.kernels(queries)[..., : self.config.channels + 1]
        return self.on_pixels(kernels, finest).unflatten(-1, finest.shape[-2:])

    def evidence(self, maps: list[torch.Tensor], pyramid: list[torch.Tensor]) -> torch.Tensor:
        """What the heads see of an image, for the language model: `(B, evidence_size)`.

        The probability of every value of every fact, named or not, then each label's presence, area and centre (x, y in -1..1),
        the last three times the presence.
        """
        facts = [logits.softmax(-1) for logits in self.fact_logits(maps)]
        queries = self.look(pyramid, self.labels.weight[:-1].expand(len(maps[0]), -1, -1))
        presence = self.judge(queries, self.coarse_masks(pyramid, queries, 2))[..., 0].sigmoid()
        chance = self.coarse_masks(pyramid, queries, 4).sigmoid()
        height, width = chance.shape[-2:]
        chance = chance.flatten(2)  # (B, L, h * w)
        y, x = torch.meshgrid(
            torch.linspace(-1, 1, height, device=chance.device),
            torch.linspace(-1, 1, width, device=chance.device),
            indexing="ij",
        )
        area = chance.sum(-1).clamp(min=1e-3)
        places = [area / (height * width), (chance * x.flatten()).sum(-1) / area, (chance * y.flatten()).sum(-1) / area]
        return torch.cat([*facts, presence, *(presence * p for p in places)], dim=1)

    def forward(self, pyramid: list[torch.Tensor], queries: torch.Tensor) -> GroundingOutput:
        """A pyramid and queries `(B, Q, size)` to a `GroundingOutput`."""
        finest = pyramid[-LEVELS]
        queries = self.look(pyramid, queries)
        batch, channels, height, width = finest.shape
        dense = self.on_pixels(self.kernels(queries).view(batch, -1, channels + 1), finest)
        dense = dense.view(batch, -1, 6, height, width)
        presence, outlined, quality = self.judge(queries, self.coarse_masks(pyramid, queries, 2)).unbind(-1)
        return GroundingOutput(
            masks=self.sharpen(pyramid, queries, dense[:, :, 0]),
            centres=dense[:, :, 1],
            sides=F.softplus(dense[:, :, 2:]) * 0.2,
            presence=presence,
            outlined=outlined,
            quality=quality,
        )

    def sharpen(self, pyramid: list[torch.Tensor], queries: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Mask logits `(B, Q, h, w)` at twice their size, with what the level of detail adds."""
        masks = F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)
        if len(pyramid) == LEVELS:
            return masks
        detail = pyramid[0]
        return masks + torch.einsum("bqc,bchw->bqhw", self.detail_kernels(queries), detail) * detail.shape[1] ** -0.5

    def segment(
        self, pyramid: list[torch.Tensor], prompts: torch.Tensor, kinds: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Drawn prompts `(B, P, 4, S/4, S/4)`, fitted to the finest level `(h, w)`, and the channel of each one's kind
        `(B, P)` to logits of their masks `(B, P, 2h, 2w)` and of the masks' expected IoU `(B, P)`."""
        finest = pyramid[-LEVELS]
        prompts = F.adaptive_max_pool2d(prompts.flatten(1, 2), finest.shape[-2:]).unflatten(1, prompts.shape[1:3])
        queries = self.look(pyramid, self.prompts.queries(finest, pyramid[-2], prompts, kinds))
        logits = self.coarse_masks(pyramid, queries, 1)
        logits = logits + self.prompts.corrections(finest, logits, prompts)
        return self.sharpen(pyramid, queries, logits), self.scores(queries)[..., 2]
