"""After a crash of the server the page says what is gone."""

from __future__ import annotations

import json

from .test_page import ask, opened

GONE = "the studies that were open here are gone"


def test_what_another_server_had_open_is_told_to_be_gone(open_page, png):
    page = open_page()
    opened(page, png)
    kept = page.evaluate("sessionStorage.getItem('medvlm-open')")
    assert kept.isdigit() and kept == page.evaluate("String(window.gradio_config.app_id)")
    page.reload()
    page.wait_for_selector(".mv-open")
    assert page.get_by_text(GONE).count() == 0  # the same server has it still
    page.add_init_script("sessionStorage.setItem('medvlm-open', '1')")  # as if it had been another
    page.reload()
    page.get_by_text(GONE).wait_for()
    page.click("#mv-gone button")
    assert page.get_by_text(GONE).count() == 0


def test_where_nothing_was_open_nothing_is_told(open_page):
    page = open_page()
    page.reload()
    page.wait_for_selector(".mv-stage canvas")
    assert page.locator("#mv-gone").count() == 0 and page.evaluate("sessionStorage.getItem('medvlm-open')") is None


def test_a_server_that_was_started_anew_has_the_page_loaded_anew(open_page):
    page = open_page()
    names = iter(["one"])
    page.route("**/here", lambda route: route.fulfill(body=json.dumps(next(names, "other")) + "\n"))
    page.reload()
    page.evaluate("window.before = true")
    page.wait_for_function("!window.before")
    page.wait_for_selector(".mv-stage canvas")


def test_results_come_though_their_line_breaks(open_page, png):
    page = open_page()
    opened(page, png)
    page.route("**/results", lambda route: route.abort())
    ask(page, "Is it bright?")
    page.get_by_text("Is it bright?").wait_for()
    page.wait_for_timeout(500)
    assert page.get_by_text("confidence 80 %").count() == 0
    page.unroute("**/results")
    page.get_by_text("confidence 80 %").wait_for()


def test_what_was_lost_on_its_way_is_shown_all_the_same(open_page, png):
    page = open_page()
    opened(page, png)

    def lose(route) -> None:
        assert "null" in route.fetch().text()  # the server has sent all of it
        route.abort()

    page.route("**/results", lose, times=1)
    ask(page, "Is it bright?")
    page.get_by_text("confidence 80 %").wait_for()
    assert page.locator(".mv-working").is_hidden()
