"""The page's own routes by themselves: what is ordered, what goes on after the answer, what ends when it is left."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import threading
import time

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
import httpx
from fastapi import FastAPI

from medvlm.progress import tracked
from serving.access.sessions import Terms
from serving.page import desks as desks_module
from serving.page.desks import Desks
from serving.page.progress import Work
from serving.page.wire import UNREAD, Event, router
from serving.server import make_app
from serving.uploads import Inbox
from tests.fakes import FakeAssistant
from tests.web import cookie_of, served


class Page:
    """Events of one page of a window, over the routes alone."""

    def __init__(self, client: httpx.AsyncClient, window: str):
        self.client, self.window = client, window

    async def send(self, name: str, **data: object) -> dict:
        body = {"window": self.window, "data": data}
        path = f"/page/{self.window}p/events/{name}"
        reply = await self.client.post(path, json=body, headers={"x-medvlm": "1"})
        assert reply.status_code == 200
        return reply.json()

    async def results(self, read: int) -> dict:
        return (await self.client.get(f"/page/{self.window}p/results", params={"read": read})).json()

    async def here(self) -> dict:
        return (await self.client.get(f"/page/{self.window}p/here")).json()


def over(folder, **events: Event):
    """Runs a test over the routes with these events."""
    desks = Desks(Inbox(folder))
    app = FastAPI()
    app.include_router(router(desks, events, Inbox(folder), 40))
    return desks, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")


def test_changes_of_one_window_come_one_after_another_and_hold_up_no_other_window(tmp_path):
    done, go = [], threading.Event()

    def change(session, data):
        if data["by"] == "first":
            go.wait(10)
        done.append(data["by"])
        return {"layer": data["by"]}

    async def both():
        _, client = over(tmp_path, paint=Event(change, ordered=True))
        one, other = Page(client, "one"), Page(client, "other")
        first = asyncio.create_task(one.send("paint", by="first"))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(one.send("paint", by="second"))
        assert (await other.send("paint", by="other"))["outputs"] == {"layer": "other"}
        assert done == ["other"]
        go.set()
        await asyncio.gather(first, second)

    asyncio.run(both())
    assert done == ["other", "first", "second"]


def test_results_wait_for_the_page_until_it_has_read_them(tmp_path):
    async def broken():
        steps = (Work(lambda session, data: {"chat": 1}), Work(lambda session, data: {"layer": 2}))
        desks, client = over(tmp_path, ask=Event(lambda session, data: {"chat": 0}, steps))
        page = Page(client, "w")
        asked = await page.send("ask")
        assert (asked["outputs"], asked["more"]) == ({"chat": 0}, True)
        while desks.page("wp").tasks:
            await asyncio.sleep(0.01)
        lost, again = await page.results(0), await page.results(0)  # a reply that did not come costs nothing
        assert [outputs for _, outputs in lost["results"]] == [{"chat": 1}, {"layer": 2}] and lost == again
        assert desks.held() == desks.page("wp").nbytes > 0  # they are counted as their user's
        (first, _), (second, _) = again["results"]
        assert (await page.results(first))["results"] == [[second, {"layer": 2}]]
        assert await page.results(second) == {**again, "results": [], "more": False}
        assert not desks.held() and not desks.waiting("")

    asyncio.run(broken())


def test_results_that_nobody_reads_are_bounded_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(desks_module, "MOST_UNREAD", 3000)

    async def flood():
        event = Event(then=(Work(lambda session, data: {"file": "x" * 1000}),))
        desks, client = over(tmp_path, download=event, other=event)
        page, other = Page(client, "w"), Page(client, "other")
        for _ in range(8):
            await page.send("download")
        await other.send("other")
        while desks.page("wp").tasks or desks.page("otherp").tasks:
            await asyncio.sleep(0.01)
        assert desks.page("wp").nbytes <= 3000
        reply = await page.results(0)
        assert len(reply["results"]) == 2 and reply["lost"] == UNREAD
        assert not (await page.results(reply["results"][-1][0]))["lost"]
        assert len((await other.results(0))["results"]) == 1 and not (await other.results(0))["lost"]

    asyncio.run(flood())


def test_a_request_for_results_is_held_for_a_moment_at_most(tmp_path):
    go = threading.Event()

    async def long():
        desks, client = over(tmp_path, ask=Event(then=(Work(lambda session, data: go.wait(20) and {"chat": 1}),)))
        page = Page(client, "w")
        await page.send("ask")
        async with asyncio.timeout(5):
            assert (await page.results(0)).items() >= {"results": [], "more": True}.items()
        go.set()
        async with asyncio.timeout(5):
            while not (reply := await page.results(0))["results"]:
                assert reply["more"]

    asyncio.run(long())


def test_a_page_that_was_forgotten_is_told_so_whatever_it_asks(tmp_path):
    async def forgotten():
        desks, client = over(tmp_path, enter=Event(lambda session, data: {}), paint=Event(lambda session, data: {}))
        page = Page(client, "w")
        assert not (await page.here())["known"] and (await page.send("enter"))["known"] and (await page.here())["known"]
        desks.part("wp")
        assert not (await page.results(7))["known"]
        assert [(await page.send("paint"))["known"] for _ in range(2)] == [False, True]
        assert (await page.send("enter", again=True))["server"] == (await page.here())["server"]

    asyncio.run(forgotten())


def test_a_page_whose_line_broke_takes_nothing_from_one_that_was_loaded_since(tmp_path):
    async def both():
        desks, client = over(tmp_path, enter=Event(lambda session, data: {}), paint=Event(lambda session, data: {}))

        async def send(page: str, name: str, **data: bool) -> int:
            body, own = {"window": "w", "data": data}, {"x-medvlm": "1"}
            return (await client.post(f"/page/{page}/events/{name}", json=body, headers=own)).status_code

        assert [await send("old", "enter"), await send("new", "enter")] == [200, 200]
        desks.part("old")
        assert [await send("old", "enter", again=True), await send("new", "paint")] == [403, 200]
        desks.part("new")
        assert [await send("new", "enter", again=True), await send("new", "paint")] == [200, 200]

    asyncio.run(both())


class Endless(FakeAssistant):
    def __init__(self):
        super().__init__()
        self.begun, self.ended = threading.Event(), threading.Event()

    def ask(self, *_, **__):
        self.begun.set()
        try:
            for _ in tracked(range(2000)):
                time.sleep(0.01)
        finally:
            self.ended.set()


@pytest.mark.parametrize("says_so", [True, False])
def test_a_page_that_is_left_ends_its_work(tmp_path, says_so):
    """Also where it cannot say that it is left, but no more that it is there."""
    assistant = Endless()
    app = make_app(lambda: assistant, tmp_path, terms=Terms() if says_so else Terms(tab_idle_s=2.0))
    with served(app) as port:
        cookie = cookie_of(port)

        def ask(method: str, path: str, body: str = "", **headers: str) -> int:
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            with contextlib.closing(line):
                line.request(method, f"/page/left/{path}", body, {"Cookie": cookie, **headers})
                return line.getresponse().status

        def send(name: str, /, **data: str) -> None:
            body = json.dumps({"window": "w", "data": data})
            assert ask("POST", f"events/{name}", body, **{"X-Medvlm": "1"}) == 200

        send("open_example", name="mr")
        end = time.monotonic() + 20
        while not app.state.desks.study("left") and time.monotonic() < end:
            time.sleep(0.05)
        send("ask", text="Is it bright?")
        send("ask", text="Is it dark?")
        assert assistant.begun.wait(20)
        if says_so:
            assert ask("POST", "left") == 204
        else:
            for _ in range(15):
                assert ask("GET", "here") == 200 and not assistant.ended.wait(0.3)
        assert assistant.ended.wait(10)
        while app.state.desks.page("left") and time.monotonic() < end + 20:
            time.sleep(0.05)
        (place,) = app.state.desks._places.values()
        end = time.monotonic() + 10
        while len(place.session.waiting) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        assert [one.text for one in place.session.waiting] == ["Is it bright?", "Is it dark?"]  # if it comes back
