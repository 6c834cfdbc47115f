"""Planes of a volume on the page, without a browser: which are offered, chosen and sent."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")

from medvlm.report.alignment import Alignment
from medvlm.studies import load_study
from medvlm.studies.priors import Relation
from serving.page import payload
from serving.page.handlers import Handlers
from serving.page.open_study import Prior
from serving.page.session import Session
from serving.uploads import Inbox

from .fakes import FakeAssistant
from .studies import write_nifti


@pytest.fixture
def session(tmp_path):
    session = Session()
    session.open(load_study(write_nifti(tmp_path / "a.nii", "RAS", (1, 1, 2))))
    return session


@pytest.fixture
def go(session, tmp_path):
    """Goes to an image of a plane, and gives what the page is sent."""
    (tmp_path / "inbox").mkdir()
    do = Handlers(FakeAssistant, Inbox(tmp_path / "inbox"))

    def to(plane, image=None):
        do.slice(session, {"plane": plane, "image": image})
        return payload.picture(session)

    return to


def test_a_plane_is_chosen_and_left(session, go):
    first = payload.picture(session)
    assert (first["planes"], first["plane"], first["cut"]) == (["axial", "coronal", "sagittal"], "axial", None)
    middle = go("coronal")
    assert (middle["plane"], middle["image"], middle["count"], middle["shown"]) == ("coronal", 20, 40, (30, 40))
    assert middle["cut"]["across"] == 1 and middle["facts"] == "coronal, 21 of 40, cut across the axial slices"
    assert go("coronal", 39)["image"] == 39
    assert session.image == first["image"]  # questions are about the slice that was in view
    assert go("axial")["image"] == first["image"]
    assert go("axial", 3)["image"] == session.image == 3


@pytest.mark.parametrize("image", [-1, 40, "1", 2.5, True])
def test_a_number_that_no_picture_has_is_the_middle(go, image):
    assert go("coronal", image)["image"] == 20


def test_there_is_no_other_plane_beside_a_prior_or_of_thick_slices(session, go, tmp_path):
    go("coronal")
    prior = session.prior = Prior(session.study, "", Relation(None, None))
    prior.alignment = Alignment(np.eye(4), (20, 40, 30), (20, 40, 30), tuple(range(20)), tuple(range(20)), 0.9)
    shown = payload.picture(session)
    assert (shown["planes"], shown["cut"], shown["image"]) == ([], None, session.image)
    session.open(load_study(write_nifti(tmp_path / "b.nii", "RAS", (1, 1, 9))))
    assert payload.picture(session)["planes"] == []
    assert go("coronal", 2)["image"] == 2
