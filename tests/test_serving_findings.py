"""The table of findings, and what is said of regions that a person drew."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")

from medvlm.types import Image, Region, Study, mask_box
from serving.page.findings import marks, table
from serving.page.legend import labelled
from serving.page.open_study import Layer
from serving.page.outline import Outlines

SIZE = (40, 60)


def region(x0: int, y0: int, x1: int, y1: int, score: float = 0.9) -> Region:
    mask = np.zeros(SIZE, bool)
    mask[y0:y1, x0:x1] = True
    return Region("nodule", 0, mask_box(mask), mask, score)


def test_regions_of_a_row_are_measured_as_the_row_is():
    study = Study([Image(np.zeros(SIZE, np.uint8), spacing_mm=(0.5, 2.0))])
    bare = Region("nodule", 0, (0, 0, 10, 10), None, 0.9)
    top = Layer("Found", [region(5, 5, 15, 9), region(30, 10, 34, 30), bare])
    (row,) = table(top, study)
    assert row["size"] == "20 mm"
    assert row["sizes"] == ["20 mm", "12 mm", "20 mm"]  # not the sides of their boxes in pixels
    (row,) = table(Layer("Found", top.regions[:1]), study)
    assert row["sizes"] == []


def test_no_probability_is_written_on_what_a_person_drew():
    one, other = region(5, 5, 15, 9, 0.3), region(5, 5, 15, 9, 0.8)
    picture, colours = np.zeros(SIZE, np.uint8), {"nodule": (255, 170, 0)}
    said = marks(Layer("Outline", [one], work=Outlines("Outline", one)))
    assert said == ["drawn"]
    first, second = (labelled(picture, [each], 0.3, colours, said) for each in (one, other))
    assert (first == second).all()
    first, second = (labelled(picture, [each], 0.3, colours) for each in (one, other))
    assert first.shape != second.shape or (first != second).any()
