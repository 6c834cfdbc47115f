"""The English questions that come with records."""

from __future__ import annotations

from medvlm.normalise import normalise_answer
from medvlm.records import Record


def english(record: Record) -> list[tuple[str, str]]:
    """A record's English questions, each with its answer."""
    return [(q.question.strip(), q.answer) for q in record.qa if q.lang == "en" and q.question.strip()]


def question_answers(record: Record) -> dict[str, str]:
    """A record's English questions and answers, in lower case."""
    return {question.lower(): normalise_answer(answer) for question, answer in english(record)}
