"""The grammar of calls letter by letter, and that a model is told all of it."""

from __future__ import annotations

import random

import pytest

from medvlm.conversation.grammar import TOOLS, parse, text_of, tool_list
from medvlm.conversation.instructions import EXAMPLES, instructions, taken
from medvlm.conversation.prefix import Legal, is_legal, is_prefix
from medvlm.conversation.reader import DRAWN

from .language_models import VALUES, programs


def test_every_prefix_of_a_program_is_one() -> None:
    for question, before, program in programs(200):
        text = text_of(program)
        for end in range(len(text) + 1):
            assert is_prefix(text[:end], question, before, VALUES), (question, text[:end])
        assert is_legal(program, question, before, VALUES)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "dance(",
            "Yes",
            " present(",
            "present()",
            "present(,",
            "present(unicorn",
            "measure(liver)",
            "measure(it, colour",
        ),
        *("kind(polyp", "kind(plane, which=largest, which=", "present(polyp, not, ", "present(polyp) ", "describe(not"),
        *(
            "recall(); recall(); recall(); recall(); ",
            "compare(it | it | it | it | ",
            "present(is a there",
            "help(polyp",
        ),
        *(
            "measure(polyp, size, over=3",
            "decline(because",
            "present(polyp, in=)",
            "grade(abnormal, is=unicorn",
            "kind()",
        ),
    ],
)
def test_rubbish_is_no_prefix(text: str) -> None:
    assert not is_prefix(text, "Is there a polyp? I think not.", values=VALUES)


def test_whatever_is_written_by_the_prefixes_parses() -> None:
    chance = random.Random(0)
    for question, before, _ in programs(200):
        legal, text = Legal(question, before, VALUES), ""
        state = legal.start()
        while not (legal.done(state) and chance.random() < 0.5):
            ways = legal.ways(state)
            if not ways:
                break
            letter = chance.choice([*ways, *(w for w in ways if w in "),"), *(w for w in ways if w == ")")])
            text, state = text + letter, ways[letter]
        assert legal.done(state) and text_of(parse(text)) == text, text


def test_words_are_copied_in_a_row_and_in_singular_or_plural() -> None:
    question, before = "Are there chocolate cysts, or 25% of them?", parse("find(hilum)")
    for text in ("find(chocolate cysts)", "find(chocolate cyst)", "find(hilum)", "count(cyst, over=25 %)"):
        assert is_legal(parse(text), question, before), text
    for text in ("find(cysts chocolate)", "find(chocolate them)", "find(them find)"):
        assert not is_legal(parse(text), question, before), text


# What a model is told


def test_every_tool_is_told_of() -> None:
    told = instructions(VALUES)
    assert [tool["name"] for tool in tool_list()] == list(TOOLS)
    for tool in tool_list():
        assert all(tool[key] for key in ("returns", "about")) and f"- {tool['name']}({tool['arguments']}): " in told
    assert "Outlines" not in instructions(VALUES, listed=False) and "malignant" in told


def test_the_examples_are_right_by_the_rules_for_replies() -> None:
    for before, question, calls in EXAMPLES:
        past = () if before in ("", DRAWN) else parse(before)
        assert text_of(taken(calls, question, past, VALUES) or ()) == calls


@pytest.mark.parametrize(
    ("reply", "calls"),
    [
        ("present(polyp)", "present(polyp)"),
        ("\n\n`present(polyp)`\nThat is: yes.", "present(polyp)"),
        ("<think>A polyp?\nHm.</think>\n```\nfind(polyp)\n```", "find(polyp)"),
        ("present(collapsed lung)", "present(pneumothorax)"),
        ("measure(liver, share, over=25%)", "measure(liver, share, over=25 %)"),
        ("present(it, which=first, which=last)", "present(it, which=last)"),
        *(
            (rubbish, "")
            for rubbish in ("", "Yes.", "present(unicorn)", "present(" * 9000, "recall(); " * 9, "```", "find(a,b)")
        ),
    ],
)
def test_what_is_taken_of_a_reply(reply: str, calls: str) -> None:
    assert text_of(taken(reply, "polyp, or over 25% of the liver?", (), VALUES) or ()) == calls
