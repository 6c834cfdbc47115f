"""Open studies in tabs, and which window of which browser finds them again after a reload; without a browser."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")

from medvlm.errors import RequestError
from medvlm.types import Image, Study
from serving.access.sessions import Refused
from serving.page import open_study
from serving.page.desks import Desks, Page
from serving.page.handlers import CHAT_FULL, CROWDED, MANY, MOST_TABS, Handlers, message, shown
from serving.page.open_study import Pending
from serving.page.progress import STOPPED
from serving.page.session import MOST_WAITING
from serving.page.studies import Studies
from serving.uploads import Inbox, Upload

from .fakes import FakeAssistant, square


def event(**fields):
    return fields


class Server:
    def __init__(self, folder):
        self.inbox, self.time = Inbox(folder), 0.0
        self.desks = Desks(self.inbox, parted_s=300, now=lambda: self.time)
        self.studies, self.do = Studies(self.inbox), Handlers(FakeAssistant, self.inbox)

    def load(self, client="alice session 1", window="w", page="p"):
        """A page is loaded: its session, and what it shows."""
        session = self.desks.join(client, window, page, anew=True).session
        return session, shown(session)

    def open(self, session, name="a.png"):
        return self.do.open(session, lambda: Study([Image(square())]), title=name)


@pytest.fixture
def server(tmp_path):
    return Server(tmp_path)


class Slow:
    """Takes as long to go as nobody lets it."""

    def __init__(self, go):
        self.go = go

    def __del__(self):
        assert self.go.wait(20)


def test_what_is_large_goes_without_holding_up_others(server):
    """The event loop asks for the lock at each event."""
    session, _ = server.load(page="one")
    server.open(session)
    go = threading.Event()
    session.chat.layers[0] = Slow(go)
    del session
    server.desks.part("one")
    server.time = 600
    with ThreadPoolExecutor(3) as pool:
        gone = pool.submit(server.desks.sweep)
        other = pool.submit(server.load, "bob", "w", "two")
        assert other.result(10)[0].study is None and pool.submit(server.desks.page, "two").result(10)
        assert not gone.done()
        go.set()
        gone.result(10)
    assert len(server.desks._places) == 1


def test_uploads_that_nobody_opened_go_without_holding_up_others(tmp_path, monkeypatch):
    inbox, go = Inbox(tmp_path, unclaimed_s=0), threading.Event()
    monkeypatch.setattr("serving.uploads.shutil.rmtree", lambda *_, **__: go.wait(20))
    name = inbox.new().name
    inbox.sent[name] = Upload("alice session 1")
    with ThreadPoolExecutor(2) as pool:
        gone = pool.submit(inbox.sweep)
        while inbox.sent:
            time.sleep(0.01)
        with pytest.raises(RequestError):
            pool.submit(inbox.read, name).result(10)
        assert not gone.done()
        go.set()


def test_a_page_that_is_loaded_sweeps_nothing_itself(server):
    session, _ = server.load(page="one")
    server.open(session)
    server.desks.part("one")
    server.time = 600
    server.load("bob", "w", "two")
    assert session.study is not None, "the event loop would wait for it to go"


def titles(session) -> list[tuple[str, bool]]:
    return [(one["title"], one["shown"]) for one in message(session)["message"]["studies"]]


def test_a_page_that_is_loaded_anew_finds_its_studies_and_what_waits(server):
    session, shown = server.load(page="one")
    assert "src" not in shown["picture"]
    server.open(session, "a.png")
    server.do.find("bright", session)
    server.open(session, "b.png")
    server.desks.part("one")
    again, shown = server.load(page="two")
    assert titles(again) == [("a.png", False), ("b.png", True)]
    assert shown["picture"]["study"] == session.key
    server.do.resume(again)
    assert again.layer is None and again.desk.tabs[0].layer.title == "Find: bright"
    assert "The model takes it for" in again.chat.messages[0]["content"]


def test_what_a_page_showed_before_its_machine_slept_is_there_when_it_wakes(server):
    session, _ = server.load(page="one")
    server.open(session)
    server.desks.part("one", lost=True)
    server.time = 3000
    server.desks.sweep()
    assert titles(server.load(page="one")[0]) == [("a.png", True)]


def test_what_no_page_shows_makes_room_for_its_user_and_for_nobody_else(server):
    for number, client in enumerate(("alice session 1", "bob session 2", "alice session 1")):
        session, _ = server.load(client, f"w{number}", f"p{number}")
        server.open(session)
        if number < 2:
            server.desks.part(f"p{number}", lost=True)
    server.desks.let_go("alice")
    assert {key[0]: key[1] for key in server.desks._places} == {"bob session 2": "w1", "alice session 1": "w2"}
    server.desks.leave("bob session 2")
    assert len(server.desks._places) == 1


@pytest.mark.parametrize("who", [{"client": "bob session 2"}, {"window": "other"}, {"client": "alice session 9"}])
def test_another_window_or_browser_finds_nothing(server, who):
    session, _ = server.load()
    server.open(session)
    other, shown = server.load(**who, page="q")
    assert "src" not in shown["picture"] and other.study is None


def test_a_closed_window_is_forgotten_after_some_minutes_and_a_log_out_at_once(server):
    session, _ = server.load(page="one")
    server.open(session)
    server.desks.part("one")
    server.time = 299
    assert server.load(page="two")[0].study is session.study
    server.desks.part("two")
    assert server.desks.held("alice") and not server.desks.held("bob")
    server.time = 600
    server.desks.sweep()
    assert session.study is None and not server.desks.held()
    server.open(server.load(page="three")[0])
    late, _ = server.load(page="four")
    server.desks.leave("alice session 1")
    assert late.study is None


def test_a_window_in_which_nothing_is_open_is_forgotten_at_once(server):
    for number in range(3):
        server.load(window=f"w{number}", page=f"p{number}")
        server.desks.part(f"p{number}")
    assert not server.desks._places and not server.desks._shown


def test_a_page_stays_in_its_window_and_comes_back_to_it_when_its_line_broke(server):
    session, _ = server.load(window="w", page="one")
    server.open(session)
    assert server.desks.join("alice session 1", "other", "one").session is session
    server.desks.part("one")
    assert server.desks.join("alice session 1", "w", "one").session is session and not server.desks.overtaken("one")


def test_a_page_is_never_joined_by_another_browser(server):
    server.load(page="one")
    with pytest.raises(Refused):
        server.desks.join("bob session 2", "w", "one")


def test_a_study_that_is_being_opened_when_its_page_closes_is_found_again(server, monkeypatch):
    session, _ = server.load(page="one")
    session.desk.efforts.append(object())
    monkeypatch.setattr(Page, "end", lambda _: session.desk.efforts.clear())  # as quick as the event loop may be
    server.desks.part("one")
    assert server.load(page="two")[0] is session


def test_tabs_are_shown_closed_and_counted(server):
    session, _ = server.load()
    for name in "abc":
        server.open(session, name)
    first, second, third = (one.tab for one in session.desk.tabs)
    server.studies.show_study(session, event(tab=second))
    assert titles(session) == [("a", False), ("b", True), ("c", False)]
    server.studies.close_study(session, event(tab=second))
    assert titles(session) == [("a", False), ("c", True)]
    server.studies.close_study(session, event(tab=first))
    assert titles(session) == [("c", True)]
    for wild in (None, 7, "x", second):
        server.studies.close_study(session, event(tab=wild))
        server.studies.show_study(session, event(tab=wild))
    assert titles(session) == [("c", True)]
    while len(session.desk.tabs) < MOST_TABS:
        server.open(session)
    assert CROWDED in str(server.open(session)["chat"])
    server.studies.close_study(session, event(tab=third))
    assert len(session.desk.tabs) == MOST_TABS - 1


def test_an_answer_goes_to_the_tab_that_it_was_asked_in(server):
    session, _ = server.load()
    server.open(session, "a")
    server.do.find("bright", session)
    asked = session.desk.now
    server.open(session, "b")
    server.do.work(session)
    assert session.layer is None and asked.layer.title == "Find: bright"
    server.do.find("bright", session)
    server.studies.close_study(session, event(tab=session.desk.now.tab))
    assert not session.waiting and session.desk.now is asked


def test_of_two_pages_that_show_one_desk_the_later_one_alone_changes_it(server):
    session, _ = server.load(page="one")
    server.open(session, "a.png")
    assert not server.desks.overtaken("one") and not server.desks.overtaken("unknown")
    again, _ = server.load(page="two")  # of a tab that was doubled
    assert titles(again) == [("a.png", True)]
    assert server.desks.overtaken("one") and not server.desks.overtaken("two")
    server.desks.part("two")
    assert server.desks.overtaken("one"), "it may show what is not there any more"
    server.load(page="three")
    server.desks.part("one")
    assert not server.desks.overtaken("three") and not server.desks.overtaken("one")


def test_a_conversation_has_an_end_and_says_so(server, monkeypatch):
    monkeypatch.setattr(open_study, "MOST_MESSAGES", most := 20)
    session, _ = server.load()
    server.open(session)
    for _ in range(most):
        server.do.ask("Is it bright?", session)
        server.do.work(session)
    for number in range(3):
        assert "accepted" not in server.do.ask("Is it bright?", session)
        session.chat.say(f"The file {number} was not read.")
    messages = [message["content"] for message in session.chat.messages]
    assert len(messages) <= most + 1 and messages[-1] == "The file 2 was not read."
    assert messages.count("Is it bright?") == (most - 1) // 2 and "…" not in messages[1:]
    server.do.ask("Is it bright?", session)
    assert session.chat.messages[-1]["content"] == CHAT_FULL
    server.open(session)  # another conversation
    assert "accepted" in server.do.ask("Is it bright?", session)


def test_no_more_waits_for_a_window_than_may_however_often_it_is_loaded(server):
    session, _ = server.load()
    server.open(session)
    for _ in range(2 * MOST_WAITING):
        server.do.ask("Is it bright?", session)
    assert len(session.waiting) == MOST_WAITING and session.chat.messages[-1]["content"] == MANY


def test_what_waits_is_told_to_be_stopped_and_an_answer_that_was_asked_for_again_stays(server):
    session, _ = server.load()
    server.open(session)
    server.do.ask("Is it bright?", session)
    server.do.work(session)
    answer = session.chat.messages[-1]["content"]
    turn = session.chat.turns[len(session.chat.messages) - 1]
    turn.wanted = 1
    session.waiting.append(
        Pending("ask", turn.question, session.study, 0, session.chat, len(session.chat.messages) - 1, at=1)
    )
    server.do.ask("Is it dark?", session)
    outputs = server.do.stop(session)
    said = [message["content"] for message in outputs["chat"]["messages"]]
    assert said[-3:] == [answer, "Is it dark?", STOPPED] and turn.wanted is None
    assert "all that waited" in outputs["message"]["note"] and not server.do.stop(session)["message"]["note"]
