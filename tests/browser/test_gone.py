"""After a crash of the server the page says what is gone."""

from __future__ import annotations

import json

from serving.page import desks

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
    page.evaluate("window.before = true")
    page.route("**/here", lambda route: route.fulfill(body=json.dumps({"server": "other", "known": True})), times=1)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_function("!window.before")
    page.wait_for_selector(".mv-stage canvas")


def test_results_come_though_their_line_breaks(open_page, png):
    page = open_page()
    opened(page, png)
    page.route("**/results?*", lambda route: route.abort())
    ask(page, "Is it bright?")
    page.get_by_text("Is it bright?").wait_for()
    page.wait_for_timeout(500)
    assert page.get_by_text("confidence 80 %").count() == 0
    page.unroute("**/results?*")
    page.get_by_text("confidence 80 %").wait_for()


def test_a_file_that_was_lost_on_its_way_comes_all_the_same(open_page, png):
    page = open_page()
    opened(page, png)

    lost = []

    def lose(route) -> None:
        lost.extend(route.fetch().json()["results"])  # the server has sent it
        route.abort()

    page.route("**/results?*", lose)
    with page.expect_download() as download:
        page.click("[data-do=png]")
        while not lost:
            page.wait_for_timeout(50)
        page.unroute("**/results?*")
    assert download.value.suggested_filename == "overlay.png"
    assert page.locator(".mv-working").is_hidden()


def test_what_was_given_up_unread_is_told(open_page, png, monkeypatch):
    page = open_page()
    opened(page, png)
    page.click("#mv-report-button")
    page.wait_for_selector(".mv-finding")
    monkeypatch.setattr(desks, "MOST_UNREAD", 100)
    page.route("**/results?*", lambda route: route.abort())
    for _ in range(2):
        with page.expect_response("**/events/download"):
            page.click("[data-save=md]")
    page.wait_for_timeout(1500)
    with page.expect_download():
        page.unroute("**/results?*")
    page.locator("#mv-refused", has_text="save once more what did not come").wait_for()
