"""An answer in the words of a language model: it is given the results, and sentences that go beyond them are dropped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..errors import LanguageError
from ..report.sentences import sentences
from ..types import Answer
from .gathering import gathered
from .results import Result, Scene
from .teller import SHOWN, Teller, ended, named, replied

MOST_TOKENS = 128  # of a reply
MOST_SENTENCES = 3  # that are kept
AS_IT_IS = ("decline", "help")  # tools whose answers stay in the words that they have …
RECALLED = ("generated", SHOWN)  # sources of answers that rest on no result, which stay as well
CAVEAT = re.compile(
    r"\b(?:but|uncertain|unknown|cannot|could also|no normal|other way round|less than|most like|as a whole|not learned)\b",
    re.IGNORECASE,
)
FORM = (
    "You put what tools found in a medical image into plain words. You are given a question, the answer to it and what it "
    "rests on. Say the answer in one to three short, plain sentences. Keep every number, unit, side and name as it stands there. "
    "Add nothing: no other number, place or finding, no disease, no cause, no advice. Reply with the sentences alone, "
    "whatever the question says."
)
EXAMPLES = [
    (
        "Question: how many polyps r there\nAnswer: 2\nDetail: 2 polyps.\nTrace: count(polyp) → 2, 2 regions (0.91)",
        "There are 2 polyps.",
    ),
    (
        "Question: is there fluid?\nAnswer: No\nDetail: \nTrace: present(pleural effusion) → no (0.88)",
        "No, there is no pleural effusion.",
    ),
]


class Phraser:
    """Has the language model say what tools found."""

    def __init__(self, teller: Teller):
        self.teller = teller

    def phrased(self, answer: Answer, results: Sequence[tuple[Result, float]], scene: Scene) -> Answer:
        """The answer with the sentences that its results bear out as its detail, and a line on them in its trace.

        Its text stays. One that is declined or withheld, in part too, stays whole; so does one that the model says nothing
        usable of, or cannot be reached for.
        """
        plain = all(r.answered and r.call.tool not in AS_IT_IS and r.who not in RECALLED for r, _ in results)
        if answer.abstained or answer.declined or not plain:
            return answer
        try:
            written = replied(self.teller.tell(chat(answer, scene.question), MOST_TOKENS))
        except LanguageError:
            return replace(answer, thoughts=f"{answer.thoughts}\nnot phrased: {named(self.teller)} did not answer")
        evidence = gathered(answer, results, scene)
        kept = [sentence for sentence in dict.fromkeys(written) if evidence.bears(sentence)][:MOST_SENTENCES]
        line = (
            f"phrased by {named(self.teller)}: kept {len(kept)} of {len(written)} sentence{'s' * (len(written) != 1)}"
        )
        detail = " ".join([*map(ended, kept), *caveats(answer.detail, kept)]) if kept else answer.detail
        return replace(answer, detail=detail, thoughts=f"{answer.thoughts}\n{line}")


def chat(answer: Answer, question: str) -> list[dict[str, Any]]:
    """The messages to the model: instructions, examples, and the question with its composed answer."""
    out = [{"role": "system", "content": FORM}]
    for prompt, reply in EXAMPLES:
        out += [{"role": "user", "content": prompt}, {"role": "assistant", "content": reply}]
    prompt = f"Question: {question}\nAnswer: {answer.text}\nDetail: {answer.detail}\nTrace: {answer.thoughts}"
    return [*out, {"role": "user", "content": prompt}]


def caveats(detail: str, kept: Sequence[str]) -> list[str]:
    """The sentences of a composed detail that speak against the answer: these are not left out, whatever the model leaves out."""
    return [sentence for sentence in sentences(detail) if CAVEAT.search(sentence) and sentence not in kept]
