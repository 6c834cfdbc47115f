"""A report draft as a user corrects it on the page, and an outline carried through a volume."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from medvlm.perception.carry import carry
from medvlm.types import Region, mask_box
from tests.fakes import FakeAssistant
from tests.studies import write_nifti

from .conftest import served
from .test_page import data, draw, opened, pixel, place, upload, wait_data

STRANGE = "A <b data-stranger>scar</b>."


def reported(page, png) -> None:
    opened(page, png)
    page.click("#mv-report-button")
    page.wait_for_selector(".mv-finding")


def sentence(page, text: str):
    return page.locator(".mv-line", has_text=text)


def stroke(page, tool: str, *points) -> None:
    page.click(f"[data-tool={tool}]")
    page.mouse.move(*place(page, *points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*place(page, *point), steps=4)
    page.mouse.up()


def test_sentences_and_findings_are_corrected_undone_and_saved(open_page, png):
    page = open_page()
    reported(page, png)
    head = page.locator("button.mv-sentence").first.inner_text()
    row = page.locator(".mv-line", has=page.locator("button.mv-sentence")).first
    row.get_by_role("button", name="Edit this sentence").click()
    page.get_by_role("textbox", name="Sentence").fill(STRANGE)
    page.keyboard.press("Enter")
    sentence(page, STRANGE).get_by_text("edited", exact=True).wait_for()
    assert page.locator("[data-stranger]").count() == 0, "what a person writes is text"
    page.click("[data-step='-1']")
    sentence(page, head).first.wait_for()
    page.locator(".mv-stage canvas").focus()
    page.keyboard.press("Control+Shift+Z")
    sentence(page, STRANGE).wait_for()
    page.locator(".mv-line", has=page.locator(".mv-finding")).get_by_role("button", name="Reject this finding").click()
    wait_data(page, "shown", "0")
    page.get_by_role("button", name="As the draft has it").click()
    wait_data(page, "shown", "1")
    with page.expect_download() as download:
        page.get_by_text("Save corrections").click()
    saved = json.loads(Path(download.value.path()).read_text())
    assert [(one["kind"], one.get("text")) for one in saved["corrections"]] == [("edit sentence", STRANGE)]


def test_brush_and_clicks_are_honoured_under_the_cursor(open_page, png):
    page = open_page()
    reported(page, png)
    page.click(".mv-region")
    wait_data(page, "lit", "0")
    stroke(page, "brush", (200, 20), (240, 20))
    page.locator(".mv-is-drawn").wait_for()
    painted, beside = pixel(page, 220, 20), pixel(page, 220, 40)
    assert painted[0] > painted[2] + 20 and (beside == 0).all()
    assert data(page, "lit") == "0", "it is still the one that is drawn"
    stroke(page, "eraser", (100, 90), (140, 90))
    page.wait_for_function("document.querySelector('[data-save=records]')")
    page.locator(".mv-stage canvas").focus()
    page.wait_for_timeout(500)
    assert np.ptp(pixel(page, 120, 90)) == 0 and np.ptp(pixel(page, 120, 110)) > 20
    page.click("[data-tool=minus]")
    page.mouse.click(*place(page, 80, 70))
    page.get_by_text("Segmenting…").wait_for(state="hidden")
    page.click("[data-tool=move]")  # which takes the mark of the click away
    assert np.ptp(pixel(page, 80, 70)) == 0 and np.ptp(pixel(page, 160, 120)) > 20
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    page.wait_for_timeout(700)
    assert np.ptp(pixel(page, 120, 90)) > 20 and np.ptp(pixel(page, 220, 20)) > 20
    page.fill(".mv-add input", "heart")
    page.click(".mv-add button")
    page.locator(".mv-finding[aria-pressed=true]", has_text="heart").wait_for()
    draw(page, 10, 150, 50, 180)
    wait_data(page, "lit", "1")
    assert page.locator(".mv-region").nth(1).inner_text().startswith("heart")


def test_what_is_not_saved_is_not_lost_silently(open_page, png):
    page, asked = open_page(), []
    reported(page, png)
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    study = data(page, "study")
    page.locator(".mv-finding").first.wait_for()
    page.get_by_role("button", name="Add a sentence to Impression").click()
    page.get_by_role("textbox", name="New sentence").fill("A second look.")
    page.locator(".mv-stage canvas").click()  # leaving the field takes it
    sentence(page, "A second look.").wait_for()
    page.locator(".mv-close").click()
    page.wait_for_timeout(300)
    page.evaluate("location.reload()")
    page.wait_for_timeout(300)
    assert asked == ["confirm", "beforeunload"] and data(page, "study") == study
    with page.expect_download():
        page.click("[data-save=corrections]")
    upload(page, png)
    page.wait_for_function(f"document.querySelector('.mv').dataset.study !== '{study}'")
    page.locator(".mv-close").first.click()
    page.wait_for_function("document.querySelectorAll('.mv-close').length === 1")
    assert len(asked) == 2


class Slices(FakeAssistant):
    """Carries an outline to the slices above and below, as it is."""

    def segment(self, study, image=None, box=None, points=None, scribble=None):
        return [
            Region(r.label, image, r.box, r.mask, r.score) for r in super().segment(study, image, box, points, scribble)
        ]

    def carry(self, study, drawn):
        masks = {region.image: region.mask for region in drawn}
        return carry(study, drawn, lambda study, at, scribble: [
            Region("region", at, mask_box(mask), mask, 0.9) for near, mask in masks.items() if abs(near - at) <= 2
        ])  # fmt: skip


def test_an_outline_is_carried_through_a_volume(open_page, tmp_path, tmp_path_factory):
    with served(Slices(), tmp_path_factory.mktemp("inbox")) as (url, _):
        page = open_page(url=url)
        opened(page, write_nifti(tmp_path / "a.nii", "RAS"))
        size = (40, 30)
        page.click("[data-tool=box]")
        page.mouse.move(*place(page, 5, 5, size))
        page.mouse.down()
        page.mouse.move(*place(page, 20, 25, size), steps=4)
        page.mouse.up()
        page.get_by_role("button", name="Carry to the neighbouring slices").click()
        page.get_by_text("Carried: slices 9 to 13 of 20", exact=True).wait_for()
        assert page.locator(".mv-region").count() == 5 and page.locator(".mv-is-drawn").count() == 1
        page.click("[data-step='-1']")
        page.get_by_text("From the drawn box").wait_for()
        assert page.locator(".mv-region").count() == 1


def test_a_finding_of_a_report_is_drawn_carried_and_undone(open_page, tmp_path, tmp_path_factory):
    with served(Slices(), tmp_path_factory.mktemp("inbox")) as (url, _):
        page = open_page(url=url)
        opened(page, write_nifti(tmp_path / "a.nii", "RAS"))
        page.click("#mv-report-button")
        page.fill(".mv-add input", "heart")
        page.click(".mv-add button")
        page.locator(".mv-finding[aria-pressed=true]", has_text="heart").wait_for()
        assert page.get_by_role("button", name="Carry heart").count() == 0
        page.click("[data-tool=box]")
        page.mouse.move(*place(page, 5, 5, (40, 30)))
        page.mouse.down()
        page.mouse.move(*place(page, 20, 25, (40, 30)), steps=4)
        page.mouse.up()
        page.get_by_role("button", name="Carry heart to the neighbouring slices").click()
        page.get_by_text("Carried: slices 1 to 3 of 20").wait_for()
        assert page.locator(".mv-is-carried").count() == 2
        page.click("[data-step='-1']")
        page.locator(".mv-is-carried").first.wait_for(state="detached")
        assert page.locator(".mv-finding", has_text="heart").count() == 1
