"""Any transformers vision model as a source of feature maps."""

from __future__ import annotations

import torch
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from ..errors import ModelError
from .efficientnet import EfficientNetLiteConfig, EfficientNetLiteModel

AutoConfig.register(EfficientNetLiteConfig.model_type, EfficientNetLiteConfig, exist_ok=True)
AutoModel.register(EfficientNetLiteConfig, EfficientNetLiteModel, exist_ok=True)


def config_from(values: dict | PretrainedConfig | None, default: str) -> PretrainedConfig:
    """A sub-configuration from its dictionary. Raises `ModelError` for a model type that transformers lacks."""
    if isinstance(values, PretrainedConfig):
        return values
    values = dict(values or {})
    name = values.pop("model_type", default)
    try:
        return CONFIG_MAPPING[name](**values)
    except KeyError as error:
        raise ModelError(
            f"transformers knows no model type {name!r}; name one it knows in the configuration."
        ) from error


def build_vision(config: PretrainedConfig) -> PreTrainedModel:
    """The vision half of any encoder: CLIP-like configurations give their vision tower."""
    return AutoModel.from_config(config)


def map_channels(config: PretrainedConfig) -> list[int]:
    """Channels of `feature_maps`, finest first."""
    if hasattr(config, "pyramid_channels"):
        return list(config.pyramid_channels)
    if hasattr(config, "hidden_sizes"):
        return list(config.hidden_sizes[-4:])
    return [config.hidden_size] * 4


def detail_channels(config: PretrainedConfig) -> int:
    """Channels of the map at stride 2, 0 for an encoder that has none."""
    return getattr(config, "detail_channels", 0)


def feature_maps(encoder: PreTrainedModel, pixel_values: torch.Tensor) -> list[torch.Tensor]:
    """`(B, 3, H, W)` to four maps `(B, C_i, H_i, W_i)`, finest first; one at stride 2 precedes them if the encoder has it.

    Convolutional encoders give their own stages. A plain transformer's last tokens become a map at its patch's
    stride, resized by 4, 2, 1 and 1/2 (the simple feature pyramid of ViTDet, Li et al., 2022).
    """
    wants_states = not isinstance(encoder, EfficientNetLiteModel)
    outputs = encoder(pixel_values=pixel_values, **({"output_hidden_states": True} if wants_states else {}))
    states = outputs.hidden_states
    if states[-1].dim() == 4:
        return list(states[-5 if detail_channels(encoder.config) else -4 :])
    tokens = outputs.last_hidden_state  # (B, prefix + h * w, C)
    patch = encoder.config.patch_size
    height, width = pixel_values.shape[-2] // patch, pixel_values.shape[-1] // patch
    grid = tokens[:, tokens.shape[1] - height * width :].transpose(1, 2).unflatten(2, (height, width))
    return [
        F.interpolate(grid, scale_factor=s, mode="bilinear", align_corners=False) if s != 1 else grid
        for s in (4, 2, 1, 0.5)
    ]
