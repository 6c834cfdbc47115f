"""A prior beside the open study as a user meets it: dropped, asked about, linked, blended, lit up, closed."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from tests.priors import SIZE, ComparingAssistant, pair, pair_of_series

from .conftest import served
from .test_page import data, opened, upload, wait_data

pytest.importorskip("SimpleITK", reason="SimpleITK is not installed: pip install -e '.[priors]'")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with served(ComparingAssistant(), tmp_path_factory.mktemp("inbox")) as (url, _):
        yield url


def colour(page, pane: str, x: float, y: float) -> np.ndarray:
    """The colour of the canvas in a pane at an image pixel, while the whole image is fitted."""
    script = """([pane, x, y, w, h]) => { const c = document.querySelector(pane + ' canvas'), f = c.getBoundingClientRect();
      const k = c.width / f.width, zoom = Math.min(f.width / w, f.height / h);
      const at = [(f.width - w * zoom) / 2 + x * zoom, (f.height - h * zoom) / 2 + y * zoom];
      return [...c.getContext('2d').getImageData(...at.map((v) => Math.round(v * k)), 1, 1).data]; }"""
    return np.array(page.evaluate(script, [pane, x, y, SIZE[1], SIZE[0]])[:3], int)


def compared(page) -> None:
    page.wait_for_selector(".mv-compared")
    page.wait_for_function(  # both panes are as wide as they will be, and drawn so
        """() => { const [a, b] = ['.mv-prior canvas', '.mv-stage canvas'].map((s) => document.querySelector(s));
          return a.width === b.width && a.width * 2 < innerWidth; }"""
    )


def tint(rgb: np.ndarray) -> int:
    """How much amber is in it."""
    return int(rgb[0] - rgb[2])


def test_side_by_side_linked_blended_lit_and_closed(open_page, tmp_path, address):
    page = open_page(url=address)
    today, before = pair(tmp_path)
    opened(page, today)
    assert not page.locator(".mv-drop").is_visible()
    page.click("[data-prior-do=choose]")
    page.locator(".mv-drop").get_by_text("Drop the prior here").wait_for()
    upload(page, before, name=".mv-prior-files")
    compared(page)
    page.get_by_text("The prior is 10 days earlier").wait_for()
    assert page.locator(".mv-prior .mv-title").inner_text() == "Prior, 10 days earlier"
    edge = 80 + 19, 60  # between the disc of today and that of the prior, which lies on it
    now, then = (colour(page, pane, *edge) for pane in (".mv-stage", ".mv-prior"))
    assert now[0] == 120 and then[0] < 100
    page.locator(".mv-blend").fill("0")
    assert abs(colour(page, ".mv-stage", *edge) - then).max() <= 2
    page.locator(".mv-blend").fill("50")
    assert abs(colour(page, ".mv-stage", *edge) - (now + then) / 2).max() <= 2
    page.locator(".mv-blend").fill("100")
    page.keyboard.press("Escape")
    page.locator(".mv-stage canvas").focus()
    page.keyboard.press("i")  # both are inverted, and windowed alike
    assert [255 - colour(page, pane, *edge)[0] for pane in (".mv-stage", ".mv-prior")] == [now[0], then[0]]
    page.keyboard.press("i")
    page.fill(".mv-level", "60")
    page.fill(".mv-width", "60")
    page.keyboard.press("Enter")
    for pane, was in ((".mv-stage", now[0]), (".mv-prior", then[0])):
        assert abs(colour(page, pane, *edge)[0] - min(255, max(0, (was - 30) * 255 / 60))) <= 4
    page.select_option(".mv-window select", "0")

    page.click("#mv-report-button")
    page.get_by_text("Report draft, in the list").wait_for()
    wait_data(page, "earlier", "2")
    page.mouse.move(2, 2)  # off the list, which lights what is under the pointer
    page.mouse.move(5, 5)  # what lies under a pointer in the list is bright
    dim = [tint(colour(page, pane, 80, 60)) for pane in (".mv-stage", ".mv-prior")]
    page.locator("button.mv-sentence", has_text="larger").click()
    assert len(data(page, "lit").split()) == 2
    assert all(
        tint(colour(page, pane, 80, 60)) > was for pane, was in zip((".mv-stage", ".mv-prior"), dim, strict=True)
    )
    page.locator("button.mv-sentence", has_text="No longer found").click()
    assert len(data(page, "lit").split()) == 1
    frame = page.locator(".mv-prior canvas").bounding_box()
    page.mouse.move(frame["x"] + 100, frame["y"] + 200)
    page.mouse.wheel(0, -300)
    page.wait_for_function("Number(document.querySelector('.mv').dataset.zoom) > 1.5")

    page.click("[data-prior-do=close]")
    page.wait_for_selector(".mv:not(.mv-compared)")
    wait_data(page, "earlier", "0")
    page.dblclick(".mv-stage canvas")
    wait_data(page, "zoom", "1")
    assert not page.locator(".mv-prior").is_visible() and not page.locator(".mv-compare").is_visible()
    assert page.locator(".mv-stage").bounding_box()["width"] == page.locator(".mv-panes").bounding_box()["width"]
    assert data(page, "shown") == "1"  # the report stays, without the prior's regions


DROP = """([selector, type, text]) => { const files = new DataTransfer();
  files.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], 'prior.dcm'));
  document.querySelector(selector).dispatchEvent(new DragEvent(type, {dataTransfer: files, bubbles: true, cancelable: true})); }"""


def test_dropped_on_its_place_and_of_another_patient(open_page, tmp_path, address):
    page = open_page(url=address)
    today, before = pair(tmp_path, PatientID="another")
    opened(page, today)
    content = base64.b64encode(before.read_bytes()).decode()
    study = data(page, "study")
    page.evaluate(DROP, [".mv-stage", "dragover", content])
    assert page.locator(".mv-drop").is_visible()
    for answer, words in (("refuse", "The prior was not opened."), ("agree", "different patients, as the ids")):
        page.evaluate(DROP, [".mv-drop", "drop", content])
        page.locator(".mv-sure", has_text="different patients").wait_for()
        assert not page.locator(".mv-drop").is_visible() and not page.locator(".mv-prior").is_visible()
        page.click(f"[data-prior-do={answer}]")
        page.locator(".mv-status, .mv-said", has_text=words).first.wait_for()
    compared(page)
    page.click("[data-prior-do=swap]")
    page.wait_for_function("(key) => document.querySelector('.mv').dataset.prior === key", arg=study)
    assert page.locator(".mv-prior .mv-title").inner_text() == "Prior, 10 days later"


def test_another_series_of_the_prior_is_chosen(open_page, tmp_path, address):
    page = open_page(url=address)
    today, before = pair_of_series(tmp_path)
    opened(page, today)
    page.click("[data-prior-do=choose]")
    upload(page, *before, name=".mv-prior-files")
    compared(page)
    first = data(page, "prior")
    page.get_by_label("Prior's series").select_option("2")
    page.wait_for_function("(key) => document.querySelector('.mv').dataset.prior !== key", arg=first)
    compared(page)
    assert page.get_by_label("Prior's series").input_value() == "2"
    page.click("[data-prior-do=close]")
    page.wait_for_selector(".mv:not(.mv-compared)")
