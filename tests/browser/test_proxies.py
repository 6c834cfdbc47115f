"""The page behind proxies, when the server refuses, when an upload is lost, and when its user goes away and comes back."""

from __future__ import annotations

import re
import time
from functools import partial
from urllib.parse import urlsplit

import pytest

from tests.fakes import FakeAssistant

from .conftest import served
from .proxies import Proxy
from .test_page import ask, opened, upload


def port_of(address: str) -> int:
    return urlsplit(address).port


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory):
    with served(FakeAssistant(), tmp_path_factory.mktemp("inbox"), prefix="/medvlm") as (address, _):
        yield port_of(address)


@pytest.mark.parametrize("strips", [True, False])
def test_under_a_path_of_another_site(open_page, prefixed, png, strips):
    """Every request of the page is below the path, which `open_page` sees to."""
    with Proxy(prefixed, "/medvlm", strips).running() as address:
        page = open_page(url=address)
        opened(page, png)
        ask(page, "Where is it? find bright thing")
        page.get_by_text("1 region shown").wait_for()


def test_a_proxy_that_holds_replies_back(open_page, server, png):
    with Proxy(port_of(server[0]), buffers=True).running() as address:
        page = open_page(url=address)
        opened(page, png)
        for number in range(2):
            ask(page, "Is it bright?")
            page.get_by_text("confidence 80 %").nth(number).wait_for()


def test_an_upload_that_is_lost_at_its_end(open_page, server, png):
    inbox, proxy = server[1], Proxy(port_of(server[0]), loses=True)
    before = set(inbox.iterdir())
    with proxy.running() as address:
        page = open_page(url=address)
        upload(page, png)
        page.get_by_text("The upload did not reach the server; try again.").wait_for()
        end = time.monotonic() + 20
        while set(inbox.iterdir()) != before:
            assert time.monotonic() < end, "what came of it stays on disk"
            time.sleep(0.05)
        proxy.loses = False
        opened(page, png)


REFUSALS = [
    (
        403,
        '{"detail": "This tab has no session any more; load the page again."}',
        "no session any more",
        "Load the page again",
    ),
    (429, '{"detail": "Too many requests wait; try again in a moment."}', "Too many requests wait", ""),
    (503, "Service Unavailable", "is being started anew", ""),
    (502, "<html>Bad Gateway</html>", "Something went wrong on the server", ""),
    (0, "", "The server does not answer", ""),
]


def refuse(status: int, body: str, route) -> None:
    if status:
        route.fulfill(status=status, body=body)
    else:
        route.abort()


def test_refusals_are_said_and_the_next_request_works(open_page, png):
    page = open_page()
    opened(page, png)
    said = page.locator("#mv-refused")
    for number, (status, body, words, way) in enumerate(REFUSALS):
        page.route("**/events/ask", partial(refuse, status, body))
        ask(page, "Is it bright?")
        said.get_by_text(words).wait_for()
        assert said.get_attribute("role") == "alert" and said.locator("a").all_text_contents() == [way] * bool(way)
        assert "<" not in said.text_content() and page.input_value("#mv-text textarea") == "Is it bright?"
        page.unroute("**/events/ask")
        page.click("#mv-ask-button")
        page.get_by_text("confidence 80 %").nth(number).wait_for()
        assert said.is_hidden()


def test_a_log_in_that_has_ended(browser, tmp_path, png):
    """The page says so and leads to the login; what was typed is still there, and goes on from the new session."""
    argon2 = pytest.importorskip("argon2", reason="argon2-cffi is not installed: pip install -e '.[serving]'")
    from serving.access.accounts import Accounts
    from serving.access.entrance import Way

    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    way = Way(Accounts({"alice": hasher.hash("correct horse")}))
    with served(FakeAssistant(), tmp_path, way=way) as (address, app):

        def log_in(page) -> None:
            page.fill("[name=name]", "alice")
            page.fill("[name=password]", "correct horse")
            page.click("button")
            page.wait_for_selector(".mv-stage canvas")

        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        assert page.url.endswith("/login")
        log_in(page)
        opened(page, png)
        (cookie,) = [c["value"] for c in context.cookies() if re.fullmatch(r"medvlm-\d+", c["name"])]
        app.state.sessions.end(cookie)
        ask(page, "Is it bright?")
        page.get_by_text("Your log-in has ended").wait_for()
        with context.expect_page() as other:
            page.get_by_text("Log in again").click(timeout=5_000)  # which nothing covers
        log_in(other.value)
        page.bring_to_front()  # a browser draws nothing in a tab behind another
        assert page.input_value("#mv-text textarea") == "Is it bright?"
        page.click("#mv-ask-button")
        page.get_by_text("Open an image first.").wait_for()
        opened(page, png)
        context.close()


def test_a_user_who_goes_away_and_comes_back(open_page, server, png):
    page = open_page()
    opened(page, png)
    page.goto("about:blank")
    page.go_back()
    page.wait_for_selector(".mv-stage canvas")
    opened(page, png)  # it is a page that works, whatever of the study is still there
    with page.expect_navigation():  # what a browser kept whole is loaded anew
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    page.wait_for_selector(".mv-stage canvas")


def test_two_tabs_of_one_user(open_page, server, png):
    first = open_page()
    opened(first, png)
    second = first.context.new_page()
    second.goto(server[0])
    second.wait_for_selector(".mv-stage canvas")
    second.click("[data-example=mr]")
    second.wait_for_selector(".mv-open")
    ask(first, "Is it bright?")
    first.get_by_text("confidence 80 %").wait_for()
    assert second.get_by_text("confidence 80 %").count() == 0
    ask(second, "thing", "find")
    second.get_by_text("Find: thing").first.wait_for()
    assert first.get_by_text("Find: thing").count() == 0
