"""Multiple choice: the value that the model prefers for a fact it learned, asked as a question."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...records import Record
from ...types import Study
from ..labels import commonest_values, learned, stated
from ..store import Item
from ..summary import Metrics, by_set, mean, metric, patients_of
from ..tables import Table, guess, interval, names
from ..task import Request, Run

Choices = Mapping[str, tuple[str, Sequence[str]]]  # fact → the choice, and its options


class Choosing:
    name = "choose"
    nothing: Choices = {}

    def requests(self, records: Sequence[Record], train: Sequence[Record], run: Run) -> Iterator[Request]:
        usual = commonest_values(train)
        for record in records:
            if stated(record):
                yield Request(f"choose/{record.key}", record, record, usual)

    def ask(self, assistant: Any, inputs: Sequence[tuple[Study, Record]]) -> list[Choices]:
        """What the assistant chooses in each study for every fact that its record states and whose value it learned."""
        found = assistant.labels_many([study for study, _ in inputs])
        out: list[Choices] = []
        for (study, record), chances in zip(inputs, found, strict=True):
            choices = {}
            for name, fact in learned(record, chances).items():
                if len(values := list(chances[fact])) > 1:
                    choices[name] = assistant.choose(study, question(fact, values), values).text, values
            out.append(choices)
        return out

    def score(self, request: Request, reply: Choices) -> Item:
        """Of each fact in the reply: the true value, the chosen one, whether they agree, and the commonest one.

        No choices at all stand for a failure: every stated fact is kept as wrong, because it is unknown which facts were learned.
        """
        cells = {}
        for fact, value in stated(request.record).items():
            if fact in reply or not reply:
                choice, options = reply.get(fact, ("", ()))
                cells[fact] = {"true": value, "said": choice, "right": choice == value, "options": list(options)}
                cells[fact]["commonest"] = request.truth.get(fact)
        return {"choices": cells}

    def summarise(self, items: Sequence[Item], run: Run) -> Metrics:
        """How often the true value of a fact is chosen, over images whose value is among the options."""
        out: Metrics = {}
        for name, some in by_set(items).items():
            for fact, values in _options(some).items():
                labelled = [item for item in some if item["choices"].get(fact, {}).get("true") in values]
                cells = [item["choices"][fact] for item in labelled]
                if cells:
                    guessed = any(c["commonest"] for c in cells)
                    baseline = {"commonest": mean([c["commonest"] == c["true"] for c in cells])} if guessed else {}
                    right = [c["right"] for c in cells]
                    out[f"choose/{name}/{fact}/accuracy"] = metric(right, patients_of(labelled), baseline)
        return out

    def rows(self, metrics: Metrics) -> Iterator[Table]:
        found = [(name, fact, metrics[f"choose/{name}/{fact}/accuracy"]) for name, fact in names(metrics, "choose", 2)]
        rows = [[name, fact, str(m["n"]), interval(m), guess(m, "commonest")] for name, fact, m in found]
        yield Table("Choices among the values of a fact", ["set", "fact", "images", "accuracy", "commonest"], rows)


def question(fact: str, values: Iterable[str]) -> str:
    """The question for a fact: "What is the tumour type here?", "Is there fracture?"."""
    name = fact.replace("_", " ")
    return f"Is there {name}?" if set(values) == {"yes", "no"} else f"What is the {name} here?"


def _options(items: Iterable[Item]) -> dict[str, set[str]]:
    """Of each fact all values that were to choose from."""
    out: dict[str, set[str]] = defaultdict(set)
    for item in items:
        for fact, cell in item["choices"].items():
            out[fact] |= set(cell["options"])
    return out
