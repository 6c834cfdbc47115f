"""Text and images → tensors: letterboxed pixels, the chat template and image-token expansion."""

from __future__ import annotations

from typing import Any

import numpy as np
import PIL.Image
import torch
from transformers import AutoImageProcessor, AutoProcessor, BatchFeature, ProcessorMixin
from transformers.image_processing_utils import BaseImageProcessor

from ..errors import ModelError
from ..geometry import Letterbox
from .configuration_medvlm import MedVLMConfig
from .tokenizing import tokenized

IMAGE_TOKEN, SEG_TOKEN = "<image>", "<seg>"
EVERYDAY = 12_000  # tokens of a byte-pair vocabulary, whose first are the commonest
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class MedVLMImageProcessor(BaseImageProcessor):
    """Lays each image, scaled to fit, in the middle of a black square; pixels go to -1..1."""

    model_input_names = ["pixel_values"]

    def __init__(self, image_size: int = 320, **kwargs):
        super().__init__(**kwargs)
        self.image_size = image_size

    def preprocess(self, images, return_tensors="pt", **_) -> BatchFeature:
        """uint8 arrays `(H, W)` or `(H, W, 3)`, or PIL images, to `pixel_values` `(B, 3, S, S)`."""
        images = images if isinstance(images, (list, tuple)) else [images]
        pixels = np.stack([self.letterbox(image) for image in images])
        return BatchFeature({"pixel_values": torch.from_numpy(pixels)}, tensor_type=None)

    def letterbox(self, image) -> np.ndarray:
        """uint8 `(H, W)` or `(H, W, 3)`, or a PIL image, to float32 `(3, S, S)`."""
        pixels = np.asarray(image.convert("RGB") if isinstance(image, PIL.Image.Image) else image)
        canvas = Letterbox(pixels.shape[:2], self.image_size).image(pixels)
        return (canvas.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)


class MedVLMProcessor(ProcessorMixin):
    """Tokenizer and image processor in one; one `<image>` in the text becomes `image_tokens` of them."""

    def __init__(
        self, image_processor=None, tokenizer=None, image_tokens: int = 25, chat_template: str | None = None, **kwargs
    ):
        self.image_tokens = image_tokens
        if tokenizer is not None:
            tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN, SEG_TOKEN]})
            tokenizer.padding_side = "left"
            if tokenizer.pad_token is None:
                tokenizer.pad_token = tokenizer.eos_token
        super().__init__(image_processor, tokenizer, chat_template=chat_template or CHAT_TEMPLATE, **kwargs)

    @property
    def image_token_id(self) -> int:
        return self.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)

    @property
    def seg_token_id(self) -> int:
        return self.tokenizer.convert_tokens_to_ids(SEG_TOKEN)

    def expand(self, text: str) -> str:
        """Each `<image>` repeated to the number of its tokens."""
        return text.replace(IMAGE_TOKEN, IMAGE_TOKEN * self.image_tokens)

    def __call__(self, images=None, text=None, videos=None, audio=None, return_tensors=None, **kwargs) -> BatchFeature:
        """Texts with one `<image>` for each image, over the batch in order. Raises `ModelError` on other counts.

        Pixels are tensors; ids are lists as long as each text, or with `return_tensors="pt"` padded on the left.
        `videos` and `audio` are part of transformers' signature alone.
        """
        data: dict[str, Any] = {}
        if images is not None:
            images = images if isinstance(images, (list, tuple)) else [images]
            flat = [i for group in images for i in (group if isinstance(group, (list, tuple)) else [group])]
            data |= self.image_processor.preprocess(flat)
        if text is not None:
            texts = [text] if isinstance(text, str) else list(text)
            wanted = sum(t.count(IMAGE_TOKEN) for t in texts)
            given = len(data["pixel_values"]) if images is not None else 0
            if images is not None and wanted != given:
                raise ModelError(
                    f"The text asks for {wanted} images and {given} were given: write one <image> for each."
                )
            kwargs.setdefault("padding", return_tensors is not None)
            kwargs.setdefault("add_special_tokens", False)
            data |= tokenized(self.tokenizer, [self.expand(t) for t in texts], return_tensors=return_tensors, **kwargs)
        return BatchFeature(data)

    def question(self, question: str) -> str:
        """The text of a question about one image, up to where the answer starts."""
        messages: list[dict[str, Any]] = [
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}
        ]
        return self.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)

    def common(self, word: str) -> bool:
        """Whether a word is an everyday one: one token, and among the first that a byte-pair vocabulary was merged to."""
        ids = tokenized(self.tokenizer, f" {word}", add_special_tokens=False)["input_ids"]
        return len(ids) == 1 and ids[0] < EVERYDAY

    def phrases(self, phrases: list[str]) -> BatchFeature:
        """Phrases to find, each followed by its `<seg>`: `input_ids` and `attention_mask` `(N, T)`."""
        texts = [f"Find: {' '.join(p.split()).lower()}{SEG_TOKEN}" for p in phrases]
        return tokenized(self.tokenizer, texts, return_tensors="pt", padding=True, add_special_tokens=False)


AutoImageProcessor.register(MedVLMConfig, slow_image_processor_class=MedVLMImageProcessor, exist_ok=True)
AutoProcessor.register(MedVLMConfig, MedVLMProcessor, exist_ok=True)
