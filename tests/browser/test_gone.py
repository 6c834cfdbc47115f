"""After a crash of the server the page says what is gone."""

from __future__ import annotations

from .test_page import opened

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
