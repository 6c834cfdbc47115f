"""Text in pixels: what is found and blacked out, what stays, and that nothing of it is kept or sent."""

from __future__ import annotations

import gc
import json
import logging
import socket
import sys

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import pytest

from medvlm.cli import main
from medvlm.errors import RequestError
from medvlm.report.export import check_possible, write_report
from medvlm.studies import burned_in
from medvlm.types import Image, Study

from .fakes import FakeAssistant

pytest.importorskip("rapidocr")


def picture(text: str, corner=(12, 10), size=16, side=(320, 240), ink=255, paper=20) -> np.ndarray:
    """uint8 `(H, W)`: a bright disc, and text in a corner."""
    image = PIL.Image.new("L", side, paper)
    draw = PIL.ImageDraw.Draw(image)
    draw.ellipse((110, 80, 210, 180), fill=180)
    draw.text(corner, text, fill=ink, font=PIL.ImageFont.load_default(size))
    return np.asarray(image)


def ink_left(before: np.ndarray, after: np.ndarray, ink=255) -> float:
    """The share of a text's pixels that are still to be seen."""
    return float((after[before == ink] == ink).mean())


@pytest.mark.parametrize("text", ["DOE^JANE 12345678", "born 12.03.1957", "Ward 7b"])
def test_names_numbers_and_dates_are_blacked_out(text):
    pixels = picture(text)
    boxes = burned_in.find_text(pixels)
    after = burned_in.blacked_out(pixels, boxes)
    assert ink_left(pixels, after) < 0.02
    assert (after[80:180] == pixels[80:180]).all(), "the disc is as it was"
    assert all(isinstance(value, int) for box in boxes for value in box), "boxes, and no text"


def test_dark_writing_on_white_and_in_colour():
    pixels = np.repeat(picture("DOE^JANE 12345678", ink=0, paper=255)[..., None], 3, axis=2)
    after = burned_in.blacked_out(pixels, burned_in.find_text(pixels))
    assert (after[12:26, 14:150] == 0).all()


@pytest.mark.parametrize("text", ["L", "R", "10 cm", "RT"])
def test_marks_of_side_and_scale_stay(text):
    assert burned_in.find_text(picture(text, size=22)) == []


@pytest.mark.parametrize(
    "text, named",
    [
        ("L", False),
        ("rt", False),
        ("5.0 mm", False),
        ("77340091 mm", True),
        ("cm", False),
        ("A", False),
        ("Li", True),
        ("4711", True),
        ("AP", True),
    ],
)
def test_what_identifies(text, named):
    assert burned_in.identifies(text) == named


def test_small_text_in_a_large_image():
    chance = np.random.default_rng(0)
    film = PIL.Image.fromarray(chance.integers(0, 120, (60, 80), dtype=np.uint8)).resize((1600, 1200))
    PIL.ImageDraw.Draw(film).text((1200, 1100), "DOE^JANE", fill=255, font=PIL.ImageFont.load_default(20))
    pixels = np.asarray(film)
    assert ink_left(pixels, burned_in.blacked_out(pixels, burned_in.find_text(pixels))) < 0.02


def test_flat_tiles_of_a_large_image_are_passed_over():
    assert list(burned_in._tiles(np.full((1200, 1200), 7, np.uint8))) == []


def test_text_is_sought_once_in_an_image_s_life(monkeypatch):
    looked = []
    monkeypatch.setattr(burned_in, "find_text", lambda pixels: looked.append(1) or [(0, 0, 2, 2)])
    study = Study([Image(np.full((8, 8), 9, np.uint8))])
    first, second = (burned_in.leaving_pixels(study, 0) for _ in range(2))
    assert len(looked) == 1 and (first == second).all() and not first[:2, :2].any()
    assert study.images[0].pixels.all(), "the study's own pixels stay"
    held = len(burned_in._found)
    study.images.clear()
    gc.collect()
    assert len(burned_in._found) == held - 1, "what was found goes with its image"


def test_no_network_and_no_torchvision(monkeypatch, caplog, capfd):
    def refuse(*args, **more):
        raise AssertionError("something was contacted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    burned_in._reader.cache_clear()
    with caplog.at_level(logging.DEBUG):
        assert burned_in.find_text(picture("DOE^JANE 12345678"))
    assert "JANE" not in caplog.text and capfd.readouterr() == ("", "")
    assert "torchvision" not in sys.modules


def test_without_the_ocr_one_sentence_and_keep_text_does_without(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    burned_in._reader.cache_clear()
    study = Study([Image(picture("DOE^JANE"))])
    report = FakeAssistant().report(study)
    with pytest.raises(RequestError, match=r"pip install 'medvlm-assistant\[privacy\]'.*--keep-text"):
        check_possible(["png"], study)
    with pytest.raises(RequestError, match="rapidocr"):
        write_report(report, study, tmp_path / "out", ["png"])
    assert not (tmp_path / "out").exists()
    check_possible(["md", "csv"], study)
    study.keep_text = True
    check_possible(["png"], study)
    write_report(report, study, tmp_path / "out", ["coco"])
    kept = np.asarray(PIL.Image.open(tmp_path / "out/coco/images/image_001.png"))
    assert (kept == study.images[0].pixels).all()
    burned_in._reader.cache_clear()


@pytest.mark.parametrize("keep", [False, True])
def test_from_the_command_line(tmp_path, capsys, keep):
    pixels = picture("DOE^JANE 12345678", ink=90)  # darker than what the stand-in takes for a finding
    PIL.Image.fromarray(pixels).save(tmp_path / "in.png")
    flag = ["--keep-text"] if keep else []
    source, out = str(tmp_path / "in.png"), tmp_path / "out"
    load = lambda args: FakeAssistant()  # noqa: E731
    assert main(["report", source, "-o", str(out), "--format", "png,coco", "--json", *flag], load) == 0
    overlay = ["--overlay", str(out / "ground.png")]
    assert main(["ground", source, "thing", *overlay, "--json", *flag], load) == 0
    assert (
        main(["segment", source, "--box", "1,1,300,200", "--overlay", str(out / "box.png"), "--json", *flag], load) == 0
    )
    assert all(json.loads(line) for line in capsys.readouterr().out.splitlines())
    for path in ("coco/images/image_001.png", "overlays/image_001.png", "ground.png"):
        shown = np.asarray(PIL.Image.open(out / path).convert("L"))
        assert (ink_left(pixels, shown, 90) > 0.9) == keep, path
