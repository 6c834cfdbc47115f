"""The composite configuration: a vision encoder, a causal language model and grounding heads."""

from __future__ import annotations

from transformers import AutoConfig, PretrainedConfig

from .grounding import MedVLMGroundingConfig
from .vision import config_from

EVIDENCE_TOKENS = 2  # that tell the language model what the heads see


class MedVLMConfig(PretrainedConfig):
    """`vision_config` and `text_config` may be of any transformers model type.

    Args:
        image_grid: pixel tokens a side; with those of the heads' evidence one image is `image_tokens` tokens.
        image_size: pixels of the model's square input.
        answers: short answers that a head of its own chooses from; none without it.
        medical: whether a head of its own says what is no medical image; older models have none.
        image_token_id, seg_token_id: placeholders that features (or the learned `<seg>` vector) replace.
    """

    model_type = "medvlm"
    sub_configs = {"vision_config": AutoConfig, "text_config": AutoConfig, "grounding_config": MedVLMGroundingConfig}

    def __init__(
        self,
        vision_config=None,
        text_config=None,
        grounding_config=None,
        image_grid: int = 5,
        image_size: int = 320,
        answers: list[str] | None = None,
        medical: bool = False,
        image_token_id: int = 0,
        seg_token_id: int = 1,
        **kwargs,
    ):
        self.vision_config = config_from(vision_config, "efficientnet_lite")
        self.text_config = config_from(text_config, "llama")
        if not isinstance(grounding_config, MedVLMGroundingConfig):
            grounding_config = MedVLMGroundingConfig(**(grounding_config or {}))
        self.grounding_config = grounding_config
        self.image_grid = image_grid
        self.image_size = image_size
        self.answers = answers or []
        self.medical = medical
        self.image_token_id = image_token_id
        self.seg_token_id = seg_token_id
        kwargs.setdefault("tie_word_embeddings", self.text_config.tie_word_embeddings)
        # the default would unset the attention, and with it the causal mask, of a language model already loaded
        kwargs.setdefault("attn_implementation", {})
        super().__init__(**kwargs)

    @property
    def image_tokens(self) -> int:
        """Tokens that one image takes in the language model."""
        return self.image_grid**2 + (EVIDENCE_TOKENS if self.grounding_config.evidence_size else 0)

    def get_text_config(self, *_, **__):
        return self.text_config
