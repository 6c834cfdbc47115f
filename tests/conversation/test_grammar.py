"""Calls as text, as symbols, and the grammar as a prefix function."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from medvlm.conversation.grammar import CLOSE, COPY, END, THINGS, TOOLS, Call, Symbols, parse, split, text_of
from medvlm.conversation.reader import pieces
from training.reading import FOLDER, Examples, Wording, fill, names, read_wordings, same, typo

HELD_OUT = [Path(__file__).with_name(name) for name in ("reading.txt", "reading_tune.txt")]
PROGRAMS = [
    "present(polyp, not)",
    "find(polyp, which=largest); measure(it, length)",
    "compare(liver | spleen | left kidney, larger)",
    "measure(lung nodule, share, of=right lung)",
    "grade(breast finding, is=malignant)",
    "count(nucleus, where=upper left); describe(); recall()",
    "place(hilum)",
    "decline(treatment)",
]


@pytest.mark.parametrize("text", PROGRAMS)
def test_text_comes_back(text: str) -> None:
    assert text_of(parse(text)) == text


@pytest.mark.parametrize("text", PROGRAMS)
def test_symbols_are_allowed_one_after_the_other_and_come_back(text: str) -> None:
    symbols, words = Symbols(("malignant",)), pieces("where is the hilum of it")
    written = symbols.write(parse(text), words)
    names = [name for name, _ in written]
    for at, name in enumerate(names):
        assert name in symbols.allowed(names[:at]), names[:at]
    assert symbols.read(written, words) == parse(text)


def test_every_way_that_the_grammar_allows_ends_in_a_program() -> None:
    symbols, words, chance = Symbols(("ct",)), ["right", "hilum"], random.Random(0)
    for _ in range(300):
        written: list[tuple[str, int]] = []
        while not written or written[-1][0] != END:
            names = [name for name, _ in written]
            allowed = symbols.allowed(names)
            assert allowed, names
            ends = [name for name in (CLOSE, END) if name in allowed]
            name = chance.choice(ends if ends and chance.random() < 0.6 else allowed)
            written.append((name, chance.randrange(2) if name == COPY else -1))
        program = symbols.read(written, words)
        assert parse(text_of(program)) == program


@pytest.mark.parametrize(
    "text", ["", "dance()", "present()", "measure(liver)", "kind(colour)", "present(liver", "present(a, b=c)"]
)
def test_what_is_not_of_the_grammar(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


def test_a_thing_that_is_not_in_the_question_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="hilum"):
        Symbols().write(parse("place(hilum)"), pieces("where is it"))


# The data


@pytest.mark.parametrize("path", [*sorted(FOLDER.glob("*.txt")), *HELD_OUT], ids=lambda path: path.stem)
def test_every_line_is_of_the_grammar(path: Path) -> None:
    for wording in read_wordings(path):
        for calls in wording.calls.split("||"):
            for call in parse(calls):
                assert call.tool in TOOLS


def test_held_out_wordings_are_not_learned() -> None:
    def key(question: str) -> str:
        return " ".join(split(question))

    learned = {(w.before, key(w.question)) for path in FOLDER.glob("*.txt") for w in read_wordings(path)}
    for path in HELD_OUT:
        twice = [w.question for w in read_wordings(path) if (w.before, key(w.question)) in learned]
        assert len(twice) <= 0.05 * len(read_wordings(path)), twice


def test_examples_are_filled_and_can_mostly_be_written() -> None:
    examples = Examples([w for path in FOLDER.glob("*.txt") for w in read_wordings(path)], 0)
    symbols, written = Symbols(), 0
    for _ in range(300):
        before, question, program = examples.one()
        assert "{" not in before + question + text_of(program)
        try:
            symbols.write(program, pieces(before) + pieces(question))
            written += 1
        except ValueError:
            continue
    assert written > 240
    assert examples.one() != Examples(examples.wordings, 1).one()


def test_a_placeholder_is_the_same_thing_in_question_and_calls() -> None:
    chance = random.Random(0)
    for _ in range(50):
        filled = fill(Wording("count({F})", "and {F2} in the left {P}?", "present({F2}, in=left {P})"), chance)
        (before,), (call,) = parse(filled.before), parse(filled.calls)
        assert call.things != before.things and {*call.things, *before.things, call.get("in")} <= set(THINGS)
        assert any(name in filled.question for name in names(call.things[0]))


def test_it_is_as_good_as_what_it_stands_for() -> None:
    assert same(parse("measure(it, size)"), parse("measure(polyp, size)"), "find(polyp)")
    assert same(parse("find(polyp); count(it)"), parse("find(polyp); count(polyp)"))
    assert not same(parse("measure(it, size)"), parse("measure(liver, size)"), "find(polyp)")
    assert not same(parse("present(polyp)"), parse("present(polyp, not)"))


def test_a_slip_changes_a_word_by_little() -> None:
    chance = random.Random(0)
    slips = {typo("pneumothorax", chance) for _ in range(50)}
    assert len(slips) > 10 and all(abs(len(slip) - 12) <= 1 for slip in slips) and typo("CT", chance) == "CT"


def test_calls_show_what_they_are_called_with() -> None:
    call = Call("find", ("polyp",), modifiers=(("which", "largest"),))
    assert call.get("which") == "largest" and call.get("where") == "" and str(call) == "find(polyp, which=largest)"
