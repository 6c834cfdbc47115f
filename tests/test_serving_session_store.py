"""Sessions by themselves: when they and their tabs end, and that strangers evict nobody."""

from __future__ import annotations

import asyncio
import threading

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")

from serving.access.sessions import Refused, Sessions, Terms


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_sessions_and_tabs_that_are_not_used_end():
    clock, forgotten, closed = Clock(), [], []
    sessions = Sessions(lambda tab, lost: forgotten.append(tab), closed.append, Terms(idle_s=100, tab_idle_s=10), clock)
    value, browser = sessions.start("alice")
    sessions.tab(browser, "a")
    clock.now = 11
    sessions.sweep()
    assert forgotten == ["a"] and sessions.find(value) is browser
    clock.now = 112
    assert sessions.find(value) is None and closed == [browser.client]


def test_what_a_page_asks_by_itself_opens_no_tab_again():
    sessions = Sessions()
    _, browser = sessions.start("alice")
    sessions.tab(browser, "a")
    assert sessions.tab(browser, "a", new=False) is browser.tabs["a"]
    sessions.leave(browser.client, "a")
    assert sessions.tab(browser, "a", new=False) is None and not browser.tabs


def test_they_end_without_a_request():
    closed = threading.Event()
    sessions = Sessions(close=lambda _: closed.set(), terms=Terms(idle_s=0.2))
    sessions.start("alice")
    assert closed.wait(5) and len(sessions) == 0


@pytest.mark.parametrize("open_tabs_last", [True, False])
def test_a_tab_that_is_left_open_lasts_on_loopback_alone(open_tabs_last):
    clock, forgotten = Clock(), []
    terms = Terms(idle_s=100, open_tabs_last=open_tabs_last)

    async def left_open():
        sessions = Sessions(lambda tab, lost: forgotten.append(tab), terms=terms, now=clock)
        value, browser = sessions.start("alice")
        with sessions.stream(sessions.tab(browser, "a")):
            while clock.now < 1000:
                clock.now += 25
                sessions.tab(browser, "a")  # it says that it is there
                sessions.check()
                if not (there := sessions.find(value, use=False) is browser):
                    break
            await asyncio.sleep(0.05)
            return there, False
        return there, True  # what it waited for was ended

    assert asyncio.run(left_open()) == (open_tabs_last, not open_tabs_last)
    assert forgotten == ([] if open_tabs_last else ["a"])


def test_one_users_logins_make_room_for_each_other_and_lock_nobody_out():
    sessions = Sessions(terms=Terms(sessions=4, sessions_of_one=3))
    values = [sessions.start("mallory", login=True)[0] for _ in range(20)]
    alice, _ = sessions.start("alice", login=True)
    with pytest.raises(Refused):
        sessions.start("carol", login=True)
    assert sessions.find(alice) and len(sessions) == 4
    assert [number for number, value in enumerate(values) if sessions.find(value)] == [17, 18, 19]


def test_strangers_evict_nobody():
    sessions = Sessions(terms=Terms(sessions=3, tabs=2, tabs_of_one=1))
    value, alice = sessions.start("alice")
    sessions.tab(alice, "a")
    for _ in range(70):
        sessions.start("mallory")
    assert sessions.find(value) is alice and len(sessions) == 3
    _, bob = sessions.start("bob")
    sessions.tab(bob, "b")
    with pytest.raises(Refused) as refused:
        sessions.tab(bob, "c")
    assert refused.value.status == 429 and refused.value.retry_after
    _, carol = sessions.start("carol")
    with pytest.raises(Refused):
        sessions.tab(carol, "d")
    sessions.leave(carol.client, "b")  # which is another's
    sessions.leave(bob.client, "b")
    sessions.tab(carol, "d")
    with pytest.raises(Refused) as refused:
        sessions.tab(carol, "a")
    assert refused.value.status == 403
