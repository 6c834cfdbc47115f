"""The viewer beyond one picture: small pictures and series, three planes, the magnifier, links to slices, its sizes."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from tests.studies import write_nifti, write_series

from .conftest import served
from .test_page import ask, data, opened, place, upload, wait_data
from .test_planes import VolumeAssistant


class TellingAssistant(VolumeAssistant):
    """Names a slice in what it says beside an answer."""

    def ask(self, study, question, **given):
        answer = super().ask(study, question, **given)
        answer.detail = "Thing over all slices: on slices 1 to 2 of 20, most on slice 2 of 20."
        return answer


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with served(TellingAssistant(), tmp_path_factory.mktemp("inbox")) as (url, _):
        yield url


@pytest.fixture
def volume(open_page, tmp_path, address):
    page = open_page(url=address)
    opened(page, write_nifti(tmp_path / "a.nii", "RAS"))
    return page


def middle(page, selector: str) -> list[int]:
    """The colour in the middle of a canvas."""
    script = "(s) => { const c = document.querySelector(s), x = c.width >> 1, y = c.height >> 1; return [...c.getContext('2d').getImageData(x, y, 1, 1).data]; }"
    return page.evaluate(script, selector)[:3]


def test_three_planes_go_through_one_place(volume):
    page = volume
    page.keyboard.press("v")
    page.wait_for_function("document.querySelectorAll('.mv-side[data-shown]').length === 2")
    assert data(page, "point") == "10 20 15"
    coronal, sagittal = page.locator(".mv-side").all()
    assert coronal.locator(".mv-side-title").inner_text() == "coronal, 21 of 40"
    assert "".join(sagittal.locator(".mv-edge").all_inner_texts()) == "APHF"
    frame = coronal.locator("canvas").bounding_box()
    zoom = min(frame["width"] / 30, frame["height"] / 20)
    page.mouse.click(frame["x"] + frame["width"] / 2 - 12.5 * zoom, frame["y"] + frame["height"] / 2 + 9.5 * zoom)
    wait_data(page, "image", "0")  # in the lowest row of the picture lies the lowest slice
    wait_data(page, "point", "0 20 2")
    page.wait_for_function("document.querySelector('.mv-side[data-plane=sagittal]').dataset.shown === '2'")
    coronal.locator("canvas").focus()
    page.keyboard.press("ArrowUp")
    wait_data(page, "point", "0 19 2")
    page.keyboard.press("Shift+ArrowRight")
    wait_data(page, "point", "0 19 3")
    page.keyboard.press("Shift+ArrowUp")
    wait_data(page, "image", "1")
    ask(page, "thing", "find")
    wait_data(page, "shown", "1")
    page.locator(".mv-region").first.click()
    wait_data(page, "point", "0 2 2")  # the middle of what was chosen
    page.wait_for_function("document.querySelector('.mv-side[data-plane=coronal]').dataset.shown === '2'")
    page.locator(".mv-side[data-plane=sagittal] .mv-side-title").click()
    page.wait_for_selector(".mv-side[data-plane=axial][data-shown]")
    assert page.locator(".mv-plane select").input_value() == "sagittal"
    page.keyboard.press("v")
    page.wait_for_selector(".mv:not(.mv-tri)")
    assert page.locator(".mv-side").count() == 0


def test_what_a_reply_says_of_a_slice_leads_there(volume):
    page = volume
    ask(page, "Where is it most?")
    page.locator(".mv-jump", has_text="slice 2").click()
    wait_data(page, "image", "1")
    page.select_option(".mv-plane select", "coronal")
    wait_data(page, "image", "20")
    page.locator(".mv-jump").focus()
    page.keyboard.press("Enter")
    wait_data(page, "image", "1")
    assert page.locator(".mv-plane select").input_value() == "axial"
    page.keyboard.press("ArrowDown")  # keys work on from there
    wait_data(page, "image", "2")


def test_small_pictures_and_series_are_chosen(open_page, tmp_path):
    write_series(tmp_path / "exam", 6)
    write_series(tmp_path / "exam" / "other", 3, SeriesInstanceUID="1.2.3.9", Modality="MR")
    page = open_page()
    upload(page, tmp_path / "exam", name=".mv-folder")
    page.locator(".mv-thumbnail").nth(3).wait_for()
    cards = page.locator(".mv-series-card")
    assert cards.nth(0).get_attribute("aria-current") == "true"
    assert "MR" in cards.nth(1).inner_text() and "3 slices" in cards.nth(1).inner_text()
    page.locator(".mv-stage canvas").focus()
    page.keyboard.press("End")
    wait_data(page, "image", "5")
    shelf, card = page.locator(".mv-shelf"), cards.nth(1).bounding_box()
    assert shelf.evaluate("(e) => e.scrollTop") > 0 and card["y"] >= shelf.bounding_box()["y"], (
        "the series stay in reach"
    )
    page.locator(".mv-thumbnail").nth(3).click()
    wait_data(page, "image", "3")
    assert page.locator(".mv-thumbnail[aria-current]").inner_text() == "4"
    cards.nth(1).click()
    page.get_by_text("3 images opened").wait_for()
    page.wait_for_function("document.querySelectorAll('.mv-thumbnail').length === 3")
    assert cards.nth(1).get_attribute("aria-current") == "true"
    page.keyboard.press("t")
    page.wait_for_selector(".mv-shelf", state="hidden")


def test_the_magnifier_shows_the_pixels_of_the_source(open_page, tmp_path):
    stripes = np.zeros((1000, 3200), np.uint8)
    stripes[:, ::2] = 90  # which are one grey where the picture is sent smaller
    stripes[:, 2000:] = 255
    PIL.Image.fromarray(stripes).save(tmp_path / "large.png")
    page = open_page()
    opened(page, tmp_path / "large.png")
    ask(page, "thing", "find")
    wait_data(page, "shown", "1")
    page.uncheck("[data-show=masks]")
    size = stripes.shape
    page.mouse.move(*place(page, 1000, 500, size))
    assert data(page, "lens") == ""
    page.keyboard.down("z")
    wait_data(page, "lens", "on")
    page.wait_for_function("document.querySelector('.mv').dataset.detail")
    x, y = place(page, 1000, 500, size)
    script = """([x, y]) => { const c = document.querySelector('.mv-stage canvas'), f = c.getBoundingClientRect();
      return [...c.getContext('2d').getImageData(x - f.x - 10, y - f.y, 20, 1).data].filter((_, i) => i % 4 === 0); }"""
    row = page.evaluate(script, [x, y])
    assert min(row) < 20 and max(row) > 80, row
    page.keyboard.up("z")
    wait_data(page, "lens", "")
    assert min(page.evaluate(script, [x, y])) > 20
    page.click("[data-tool=lens]")
    page.mouse.move(x, y)
    wait_data(page, "lens", "on")
    page.keyboard.press("Escape")
    wait_data(page, "lens", "")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (3840, 2160), (640, 400)])
def test_the_image_is_large_and_text_grows(open_page, png, width, height):
    page = open_page(width, height)
    opened(page, png)
    assert page.locator(".mv-stage").bounding_box()["height"] >= 320
    size = page.evaluate("parseFloat(getComputedStyle(document.querySelector('.mv')).fontSize)")
    assert size >= (19 if width > 3000 else 13)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("width", "height"), [(1024, 768), (768, 1024)])
def test_a_finger_meets_buttons_that_are_large_enough(server, browser, png, width, height):
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=True)
    page = context.new_page()
    page.goto(server[0])
    page.wait_for_selector(".mv-stage canvas")
    opened(page, png)
    small = "all => all.filter(e => e.offsetParent && e.getBoundingClientRect().height < 40).map(e => e.textContent)"
    assert page.eval_on_selector_all(".mv button, .mv select, #mv-ask button", small) == []
    assert page.locator(".mv-stage").bounding_box()["height"] >= 400
    ask(page, "left clavicle", "find")
    page.locator(".mv-finding").wait_for()
    panel, name = page.locator("#mv-panel").bounding_box(), page.locator(".mv-finding .mv-label").bounding_box()
    right = page.eval_on_selector_all(
        ".mv-table td", "all => Math.max(...all.map(e => e.getBoundingClientRect().right))"
    )
    assert right <= panel["x"] + panel["width"] and name["height"] < 30, "beside them a name is whole, on one line"
    context.close()
