"""What the page is sent for reading: the patient's sides, sizes, values before any window, and windows."""

from __future__ import annotations

import base64
import io
import zlib

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")

from medvlm.errors import RequestError
from medvlm.studies import Limits, load_study
from medvlm.studies.display import apply_window
from medvlm.types import Image, Region, Study, Values
from serving.page.open_study import Layer
from serving.page.reading import reading
from serving.page.saving import download
from serving.page.session import Session
from serving.page.windows import Display, display_of, displayed, packed, window_of

from .studies import write, write_nifti, write_series

KEEP = Limits(max_value_bytes=2**20)


def unpacked(sent, size):
    """As `windows.js` does it."""
    data = zlib.decompress(base64.b64decode(sent["data"]))
    if not sent["whole"]:
        return np.frombuffer(data, "<f4").reshape(size)
    return np.cumsum(np.frombuffer(data, "<i2").reshape(size), axis=1, dtype=np.int16)


def tissue(height: int = 40, width: int = 50) -> np.ndarray:
    """Hounsfield units of a body in air, as stored with 1024 added."""
    out = np.full((height, width), 24, np.uint16)
    body = np.arange(height * width).reshape(height, width) % 200
    out[8:32, 10:40] = (body + 960)[8:32, 10:40]
    return out


@pytest.fixture
def ct(tmp_path):
    return write(
        tmp_path / "ct.dcm", tissue(), RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400
    )


# Values


def test_values_are_kept_where_asked_for_and_change_no_pixel(ct):
    plain, kept = load_study(ct), load_study(ct, KEEP)
    assert plain.images[0].values is None
    assert (plain.images[0].pixels == kept.images[0].pixels).all()
    values = kept.images[0].values
    assert values.unit == "HU" and values.numbers.dtype == np.int16
    assert (values.numbers == tissue().astype(int) - 1024).all()


def test_values_that_pass_the_limit_are_not_kept(tmp_path):
    write_series(tmp_path, 5)
    size = load_study(tmp_path).images[0].pixels.size * 2
    assert all(image.values for image in load_study(tmp_path, Limits(max_value_bytes=5 * size + 1)).images)
    assert not any(image.values for image in load_study(tmp_path, Limits(max_value_bytes=4 * size)).images)


def test_values_lie_as_the_image_is_shown(tmp_path):
    study = load_study(write_nifti(tmp_path / "a.nii", "LPS"), KEEP)
    image = study.images[3]
    window = study.metadata["window"]
    assert (apply_window(image.values.numbers, tuple(window)) == image.pixels).all()


def test_deep_pictures_keep_theirs(tmp_path):
    deep = np.arange(600, dtype=np.uint16).reshape(20, 30) * 50
    PIL.Image.fromarray(deep).save(tmp_path / "a.png")
    values = load_study(tmp_path / "a.png", KEEP).images[0].values
    assert values.unit == "" and (values.numbers == deep).all()


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_values_come_back_in_the_browser_as_they_were(dtype):
    numbers = np.random.default_rng(0).integers(-32768, 32768, (7, 9)).astype(dtype)
    assert (unpacked(packed(numbers), (7, 9)) == numbers).all()


def test_a_cut_has_its_own_values(tmp_path):
    study = load_study(write_nifti(tmp_path / "a.nii", "RAS", (1, 1, 2)), KEEP)
    sent = reading(study, 0, "coronal", 7)
    numbers = unpacked(sent["values"], (40, 30))
    assert sent["name"] == "coronal, 8 of 40" and sent["spacing"] == (1.0, 1.0)
    assert sent["letters"] == {"left": "R", "right": "L", "top": "H", "bottom": "F"}
    assert (numbers[-1] == study.images[0].values.numbers[7]).all()


# Windows


def test_the_window_of_a_picture_is_told_by_its_pixels():
    values = np.arange(-1000, 1000).reshape(40, 50).astype(np.int16)
    assert window_of(values, apply_window(values, (-160, 240))) == ((-160, 240), False)
    assert window_of(values, 255 - apply_window(values, (-160, 240))) == ((-160, 240), True)
    assert window_of(values, np.zeros((40, 50), np.uint8)) == ((-1000, 999), False)


def test_presets_are_those_of_the_kind_of_image(ct):
    sent = reading(load_study(ct, KEEP), 0)
    assert sent["unit"] == "HU" and [one["name"] for one in sent["presets"]] == ["Soft tissue", "Lung", "Bone", "Brain"]
    values = np.arange(200 * 300).reshape(200, 300) % 30_000
    plain = Study([Image((values >> 7).astype(np.uint8), values=Values(values.astype(np.int16)))])
    other = reading(plain, 0)
    assert other["unit"] == "" and other["presets"][0] == {"name": "Full range", "low": 0.0, "high": 29_999.0}
    colour = reading(Study([Image(np.zeros((9, 9, 3), np.uint8))]), 0)
    assert colour["values"] is None and colour["presets"] == []


def test_an_image_is_saved_in_the_window_that_is_seen(tmp_path):
    values = np.linspace(-1000, 1000, 2000).reshape(40, 50).astype(np.int16)
    image = Image(apply_window(values, (-160, 240)), values=Values(values, "HU"))
    leaving = image.pixels.copy()
    leaving[30:] = 0  # blacked out
    assert displayed(image, leaving, Display()) is leaving
    lung = displayed(image, leaving, Display((-1350, 150)))
    assert (lung[:30] == apply_window(values, (-1350, 150))[:30]).all() and not lung[35:].any()
    assert (displayed(image, leaving, Display(None, True))[:30] == 255 - image.pixels[:30]).all()


@pytest.mark.parametrize("window", [[1], "ab", [2, 1], [0, float("nan")], [None, 3], [0, 1e300], {"a": 1}])
def test_windows_that_are_none_are_refused(window):
    with pytest.raises(RequestError, match=r"two numbers"):
        display_of({"window": window})
    assert display_of(None) == display_of({"window": None, "inverted": 1}) == Display()


def test_a_saved_overlay_is_large_enough_to_be_read(tmp_path):
    session, mask = Session(), np.zeros((60, 80), bool)
    mask[20:30, 20:30] = True
    study = Study([Image(np.zeros((60, 80), np.uint8))], keep_text=True)
    session.open(study)
    session.layer = Layer("Found", [Region("polyp", 0, (20, 20, 30, 30), mask, 0.9)])
    _, url = download(session, "png", 0.3, tmp_path)
    saved = PIL.Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))
    assert saved.height == 780 and saved.width > 1040  # a margin beside it holds the name


# Sides and sizes


def test_sides_are_told_only_where_the_files_state_them(ct, tmp_path):
    volume = load_study(write_nifti(tmp_path / "a.nii", "RAS", (0.5, 2, 3)))
    sent = reading(volume, 4)
    assert sent["letters"] == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    assert sent["name"] == volume.images[4].name and sent["spacing"] == volume.images[4].spacing_mm
    volume.sides_known = False
    assert reading(volume, 4)["letters"] is None
    bare = reading(Study([Image(np.zeros((9, 9), np.uint8))]), 0)
    assert (bare["letters"], bare["spacing"], bare["name"]) == (None, None, "")


def test_what_an_image_holds_counts_its_values(ct):
    plain, kept = load_study(ct).images[0], load_study(ct, KEEP).images[0]
    assert (plain.nbytes, kept.nbytes) == (2000, 6000)
