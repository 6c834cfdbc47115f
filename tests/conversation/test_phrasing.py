"""Answers in a language model's words: what the results do not bear out is struck out, and nothing else changes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from medvlm.assistant import Assistant
from medvlm.conversation.dialogue import Conversation, before
from medvlm.conversation.folder_reader import FolderReader
from medvlm.conversation.grammar import parse
from medvlm.conversation.phrasing import FORM, MOST_TOKENS, Phraser, chat
from medvlm.conversation.server_reader import ServerReader
from medvlm.conversation.teller import replied
from medvlm.errors import LanguageError
from medvlm.types import Answer

from ..tiny import ScriptedReader
from .language_models import CHATML, TEMPLATES, Served, drop, hang, says, send, tiny_folder
from .made_up import COLON, EYE, MadeUpFinder, MadeUpRecall, shown, study_of, talk

SMALL, LARGE = shown("polyp", (10, 10, 30, 20)), shown("polyp", (120, 50, 180, 90))
POLYPS = MadeUpFinder(SMALL, LARGE, kind=COLON)


class Says:
    """A language model that always says the same, or goes away."""

    called = "parrot"

    def __init__(self, *words: str, gone: bool = False):
        self.words, self.gone = "\n".join(words), gone
        self.asked: list[tuple[list[dict], int]] = []

    def tell(self, chat, most: int) -> str:
        self.asked.append((chat, most))
        if self.gone:
            raise LanguageError("gone")
        return self.words


def phrased(calls: str, finder: MadeUpFinder, teller, question: str = "Any polyps?", **how) -> tuple[Answer, Answer]:
    """An answer as it is composed, and as it is phrased."""
    recall = how.pop("recall", None)
    plain, other = talk(finder, calls, recall, **how), talk(finder, calls, recall, **how)
    other.phraser = Phraser(teller)
    answers = [conversation.ask(study_of(), question) for conversation in (plain, other)]
    for answer in answers:
        answer.seconds = 0
    return answers[0], answers[1]


def test_the_checked_sentences_are_the_detail_and_the_text_stays() -> None:
    teller = Says(
        "Yes, there are two polyps.", "They are malignant.", "The largest is in the lower right of the image."
    )
    plain, other = phrased("present(polyp)", POLYPS, teller)
    assert other.detail == "Yes, there are two polyps. The largest is in the lower right of the image."
    assert other.thoughts == f"{plain.thoughts}\nphrased by parrot: kept 2 of 3 sentences"
    assert replace(other, detail=plain.detail, thoughts=plain.thoughts, regions=[]) == replace(plain, regions=[])
    ((asked, most),) = teller.asked
    assert most == MOST_TOKENS and asked[0] == {"role": "system", "content": FORM}
    told = asked[-1]["content"]
    assert all(part in told for part in ("Any polyps?", "Answer: Yes", plain.detail, plain.thoughts))


def test_where_nothing_is_left_nothing_is_phrased() -> None:
    for words in ("It is cancer. Remove it.", "", "\x00", "<think>There are 2 polyps.", "ok " * 5000):
        plain, other = phrased("present(polyp)", POLYPS, Says(words))
        assert other.detail == plain.detail and "\nphrased by parrot: kept 0 of" in other.thoughts, words


def test_a_model_that_goes_away_leaves_the_composed_answer() -> None:
    plain, other = phrased("present(polyp)", POLYPS, Says(gone=True))
    assert (other.text, other.detail) == (plain.text, plain.detail)
    assert other.thoughts == f"{plain.thoughts}\nnot phrased: parrot did not answer"


@pytest.mark.parametrize(
    ("calls", "how"),
    [
        ("decline(treatment)", {}),
        ("present(polyp); decline(treatment)", {}),
        ("present(polyp); present(unicorn)", {}),
        ("help()", {}),
        ("recall()", {"recall": MadeUpRecall(said=("There are 2 polyps.", 0.1))}),
        ("recall()", {"recall": MadeUpRecall(said=("There are 2 polyps.", 0.9))}),
    ],
)
def test_what_is_declined_withheld_or_no_result_is_never_phrased(calls: str, how: dict) -> None:
    teller = Says("There are 2 polyps.")
    plain, other = phrased(calls, POLYPS, teller, **how)
    assert other.thoughts == plain.thoughts and other.detail == plain.detail and not teller.asked


def test_at_most_three_sentences_are_kept_each_once() -> None:
    words = [
        "There are two polyps.",
        "There are 2 polyps.",
        "There are two polyps.",
        "Polyps are seen.",
        "Polyps are shown.",
    ]
    _, other = phrased("present(polyp)", POLYPS, Says(*words))
    assert other.detail == "There are two polyps. There are 2 polyps. Polyps are seen."
    assert other.thoughts and other.thoughts.endswith("kept 3 of 5 sentences")


def test_what_speaks_against_an_answer_is_not_left_out() -> None:
    facts = {"diabetic retinopathy": {"no": 0.8, "mild": 0.2}}
    eye = MadeUpFinder(shown("haemorrhages", (10, 10, 30, 30)), kind=EYE, facts=facts)
    _, other = phrased("present(diabetic retinopathy)", eye, Says("Yes, there is diabetic retinopathy."))
    against = "But I find haemorrhages, which are signs of it, so this is uncertain."
    assert other.detail == f"Yes, there is diabetic retinopathy. {against}"
    _, other = phrased("present(diabetic retinopathy)", eye, Says("There are haemorrhages.", against))
    assert other.detail.count("But I find") == 1


def test_the_line_in_the_trace_is_never_run_as_a_call() -> None:
    teller = Says("There are two polyps.")
    teller.called = "x\nfind(liver) → 1 region; count(liver)"
    _, other = phrased("present(polyp)", POLYPS, teller)
    assert len((other.thoughts or "").splitlines()) == 2
    assert before([("polyp?", other)], study_of()).calls == parse("present(polyp)")


def test_a_reply_is_one_line_of_sentences() -> None:
    reply = "<think>One.\nTwo.</think>\n# \x1b[31m\n- There are 2 polyps.\n- Yes."
    assert replied(reply) == ["# [31m - There are 2 polyps.", "- Yes."]
    assert replied("A polyp is seen. " * 5000) == ["A polyp is seen."] * 117 + ["A polyp is"]


# Over a folder and a server


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_random_model_on_disk_phrases_nothing(tmp_path: Path, template: str) -> None:
    reader = FolderReader(tiny_folder(tmp_path / "parrot", template=TEMPLATES[template], spread=0.3))
    asked = chat(Answer("Yes", 0.9, thoughts="present(polyp) → yes"), "Any polyps?")
    told = reader._chat(asked)
    assert FORM in told and "Any polyps?" in told and "parameters" not in told
    assert reader.tell(asked, 8) == reader.tell(asked, 8)
    plain, other = phrased("present(polyp)", POLYPS, reader)
    assert other.detail == plain.detail and "\nphrased by parrot: kept 0 of" in other.thoughts


def test_a_chat_that_is_too_long_for_a_model_on_disk_is_answered_with_nothing(tmp_path: Path) -> None:
    reader = FolderReader(tiny_folder(tmp_path, template=CHATML))
    assert reader.tell([{"role": "system", "content": "a"}, {"role": "user", "content": "polyp " * 9000}], 8) == ""


def read_and(words: str):
    """A server whose model reads a question as one call and says something else of its results."""

    def answer(handler) -> None:
        reading = "You turn a question" in json.dumps(handler.asked)
        says("present(polyp)" if reading else words)(handler)

    return answer


def conversation(served: Served, finder: MadeUpFinder = POLYPS, timeout: float = 20) -> Conversation:
    reader = ServerReader(f"{served.url}#models/big", timeout)
    return Conversation(finder, reader, Phraser(reader))


def test_a_server_is_sent_text_alone(serve) -> None:
    served = serve(read_and("Yes, there are 2 polyps. They are malignant."))
    answer = conversation(served).ask(study_of(), "Any polyps?")
    assert answer.text == "Yes" and answer.detail == "Yes, there are 2 polyps."
    assert answer.thoughts and answer.thoughts.endswith("\nphrased by big: kept 1 of 2 sentences")
    assert len(served.asked) == 2
    for _, body in served.asked:
        assert all(isinstance(message["content"], str) for message in body["messages"])
        assert "image_url" not in json.dumps(body) and "base64" not in json.dumps(body)


@pytest.mark.parametrize(
    "fails", [hang, drop, lambda h: send(h, "no", 500), lambda h: send(h, "["), lambda h: send(h, "\x00" * 2_000_000)]
)
def test_a_server_that_fails_while_it_phrases(serve, fails) -> None:
    served = serve(fails)
    phraser = Phraser(ServerReader(f"{served.url}#big", timeout=0.4))
    answer = Conversation(POLYPS, ScriptedReader(otherwise="present(polyp)"), phraser).ask(study_of(), "Any polyps?")
    assert answer.text == "Yes" and answer.detail == "2 polyps, the largest in the lower right of the image."
    assert len(served.asked) == 1


def test_without_a_language_model_there_is_nothing_to_phrase_with(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LanguageError, match=r"^--phrase needs --language FOLDER\|URL"):
        Assistant.load(phrase=True)
