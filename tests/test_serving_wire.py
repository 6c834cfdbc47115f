"""The page's own routes by themselves: what is ordered, what goes on after the answer, what ends when it is left."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
import httpx
from fastapi import FastAPI

from medvlm.progress import tracked
from serving.page.desks import Desks
from serving.page.progress import Work
from serving.page.wire import Event, lines_of, router
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


def test_results_wait_for_the_page_until_they_were_sent(tmp_path):
    async def broken():
        steps = (Work(lambda session, data: {"chat": 1}), Work(lambda session, data: {"layer": 2}))
        desks, client = over(tmp_path, ask=Event(lambda session, data: {"chat": 0}, steps))
        assert await Page(client, "w").send("ask") == {"outputs": {"chat": 0}, "more": True}
        page = desks.page("wp")
        line = lines_of(page)
        assert json.loads(await anext(line)) == {"chat": 1}
        await line.aclose()  # before it was known to have been sent
        assert [json.loads(part) async for part in lines_of(page)] == [{"chat": 1}, {"layer": 2}, None]
        assert [json.loads(part) async for part in lines_of(page)] == [None]

    asyncio.run(broken())


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


def test_a_line_that_was_held_anew_keeps_the_page(tmp_path):
    app = make_app(FakeAssistant, tmp_path)
    with served(app) as port:
        cookie = cookie_of(port)
        lines = [http.client.HTTPConnection("127.0.0.1", port, timeout=30) for _ in range(2)]
        held = []
        for line in lines:
            line.request("GET", "/page/twice/here", headers={"Cookie": cookie})
            held.append(line.getresponse())
            assert json.loads(held[-1].readline())
        (browser,) = app.state.sessions._browsers.values()
        for count, (line, reply) in zip((1, 0), zip(lines, held, strict=True), strict=True):
            tab, end = browser.tabs["twice"], time.monotonic() + 20
            reply.close()
            line.close()
            while tab.here > count and time.monotonic() < end:
                time.sleep(0.02)
            time.sleep(0.2)
            assert ("twice" in browser.tabs) is bool(count)


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


def test_a_page_that_is_left_ends_its_work(tmp_path):
    assistant = Endless()
    app = make_app(lambda: assistant, tmp_path)
    with served(app) as port:
        cookie, line = cookie_of(port), http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        line.request("GET", "/page/left/here", headers={"Cookie": cookie})
        held = line.getresponse()
        assert json.loads(held.readline())

        def send(name: str, /, **data: str) -> None:
            other = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            own = {"Cookie": cookie, "X-Medvlm": "1"}
            other.request("POST", f"/page/left/events/{name}", json.dumps({"window": "w", "data": data}), own)
            assert other.getresponse().status == 200
            other.close()

        send("open_example", name="mr")
        end = time.monotonic() + 20
        while not app.state.desks.held() and time.monotonic() < end:
            time.sleep(0.05)
        send("ask", text="Is it bright?")
        send("ask", text="Is it dark?")
        assert assistant.begun.wait(20)
        held.close()
        line.close()
        assert assistant.ended.wait(20)
        while app.state.desks.page("left") and time.monotonic() < end + 20:
            time.sleep(0.05)
        (place,) = app.state.desks._places.values()
        end = time.monotonic() + 10
        while len(place.session.waiting) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        assert [one.text for one in place.session.waiting] == ["Is it bright?", "Is it dark?"]  # if it comes back
