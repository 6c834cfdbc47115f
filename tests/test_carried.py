"""A finding of a draft, drawn on some slices and carried to the others: in the corrections, and in what is made of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from medvlm.errors import RequestError
from medvlm.records.corrected import write_records
from medvlm.report.carried import anchors, carried, origins
from medvlm.report.corrections import PROVENANCE, Corrections, apply, read_corrections, write_corrections
from medvlm.report.edits import AddRegion, EditSentence, RedrawRegion, RejectRegion
from medvlm.types import Finding, Image, Region, Report, Section, Sentence, Study, mask_box

SIZE = (40, 40)
NODULE, MASS = 0, 1


def box(x, y, side=6):
    mask = np.zeros(SIZE, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def region(image, mask, label="lung nodule"):
    return Region(label, image, mask_box(mask), mask, 0.9)


@pytest.fixture
def study():
    images = [Image(np.full(SIZE, i, np.uint8), (1.0, 1.0)) for i in range(6)]
    out = Study(images, "ct", kind="volume")
    out.keep_text = True
    return out


@pytest.fixture
def draft():
    """A nodule on slices 1 and 2, on the latter another one far from it, and a mass on slice 2."""
    regions = [
        region(1, box(10, 10)),
        region(2, box(11, 10)),
        region(2, box(30, 30)),
        region(2, box(0, 0), "lung mass"),
    ]
    findings = [Finding("lung nodule", "present", 0.9, [0, 1, 2]), Finding("lung mass", "present", 0.9, [3])]
    told = [Sentence("Lung nodule.", 0, [0, 1, 2]), Sentence("Lung mass.", 1, [3])]
    return Report([Section("Findings", told)], findings, regions, "tiny")


def redrawn(number, mask, **more):
    return RedrawRegion(number, mask_box(mask), mask, **more)


def found(*images, at=12):
    return [region(image, box(at, 10, 7)) for image in images]


def kinds(made, draft):
    return [(one.to_json()["kind"], getattr(one, "region", None), getattr(one, "carried", None)) for one in made]


def test_a_redrawn_region_is_carried_and_takes_the_place_of_what_it_meets(draft, study):
    made = [EditSentence("Findings", 1, "A mass."), redrawn(0, box(10, 10, 8))]
    (anchor,) = anchors(draft, made, study, NODULE)
    assert anchor.image == 1 and anchor.mask.sum() == 64
    out = carried(draft, made, study, NODULE, found(1, 2, 3))
    assert kinds(out[2:], draft) == [("redraw region", 1, True), ("add region", None, True)]
    assert origins(draft, out) == {0: "drawn", 1: "carried", 4: "carried"}
    report = apply(draft, Corrections.of(draft, out), study)
    shown = sorted((report.regions[i].image, int(report.regions[i].mask.sum())) for i in report.findings[0].regions)
    assert shown == [(1, 64), (2, 36), (2, 49), (3, 49)], "the other nodule of slice 2 stays"
    assert "2 of which were carried from slice to slice" in report.sections[-1].sentences[0].text
    assert report.sections[-1].title == PROVENANCE


def test_what_was_carried_is_not_taken_for_drawn_and_goes_when_it_is_carried_anew(draft, study):
    made = carried(draft, [redrawn(0, box(10, 10, 8))], study, NODULE, found(2, 3, 4))
    assert [r.image for r in anchors(draft, made, study, NODULE)] == [1]
    place = len(draft.regions) + 1  # that carried to slice 4, which a person draws over now
    made = [*made, AddRegion("lung mass", 5, (0, 0, 3, 3), box(0, 0, 3)), redrawn(place, box(12, 12))]
    assert [r.image for r in anchors(draft, made, study, NODULE)] == [1, 4]
    again = carried(draft, made, study, NODULE, found(2, 5, at=11))
    report = apply(draft, Corrections.of(draft, again), study)
    shown = {report.regions[i].image: report.regions[i].mask for i in report.findings[0].regions}
    assert sorted(shown) == [1, 2, 4, 5] and (shown[4] == box(12, 12)).all(), "slice 3 is carried no more"
    assert [report.regions[i].image for i in report.findings[1].regions] == [2, 5], "another finding is left alone"


def test_where_a_person_says_that_it_is_not_it_is_not_carried_over(draft, study):
    made = carried(draft, [redrawn(0, box(10, 10, 8))], study, NODULE, found(2, 3))
    made += [RejectRegion(len(draft.regions))]  # what was carried to slice 3
    given = {r.image: bool(r.mask.any()) for r in anchors(draft, made, study, NODULE)}
    assert given == {1: True, 3: False}
    made = [redrawn(0, box(10, 10, 8)), RejectRegion(2)]
    given = {r.image: bool(r.mask.any()) for r in anchors(draft, made, study, NODULE)}
    assert given == {1: True}, "the other one on slice 2 was no nodule, but the one that is left may be"


def test_two_that_are_met_become_one(draft, study):
    wide = Region("lung nodule", 2, (8, 8, 40, 40), box(8, 8, 32), 0.9)
    out = carried(draft, [redrawn(0, box(10, 10, 8))], study, NODULE, [wide])
    assert kinds(out[1:], draft) == [("redraw region", 1, True), ("reject region", 2, True)]
    assert kinds(carried(draft, out, study, NODULE, found(2))[1:], draft) == [("redraw region", 1, True)]


def test_an_added_finding_is_carried_and_kept_in_a_file_with_its_marks(draft, study, tmp_path):
    made = [AddRegion("heart", 3, (5, 5, 11, 11), box(5, 5))]
    out = carried(draft, made, study, 2, [region(4, box(5, 5), "x")])
    read = read_corrections(write_corrections(Corrections.of(draft, out), tmp_path))
    assert [one.get("carried", False) for one in read.to_json()["corrections"]] == [False, True]
    assert apply(draft, read, study).to_json() == apply(draft, Corrections.of(draft, out), study).to_json()
    assert [r.image for r in anchors(draft, read.made, study, 2)] == [3]
    write_records(draft, apply(draft, read, study), read, study, tmp_path / "records")
    rows = [json.loads(line) for line in (tmp_path / "records/metadata.jsonl").read_text().splitlines()]
    assert [row["id"][-4:] for row in rows] == ["0004"], "what no person drew is nothing to learn from"


def test_nothing_drawn_is_nothing_to_carry(draft, study):
    for made, finding in (([], NODULE), ([], 9), ([redrawn(0, box(1, 1))], MASS), ([RejectRegion(0)], NODULE)):
        with pytest.raises(RequestError, match="Draw the finding on a slice first"):
            anchors(draft, made, study, finding)


def test_a_mark_is_true_or_false():
    one = {"kind": "reject region", "region": 0, "carried": 1}
    with pytest.raises(RequestError, match="must be true or false"):
        Corrections.from_json({"report": "x", "corrections": [one]})
    with pytest.raises(RequestError, match="must be a whole number"):
        Corrections.from_json({"report": "x", "corrections": [one | {"region": True, "carried": True}]})
