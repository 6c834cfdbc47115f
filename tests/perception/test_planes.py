"""Other planes through a volume: which way up they are, and when there are any."""

from dataclasses import replace

import numpy as np
import pytest

from medvlm.perception.planes import STRETCH, planes_of
from medvlm.studies import load_study

from ..studies import write_nifti


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SAR", "ASL", "PIR"])
def test_planes_are_shown_as_slices_are(tmp_path, codes):
    """The marker lies to the right, in front and at the foot, in whatever order the file has its axes."""
    study = load_study(write_nifti(tmp_path / "a.nii", codes))
    planes = planes_of(study)
    assert {name: plane.count for name, plane in planes.items()} == {"axial": 20, "coronal": 40, "sagittal": 30}
    (own,) = [name for name, plane in planes.items() if plane.across == 0]
    corners = {
        "axial": (slice(0, 5), slice(0, 5)),
        "coronal": (slice(18, 20), slice(0, 5)),
        "sagittal": (slice(18, 20), slice(0, 5)),
    }
    for name, plane in planes.items():
        if name == own:
            continue
        pictures = [plane.picture(study, i) for i in range(plane.count)]
        assert {picture.shape for picture in pictures} == {plane.shown}
        marked = [i for i, picture in enumerate(pictures) if picture.any()]
        assert len(marked) == {"axial": 2, "coronal": 5, "sagittal": 5}[name]
        assert min(marked) == 0 or max(marked) == plane.count - 1
        picture = pictures[marked[0]]
        assert (picture[corners[name]] > 0).all() and (picture > 0).sum() == (picture[corners[name]] > 0).sum()


def test_pixels_are_square(tmp_path):
    study = load_study(write_nifti(tmp_path / "a.nii", "RAS", (1, 1, 3)))
    coronal = planes_of(study)["coronal"]
    assert (coronal.size, coronal.shown) == ((20, 30), (60, 30))
    assert coronal.picture(study, 39).shape == (60, 30)


def test_thick_slices_and_unknown_places_have_no_planes(tmp_path):
    study = load_study(write_nifti(tmp_path / "a.nii", "RAS", (1, 1, STRETCH + 0.1)))
    assert planes_of(study) == {}
    study = load_study(write_nifti(tmp_path / "b.nii", "RAS"))
    assert planes_of(study)
    assert planes_of(replace(study, space=None)) == planes_of(replace(study, kind="series")) == {}
    assert np.all([planes_of(replace(study, images=study.images[:1])) == {}])
