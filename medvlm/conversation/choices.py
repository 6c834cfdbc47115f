"""Ranking given answers: by a fact that has them among its values, else by the language model."""

from __future__ import annotations

from collections.abc import Sequence

from ..normalise import normalise_answer
from ..types import Study
from .dialogue import Conversation
from .grammar import Program
from .values import named

DECLINED = "I cannot tell that from an image: please ask a clinician who knows the patient."


def chances(talk: Conversation, study: Study, question: str, options: Sequence[str]) -> list[float] | None:
    """The probability of each option for a study of one image; `None` for a question that no image can answer."""
    calls = talk.reader.read(question).calls
    if all(call.tool == "decline" for call in calls):
        return None
    return _by_fact(talk, study, question, options, calls) or talk.recall.rank(study, question, options)


def _by_fact(
    talk: Conversation, study: Study, question: str, options: Sequence[str], calls: Program
) -> list[float] | None:
    """The probability of each option by a fact that has them among its values and was learned on images of this kind; one
    that the question speaks of comes first. Yes or no needs such a one, and a denial turns it."""
    view = talk.finder.view(study)
    text, wanted = f" {normalise_answer(question)} ", [normalise_answer(option) for option in options]
    meant = {named(word, view.facts) for call in calls for word in (call.word, *call.things)}
    found = {}
    for fact, values in view.facts.items():
        here = {normalise_answer(value): chance for value, chance in values.items()}
        applies = fact in ("modality", "body_part") or list(view.kind) in talk.finder.config.fact_kinds.get(fact, ())
        if applies and all(option in here for option in wanted):
            found[fact] = [here[option] for option in wanted]
    spoken_of = [
        fact for fact in sorted(found, key=len, reverse=True) if fact in meant or f" {normalise_answer(fact)} " in text
    ]
    if set(wanted) <= {"yes", "no"}:
        if not spoken_of:
            return None
        denied = any(call.denied for call in calls)
        return _shares(found[spoken_of[0]][::-1] if denied else found[spoken_of[0]])
    if not spoken_of and len(found) != 1:
        return None
    return _shares(found[spoken_of[0] if spoken_of else next(iter(found))])


def _shares(values: Sequence[float]) -> list[float]:
    """Chances of which one is true, made to add up to 1."""
    return [value / max(sum(values), 1e-9) for value in values]
