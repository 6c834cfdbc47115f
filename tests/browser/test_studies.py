"""Several studies open at once, each in a tab of the page: they are found again when the page is loaded anew, and go when closed."""

from __future__ import annotations

import base64
import threading
import time

import pytest

from medvlm.progress import tracked
from tests.fakes import FakeAssistant

from .conftest import served
from .test_page import ask, data, opened, place, upload, wait_data
from .test_prior import DROP

TAB, CLOSE = ".mv-study .mv-name", ".mv-study .mv-close"


def two(page, png) -> tuple[str, str]:
    """Open two studies, with a search in the first; their keys."""
    opened(page, png)
    ask(page, "bright thing", "find")
    page.get_by_text("1 region found").wait_for()
    first = data(page, "study")
    upload(page, png)
    page.wait_for_function("(key) => document.querySelector('.mv').dataset.study !== key", arg=first)
    page.get_by_text("The model takes it for").wait_for()
    return first, data(page, "study")


def test_a_second_study_has_a_tab_of_its_own_and_both_survive_a_reload(open_page, png):
    page = open_page()
    first, second = two(page, png)
    assert page.locator(TAB).all_inner_texts() == ["study.png", "study.png"]
    wait_data(page, "shown", "0")
    page.locator(TAB).first.click()
    wait_data(page, "study", first)
    wait_data(page, "shown", "1")
    page.get_by_text("1 region found").wait_for()
    page.reload()
    page.wait_for_selector(".mv-open")
    wait_data(page, "study", first)
    wait_data(page, "shown", "1")
    page.get_by_text("1 region found").wait_for()
    assert page.locator(TAB).count() == 2
    page.locator(TAB).last.focus()
    page.keyboard.press("Enter")
    wait_data(page, "study", second)
    assert page.get_by_text("1 region found").count() == 0


def test_a_tab_that_is_closed_is_gone_at_once(open_page, png):
    page = open_page()
    first, _ = two(page, png)
    page.locator(CLOSE).last.click()
    wait_data(page, "study", first)
    page.locator(CLOSE).click()
    page.wait_for_selector(".mv:not(.mv-open)")
    assert page.locator(TAB).count() == 0 and page.locator(".mv-message").count() == 0
    page.reload()
    page.wait_for_selector(".mv-stage canvas")
    page.wait_for_timeout(500)
    assert page.locator(".mv-open").count() == 0
    opened(page, png)


def test_a_file_is_dropped_on_the_chat_and_a_finding_is_pointed_at_and_hidden(open_page, png):
    page = open_page()
    page.evaluate(DROP, ["#mv-chat .mv-chat", "drop", base64.b64encode(png.read_bytes()).decode()])
    page.wait_for_selector(".mv-open")
    ask(page, "bright thing", "find")
    page.get_by_text("1 region found").wait_for()
    page.mouse.move(*place(page, 100, 90))
    page.wait_for_selector(".mv-table tr.mv-pointed")
    page.get_by_role("button", name="Hide bright thing").click()
    wait_data(page, "shown", "0")
    page.get_by_role("button", name="Show bright thing").click()
    wait_data(page, "shown", "1")


class Slow(FakeAssistant):
    """Its reports take as long as nobody lets them go."""

    def __init__(self):
        super().__init__()
        self.go, self.begun = threading.Event(), 0

    def report(self, study, **prior):
        self.begun += 1
        for _ in tracked(range(2000)):
            if self.go.wait(0.03):
                break
        return super().report(study)


@pytest.fixture
def slow(tmp_path_factory):
    assistant = Slow()
    with served(assistant, tmp_path_factory.mktemp("inbox")) as (url, _):
        yield assistant, url
        assistant.go.set()


def test_long_work_shows_its_progress_and_is_stopped(open_page, png, slow):
    page = open_page(url=slow[1])
    opened(page, png)
    page.click("#mv-report-button")
    page.locator(".mv-working", has_text="of 2000").wait_for()
    page.locator(".mv-working button").click()
    page.get_by_text("Stopped.").wait_for()
    page.locator(".mv-working").wait_for(state="hidden")
    ask(page, "Is it one?")
    page.get_by_text("confidence 80 %").wait_for()


def test_what_is_worked_on_goes_on_when_the_page_is_loaded_anew(open_page, png, slow):
    assistant, url = slow
    page = open_page(url=url)
    opened(page, png)
    page.click("#mv-report-button")
    page.locator(".mv-working", has_text="of 2000").wait_for()
    page.reload()
    page.wait_for_selector(".mv-open")
    page.get_by_text("Draft a report").wait_for()
    page.wait_for_timeout(1500)
    assistant.go.set()
    page.locator(".mv-reply", has_text="Report draft").wait_for()
    page.wait_for_selector(".mv-finding")


def test_a_report_of_one_user_that_hangs_holds_up_no_click_of_another(open_page, png, slow):
    assistant, url = slow
    one, other = open_page(url=url), open_page(url=url)
    opened(one, png)
    opened(other, png)
    one.click("#mv-report-button")
    one.locator(".mv-working", has_text="of 2000").wait_for()
    began = time.monotonic()
    ask(other, "bright thing", "find")
    other.get_by_text("1 region found").wait_for()
    assert time.monotonic() - began < 10 and not assistant.go.is_set()
    ask(one, "Is it one?")
    one.wait_for_timeout(1000)
    assert one.get_by_text("confidence 80 %").count() == 0, "one after another, of one window"
    assistant.go.set()
    one.locator(".mv-reply", has_text="Report draft").wait_for()
    one.get_by_text("confidence 80 %").wait_for()


def test_a_doubled_tab_changes_nothing_that_the_first_one_does_not_show(open_page, png):
    page = open_page()
    opened(page, png)
    page.click("#mv-report-button")
    page.wait_for_selector(".mv-finding")
    name = page.evaluate("sessionStorage.getItem('medvlm')")
    other = page.context.new_page()
    other.add_init_script(f"sessionStorage.setItem('medvlm', '{name}')")  # as a browser that doubles a tab does
    other.goto(page.url)
    other.get_by_role("button", name="Reject this finding").first.click()
    wait_data(other, "shown", "0")
    page.get_by_role("button", name="Add a sentence to Impression").click()
    page.get_by_role("textbox", name="New sentence").fill("A <b data-stranger>second</b> look.")
    page.keyboard.press("Enter")
    page.locator("#mv-refused", has_text="You wrote: “A <b data-stranger>second</b> look.”").wait_for()
    assert data(page, "shown") == "1" and page.locator("[data-stranger]").count() == 0
    assert other.locator("p", has_text="second").count() == 0
    page.get_by_role("link", name="Load the page again").click()
    page.wait_for_selector(".mv-open")
    wait_data(page, "shown", "0")
    page.get_by_role("button", name="As the draft has it").click()
    wait_data(page, "shown", "1")
