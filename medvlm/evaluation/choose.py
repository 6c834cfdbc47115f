"""Choosing among given answers: which value of a fact that the model learned does it prefer, asked as a question?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..records import Record
from ..types import Study
from .items import Row
from .labels import stated

Choices = Mapping[str, tuple[str, Sequence[str]]]  # fact → what was chosen, among which options


def question(fact: str, values: Iterable[str]) -> str:
    """How a fact is asked for: "What is the tumour type here?", "Is there fracture?"."""
    name = fact.replace("_", " ")
    return f"Is there {name}?" if set(values) == {"yes", "no"} else f"What is the {name} here?"


def ask_choices(assistant: Any, requests: Sequence[tuple[Study, Mapping[str, str]]]) -> list[Choices]:
    """What the assistant chooses in each study for every fact → true value that is stated and whose value it learned."""
    learned = assistant.labels_many([study for study, _ in requests])
    out: list[Choices] = []
    for (study, truth), chances in zip(requests, learned, strict=True):
        options = {fact: list(chances[fact]) for fact, value in truth.items() if value in chances.get(fact, {})}
        asked = {fact: values for fact, values in options.items() if len(values) > 1}
        out.append({f: (assistant.choose(study, question(f, some), some).text, some) for f, some in asked.items()})
    return out


def choose_row(truth: Mapping[str, str], choices: Choices, usual: Mapping[str, str | None]) -> Row:
    """Of each fact that was asked for: the true value, the chosen one, whether they agree, and the usual one.

    No choices at all stand for a failure: every stated fact is kept as wrong, because what was learned is not known.
    """
    cells = {}
    for fact, value in truth.items():
        if fact in choices or not choices:
            said, options = choices.get(fact, ("", ()))
            cells[fact] = {"true": value, "said": said, "right": said == value, "options": list(options)}
            cells[fact]["commonest"] = usual.get(fact)
    return {"task": "choose", "choices": cells}


def choose_jobs(
    assistant: Any, records: Iterable[Record], usual: Mapping[str, str | None]
) -> Iterator[tuple[Any, ...]]:
    """The arguments of a `Job` for each record that states facts."""

    def call(requests: Sequence[tuple[Study, Mapping[str, str]]]) -> list[Choices]:
        return ask_choices(assistant, requests)

    for record in records:
        truth = stated(record)

        def request(_: int, study: Study, truth=truth):
            return study, truth

        def row(_: int, reply: Choices, truth=truth):
            return choose_row(truth, reply, usual)

        if truth:
            yield record, call, [f"choose/{record.key}"], request, row, {}
