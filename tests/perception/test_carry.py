"""What is drawn on one slice is carried on until it vanishes; what is drawn on further slices is honoured."""

from __future__ import annotations

import numpy as np
import pytest

from medvlm.errors import RequestError
from medvlm.perception.carry import carry, core, reach
from medvlm.types import Image, Region, Study, mask_box

SIZE = (40, 60)


def disc(x: float, radius: float, image: int = 0) -> Region:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    mask = (rows - 20) ** 2 + (columns - x) ** 2 <= radius**2
    return Region("region", image, mask_box(mask), mask, 0.9)


NOWHERE = Region("region", 0, (0.0, 0.0, 0.0, 0.0), np.zeros(SIZE, bool), 1.0)


class Slices:
    """A study of discs, one a slice or none, and a way to outline what a prompt touches in them."""

    def __init__(self, *discs: Region | None):
        self.discs = discs
        images = [Image(np.zeros(SIZE, np.uint8)) for _ in discs]
        self.study, self.asked = Study(images, kind="volume"), list[int]()

    def segment(self, study: Study, at: int, scribble: np.ndarray) -> list[Region]:
        self.asked.append(at)
        there = self.discs[at]
        touched = there is not None and there.mask is not None and bool((there.mask & scribble).any())
        return [Region("region", at, there.box, there.mask, 0.8)] if touched and there else []

    def carried(self, *drawn: Region) -> dict[int, Region]:
        return {region.image: region for region in carry(self.study, drawn, self.segment)}


def test_it_is_carried_both_ways_until_it_vanishes():
    slices = Slices(None, disc(30, 6), disc(31, 8), disc(32, 9), disc(33, 8), None, disc(33, 8))
    drawn = disc(32, 10, image=3)
    found = slices.carried(drawn)
    assert list(found) == [1, 2, 3, 4] and found[3] is drawn
    assert sorted(slices.asked) == [0, 1, 2, 4, 5], "no further than the slice that has it no more"


def test_another_thing_at_its_place_is_not_taken_for_it():
    slices = Slices(disc(30, 4), disc(30, 4), disc(30, 19))
    assert list(slices.carried(disc(30, 4, image=0))) == [0, 1]


def test_what_is_corrected_on_a_further_slice_is_carried_from_there():
    slices = Slices(*[disc(20, 8)] * 3, *[disc(24, 8)] * 4)
    first, second = disc(20, 8, image=0), disc(40, 5, image=4)
    found = slices.carried(first, second)
    assert found[0] is first and found[4] is second and {1, 2} <= found.keys()
    assert 3 not in found and 5 not in found, "what is there is another thing than what was drawn last"


def test_where_it_is_said_not_to_be_it_is_not():
    slices = Slices(*[disc(20, 8)] * 6)
    gone = Region("region", 3, NOWHERE.box, NOWHERE.mask, 1.0)
    found = slices.carried(disc(20, 8, image=0), gone)
    assert list(found) == [0, 1], "half way to the slice that has it not"


def test_a_drawn_slice_answers_for_those_nearest_to_it():
    def reached(at: int, step: int) -> list[int]:
        return list(reach(at, step, {2: None, 6: None}, 9))

    assert (reached(2, -1), reached(2, 1), reached(6, -1), reached(6, 1)) == ([1, 0], [3, 4], [5], [7, 8])
    assert list(reach(2, 1, {2: None, 3: None}, 9)) == []
    assert [list(reach(0, 1, {0: None, 3: None}, 4)), list(reach(3, -1, {0: None, 3: None}, 4))] == [[1], [2]]


def test_only_what_is_drawn_on_a_volume_is_carried():
    slices = Slices(disc(20, 8), disc(20, 8))
    with pytest.raises(RequestError, match="slice of a volume"):
        carry(Study(slices.study.images, kind="series"), [disc(20, 8)], slices.segment)
    for drawn in ([], [NOWHERE], [Region("region", 0, (0, 0, 9, 9), None, 1.0)]):
        with pytest.raises(RequestError, match="Draw an outline"):
            slices.carried(*drawn)


def test_the_core_of_a_mask_lies_deep_inside_and_is_never_nothing():
    mask = disc(30, 8).mask
    inner = core(mask)
    assert inner.any() and not (inner & ~mask).any() and inner.sum() < mask.sum() / 2
    line = np.zeros(SIZE, bool)
    line[3, 4:30] = True
    assert (core(line) == line).all()
