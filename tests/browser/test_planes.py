"""The planes of a volume as a user meets them: chosen, with the regions cut there, and findings that lead to their place."""

from __future__ import annotations

import pytest

from medvlm.types import Grounding
from tests.fakes import FakeAssistant
from tests.studies import write_nifti

from .conftest import served
from .test_page import ask, data, opened, pixel, place, wait_data


class VolumeAssistant(FakeAssistant):
    """Looks at every slice."""

    def ground(self, study, phrases, image=None):
        found = [super(VolumeAssistant, self)._ground(study, phrases, i) for i in range(len(study.images))]
        return Grounding([r for one in found for r in one.regions], {p: 0.9 for p in phrases}, [])


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with served(VolumeAssistant(), tmp_path_factory.mktemp("inbox")) as (url, _):
        yield url


def test_a_finding_leads_to_its_place_in_every_plane(open_page, tmp_path, address):
    page = open_page(url=address)
    opened(page, write_nifti(tmp_path / "a.nii", "RAS"))
    assert data(page, "image") == "10" and page.locator(".mv-plane select").input_value() == "axial"
    ask(page, "thing", "find")
    wait_data(page, "shown", "1")  # the slice that shows it, not the one that was in view
    page.locator(".mv-slices input").fill("9")
    wait_data(page, "shown", "0")
    page.select_option(".mv-plane select", "coronal")
    wait_data(page, "image", "20")
    wait_data(page, "shown", "0")
    page.locator(".mv-region").first.click()
    wait_data(page, "shown", "2")  # what is of the slice of that row, lit, and the rest
    page.locator(".mv-region").first.click()
    wait_data(page, "shown", "1")
    size = (20, 30)  # head up, the patient's right on the left: the marker lies in the lower left corner
    right, elsewhere = pixel(page, 2, 18.5, size), pixel(page, 2, 1.5, size)
    assert right[0] > right[2] + 20 and (elsewhere < 20).all()
    page.mouse.click(*place(page, 2, 18.5, size))
    wait_data(page, "lit", "0 1")  # of both slices
    page.select_option(".mv-plane select", "axial")
    wait_data(page, "shown", "1")
