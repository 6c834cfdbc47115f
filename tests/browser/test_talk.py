"""The conversation that the page holds: what goes to the assistant with a question, and how a reply is set."""

from __future__ import annotations

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")

from medvlm.report.sentences import MOST_CHARACTERS
from medvlm.types import Image, Study
from serving.page.drawing import Drawing
from serving.page.handlers import Handlers
from serving.page.open_study import MOST_TURNS
from serving.page.replies import claim_lines, distinct
from serving.page.session import Session
from serving.uploads import Inbox
from tests.fakes import FakeAssistant, FakeClaim, square

from .test_page import ask, check_report, draw, opened, wait_data


def event(**fields):
    return fields


@pytest.fixture
def do(tmp_path):
    return Handlers(FakeAssistant, Inbox(tmp_path))


@pytest.fixture
def session():
    session = Session()
    session.open(Study([Image(square()), Image(square())]))
    return session


def asked(do, session, question: str) -> dict[str, str]:
    """The reply to a question."""
    do.ask(question, session)
    do.work(session)
    return session.chat.messages[-1]


def test_a_question_comes_with_the_turns_before_it(do, session):
    assert asked(do, session, "Is it one?")["detail"] == ""
    assert asked(do, session, "Is it two?")["detail"] == "After 'Is it one?' and 0 more."
    for _ in range(MOST_TURNS):
        last = asked(do, session, "Is it many?")
    assert last["detail"] == f"After 'Is it many?' and {MOST_TURNS - 1} more."
    session.open(Study([Image(square())]))
    assert asked(do, session, "Is it new?")["detail"] == ""


def test_a_question_that_failed_is_no_turn(do, session):
    asked(do, session, "Please explode")
    assert asked(do, session, "Is it one?")["detail"] == ""


def test_a_drawn_region_comes_with_questions_while_it_is_shown(do, session):
    Drawing(do.assistant).segment(session, event(image=0, box=[10, 10, 40, 30]))
    assert asked(do, session, "What is this?")["detail"].endswith("Over a box of 30 px.")
    assert session.layer.title == "From the drawn box"  # an answer that shows nothing leaves it
    assert asked(do, session, "Can you find it?")["detail"].endswith("Over a box of 30 px.")
    assert session.layer.title == "Can you find it?"
    assert "Over" not in asked(do, session, "How large is it?")["detail"]
    do.recall(session, event(index=1))
    assert asked(do, session, "And that?")["detail"].endswith("Over a box of 30 px.")


@pytest.mark.parametrize("leave", ["clear", "slice", "study"])
def test_a_drawn_region_that_is_out_of_sight_does_not(do, session, leave):
    Drawing(do.assistant).segment(session, event(image=0, points=[[5, 5, 1]]))
    if leave == "clear":
        do.clear_layer(session)
    elif leave == "slice":
        do.slice(session, event(image=1))
    else:
        session.open(Study([Image(square())]))
    assert asked(do, session, "What is this?")["detail"] == ""


def test_what_is_withheld_has_no_confidence(do, session):
    assert asked(do, session, "Is it one?")["note"] == "confidence 80 %"
    reply = asked(do, session, "Take a guess")
    assert (reply["content"], reply["note"]) == ("I cannot tell from this image.", "")
    assert reply["trace"]


@pytest.mark.parametrize("text", [None, 3, "", " .\n", "x" * (MOST_CHARACTERS + 1)])
def test_what_is_no_report_gets_a_sentence(do, session, text):
    do.check(session, event(text=text))
    assert session.chat.messages[-1]["content"].startswith("The report ")
    assert not session.waiting


def test_claims_about_one_thing_show_it_once(do, session):
    do.check(session, event(text="A bright thing.\nThe bright thing.\nMaybe another."))
    do.work(session)
    reply = session.chat.messages[-1]
    assert reply["content"].splitlines()[2] == "Cannot be shown: Maybe another."
    assert reply["note"] == "2 supported, 1 cannot be shown, 1 region shown"
    assert reply["trace"].splitlines()[2] == "another, uncertain → Looked at."
    assert session.layer.title == "Report checked"
    assert distinct(session.layer.regions) == session.layer.regions


def test_the_claims_of_one_sentence_are_told_apart_by_their_labels():
    both = "No effusion or fracture."
    claims = [FakeClaim(both, "effusion", "absent", "supported"), FakeClaim(both, "fracture", "absent", "contradicted")]
    assert claim_lines(claims) == [f"Supported: {both} (effusion)", f"Contradicted: {both} (fracture)"]
    assert claim_lines(claims[:1]) == [f"Supported: {both}"]


def test_a_reply_is_set_with_its_trace_folded(open_page, png):
    page = open_page()
    opened(page, png)
    ask(page, "Can you find the thing?")
    page.get_by_text("confidence 80 %, 1 region shown").wait_for()
    ask(page, "Is it two?")
    page.get_by_text("After 'Can you find the thing?' and 0 more.").wait_for()
    wait_data(page, "shown", "0")
    first = page.locator(".mv-reply").nth(1)
    lines = first.locator(".mv-trace > div")
    assert not lines.is_visible()
    first.get_by_text("How it was found").click()
    assert lines.inner_text() == "look(Can you find the thing?) → yes"
    wait_data(page, "shown", "0")  # the trace is no part of what recalls the regions
    first.get_by_text("confidence").click()
    wait_data(page, "shown", "1")
    ask(page, "Is it three?")
    page.get_by_text("After 'Is it two?' and 1 more.").wait_for()
    assert lines.is_visible()  # news of the chat leave it open
    assert page.locator(".mv-user .mv-trace:visible").count() == 0


def test_what_is_this_over_a_drawn_box(open_page, png):
    page = open_page()
    opened(page, png)
    draw(page, 100, 60, 160, 120)
    page.get_by_text("From the drawn box").wait_for()
    ask(page, "What is this?")
    page.get_by_text("Over a box of").wait_for()
    wait_data(page, "shown", "1")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_report_is_checked(open_page, png, width):
    page = open_page(width)
    opened(page, png)
    assert not page.locator(".mv-check textarea").is_visible()
    check_report(page, "A bright thing.\nNo bright thing.\nMaybe more.")
    page.get_by_text("1 supported, 1 contradicted, 1 cannot be shown, 1 region shown").wait_for()
    page.get_by_text("Contradicted: No bright thing.").wait_for()
    wait_data(page, "shown", "1")
    assert page.locator(".mv-list-title").inner_text() == "Report checked"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click(".mv-check summary")
    assert page.input_value(".mv-check textarea").startswith("A bright thing.")
    opened(page, png)
    page.wait_for_function("document.querySelector('.mv-check textarea').value === ''")  # another patient's
