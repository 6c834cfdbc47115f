"""Questions of the records: how many are answered as the record does, beside a blank image, another one and a guess.

All are asked without abstention: an answer that would be withheld is scored, and counted as such.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from ...records import QA, Record
from ...types import Answer, Study
from .. import metrics
from ..baselines import CommonestAnswer, blank_study, shuffled_partners
from ..store import Item
from ..summary import Metrics, by_set, mean, metric, over_pairs, patients_of
from ..tables import Table, guess, interval, names
from ..task import Request, Run

CONTROLS = ("blank", "shuffled")
SCORES = (
    "accuracy", "closed", "open", "all_questions", "declined", "coverage", "accuracy_answered",
    "token_recall", "ece", "accuracy_at_80_coverage",
)  # fmt: skip


class Answering:
    name = "answer"
    nothing = Answer("", 0.0)

    def requests(self, records: Sequence[Record], train: Sequence[Record], run: Run) -> Iterator[Request]:
        for lang in run.languages:
            yield from _requests(records, CommonestAnswer(train, lang), lang, run.controls)

    def ask(self, assistant: Any, inputs: Sequence[tuple[Study, str]]) -> list[Answer]:
        return assistant.ask_many(inputs, abstain=False)

    def score(self, request: Request, reply: Answer) -> Item:
        variant, qa, commonest = request.truth
        return scored(qa, reply, variant, commonest)

    def summarise(self, items: Sequence[Item], run: Run) -> Metrics:
        """English questions under the set's name, those of another language under `set-lang`."""
        out: Metrics = {}
        for name, some in by_set(items).items():
            for lang in dict.fromkeys(item["lang"] for item in some):
                prefix = f"answer/{name}" if lang == "en" else f"answer/{name}-{lang}"
                out |= _summary(prefix, [item for item in some if item["lang"] == lang])
        return out

    def rows(self, metrics: Metrics) -> Iterator[Table]:
        rows = []
        for (name,) in names(metrics, "answer", 1):
            for part in SCORES:
                if m := metrics.get(f"answer/{name}/{part}"):
                    guesses = [guess(m, b) for b in ("commonest", *CONTROLS)]
                    rows.append([name, part.replace("_", " "), str(m["n"]), interval(m), *guesses])
        yield Table(
            "Answers (strict normalised match, of the questions not declined; among all questions a declined one is wrong)",
            ["set", "score", "questions", "value", "commonest answer", "blank image", "shuffled images"],
            rows,
        )


# One question


def _requests(records: Sequence[Record], guess: CommonestAnswer, lang: str, controls: bool) -> Iterator[Request]:
    """The questions of one language, a record's on its image and then on the controls."""
    numbered = [(r, [(i, qa) for i, qa in enumerate(r.qa) if qa.lang == lang]) for r in records]
    numbered = [(record, some) for record, some in numbered if some]
    partners = shuffled_partners([record for record, _ in numbered])
    for record, some in numbered:
        shown: dict[str, Callable[[], Study] | None] = {"image": None}
        if controls:
            shown["blank"] = blank_study
            if record.key in partners:
                shown["shuffled"] = partners[record.key].study
        for variant, study in shown.items():
            for number, qa in some:
                truth = variant, qa, guess(qa.question, qa.type)
                yield Request(f"answer/{variant}/{record.key}/{number}", record, qa.question, truth, study)


def scored(qa: QA, answer: Answer, variant: str, commonest: str) -> Item:
    """The question, the answer and the truth; `variant` is image, blank or shuffled."""
    out: Item = {"variant": variant, "type": qa.type, "kind": qa.kind, "lang": qa.lang}
    out |= {"question": qa.question, "true": qa.answer, "said": answer.text, "confidence": answer.confidence}
    return out | {"abstained": answer.abstained, "declined": answer.declined, "commonest": commonest}


# Metrics


def _summary(prefix: str, items: Sequence[Item]) -> Metrics:
    """Scores are over the questions that were not declined, answers that would be withheld among them; `declined` and
    `coverage` say how many are not answered, `accuracy_answered` how good the rest is, and in `all_questions` a declined
    question is a wrong one.
    """
    everything = [item for item in items if item["variant"] == "image"]
    declined = {_question(item) for item in everything if item["declined"]}
    taken = [item for item in items if _question(item) not in declined]
    attempted = [item for item in everything if not item["declined"]]
    answered = {_question(item) for item in attempted if not item["abstained"]}
    out = _accuracy(f"{prefix}/accuracy", taken)
    out |= _accuracy(f"{prefix}/closed", [item for item in taken if item["type"] == "closed"])
    out |= _accuracy(f"{prefix}/open", [item for item in taken if item["type"] == "open"])
    out |= _accuracy(f"{prefix}/accuracy_answered", [item for item in taken if _question(item) in answered])
    out |= _accuracy(f"{prefix}/all_questions", items, declined)
    if everything:
        out[f"{prefix}/declined"] = metric([item["declined"] for item in everything], patients_of(everything))
    return out | _confidence(prefix, attempted) if attempted else out


def _confidence(prefix: str, attempted: Sequence[Item]) -> Metrics:
    """Of the questions that were not declined: how many are answered, how much of the words, and how sure rightly."""
    patients = patients_of(attempted)
    recall, by_guess = (
        [metrics.token_recall(item[key], item["true"]) for item in attempted] for key in ("said", "commonest")
    )
    pairs = [(item["confidence"], metrics.exact_match(item["said"], item["true"])) for item in attempted]
    at_80 = over_pairs(metrics.accuracy_at_coverage)
    return {
        f"{prefix}/coverage": metric([not item["abstained"] for item in attempted], patients),
        f"{prefix}/token_recall": metric(recall, patients, {"commonest": mean(by_guess)}),
        f"{prefix}/ece": metric(pairs, patients, statistic=over_pairs(metrics.ece)),
        f"{prefix}/accuracy_at_80_coverage": metric(pairs, patients, statistic=at_80),
    }


def _question(item: Item) -> str:
    """What an answer's item shares with those of its controls: "answer/image/set/id/3" → "set/id/3"."""
    return item["key"].split("/", 2)[2]


def _accuracy(key: str, items: Sequence[Item], wrong: Collection[str] = ()) -> Metrics:
    """Accuracy beside its controls; of the questions in `wrong` no answer counts, but the commonest one does."""

    def right(variant: str) -> list[bool]:
        mine = [item for item in items if item["variant"] == variant]
        return [_question(item) not in wrong and metrics.exact_match(item["said"], item["true"]) for item in mine]

    shown = [item for item in items if item["variant"] == "image"]
    if not shown:
        return {}
    baseline = {"commonest": mean([metrics.exact_match(item["commonest"], item["true"]) for item in shown])}
    baseline |= {variant: mean(values) for variant in CONTROLS if (values := right(variant))}
    return {key: metric(right("image"), patients_of(shown), baseline)}
