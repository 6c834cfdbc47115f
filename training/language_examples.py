"""Records → examples for the language model: one image with several questions packed behind it."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import Dataset

from medvlm.model.processing_medvlm import MedVLMProcessor
from medvlm.records import Record

from .augment import generator, relight, slight_turn, turn_image
from .cache import ImageCache
from .record_questions import english
from .tasks import questions


class LanguageExamples(Dataset):
    """Item `i` is one image and its packed questions; the same in every run with the same seed.

    Every question sees the image and itself alone, as it will when asked; packing only saves encoding the image anew.
    """

    def __init__(
        self,
        cache: ImageCache,
        processor: MedVLMProcessor,
        facts: dict[str, list[str]],
        side: int,
        packed: int = 12,
        length: int = 1000,
        question_share: float = 0.8,
        seed: int = 0,
    ):
        self.cache, self.processor, self.facts = cache, processor, facts
        records = cache.records
        self.side, self.packed, self.length, self.seed = side, packed, length, seed
        counts = np.array([len(english(r)) for r in records], float)
        self.with_questions = np.flatnonzero(counts)
        self.chances = counts[self.with_questions] / max(1.0, counts.sum())  # sampled by their number of questions
        sets: dict[str, list[int]] = {}
        for i, record in enumerate(records):
            sets.setdefault(record.set, []).append(i)
        self.sets = list(sets.values())
        self.question_share = question_share if len(self.with_questions) else 0.0
        self.prefix, self.suffix = processor.expand(processor.question("\x00")).split("\x00")
        self.prefix_ids = self.tokens(self.prefix)

    def __len__(self) -> int:
        return self.length

    def tokens(self, text: str) -> list[int]:
        return self.processor.tokenizer(text, add_special_tokens=False)["input_ids"]

    def __getitem__(self, item: int) -> dict:
        rng = np.random.default_rng((self.seed, item))
        if rng.random() < self.question_share:
            index = int(rng.choice(self.with_questions, p=self.chances))
        else:
            members = self.sets[rng.integers(len(self.sets))]
            index = members[rng.integers(len(members))]
        cached = self.cache[index]
        pixels = turn_image(cached.image, self.side, slight_turn(rng))
        lit = relight(pixels[None], generator("cpu", self.seed, item))[0]
        return {"pixel_values": lit * 2 - 1, **self.pack(self.pairs(self.cache.records[index], cached.size, rng))}

    def pairs(self, record: Record, size: tuple[int, int], rng: np.random.Generator) -> list[tuple[str, str]]:
        given = english(record)
        made = questions(record, rng, size, self.facts)
        made = [made[i] for i in rng.permutation(len(made))[: 2 if given else 6]]
        given = [given[i] for i in rng.permutation(len(given))[: self.packed - len(made)]]
        return given + made

    def pack(self, pairs: list[tuple[str, str]]) -> dict[str, torch.Tensor]:
        """Token ids, labels, positions and question numbers (0 the image) of one packed sequence, each `(T,)`."""
        ids, labels, positions = list(self.prefix_ids), [-100] * len(self.prefix_ids), list(range(len(self.prefix_ids)))
        segments = [0] * len(ids)
        end = self.processor.tokenizer.eos_token_id
        for number, (question, answer) in enumerate(pairs, start=1):
            prompt, reply = self.tokens(question + self.suffix), [*self.tokens(answer), end]
            ids += prompt + reply
            labels += [-100] * len(prompt) + reply
            start = len(self.prefix_ids)
            positions += range(start, start + len(prompt) + len(reply))
            segments += [number] * (len(prompt) + len(reply))
        return {
            "input_ids": torch.tensor(ids),
            "labels": torch.tensor(labels),
            "position_ids": torch.tensor(positions),
            "segments": torch.tensor(segments),
        }

    def collate(self, examples: list[dict]) -> dict:
        """A batch, padded on the right, with the attention mask `(B, 1, T, T)` that keeps questions apart."""
        length = max(len(e["input_ids"]) for e in examples)

        def padded(name: str, value: int) -> torch.Tensor:
            return torch.stack(
                [torch.nn.functional.pad(e[name], (0, length - len(e[name])), value=value) for e in examples]
            )

        segments = padded("segments", -1)
        return {
            "pixel_values": torch.stack([e["pixel_values"] for e in examples]),
            "input_ids": padded("input_ids", self.processor.tokenizer.pad_token_id),
            "labels": padded("labels", -100),
            "position_ids": padded("position_ids", 0),
            "attention_mask": packed_mask(segments),
        }


def packed_mask(segments: torch.Tensor) -> torch.Tensor:
    """Segment numbers `(B, T)` (0 shared, -1 padding) to bool `(B, 1, T, T)`: causal, within a segment or to the shared."""
    length = segments.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    same = segments[:, :, None] == segments[:, None, :]
    shared = segments[:, None, :] == 0
    return (causal & (same | shared))[:, None]
