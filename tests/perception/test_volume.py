"""Regions of slices become bodies: connected across slices, without specks, measured where the files tell how slices lie."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from medvlm.perception.volume import Lattice, bodies_of, cleaned, lattice_of
from medvlm.studies import load_study
from medvlm.types import Body, Image, Region, Study, mask_box

from ..studies import place, write, write_nifti

SIZE = (40, 60)  # (H, W)
THICK = Lattice(5.0, (1.0, 1.0))  # of 5 mm slices with pixels of 1 mm


def region(*box: int, image: int = 0) -> Region:
    """A region whose mask fills `[x0, y0, x1, y1]`."""
    mask = np.zeros(SIZE, bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return Region("thing", image, mask_box(mask), mask, 0.9)


def joined(*regions: Region) -> Region:
    mask = np.any([r.mask for r in regions], axis=0)
    return Region("thing", 0, mask_box(mask), mask, 0.9)


# Bodies


def test_what_overlaps_from_slice_to_slice_is_one_body():
    slices = [[region(0, 0, 10, 10)], [region(5, 5, 15, 15)], [region(14, 14, 20, 20)], [region(40, 30, 44, 34)]]
    assert [len(body) for body in bodies_of(slices)] == [3, 1]


def test_a_slice_joins_what_the_one_before_shows_apart_and_a_gap_parts():
    fork = [[region(0, 0, 5, 5), region(20, 0, 25, 5)], [region(0, 0, 25, 5)], [], [region(0, 0, 25, 5)]]
    assert [len(body) for body in bodies_of(fork)] == [3, 1]


def test_parts_of_one_region_are_apart_and_corners_touch():
    both = joined(region(0, 0, 5, 5), region(20, 20, 25, 25))
    assert len(bodies_of([[both]])) == 2
    assert len(bodies_of([[joined(region(0, 0, 5, 5), region(5, 5, 9, 9))]])) == 1


def test_regions_that_were_told_apart_stay_apart_though_they_touch():
    side_by_side = [region(0, 0, 10, 10), region(10, 0, 20, 10)]
    assert len(bodies_of([side_by_side, side_by_side])) == 2


def test_a_region_without_a_mask_counts_as_its_box():
    boxed = Region("thing", 0, (0.0, 0.0, 10.0, 10.0), None, 0.9)
    left, body = cleaned([[boxed], [region(5, 5, 15, 15)]], THICK, one=False)
    assert body.count == 1 and left == [[boxed], left[1]] and body.volume_ml == pytest.approx(200 * 5 / 1000)


# Specks


def test_what_is_wide_and_stands_in_one_slice_alone_is_dropped():
    there = [region(0, 0, 12, 12)], [region(0, 0, 12, 12)], [region(0, 0, 12, 12)], []
    wide, small = region(20, 10, 36, 26), region(40, 0, 44, 4)  # 18 and 5 mm across, where a slice has 5 mm
    there[1].extend([wide, small])
    left, body = cleaned(there, THICK, one=False)
    assert left[1] == [there[1][0], small] and body.count == 2


def test_the_first_and_the_last_slice_may_cut_something_off():
    slices = [[region(0, 0, 20, 20)], [], [region(0, 0, 20, 20)], [], [region(0, 0, 20, 20)]]
    left, body = cleaned(slices, THICK, one=False)
    assert [len(here) for here in left] == [1, 0, 0, 0, 1] and body.slices == (0, 4)


def test_in_slices_as_thin_as_pixels_nothing_stands_in_one_alone():
    slices = [[], [region(0, 0, 2, 2)], []]
    assert cleaned(slices, Lattice(1.0, (1.0, 1.0)), one=False)[1] is None
    assert cleaned(slices, THICK, one=False)[1].count == 1


def test_beside_the_one_there_is_a_crumb_is_no_part_of_it():
    liver, crumb = region(0, 0, 20, 20), region(30, 30, 33, 33)
    slices = [[joined(liver, crumb)], [liver], [liver]]
    (first, *_), body = cleaned(slices, THICK, one=True)
    assert first[0].box == (0, 0, 20, 20) and first[0].mask.sum() == 400 and body.count == 1
    assert slices[0][0].mask[31, 31], "what was found is left as it was"
    assert cleaned(slices, THICK, one=False)[1].count == 2


def test_without_a_known_distance_of_slices_only_crumbs_are_dropped():
    slices = [[region(0, 0, 20, 20)], [region(0, 0, 20, 20), region(30, 0, 50, 20)], [region(0, 0, 20, 20)]]
    left, body = cleaned(slices, Lattice(), one=True)
    assert [len(here) for here in left] == [1, 2, 1]
    assert (body.volume_ml, body.extent_mm, body.count) == (None, None, 2)


def test_nothing_makes_no_body():
    assert cleaned([[], [], []], THICK, one=True) == ([[], [], []], None)


# Sizes


def test_a_ball_has_the_volume_of_a_ball():
    radius, z = 15, np.arange(31) - 15
    y, x = np.mgrid[:40, :40] - 20
    slices = []
    for depth in z:
        mask = x**2 + y**2 + depth**2 <= radius**2
        slices.append([Region("thing", 0, mask_box(mask), mask, 0.9)] if mask.any() else [])
    body = cleaned(slices, Lattice(1.0, (1.0, 1.0), np.eye(3)[:, ::-1]), one=True)[1]
    assert body.volume_ml == pytest.approx(4 / 3 * np.pi * 1.5**3, rel=0.02)
    assert body.extent_mm == pytest.approx((31, 31, 29), abs=2) and body.largest == 15


def test_the_first_of_slices_that_show_as_much_is_named():
    assert cleaned([[region(0, 0, 9, 9)], [region(0, 0, 9, 9)]], THICK, one=True)[1] == Body((0, 1), 0, 1, 0.81)


CODES = ["".join(p[s] for p, s in zip(o, sides, strict=True)) for o in permutations(("RL", "AP", "SI"))
         for sides in product((0, 1), repeat=3)]  # fmt: skip


@pytest.mark.parametrize("codes", CODES)
def test_extents_are_along_the_patients_axes_however_a_file_lies(tmp_path: Path, codes: str):
    """A marker of 5 x 5 x 2 voxels of 1 x 2 x 3 mm."""
    study = load_study(write_nifti(tmp_path / "v.nii.gz", codes, (1.0, 2.0, 3.0)))
    body = marked(study)
    assert body.extent_mm == pytest.approx((5, 10, 6), abs=0.01) and body.volume_ml == pytest.approx(0.3)


def test_a_tilted_stack_has_the_volume_of_its_slices_distance(tmp_path: Path):
    for n in range(4):  # slices 3 mm apart, each 1 mm further to the front
        where = {"ImagePositionPatient": [0, -n, 3 * n], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
        stored = np.zeros((20, 10), np.uint8)
        stored[5:15, 2:6] = 255
        write(tmp_path / f"{n}.dcm", stored, PixelSpacing=[0.5, 2], InstanceNumber=n, **where)
    body = marked(load_study(tmp_path))
    assert body.volume_ml == pytest.approx(4 * 10 * 4 * 0.5 * 2 * 3 / 1000, rel=0.02)
    assert body.extent_mm == pytest.approx((8, 0.5 * 10 + 3 + 1, 12), abs=0.01)


def test_uneven_slices_have_no_volume(tmp_path: Path):
    for n, z in enumerate((0, 3, 6, 12, 15)):
        write(tmp_path / f"{n}.dcm", np.full((8, 8), 255, np.uint8), PixelSpacing=[1, 1], **place(z))
    study = load_study(tmp_path)
    assert lattice_of(study) == Lattice(None, (1.0, 1.0)) and any("missing" in notice for notice in study.notices)
    assert marked(study).volume_ml is None


def test_where_no_file_tells_the_sides_there_are_no_extents():
    images = [Image(np.zeros(SIZE, np.uint8), (1.0, 1.0)) for _ in range(2)]
    assert lattice_of(Study(images, kind="volume", metadata={"slice_spacing_mm": 2.0})) == Lattice(2.0, (1.0, 1.0))
    assert lattice_of(Study(images, kind="volume")).voxel_ml is None


def marked(study: Study) -> Body:
    """What is bright in a study."""
    slices = [
        [Region("marker", 0, mask_box(mask), mask, 1.0)] if (mask := image.pixels > 100).any() else []
        for image in study.images
    ]
    body = cleaned(slices, lattice_of(study), one=False)[1]
    assert body is not None
    return body


def test_what_is_smaller_than_the_smallest_is_no_body():
    slices = [[region(0, 0, 3, 3), region(20, 20, 30, 30)], [region(0, 0, 3, 3), region(20, 20, 30, 30)]]
    left, body = cleaned(slices, THICK, one=False, smallest=6.0)  # 90 and 1,000 mm3, where a ball of 6 mm has 113
    assert [len(here) for here in left] == [1, 1] and body.count == 1 and left[0][0] is slices[0][1]
    assert cleaned(slices, THICK, one=False, smallest=5.0)[1].count == 2
    assert cleaned(slices, Lattice(None, None), one=False, smallest=6.0)[1].count == 2, "unknown distances"
