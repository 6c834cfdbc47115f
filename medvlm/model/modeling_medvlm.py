"""The whole model: image features become tokens of a causal language model, and its `<seg>` state asks the heads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, GenerationMixin, PreTrainedModel

from ..errors import ModelError
from .answers import AnswerHead
from .configuration_medvlm import EVIDENCE_TOKENS, MedVLMConfig
from .grounding import GroundingOutput
from .grounding_model import Grounder, ImageFeatures
from .recognising import MedicalHead
from .vision import map_channels
from .words import WordVotes


class Projector(nn.Module):
    """The coarsest encoder map and the heads' evidence to tokens; 2 × 2 neighbours share one (pixel shuffle)."""

    def __init__(self, channels: int, hidden: int, grid: int, evidence: int):
        super().__init__()
        self.grid = grid
        self.norm = nn.LayerNorm(4 * channels)
        self.mlp = nn.Sequential(nn.Linear(4 * channels, hidden), nn.GELU(), nn.Linear(hidden, hidden))
        self.evidence = None
        if evidence:
            self.evidence = nn.Sequential(
                nn.Linear(evidence, hidden),
                nn.GELU(),
                nn.Linear(hidden, EVIDENCE_TOKENS * hidden),
                nn.Unflatten(1, (EVIDENCE_TOKENS, hidden)),
            )

    def forward(self, features: torch.Tensor, evidence: torch.Tensor) -> torch.Tensor:
        """`(B, C, H, W)` and `(B, evidence_size)` to `(B, image_tokens, hidden)`."""
        folded = F.pixel_unshuffle(F.adaptive_avg_pool2d(features, 2 * self.grid), 2)  # (B, 4C, grid, grid)
        tokens = self.mlp(self.norm(folded.flatten(2).transpose(1, 2)))
        return tokens if self.evidence is None else torch.cat([tokens, self.evidence(evidence)], dim=1)


class MedVLMPreTrainedModel(PreTrainedModel):
    config_class = MedVLMConfig
    base_model_prefix = "medvlm"
    input_modalities = ["image", "text"]
    _supports_sdpa = True
    _supports_flash_attn = True

    @torch.no_grad()
    def _init_weights(self, module):
        """Layers outside the encoder and the language model keep the initialisation of their constructors."""


def nearness(queries: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Logits `(N, L)` that N queries mean L labels: negative squared distances over the query's size."""
    return -(torch.cdist(queries, labels) ** 2) / labels.shape[1]


class MedVLMForConditionalGeneration(MedVLMPreTrainedModel, GenerationMixin):
    def __init__(self, config: MedVLMConfig, language_model: PreTrainedModel | None = None):
        """`language_model` is one already loaded; without it a fresh one is made from `config.text_config`."""
        super().__init__(config)
        hidden = config.text_config.hidden_size
        size = config.grounding_config.query_size
        self.grounder = Grounder(config.vision_config, config.grounding_config)
        channels, evidence = map_channels(config.vision_config)[-1], config.grounding_config.evidence_size
        self.projector = Projector(channels, hidden, config.image_grid, evidence)
        self.seg_embedding = nn.Parameter(torch.randn(hidden) * 0.02)
        self.query_projector = nn.Sequential(
            nn.LayerNorm(2 * hidden), nn.Dropout(0.3), nn.Linear(2 * hidden, size),
            nn.GELU(), nn.Dropout(0.3), nn.Linear(size, size),
        )  # fmt: skip
        self.word_votes = WordVotes(len(config.grounding_config.labels) + 1)
        self.answer_head: AnswerHead | None = None
        if config.answers:
            self.add_answers(config.answers)
        self.medical_head: MedicalHead | None = None
        if config.medical:
            self.add_medical()
        self.language_model = language_model or AutoModelForCausalLM.from_config(config.text_config)
        self.post_init()

    def add_answers(self, answers: list[str]) -> AnswerHead:
        """A fresh head for the question's short answers, in place of any before."""
        config = self.config
        config.answers = list(answers)
        channels, hidden = map_channels(config.vision_config)[-1], config.text_config.hidden_size
        self.answer_head = AnswerHead(2 * hidden, channels, config.grounding_config, len(answers))
        return self.answer_head

    def add_medical(self) -> MedicalHead:
        """A fresh head for what is a medical image, in place of any before."""
        self.config.medical = True
        self.medical_head = MedicalHead(map_channels(self.config.vision_config))
        return self.medical_head

    def get_input_embeddings(self):
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value):
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self):
        return self.language_model.get_output_embeddings()

    def encode_images(self, pixel_values: torch.Tensor) -> ImageFeatures:
        """`(B, 3, S, S)` in -1..1 to features that any number of questions, phrases and prompts can share."""
        return self.grounder.encode(pixel_values)

    def embed(self, input_ids: torch.Tensor, features: ImageFeatures | None) -> torch.Tensor:
        """Token ids `(B, T)` to embeddings `(B, T, hidden)` with image tokens and `<seg>` put in.

        Images stand in the order of their placeholders. Raises `ModelError` where the counts do not fit.
        """
        here = input_ids == self.config.image_token_id
        asks = input_ids == self.config.seg_token_id
        safe = input_ids.masked_fill(here | asks, 0)
        embeddings = self.get_input_embeddings()(safe)
        if asks.any():
            embeddings = torch.where(asks[..., None], self.seg_embedding.to(embeddings.dtype), embeddings)
        if here.any():
            tokens = None
            if features is not None:
                tokens = self.projector(
                    features.maps[-1], self.grounder.heads.evidence(features.maps, features.pyramid)
                )
            if tokens is None or tokens.shape[0] * tokens.shape[1] != int(here.sum()):
                raise ModelError(
                    f"The text has {int(here.sum())} image tokens and the images give "
                    f"{0 if tokens is None else tokens.shape[0] * tokens.shape[1]}: pass one image for each <image>."
                )
            embeddings = embeddings.masked_scatter(here[..., None], tokens.to(embeddings.dtype))
        return embeddings

    def forward(
        self,
        input_ids: torch.Tensor | None = None,  # (B, T)
        attention_mask: torch.Tensor | None = None,  # (B, T), or (B, 1, T, T) bool for packed questions
        pixel_values: torch.Tensor | None = None,  # (images, 3, S, S)
        image_features: ImageFeatures | None = None,  # instead of pixel_values, where already encoded
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,  # (B, T), -100 where nothing is learned
        **kwargs,
    ):
        """Language modelling over text with images; returns the language model's own output class.

        The images are encoded only where `input_ids` still holds their placeholders, so generation encodes them once.
        Placeholders are never learned, whatever `labels` says of them.
        """
        if labels is not None:
            placeholders = (labels == self.config.image_token_id) | (labels == self.config.seg_token_id)
            labels = labels.masked_fill(placeholders, -100)
        inputs_embeds = self.embed_all(input_ids, pixel_values, image_features, inputs_embeds)
        return self.language_model(inputs_embeds=inputs_embeds, attention_mask=attention_mask, labels=labels, **kwargs)

    def embed_all(self, input_ids, pixel_values, image_features, inputs_embeds) -> torch.Tensor:
        """`embed`, with the images encoded first where they are still needed, unless embeddings are already there."""
        if inputs_embeds is not None:
            return inputs_embeds
        if image_features is None and pixel_values is not None and (input_ids == self.config.image_token_id).any():
            image_features = self.encode_images(pixel_values.to(self.projector.mlp[0].weight.dtype))
        return self.embed(input_ids, image_features)

    def hidden_states(self, input_ids=None, pixel_values=None, image_features=None, inputs_embeds=None, **kwargs):
        """As `forward`, but up to the vocabulary: the output holds `last_hidden_state` `(B, T, hidden)`."""
        inputs_embeds = self.embed_all(input_ids, pixel_values, image_features, inputs_embeds)
        return self.language_model.get_decoder()(inputs_embeds=inputs_embeds, **kwargs)

    @property
    def base_model(self):
        """What TRL's trainers call to score the vocabulary by themselves, in tiles."""
        return self.hidden_states

    def text_states(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Phrases or questions that hold one `<seg>` each, `(N, T)`, to their mean state and that of `<seg>`,
        `(N, 2 * hidden)`: one short pass, no generation."""
        return self.deep_states(input_ids, attention_mask, (1.0,))

    def deep_states(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, depths: Sequence[float]
    ) -> torch.Tensor:
        """As `text_states`, at several depths of the language model (1 is its last layer): `(N, 2 * hidden * depths)`."""
        asks = input_ids == self.config.seg_token_id
        if not (asks.sum(1) == 1).all():
            raise ModelError("Every phrase needs exactly one <seg>: build the text with the processor's `phrases`.")
        layers = self.hidden_states(
            input_ids, attention_mask=attention_mask, use_cache=False, output_hidden_states=True
        ).hidden_states
        counted = attention_mask[..., None].to(layers[-1].dtype)
        states = []
        for depth in depths:
            layer = layers[round(depth * (len(layers) - 1))]
            states += [(layer * counted).sum(1) / counted.sum(1), layer[asks]]
        return torch.cat(states, dim=1)

    def looks_medical(self, features: ImageFeatures) -> torch.Tensor:
        """The probability `(B,)` that images are medical ones, and no pages, charts, screens or drawings; 1 in a model that
        never learned it."""
        if self.medical_head is None:
            return torch.ones(len(features.maps[-1]), device=features.maps[-1].device)
        return self.medical_head(features.maps).sigmoid()

    def choose_answers(self, features: ImageFeatures, states: torch.Tensor) -> torch.Tensor:
        """The probability `(B, answers)` of each of `config.answers` to one question an image, from `text_states`.

        Raises `ModelError` in a model that never learned any.
        """
        if self.answer_head is None:
            raise ModelError("This model has learned no short answers: train one with the stage answers.")
        evidence = self.grounder.heads.evidence(features.maps, features.pyramid)
        return self.answer_head(states, features.maps[-1], evidence).softmax(-1)

    def encode_phrases(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Phrases that hold one `<seg>` each, `(N, T)`, to queries `(N, query_size)`."""
        return self.query_projector(self.text_states(input_ids, attention_mask))

    def name_phrases(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Phrases as in `encode_phrases` to the chance `(N, labels + 1)` that each label is meant; the last one stands for
        nothing that the model knows."""
        read = nearness(self.encode_phrases(input_ids, attention_mask), self.grounder.heads.labels.weight)
        return (read.log_softmax(-1) + self.word_votes(input_ids, attention_mask).log_softmax(-1)).softmax(-1)

    def ground(self, features: ImageFeatures, queries: torch.Tensor) -> GroundingOutput:
        """Queries `(B, Q, query_size)` on B images."""
        return self.grounder.heads(features.pyramid, queries)

    def segment(
        self, features: ImageFeatures, prompts: torch.Tensor, kinds: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Drawn prompts `(B, P, 4, S/4, S/4)` and the channel of each one's kind `(B, P)` to mask logits
        `(B, P, S/2, S/2)` and logits of the masks' expected IoU `(B, P)`."""
        return self.grounder.heads.segment(features.pyramid, prompts, kinds)


AutoConfig.register(MedVLMConfig.model_type, MedVLMConfig, exist_ok=True)
AutoModelForImageTextToText.register(MedVLMConfig, MedVLMForConditionalGeneration, exist_ok=True)
