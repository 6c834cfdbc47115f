"""A language model in 16 bits says what it says in 32, holds its weights once, and only where it is asked on a CPU."""

from pathlib import Path

import pytest
import torch

from medvlm.model import sixteen_bits
from medvlm.model.loading import load, save_compact
from medvlm.perception.finder import Finder

from .tiny import tiny_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model, _ = tiny_model(tmp_path / "language", language="qwen3", spread=0.2)  # whose head is a matrix of its own
    save_compact(model, tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("multiplies", [True, False])
def test_phrases_and_words_are_read_alike(folder: Path, monkeypatch: pytest.MonkeyPatch, multiplies: bool) -> None:
    monkeypatch.setattr(sixteen_bits, "MULTIPLIES", multiplies)
    monkeypatch.setattr(sixteen_bits, "ROWS", 50)  # so that the head has several parts, the last one shorter
    (whole, processor, _), (half, _, _) = load(str(folder)), load(str(folder), sixteen_bits=True)
    batch = processor.phrases(["the left lung", "a rather long wording of something"])
    with torch.no_grad():
        wanted, got = whole.text_states(**batch), half.text_states(**batch)
        logits, halved = (m.language_model(torch.arange(9)[None]).logits for m in (whole, half))
    assert got.dtype == halved.dtype == torch.float32
    assert 0 < (got - wanted).norm() / wanted.norm() < 0.02
    assert 0 < (halved - logits).norm() / logits.norm() < 0.02


@pytest.mark.parametrize("language", ["llama", "gemma3_text"])
def test_shared_weights_stay_shared(tmp_path: Path, language: str) -> None:
    model = tiny_model(tmp_path, language=language)[0].language_model
    shared = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    before = sum(p.nbytes for p in model.parameters())
    sixteen_bits.hold_in_bfloat16(model)
    assert (model.get_input_embeddings().weight is model.get_output_embeddings().weight) == shared
    assert sum(p.nbytes for p in model.parameters()) < 0.8 * before
    with torch.no_grad():
        assert model(torch.tensor([[1, 2, 3]])).logits.isfinite().all()


def test_a_cpu_asks_it_in_16_bits_and_training_in_32(folder: Path) -> None:
    def head(model) -> torch.dtype:
        return model.language_model.get_output_embeddings().weight.dtype

    assert head(Finder.load(str(folder)).model) == torch.bfloat16
    assert head(load(str(folder))[0]) == torch.float32
