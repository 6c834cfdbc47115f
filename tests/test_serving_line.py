"""One window's requests to the model are worked on one after another, and hold up no other window's."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
from medvlm.progress import tracked
from serving.fairness import Shares
from serving.page.progress import STOPPED, Stopped, Work, follow, stop
from serving.page.session import Session


class Tasks:
    """Does what it is asked for in no time, but `hang`, which goes on until it is let go or stopped."""

    def __init__(self):
        self.begun, self.go = [], threading.Event()

    def __call__(self, session, what):
        self.begun.append(what)
        try:
            for _ in tracked(range(1000 if what == "hang" else 1)):
                if what != "hang" or self.go.wait(0.02):
                    break
        except Stopped:
            return {"done": STOPPED}
        return {"done": f"{what} done"}


async def last(session, work, what):
    """What a piece of work gives in the end."""
    told = []
    await follow(Work(work, "Working"), session, what, told.append)
    return told[-1].get("done")


async def begins(work, what):
    while what not in work.begun:
        await asyncio.sleep(0.01)


@pytest.fixture
def work():
    made = Tasks()
    yield made
    made.go.set()


def test_a_window_whose_work_hangs_holds_up_no_other(work):
    async def both():
        mine = asyncio.create_task(last(Session(), work, "hang"))
        await begins(work, "hang")
        began = time.monotonic()
        assert await last(Session(), work, "click") == "click done"
        assert time.monotonic() - began < 2 and not mine.done()
        work.go.set()
        return await mine

    assert asyncio.run(both()) == "hang done"


def test_requests_of_one_window_are_worked_on_in_order_without_a_thread_for_those_that_wait(work):
    async def all_of_them():
        session = Session()
        tasks = [asyncio.create_task(last(session, work, "hang"))]
        await begins(work, "hang")
        before = threading.active_count()
        tasks += [asyncio.create_task(last(session, work, str(n))) for n in range(20)]
        await asyncio.sleep(0.2)
        assert work.begun == ["hang"] and threading.active_count() == before
        work.go.set()
        await asyncio.gather(*tasks)
        assert not session.desk.line and not session.desk.efforts

    asyncio.run(all_of_them())
    assert work.begun == ["hang", *map(str, range(20))]


@pytest.mark.parametrize("beside", [None, 1])
def test_stop_ends_what_is_worked_on_and_all_that_waits_and_the_next_goes_on(work, beside):
    places = Shares(beside, beside) if beside else None

    async def three():
        session, told = Session(), []
        each = Work(work, "Working", in_line=not beside, beside=places)
        first = asyncio.create_task(
            last(session, work, "hang") if not beside else follow(each, session, "hang", told.append)
        )
        await begins(work, "hang")
        waits = asyncio.create_task(follow(each, session, "waits", told.append))
        await asyncio.sleep(0.05)
        assert stop(session)  # something has waited
        await asyncio.gather(first, waits)
        assert not stop(session) and not session.desk.line and not session.desk.efforts
        return await last(session, work, "next")

    assert asyncio.run(three()) == "next done"
    assert work.begun == ["hang", "next"]


def test_what_waits_for_a_page_that_is_gone_never_begins(work):
    async def closed():
        session = Session()
        first = asyncio.create_task(last(session, work, "hang"))
        await begins(work, "hang")
        waits = asyncio.create_task(last(session, work, "gone"))
        await asyncio.sleep(0.05)
        third = asyncio.create_task(last(session, work, "click"))
        await asyncio.sleep(0.05)
        waits.cancel()
        work.go.set()
        return await first, await third

    assert asyncio.run(closed()) == ("hang done", "click done")
    assert work.begun == ["hang", "click"]


def test_a_handler_that_fails_leaves_the_line_and_is_told_without_what_it_says(caplog, capfd):
    def handler(session, name):
        if name == "DOE^JANE":
            raise KeyError(name)
        return {"done": name}

    async def both():
        session, told = Session(), []
        for name in ("DOE^JANE", "a"):
            await follow(Work(handler, "Working"), session, name, told.append)
        return told

    assert asyncio.run(both()) == [{"refused": "Working"}, {"done": "a"}]
    assert "KeyError at " in caplog.text and "JANE" not in caplog.text + capfd.readouterr().err


def test_no_more_is_worked_on_at_a_time_than_may_be(work):
    async def three():
        few = Shares(2, 2)
        reading = Work(work, in_line=False, beside=few)
        tasks = [asyncio.create_task(follow(reading, Session(), "hang", lambda _: None)) for _ in range(3)]
        await asyncio.sleep(0.2)
        assert len(work.begun) == 2
        work.go.set()
        await asyncio.gather(*tasks)

    asyncio.run(three())
    assert len(work.begun) == 3


def test_one_user_leaves_places_for_others(work):
    async def two_users():
        places = Shares(4, 2)
        reading = Work(work, in_line=False, beside=places)
        greedy = [asyncio.create_task(follow(reading, Session(), "hang", lambda _: None, "alice")) for _ in range(8)]
        await asyncio.sleep(0.2)
        assert work.begun == ["hang"] * 2
        async with asyncio.timeout(5):
            await follow(reading, Session(), "click", lambda _: None, "bob")
        greedy[-1].cancel()
        work.go.set()
        await asyncio.gather(*greedy, return_exceptions=True)

    asyncio.run(two_users())
    assert work.begun.count("hang") == 7


@pytest.mark.parametrize("drop", [False, True])
def test_what_nobody_waits_for_any_more_keeps_its_place_until_it_ends(work, drop):
    async def left():
        one, session = Shares(1, 1), Session()
        writing = Work(
            lambda session, what: work.begun.append(what) or work.go.wait(10) and {},
            in_line=False,
            drop=drop,
            beside=one,
        )
        first = asyncio.create_task(follow(writing, session, "first", lambda _: None))
        await begins(work, "first")
        if drop:
            stop(session)
            await first
        else:
            first.cancel()
        second = asyncio.create_task(follow(writing, session, "second", lambda _: None))
        await asyncio.sleep(0.2)
        assert work.begun == ["first"]
        work.go.set()
        await second

    asyncio.run(left())
    assert work.begun == ["first", "second"]
