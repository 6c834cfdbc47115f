"""The chat page as a user meets it: a real headless Chromium over a fake assistant that finds what is bright."""

from __future__ import annotations

import json
import time
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from tests.fakes import square
from tests.studies import write, write_series

from .conftest import BOX, SIZE


def upload(page, *paths, name: str = ".mv-files") -> None:
    page.set_input_files(name, [str(path) for path in paths])


def opened(page, *paths) -> None:
    upload(page, *paths)
    page.wait_for_selector(".mv-open")
    page.get_by_text("The model takes it for").wait_for()


def ask(page, text: str, button: str = "ask") -> None:
    page.fill("#mv-text textarea", text)
    page.click(f"#mv-{button}-button")


def check_report(page, text: str) -> None:
    page.click(".mv-check summary")
    page.fill(".mv-check textarea", text)
    page.click(".mv-check button")


def draw(page, x0: float, y0: float, x1: float, y1: float) -> None:
    """Draw a box with the mouse, in pixels of the image."""
    page.click("[data-tool=box]")
    page.mouse.move(*place(page, x0, y0))
    page.mouse.down()
    page.mouse.move(*place(page, (x0 + x1) / 2, (y0 + y1) / 2), steps=4)
    page.mouse.move(*place(page, x1, y1), steps=4)
    page.mouse.up()


def files(server) -> set[Path]:
    """What lies in the inbox: also what pages left that were closed, since they may only be loaded anew."""
    return set(server[1].iterdir())


def data(page, name: str) -> str:
    return page.evaluate(f"document.querySelector('.mv').dataset.{name}")


def wait_data(page, name: str, value: str) -> None:
    page.wait_for_function(f"document.querySelector('.mv').dataset.{name} === {json.dumps(value)}")


def place(page, x: float, y: float, size=SIZE) -> tuple[float, float]:
    """Screen position of an image pixel while the whole image is fitted into the viewer."""
    frame = page.locator(".mv-stage canvas").bounding_box()
    zoom = min(frame["width"] / size[1], frame["height"] / size[0])
    left, top = (frame["width"] - size[1] * zoom) / 2, (frame["height"] - size[0] * zoom) / 2
    return frame["x"] + left + x * zoom, frame["y"] + top + y * zoom


def pixel(page, x: float, y: float, size=SIZE) -> np.ndarray:
    """The colour on the canvas at an image pixel."""
    sx, sy = place(page, x, y, size)
    script = """([x, y]) => { const c = document.querySelector('.mv-stage canvas'), f = c.getBoundingClientRect();
      const k = c.width / f.width;
      return [...c.getContext('2d').getImageData(Math.round((x - f.x) * k), Math.round((y - f.y) * k), 1, 1).data]; }"""
    return np.array(page.evaluate(script, [sx, sy])[:3])


@pytest.mark.parametrize(("width", "height", "density"), [(1440, 900, 1), (1280, 800, 2), (390, 844, 1), (390, 844, 2)])
def test_upload_ask_and_region(open_page, png, server, width, height, density):
    page = open_page(width, height, density)
    before = files(server)
    opened(page, png)
    assert files(server) <= before  # nothing of an upload stays on disk
    assert (pixel(page, 120, 90) == 200).all()
    ask(page, "Where is it? find bright thing")
    page.get_by_text("confidence 80 %, 1 region shown").wait_for()
    wait_data(page, "shown", "1")
    page.mouse.move(2, 2)  # off the list, which lights what is under the pointer
    tinted = pixel(page, 120, 90)
    assert tinted[0] > tinted[2] + 20  # amber over grey
    assert (pixel(page, 20, 20) == 0).all()
    page.click(".mv-region")
    wait_data(page, "lit", "0")
    lit = pixel(page, 120, 90)
    assert lit[0] - lit[2] > tinted[0] - tinted[2]
    page.uncheck("[data-show=masks]")
    assert np.ptp(pixel(page, 120, 90)) == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_click_on_the_image_selects_in_the_list(open_page, png):
    page = open_page()
    opened(page, png)
    ask(page, "bright thing", "find")
    page.get_by_text("1 region found").wait_for()
    page.mouse.click(*place(page, 100, 100))
    page.wait_for_selector(".mv-region[aria-pressed=true]")
    page.mouse.click(*place(page, 5, 5))
    wait_data(page, "lit", "")
    page.locator("[data-show=opacity]").fill("90")
    assert pixel(page, 120, 90)[2] < 60
    ask(page, "absent thing", "find")
    page.get_by_text("Not found").first.wait_for()
    wait_data(page, "shown", "0")
    page.locator("#mv-chat .mv-reply").nth(1).click()  # an earlier reply shows its regions again
    wait_data(page, "shown", "1")


def test_box_and_points_segment(open_page, png):
    page = open_page()
    opened(page, png)
    draw(page, 100, 60, 160, 120)
    page.get_by_text("From the drawn box").wait_for()
    box = json.loads("[" + page.get_attribute(".mv-region", "title").split("box ")[1].removesuffix(" px") + "]")
    assert np.abs(np.array(box) - [100, 60, 160, 120]).max() <= 2
    page.click("[data-tool=minus]")
    page.mouse.click(*place(page, 10, 10))
    page.get_by_text("Now add a point inside").wait_for()
    page.click("[data-tool=plus]")
    page.mouse.click(*place(page, 110, 80))
    page.get_by_text("From the points").wait_for()
    page.click("[data-do=clear]")
    wait_data(page, "shown", "0")


def test_zoom_pan_and_fit(open_page, png):
    page = open_page()
    opened(page, png)
    x, y = place(page, 70, 90)
    assert (pixel(page, 40, 90) == 0).all()
    page.mouse.move(*place(page, 90, 90))
    page.mouse.wheel(0, -300)  # about the pointer: what was left of it moves further left
    page.wait_for_function("document.querySelector('.mv').dataset.zoom > 1.5")
    assert (pixel(page, 40, 90) == 200).all()
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(*place(page, 170, 90), steps=3)
    page.mouse.up()
    assert (pixel(page, 40, 90) == 0).all()
    page.click("[data-do=fit]")
    assert (pixel(page, 70, 90) == 200).all() and (pixel(page, 40, 90) == 0).all()


def test_report_sentences_and_downloads(open_page, png):
    page = open_page()
    opened(page, png)
    page.click("#mv-report-button")
    page.click("button.mv-sentence")
    wait_data(page, "lit", "0")
    saved = {}
    formats = page.eval_on_selector_all("[data-save]", "all => all.map((one) => one.dataset.save)")
    assert formats == ["md", "json", "pdf", "fhir", "nifti", "csv", "coco"], "a PNG has no DICOM record"
    for selector in ("[data-do=png]", *(f"[data-save={name}]" for name in formats)):
        with page.expect_download() as download:
            page.click(selector)
        saved[download.value.suggested_filename] = Path(download.value.path()).read_bytes()
    names = {"overlay.png", "report.md", "report.json", "report.pdf", "report.fhir.json", "report.csv"}
    assert set(saved) == {*names, "masks_image_001.nii.gz", "report.coco.zip"}
    assert saved["report.pdf"].startswith(b"%PDF")
    assert saved["overlay.png"].startswith(b"\x89PNG")
    assert b"# Report draft" in saved["report.md"]
    assert json.loads(saved["report.json"])["findings"]


def test_a_dicom_study_is_reported_into_its_record(open_page, tmp_path):
    page = open_page()
    upload(page, write(tmp_path / "film.dcm", square(SIZE, BOX), StudyInstanceUID="1.2.4", PixelSpacing=[0.5, 0.5]))
    page.wait_for_selector(".mv-open")
    page.click("#mv-report-button")
    page.wait_for_selector("[data-save=sr]")
    for name in ("seg", "sr"):
        with page.expect_download() as download:
            page.click(f"[data-save={name}]")
        content = Path(download.value.path()).read_bytes()
        assert content[128:132] == b"DICM" or zipfile.is_zipfile(download.value.path()), name


LATE = """const plain = window.fetch;
  window.fetch = async (...request) => {
    const reply = await plain(...request);
    if (!String(request[0].url || request[0]).includes("/results?")) return reply;
    const late = new TransformStream({
      async transform(chunk, out) { await new Promise(go => setTimeout(go, 1000)); out.enqueue(chunk); } });
    return new Response(reply.body.pipeThrough(late), { headers: reply.headers });
  };"""


def test_no_click_is_lost_while_results_come_late(open_page, png):
    """A request that is made when the last results are sent, but have not come yet, is answered all the same."""
    page = open_page(script=LATE)
    opened(page, png)
    page.wait_for_timeout(2_500)
    ask(page, "Is it the first?")
    page.wait_for_timeout(500)  # answered there, not yet here
    ask(page, "absent thing", "find")
    page.get_by_text("Not found").first.wait_for(timeout=20_000)


def test_what_is_typed_while_results_come_late_stays(open_page, png):
    """Two questions in a row are both answered, and neither answer takes what was typed after them."""
    page = open_page(script=LATE)
    opened(page, png)
    ask(page, "Is it the first?")
    ask(page, "Is it the second?")
    page.fill("#mv-text textarea", "Is it the third?")
    page.get_by_text("confidence 80 %").nth(1).wait_for()
    assert page.input_value("#mv-text textarea") == "Is it the third?"
    page.click("#mv-ask-button")
    page.get_by_text("confidence 80 %").nth(2).wait_for()
    page.wait_for_function("document.querySelector('#mv-text textarea').value === ''")


def test_bad_input_gets_a_sentence_and_the_next_works(open_page, png, tmp_path):
    page = open_page()
    ask(page, "Which organ?")
    page.get_by_text("Open an image first.").wait_for()
    assert page.input_value("#mv-text textarea") == "Which organ?"
    bad = tmp_path / "scan.dcm"
    bad.write_text("not a scan at all")
    upload(page, bad)
    page.get_by_text("scan.dcm is").wait_for()
    opened(page, png)
    upload(page, bad)
    page.get_by_text("scan.dcm is").wait_for()
    assert page.locator(".mv-open").count() == 1  # what was open stays
    ask(page, "   ")
    page.get_by_text("The question is empty").wait_for()
    ask(page, "x" * 20_000)
    page.get_by_text("shorten it to 4,000").wait_for()
    ask(page, "что это", "find")
    page.get_by_text("Ask in English").wait_for()
    ask(page, "please explode")
    page.get_by_text("Something went wrong on our side").wait_for()
    assert page.get_by_text("ZeroDivisionError").count() == 0
    ask(page, "Is it bright?")
    page.get_by_text("confidence 80 %").wait_for()


def test_slices(open_page):
    page = open_page()
    page.click("[data-example=ybr_color]")
    wait_data(page, "image", "20")
    page.locator(".mv-slices input").fill("3")
    wait_data(page, "image", "2")
    page.locator(".mv-facts", has_text="frame 3 of 30").wait_for()
    page.focus(".mv-stage canvas")
    page.keyboard.press("ArrowDown")
    wait_data(page, "image", "3")


def test_folder_and_several_images(open_page, tmp_path):
    page = open_page()
    for n in range(3):
        PIL.Image.fromarray(square(SIZE, BOX, 100 + 50 * n)).save(tmp_path / f"{n}.png")
    opened(page, *sorted(tmp_path.glob("*.png")))
    page.get_by_text("3 images opened").wait_for()
    page.locator(".mv-slices input").fill("3")
    wait_data(page, "image", "2")
    assert (pixel(page, 120, 90) == 200).all()


def test_another_series_of_an_upload_can_be_chosen(open_page, tmp_path, server):
    write_series(tmp_path / "exam", 4)
    write_series(tmp_path / "exam" / "other", 3, SeriesInstanceUID="1.2.3.9", Modality="MR")
    page = open_page()
    before = files(server)
    upload(page, tmp_path / "exam", name=".mv-folder")
    page.get_by_text("4 images opened").wait_for()
    page.get_by_text("Series 1 of 2 is taken").wait_for()
    options = page.locator(".mv-series option")
    assert options.count() == 2 and options.first.inner_text().startswith("1: CT")
    page.locator(".mv-series select").select_option("2")
    page.get_by_text("3 images opened").wait_for()
    assert page.locator(".mv-slices output").inner_text().endswith("/ 3")
    assert len(files(server) - before) == 1  # from which the first series can be opened again
    page.click(".mv-study .mv-close")
    end = time.monotonic() + 20
    while files(server) - before and time.monotonic() < end:
        page.wait_for_timeout(50)
    assert files(server) <= before, "the files go when the tab is closed"


def test_two_sessions_share_nothing(open_page, png, server):
    first, second = open_page(), open_page()
    opened(first, png)
    ask(first, "secret question, find bright thing")
    first.get_by_text("1 region shown").wait_for()
    second.reload()
    second.wait_for_selector(".mv-stage canvas")
    assert second.locator(".mv-open").count() == 0
    assert second.get_by_text("secret question").count() == 0
    ask(second, "Which organ?")
    second.get_by_text("Open an image first.").wait_for()
    ask(second, "bright thing", "find")
    assert second.locator(".mv-region").count() == 0
    second.click("[data-example=mr]")
    second.wait_for_selector(".mv-open")
    assert data(first, "study") != data(second, "study")
    assert first.locator(".mv-region").count() == 1
    (secret,) = (page for page in pages(server) if "secret question" in str(page.session.chat.messages))
    first.close()
    end = time.monotonic() + 60
    while server[2].page(secret.id) and time.monotonic() < end:
        second.wait_for_timeout(500)
    assert not server[2].page(secret.id)  # of the closed tab its own window alone finds something for a while


def pages(server) -> list:
    """Those that the server knows to be open."""
    return [page for place in server[2]._places.values() for page in place.pages.values()]
