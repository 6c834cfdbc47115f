"""The operating point of an answer, moved on the page: the same question again, in the place of its answer."""

from __future__ import annotations

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")


from medvlm.operating import Scores
from medvlm.types import Answer, Image, Point, Study
from serving.page.drawing import Drawing
from serving.page.handlers import SORRY, Handlers
from serving.page.replies import worth
from serving.page.session import Session
from serving.uploads import Inbox
from tests.fakes import FakeAssistant, square

from .conftest import served
from .test_page import ask, opened, wait_data

SCORES = Scores("yes", (0.9, 0.8, 0.3), (0.6, 0.6, 0.6, 0.6, 0.2), (0.1, 0.1, 0.1, 0.1, 0.4))
LAST = 3  # of the points: from a probability of 0.9, 0.8, 0.5 (the usual one) and 0.3
FACT = "<b data-stranger>fracture</b>"
NOTICE = "The film is old."


class Moving(FakeAssistant):
    """Questions about a fracture are answered at an operating point, by a probability of 0.4 and with what is bright."""

    def ask(self, study, question, image=None, history=(), region=None, sensitivity=None) -> Answer:
        answer = super().ask(study, question, image, history, region)
        if "fracture" in question:
            there = SCORES.least(sensitivity) <= 0.4
            answer.text, answer.confidence = ("Yes", 0.4) if there else ("No", 0.6)
            answer.thoughts = f"present(fracture) → {answer.text.lower()}"
            answer.regions = self.ground(study, ["fracture"]).regions if there else []
            answer.operating, answer.notices = SCORES.operating(FACT, sensitivity), [NOTICE]
        return answer


def event(**fields):
    return fields


@pytest.fixture
def do(tmp_path):
    assistant = Moving()
    return Handlers(lambda: assistant, Inbox(tmp_path))


@pytest.fixture
def session():
    session = Session()
    session.open(Study([Image(square()), Image(square())]))
    return session


def asked(do, session, question: str) -> int:
    """The index of the reply to a question."""
    do.ask(question, session)
    do.work(session)
    return len(session.chat.messages) - 1


def moved(do, session, index: int, point: int) -> dict:
    """What the page is told of a reply after its point was moved."""
    do.move(session, event(index=index, point=point))
    return do.work(session)["chat"]["messages"][index]


def test_an_answer_is_replaced_where_it_stands(do, session):
    first = asked(do, session, "Is there a fracture?")
    later = asked(do, session, "Is it two?")
    others = [dict(message) for message in session.chat.messages]
    now = moved(do, session, first, LAST)
    assert (now["content"], now["trace"]) == ("Yes", "present(fracture) → yes")
    assert now["note"] == f"confidence 40 %, 1 region shown\n{NOTICE}", "the notice of this answer is still its own"
    assert now["detail"] == "", "asked after no other turn, as at first"
    assert (now["points"]["at"], now["points"]["waits"]) == (LAST, False)
    assert session.layer.title == "Is there a fracture?" and len(session.layer.regions) == 1
    assert [m for i, m in enumerate(session.chat.messages) if i != first] == [*others[:first], *others[first + 1 :]]
    assert [question for question, _ in session.chat.before(later + 1)] == ["Is there a fracture?", "Is it two?"]
    assert session.chat.before(later)[0][1].text == "Yes", "later questions follow the answer as it is now"
    assert moved(do, session, first, 2)["content"] == "No"


def test_it_is_asked_of_the_same_image_and_drawing(do, session):
    Drawing(do.assistant).segment(session, event(image=0, box=[10, 10, 40, 30]))
    index = asked(do, session, "Is this a fracture?")
    session.study.images[1].pixels[:] = 0
    do.slice(session, event(image=1))
    do.clear_layer(session)
    assert moved(do, session, index, LAST)["detail"] == "Over a box of 30 px."
    assert session.layer.regions[0].image == 0 and session.image == 1


def test_of_several_moves_the_last_is_answered(do, session):
    index = asked(do, session, "Is there a fracture?")
    calls = do.assistant().calls
    before = len(calls)
    for point in (0, 1, LAST):
        shown = do.move(session, event(index=index, point=point))["chat"]["messages"][index]
        assert (shown["points"]["at"], shown["points"]["waits"], shown["content"]) == (point, True, "No")
    do.work(session)
    do.work(session)
    assert len(calls) == before, "what was overtaken is not asked"
    do.work(session)
    assert session.chat.messages[index]["content"] == "Yes" and not session.waiting


def test_a_move_that_fails_is_a_sentence_and_the_next_one_works(do, session, monkeypatch):
    index = asked(do, session, "Is there a fracture?")
    with monkeypatch.context() as broken:
        broken.setattr(Moving, "ask", lambda *_, **__: 1 / 0)
        failed = moved(do, session, index, LAST)
    assert (failed["content"], failed["note"], failed["trace"]) == (SORRY, "", "")
    assert (failed["points"]["at"], failed["points"]["waits"]) == (2, False)
    assert moved(do, session, index, LAST)["content"] == "Yes"


@pytest.mark.parametrize(
    "data",
    [{}, {"index": 1, "point": 4}, {"index": 1, "point": -1}, {"index": 1, "point": True}]
    + [{"index": 1, "point": "1"}, {"index": 3, "point": 1}, {"index": [1], "point": 1}, {"index": 9, "point": 1}],
)
def test_what_is_no_move_does_nothing(do, session, data):
    assert (asked(do, session, "Is there a fracture?"), asked(do, session, "Is it two?")) == (1, 3)
    do.move(session, data)
    assert not session.waiting and session.chat.turns[1].wanted is None


def test_what_a_point_is_worth_is_said_in_words():
    said = worth(Point(0.9, 0.9, 0.88), (30, 25))
    assert said == "finds 90 of 100 with it; 12 of 100 without are named too (measured on 30 and 25)"
    assert worth(Point(None, 1.0, 1.0), (9, 9)).endswith("(measured on 9 and 9), the usual point")


@pytest.mark.parametrize("width", [1280, 390])
def test_the_slider_of_an_answer(open_page, png, tmp_path_factory, width):
    with served(Moving(), tmp_path_factory.mktemp("moved")) as (address, _):
        page = open_page(width, url=address)
        opened(page, png)
        ask(page, "Is there a fracture?")
        page.get_by_text("confidence 60 %").wait_for()
        ask(page, "Is it two?")
        page.get_by_text("confidence 80 %").wait_for()
        assert page.locator(".mv-point:visible").count() == 1
        answer = page.locator(".mv-reply").nth(1)
        slider = answer.get_by_role("slider", name=f"Sensitivity ({FACT})")
        assert page.locator("[data-stranger]").count() == 0, "the name of the fact is text"
        usual = "finds 80 of 100 with it; 0 of 100 without are named too (measured on 5 and 5), the usual point"
        assert slider.get_attribute("aria-valuetext") == answer.locator(".mv-worth").inner_text() == usual
        slider.focus()
        page.keyboard.press("ArrowRight")
        answer.get_by_text("confidence 40 %, 1 region shown").wait_for()
        wait_data(page, "shown", "1")
        assert "20 of 100 without" in slider.get_attribute("aria-valuetext")
        assert slider.evaluate("e => e === document.activeElement && e.value") == "3"
        frame = slider.bounding_box()
        page.mouse.move(frame["x"] + frame["width"] - 4, frame["y"] + frame["height"] / 2)
        page.mouse.down()
        page.mouse.move(frame["x"] + 2, frame["y"] + frame["height"] / 2, steps=4)
        assert answer.locator(".mv-worth").inner_text().startswith("finds 0 of 100 with it")
        assert answer.locator(".mv-said > div").first.inner_text() == "Yes", "asked again when it is let go"
        page.mouse.up()
        answer.get_by_text("confidence 60 %").wait_for()
        wait_data(page, "shown", "0")
        assert page.locator(".mv-reply").count() == 3 and page.get_by_text("confidence 80 %").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
