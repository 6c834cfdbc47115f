"""What the page asks for beside the picture in view, and names in the margins of what it saves."""

from __future__ import annotations

import base64
import io
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")

from medvlm.report.alignment import Alignment
from medvlm.report.overlay import label_colours
from medvlm.report.prior import laid_values
from medvlm.studies import load_study
from medvlm.studies.priors import Relation
from medvlm.types import Image, Region, Study, Values
from serving.page import looking
from serving.page.compared import beside
from serving.page.legend import labelled, spread
from serving.page.open_study import Prior
from serving.page.session import Session

from .studies import write_nifti


def asked(handler, session, **data):
    """What comes, of whatever name."""
    (sent,) = handler(session, data).values()
    return sent


def picture(src: str) -> np.ndarray:
    return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(src.split(",")[1]))))


@pytest.fixture
def volume(tmp_path):
    session = Session()
    session.open(load_study(write_nifti(tmp_path / "a.nii", "RAS", (1, 1, 2))))
    return session


def holding(*images: np.ndarray) -> Session:
    session = Session()
    session.open(Study([Image(pixels) for pixels in images]))
    return session


def test_all_images_have_small_pictures_or_so_many_evenly_apart():
    sent = asked(looking.thumbnails, holding(*[np.full((40, 640), n, np.uint8) for n in range(150)]))
    numbers = [one["image"] for one in sent["images"]]
    assert (len(numbers), numbers[0], numbers[-1]) == (looking.MOST_THUMBNAILS, 0, 149)
    assert picture(sent["images"][-1]["src"]).shape == (10, 160)
    assert len(asked(looking.thumbnails, holding(*[np.zeros((4, 4), np.uint8)] * 3))["images"]) == 3


def test_planes_go_through_a_point_of_the_stack(volume):
    sent = asked(looking.planes, volume, planes=["axial", "sagittal", "none"], point=[1, 2, 27])
    axial, sagittal = sent["cuts"]
    assert (axial["plane"], axial["image"], axial["count"], axial["size"]) == ("axial", 1, 20, (30, 40))
    assert (picture(axial["src"]) == volume.study.images[1].pixels).all()
    assert (sagittal["image"], sagittal["count"], sagittal["shown"]) == (27, 30, (40, 40))
    assert sagittal["reading"]["letters"] == {"left": "A", "right": "P", "top": "H", "bottom": "F"}


@pytest.mark.parametrize("point", [None, "x", [1], [1e9, -4, "a"], [float("nan")] * 3])
def test_any_point_is_the_nearest_voxel(volume, point):
    for cut in asked(looking.planes, volume, planes=["coronal", "sagittal"], point=point)["cuts"]:
        assert 0 <= cut["image"] < cut["count"]


def test_the_magnifier_is_sent_pixels_of_the_source_in_its_window():
    pixels = np.zeros((1000, 3200), np.uint8)
    pixels[::2] = 200
    session = holding(pixels)
    sent = asked(looking.detail, session, image=0, at=[3100, 20], window=[0, 200], inverted=True)
    assert sent["box"] == (2560, 0, 3200, 640)
    assert (picture(sent["src"])[:2, :2] == [[0, 0], [255, 255]]).all()
    assert "src" not in asked(looking.detail, holding(np.zeros((50, 50), np.uint8)), image=0, at=[3, 3])


def test_faults_are_sentences():
    assert asked(looking.thumbnails, Session())["note"] == "Open an image first."
    session = holding(np.zeros((2000, 2000), np.uint8))
    assert "no image 7" in asked(looking.detail, session, image=7, at=[0, 0])["note"]
    assert "src" not in asked(looking.detail, session, image=0, at=["a", 0])
    assert asked(looking.planes, session, planes=3, point=[0, 0, 0])["cuts"] == []


# Names in the margins


def region(label: str, x: int, y: int) -> Region:
    mask = np.zeros((200, 300), bool)
    mask[y : y + 10, x : x + 10] = True
    return Region(label, 0, (x, y, x + 10, y + 10), mask, 0.9)


def test_names_lie_beside_the_picture_and_not_on_it():
    regions = [region("polyp", 20, 40), region("ulcer", 250, 90)]
    out = labelled(np.zeros((200, 300), np.uint8), regions, 0.5, label_colours(r.label for r in regions))
    left = int((out[:, :, :] == 0).all(axis=(0, 2)).argmax())  # the first column of the picture that nothing lies on
    assert out.shape[0] == 200 and out.shape[1] > 400 and left > 40
    picture = out[:, (out.shape[1] - 300) // 2 - 20 : (out.shape[1] - 300) // 2 + 300]
    assert (picture[120:, 60:200] == 0).all() and (picture[:30, 60:200] == 0).all()
    assert (labelled(np.zeros((20, 30), np.uint8), [], 0.5, {}) == 0).all()


def test_many_names_keep_apart_and_the_rest_is_counted():
    regions = [region(f"thing {n}", 10 + 14 * (n % 20), 12 * (n // 20)) for n in range(60)]
    out = labelled(np.zeros((200, 300), np.uint8), regions, 0.5, label_colours(r.label for r in regions))
    assert out.shape[0] == 200
    names = [SimpleNamespace(row=3.0, y=0.0) for _ in range(9)]
    spread(names, 20, 200)
    heights = [name.y for name in names]
    assert min(np.diff(heights)) >= 20 and heights[0] >= 10 and heights[-1] <= 190


# The prior's values


def test_a_priors_values_lie_where_its_picture_does():
    numbers = np.arange(-1000, 1000, dtype=np.int16)[: 40 * 50].reshape(40, 50)
    images = [Image(np.full((40, 50), n, np.uint8), values=Values(numbers + n, "HU")) for n in range(3)]
    alignment = Alignment(np.eye(4), (3, 40, 50), (3, 40, 50), (0, 1, 2), (0, 1, 2), 0.9)
    prior = Prior(Study(images), "", Relation(None, None), alignment=alignment)
    assert (laid_values(prior.study, alignment, 2, 1600) == numbers + 2).all()
    sent = beside(prior, 1, "HU")
    assert tuple(sent["shown"]) == (50, 40)
    assert sent["values"]["whole"] and beside(prior, 1)["values"] is None  # other numbers are not windowed alike
    images[0].values = None
    assert laid_values(prior.study, alignment, 0, 1600) is None
