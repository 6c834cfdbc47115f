"""The page without a mouse, or read out: axe-core over its states and sizes, everything in reach of Tab, a box drawn by keys."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

pytest.importorskip("dicomweb_client", reason="pip install -e '.[archive]'")
pytest.importorskip("SimpleITK", reason="pip install -e '.[priors]'")
pytest.importorskip("axe_playwright_python", reason="pip install -e '.[dev]'")

from axe_playwright_python.sync_playwright import Axe

from medvlm.archive.dicomweb import Archive
from serving.access.accounts import Accounts, password_line
from serving.access.entrance import Way
from tests.archives import FakeArchive, ct
from tests.fakes import FakeAssistant
from tests.priors import ComparingAssistant, pair
from tests.studies import write_nifti

from .conftest import served
from .test_page import ask, data, opened, upload, wait_data

OPTIONS = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
SIZES = [(1280, 800), (3840, 2160), (768, 1024), (640, 400)]  # the last is 1280 at 200 %
GRAVE = ("serious", "critical")
CONTROLS = "button, input, select, textarea, a[href], summary, [tabindex]"
# Marks what has the focus, and says how it is drawn where it is drawn as it is without.
FOCUSED = """() => { const e = document.activeElement, s = getComputedStyle(e); e.dataset.reached = "";
  if (e === document.body) return null;
  return s.outlineStyle === "none" || parseFloat(s.outlineWidth) < 1 ? e.outerHTML.slice(0, 120) : ""; }"""
MISSED = """(selector) => [...document.querySelectorAll(selector)].filter((e) => e.checkVisibility() && e.tabIndex >= 0
  && !("reached" in e.dataset) && !e.disabled && !e.closest("[inert]")).map((e) => e.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    with FakeArchive() as archive:
        ct(folder / "scan", StudyDate="20260130", PatientName="Doe^Jane", PatientID="77")
        Archive(archive.url).store(sorted((folder / "scan").iterdir()))
        inbox = tmp_path_factory.mktemp("inbox")
        with served(ComparingAssistant(), inbox, archive=lambda: Archive(archive.url)) as (url, _):
            yield url


def grave(page) -> list[str]:
    """What axe-core finds serious or critical on the page as it is: rule, element and reason."""
    found = Axe().run(page, options=OPTIONS).response["violations"]
    return [
        f"{rule['id']} {node['target']}: {node['failureSummary']}"
        for rule in found
        if rule["impact"] in GRAVE
        for node in rule["nodes"]
    ]


def opened_beside(page, path) -> None:
    before = data(page, "study")
    upload(page, path)
    page.wait_for_function("(before) => document.querySelector('.mv').dataset.study !== before", arg=before)
    page.get_by_text("The model takes it for").wait_for()


def reported(page) -> None:
    page.click("#mv-report-button")
    page.get_by_text("Report draft, in the list").wait_for()


def test_axe_finds_nothing_grave_in_any_state(open_page, png, tmp_path, address):
    page, faults, turn = open_page(url=address), {}, itertools.cycle(SIZES)

    def check(state: str, *sizes: tuple[int, int]) -> None:  # at one size after the other, as the states come
        for width, height in sizes or [next(turn)]:
            page.set_viewport_size({"width": width, "height": height})
            if found := grave(page):
                faults[f"{state}, {width} × {height}"] = found

    check("empty")
    page.click("text=Open from archive…")
    page.fill("[name=name]", "jane doe")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Open Doe Jane 2026-01-30").wait_for()
    check("archive")
    page.click("[data-archive=close]")
    opened(page, png)
    ask(page, "Where is it? find bright thing")
    page.get_by_text("confidence 80 %").wait_for()
    page.click(".mv-region")
    check("findings")
    reported(page)
    page.get_by_role("button", name="Reject this sentence").first.click()
    page.wait_for_selector(".mv-is-rejected")
    page.get_by_role("button", name="Edit this sentence").first.click()
    check("correction", *SIZES)
    page.keyboard.press("Escape")
    page.click("[data-read=help]")
    check("help")
    page.keyboard.press("Escape")
    page.click("[data-tool=lens]")
    page.hover(".mv-stage canvas")
    page.evaluate("medvlm.refused.show(401)")
    check("magnifier, and a refusal")
    page.evaluate("document.querySelector('#mv-refused').remove()")
    opened_beside(page, write_nifti(tmp_path / "a.nii", "RAS"))
    page.click("[data-read=shelf]")
    page.wait_for_selector(".mv-thumbnail")
    check("thumbnails")
    page.click("[data-read=planes]")
    page.wait_for_function("document.querySelectorAll('.mv-side[data-shown]').length === 2")
    check("three planes")
    page.click("[data-read=planes]")
    today, before = pair(tmp_path)
    opened_beside(page, today)
    page.click("[data-prior-do=choose]")
    check("where a prior is dropped")
    upload(page, before, name=".mv-prior-files")
    page.wait_for_selector(".mv-compared")
    reported(page)
    check("prior beside")
    assert not faults, json.dumps(faults, indent=1, ensure_ascii=False)


def test_the_log_in_page(browser, tmp_path):
    (tmp_path / "passwords").write_text(password_line("someone", "long enough"))
    with served(FakeAssistant(), tmp_path / "inbox", way=Way(Accounts.read(tmp_path / "passwords"))) as (url, _):
        page = browser.new_page()
        page.goto(url + "login")
        assert not grave(page)
        page.fill("[name=name]", "nobody")
        page.fill("[name=password]", "wrong")
        page.keyboard.press("Enter")
        page.get_by_role("alert").wait_for()
        assert not grave(page)
        page.close()


def test_tab_reaches_everything_and_shows_where_it_is(open_page, png, address):
    page = open_page(url=address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.do") == "files"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.read") == "help", "what needs an image is passed over"
    opened(page, png)
    reported(page)
    page.locator(".mv-close").focus()
    page.keyboard.press("Shift+Tab")
    hidden = []
    for _ in range(120):
        if (drawn := page.evaluate(FOCUSED)) is None:
            break
        hidden += [drawn] if drawn else []
        page.keyboard.press("Tab")
    assert not hidden and page.evaluate(MISSED, CONTROLS) == []


def test_the_focus_stays_in_its_row_while_a_report_is_corrected(open_page, png, address):
    page = open_page(url=address)
    opened(page, png)
    reported(page)
    page.get_by_role("button", name="Edit this sentence").nth(1).focus()
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name="Sentence").fill("Sizes are in pixels.")
    page.keyboard.press("Enter")
    line = page.locator(".mv-line", has_text="Sizes are in pixels.")
    line.get_by_text("edited", exact=True).wait_for()
    assert line.locator(":focus").count() == 1
    page.keyboard.press("Tab")
    assert line.locator(":focus").get_attribute("title") == "Reject this sentence"
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Put it back").wait_for()
    assert page.evaluate("document.activeElement.title") == "Put it back"


def test_a_box_is_drawn_by_keys(open_page, png):
    page = open_page()
    opened(page, png)
    page.locator("[data-tool=box]").focus()
    page.keyboard.press("Enter")
    for key in ("Shift+ArrowLeft", "Enter", *["Shift+ArrowRight"] * 6, *["Shift+ArrowDown"] * 5, "Enter"):
        page.keyboard.press(key)
    page.get_by_text("From the drawn box").wait_for()
    x0, y0, x1, y1 = json.loads(
        "[" + page.get_attribute(".mv-region", "title").split("box ")[1].removesuffix(" px") + "]"
    )
    frame = page.locator(".mv-stage canvas").bounding_box()
    zoom = min(frame["width"] / 300, frame["height"] / 200)
    assert np.abs(np.array([x0, y0, x1 - x0, y1 - y0]) - [150 - 12 / zoom, 100, 72 / zoom, 60 / zoom]).max() <= 2
    page.keyboard.press("+")
    page.keyboard.press("Escape")
    for _ in range(100):
        page.keyboard.press("Shift+ArrowRight")
    wait_data(page, "zoom", "1.25")
    cross = page.locator(".mv-cross").bounding_box()
    assert frame["x"] + frame["width"] - cross["x"] < 24, "the pointer stays at the edge, over which the image moves"
