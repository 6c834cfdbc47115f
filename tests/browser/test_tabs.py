"""Many windows of one browser, which has six connections for all of them; and windows that are left, forgotten and come back."""

from __future__ import annotations

import threading
import time

import pytest

from medvlm.progress import tracked
from tests.fakes import FakeAssistant

from .conftest import PATIENCE, served
from .test_page import ask, data, opened, upload

WINDOWS, WAIT = 8, 6


class Slow(FakeAssistant):
    """Its reports take as long as nobody lets them go."""

    def __init__(self):
        super().__init__()
        self.go, self.begun, self.left = threading.Event(), 0, threading.Event()

    def report(self, study, **prior):
        self.begun += 1
        try:
            for _ in tracked(range(2000)):
                if self.go.wait(0.03):
                    break
        except BaseException:
            self.left.set()
            raise
        return super().report(study)


@pytest.fixture
def slow(tmp_path_factory):
    assistant = Slow()
    with served(assistant, tmp_path_factory.mktemp("inbox")) as (url, app):
        yield assistant, url, app
        assistant.go.set()


def test_eight_windows_of_one_browser_work_while_six_of_them_wait(open_page, png, slow):
    assistant, url, _ = slow
    first = open_page(url=url)
    pages = [first, *(first.context.new_page() for _ in range(WINDOWS - 1))]
    for page in pages[1:]:
        page.goto(url)
        page.wait_for_selector(".mv-stage canvas")
    for page in pages:
        opened(page, png)
    for page in pages[:WAIT]:
        page.click("#mv-report-button")
        page.get_by_text("Draft a report").wait_for()
    pages[0].locator(".mv-working", has_text="of 2000").wait_for()
    for page in pages[WAIT:]:
        began = time.monotonic()
        ask(page, "bright thing", "find")
        page.get_by_text("1 region found").wait_for()
        assert time.monotonic() - began < 15
    for page in pages[:WAIT]:  # those that wait take what is sent meanwhile
        upload(page, png)
        page.wait_for_function("document.querySelectorAll('.mv-study').length === 2")
    assert not assistant.go.is_set()
    assistant.go.set()
    for page in pages[:WAIT]:
        page.locator(".mv-study .mv-name").first.click()
        page.locator(".mv-reply", has_text="Report draft").wait_for()


def test_work_of_a_window_that_is_closed_is_given_up_at_once(open_page, png, slow):
    assistant, url, app = slow
    other = open_page(url=url)
    page = other.context.new_page()
    page.goto(url)
    page.wait_for_selector(".mv-stage canvas")
    opened(page, png)
    page.click("#mv-report-button")
    page.locator(".mv-working", has_text="of 2000").wait_for()
    page.close()
    assert assistant.left.wait(20)
    (browser,) = app.state.sessions._browsers.values()
    end = time.monotonic() + 20
    while len(browser.tabs) > 1:
        assert time.monotonic() < end
        time.sleep(0.05)


def forget(app) -> None:
    """As where nothing was heard of any page for long."""
    (browser,) = app.state.sessions._browsers.values()
    for tab in list(browser.tabs):
        app.state.sessions.leave(browser.client, tab)


BACK = "document.dispatchEvent(new Event('visibilitychange'))"  # as where a machine wakes up, and its user looks again


@pytest.mark.parametrize("first", ["looks", "asks"])
def test_a_window_that_was_forgotten_finds_its_study_again(open_page, png, slow, first):
    _, url, app = slow
    page = open_page(url=url)
    opened(page, png)
    study = data(page, "study")
    forget(app)
    assert not app.state.desks._shown
    if first == "looks":
        page.evaluate(BACK)
    ask(page, "Is it bright?")
    page.get_by_text("confidence 80 %").wait_for()
    assert data(page, "study") == study and page.locator("#mv-gone").count() == 0


@pytest.mark.parametrize("first", ["looks", "asks"])
def test_a_window_whose_study_was_closed_meanwhile_says_so(open_page, png, slow, first):
    _, url, app = slow
    page = open_page(url=url)
    opened(page, png)
    forget(app)
    app.state.desks._now = lambda: time.monotonic() + 3600
    app.state.desks.sweep()
    if first == "looks":
        page.evaluate(BACK)
    else:
        ask(page, "Is it bright?")
    page.get_by_text("was out of reach for too long").wait_for()
    page.wait_for_selector(".mv:not(.mv-open)")
    opened(page, png)


def test_stop_ends_all_that_waits_and_says_so(open_page, png, slow):
    assistant, url, _ = slow
    page = open_page(url=url)
    opened(page, png)
    page.click("#mv-report-button")
    page.locator(".mv-working", has_text="of 2000").wait_for()
    for text in ("Is it one?", "Is it two?"):
        ask(page, text)
        page.get_by_text(text).wait_for()
    page.locator(".mv-working button").click()
    page.get_by_text("Stopped, with all that waited behind it.").wait_for()
    page.wait_for_function(
        "[...document.querySelectorAll('.mv-reply')].filter((m) => m.innerText === 'Stopped.').length === 3"
    )
    page.locator(".mv-working").wait_for(state="hidden")
    assert assistant.begun == 1
    ask(page, "Is it three?")
    page.get_by_text("confidence 80 %").wait_for(timeout=PATIENCE)
