"""The page as a reading viewer: slices by wheel and keys, windows, sides, values, a ruler, and names where there are many regions."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from tests.studies import place as placed
from tests.studies import write

from .conftest import SIZE
from .test_page import ask, data, opened, pixel, place, wait_data

LUNG, TISSUE = -800, 40  # HU, of the image's left half and right half


@pytest.fixture
def ct(tmp_path):
    """Axial slices, 200 x 300 pixels of 0.5 mm."""
    stored = np.full(SIZE, LUNG, np.int16)
    stored[:, 150:] = TISSUE
    stored[:4] = -1024
    stored[196:] = np.linspace(-200, 300, SIZE[1]).astype(np.int16)
    for n in range(9):
        stated = {"RescaleIntercept": 0, "RescaleSlope": 1, "PixelSpacing": [0.5, 0.5], "InstanceNumber": n}
        write(tmp_path / f"{n}.dcm", stored, WindowCenter=40, WindowWidth=400, **stated, **placed(2.0 * n))
    return sorted(tmp_path.glob("*.dcm"))


def edges(page) -> str:
    return "".join(page.inner_text(f"[data-edge={edge}]") for edge in ("left", "right", "top", "bottom"))


def test_the_wheel_and_keys_scroll_a_stack_and_control_zooms(open_page, ct):
    page = open_page()
    opened(page, *ct)
    wait_data(page, "image", "4")
    page.mouse.move(*place(page, 200, 90))
    page.mouse.wheel(0, 100)
    wait_data(page, "image", "5")
    assert data(page, "zoom") == "1" and page.inner_text(".mv-named") == "slice 6 of 9"
    for key, image in (("ArrowUp", "4"), ("PageUp", "0"), ("End", "8"), ("Home", "0")):
        page.keyboard.press(key)
        wait_data(page, "image", image)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    page.wait_for_function("document.querySelector('.mv').dataset.zoom > 1.5")
    assert data(page, "image") == "0"
    page.keyboard.press("f")
    wait_data(page, "zoom", "1")
    page.keyboard.press("?")
    page.get_by_text("one slice back or on").wait_for()
    page.keyboard.press("Escape")
    page.wait_for_selector(".mv-help", state="hidden")


def test_keys_of_one_character_can_be_switched_off_for_good(open_page, ct):
    page = open_page()

    def presses(tool: str) -> None:
        for key in ("Escape", "b"):
            page.keyboard.press(key)
        assert page.locator(".mv-stage").get_attribute("data-tool") == tool

    def switch() -> None:
        page.locator("[data-read=help]").click()
        page.locator(".mv-help label").click()
        page.keyboard.press("Escape")
        page.wait_for_selector(".mv-help", state="hidden")

    opened(page, *ct)
    presses("box")
    switch()
    presses("move")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    wait_data(page, "image", "1")
    page.keyboard.press("?")
    assert not page.locator(".mv-help").is_visible()
    page.reload()
    page.wait_for_function("document.querySelector('.mv')?.dataset.image")
    presses("move")
    switch()
    presses("box")


def test_window_value_sides_and_flip(open_page, ct):
    page = open_page()
    opened(page, *ct)
    left, right = (75.5, 100.5), (225.5, 100.5)
    assert edges(page) == "RLAP"
    assert (pixel(page, *left) == 0).all() and abs(int(pixel(page, *right)[0]) - 127) <= 2
    page.mouse.move(*place(page, *right))
    assert page.inner_text(".mv-under") == "x 225, y 100  ·  40 HU"
    page.keyboard.press("2")
    assert data(page, "window") == "-1350 150" and page.locator(".mv-level").input_value() == "-600"
    assert abs(int(pixel(page, *left)[0]) - 94) <= 2
    page.mouse.wheel(0, 100)
    wait_data(page, "image", "5")
    assert abs(int(pixel(page, *left)[0]) - 94) <= 2  # the next slice too
    page.keyboard.press("i")
    assert abs(int(pixel(page, *left)[0]) - 161) <= 2
    page.keyboard.press("i")
    page.keyboard.press("h")
    assert edges(page) == "LRAP" and abs(int(pixel(page, *right)[0]) - 94) <= 2
    page.mouse.move(*place(page, 80.5, 100.5))
    assert page.inner_text(".mv-under") == "x 219, y 100  ·  40 HU"
    page.mouse.down(button="right")
    page.mouse.move(*place(page, 80.5, 60), steps=3)
    page.mouse.up(button="right")
    low, high = map(int, data(page, "window").split())
    assert low > -1350 and high - low == 1500  # up: a higher level
    page.keyboard.press("0")
    page.fill(".mv-width", "800")
    page.keyboard.press("Enter")
    assert data(page, "window") == "-360 440"


def test_the_ruler_measures_and_keys_draw(open_page, ct):
    page = open_page()
    opened(page, *ct)
    page.keyboard.press("m")
    page.mouse.move(*place(page, 100, 50))
    page.mouse.down()
    page.mouse.move(*place(page, 180, 110), steps=3)
    page.mouse.up()
    assert abs(float(data(page, "rulers").removesuffix(" mm")) - 50) < 0.5  # 100 pixels of 0.5 mm
    assert page.inner_text(".mv-scale").endswith(" mm")
    page.keyboard.press("Delete")
    assert data(page, "rulers") == ""
    for key in ("Shift+ArrowLeft", "Enter", *["Shift+ArrowRight"] * 5, "Enter"):
        page.keyboard.press(key)
    assert data(page, "rulers").endswith(" mm")
    page.keyboard.press("ArrowDown")
    wait_data(page, "rulers", "")  # of the slice that it was drawn on


def test_many_regions_are_named_under_the_pointer_alone(open_page, tmp_path):
    spots = np.zeros(SIZE, np.uint8)
    for n in range(8):
        spots[60 + 80 * (n // 4) : 80 + 80 * (n // 4), 30 + 60 * (n % 4) : 50 + 60 * (n % 4)] = 200
    PIL.Image.fromarray(spots).save(tmp_path / "spots.png")
    page = open_page()
    opened(page, tmp_path / "spots.png")
    ask(page, "spot", "find")
    wait_data(page, "shown", "8")
    page.click("[data-tool=ruler]")  # so that a pointer that rests selects nothing
    frame = page.locator(".mv-stage canvas").bounding_box()
    tag = lambda: pixel(page, 33, 57.5)  # noqa: E731
    assert (tag() == 0).all()
    page.mouse.move(*place(page, 40, 70))
    assert (tag() > 0).any()
    page.mouse.move(frame["x"] + 5, frame["y"] + 5)
    assert (tag() == 0).all()
