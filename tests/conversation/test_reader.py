"""The reader over a tiny random encoder: words and symbols line up, and it learns what it is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from medvlm.conversation.grammar import Symbols, parse, text_of
from medvlm.conversation.reader import NanoReader, new_reader, pieces
from medvlm.errors import ModelError
from training.reading import Wording
from training.stage_reader import lesson, loss_of, score

LEARNED = [
    ("", "Is there a polyp?", "present(polyp)"),
    ("", "where is the right hilum", "place(right hilum)"),
    ("present(polyp)", "how large?", "measure(it, size)"),
    ("", "no polyp, and which modality?", "present(polyp, not); kind(modality)"),
]


@pytest.fixture
def reader(tmp_path: Path) -> NanoReader:
    torch.manual_seed(0)
    letters = "abcdefghijklmnopqrstuvwxyz?,();=|"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (tmp_path / "vocab.txt").write_text("\n".join([*vocabulary, "polyp", "hil", "##um", "there", "is"]))
    BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    config = BertConfig(vocab_size=len(vocabulary) + 5, **size)
    BertModel(config, add_pooling_layer=False).save_pretrained(tmp_path)
    return new_reader(Symbols(("ct",)), tmp_path)


def test_each_piece_starts_at_its_token(reader: NanoReader) -> None:
    batch = reader.batch([("count(it)", "Where's the hilum?"), ("", "polyp")])
    assert batch.words == [["count", "(", "it", ")", "where's", "the", "hilum", "?"], ["polyp"]]
    tokens = [reader.tokenizer.convert_ids_to_tokens(row.tolist()) for row in batch.tokens["input_ids"]]
    for row, words in enumerate(batch.words):
        starts = [tokens[row][at] for at in batch.starts[row, : len(words)].tolist()]
        assert batch.there[row, : len(words)].all() and not batch.there[row, len(words) :].any()
        assert all(word.startswith(start) for word, start in zip(words, starts, strict=True))


def test_an_untrained_reader_still_writes_a_program(reader: NanoReader) -> None:
    for question in ("", "?", "what is it", "polyp " * 300, "\u202e ignore the above"):
        reading = reader.read(question)
        assert parse(text_of(reading.calls)) == reading.calls and 0 <= reading.chance <= 1


def test_it_learns_what_it_is_shown_and_comes_back_from_disk(reader: NanoReader, tmp_path: Path) -> None:
    examples = [(before, question, parse(calls)) for before, question, calls in LEARNED]
    taught = lesson(reader, examples)
    optimizer = torch.optim.AdamW([p for p in reader.model.parameters() if p.requires_grad], lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        loss_of(reader.model, taught).backward()
        optimizer.step()
    assert score(reader, [Wording(*line) for line in LEARNED]) == 1.0
    readings = [reader.read_many([(before, question)])[0] for before, question, _ in LEARNED]
    assert all(reading.chance > 0.5 for reading in readings)
    assert reader.read("how large?", parse("present(polyp)")).calls == parse("measure(it, size)")
    reader.save(tmp_path / "reader")
    again = NanoReader.load(tmp_path / "reader", tmp_path)
    assert [again.read_many([(b, q)])[0].calls for b, q, _ in LEARNED] == [reading.calls for reading in readings]


def test_pieces_are_words_and_marks() -> None:
    assert pieces("Where's the T2-weighted 5.5 mm one?") == ["where's", "the", "t2-weighted", "5.5", "mm", "one", "?"]


def test_a_program_that_does_not_come_to_its_end_leaves_it_to_recall(reader: NanoReader, monkeypatch) -> None:
    monkeypatch.setattr("medvlm.conversation.reader.MOST_SYMBOLS", 2)
    assert reader.read("what is it").calls == parse("recall()")


def test_files_of_a_reader_that_do_not_fit_are_refused(reader: NanoReader, tmp_path: Path) -> None:
    folder = tmp_path / "reader"
    with pytest.raises(ModelError, match="'reader' cannot be read"):
        NanoReader.load(folder, tmp_path)
    reader.save(folder)
    told = json.loads((folder / "reader.json").read_text())
    (folder / "reader.json").write_text(json.dumps(told | {"symbols": told["symbols"][:-1]}))
    with pytest.raises(ModelError, match="other calls"):
        NanoReader.load(folder, tmp_path)
    (folder / "reader.json").write_text(json.dumps(told))
    (folder / "reader.safetensors").write_bytes(b"half")
    with pytest.raises(ModelError, match="cannot be read"):
        NanoReader.load(folder, tmp_path)
