"""Corrections as a file: read as it was written, and what cannot be made said in a sentence."""

from __future__ import annotations

import numpy as np
import pytest

from medvlm.errors import RequestError
from medvlm.report.corrections import Corrections, apply, read_corrections, write_corrections
from medvlm.report.edits import (
    KINDS,
    AddFinding,
    AddRegion,
    AddSentence,
    ChangeFinding,
    EditSentence,
    RedrawRegion,
    RejectFinding,
    RejectRegion,
    RejectSentence,
    RenameFinding,
)
from medvlm.types import Report, encode_mask

from .drafts import SIZE, drafted, mask

EVERY_KIND = [
    EditSentence("Findings", 0, "Größer als 3 mm."),
    RejectSentence("Findings", 1),
    AddSentence("Impression", "Stable.", 1),
    RejectFinding(0),
    ChangeFinding(2, "absent"),
    AddFinding("fracture", "uncertain"),
    RenameFinding(1, "fracture"),
    RedrawRegion(1, (1.0, 2.0, 30.0, 40.0)),
    RejectRegion(0),
    AddRegion("lung nodule", 0, (20.0, 15.0, 30.0, 25.0), mask(20, 15, 30, 25)),
]


def test_a_file_is_read_as_it_was_written(tmp_path):
    draft, _ = drafted()
    assert {type(one) for one in EVERY_KIND} == set(KINDS.values())
    before = Corrections.of(draft, EVERY_KIND)
    path = write_corrections(before, tmp_path)
    after = read_corrections(path)
    assert path.name == "report.corrections.json" and after.to_json() == before.to_json()
    assert (after.made[-1].mask == EVERY_KIND[-1].mask).all()
    assert not {"name", "user", "date", "time"} & set(str(path.read_text()).split('"'))  # what, not who or when


GOOD = {"kind": "edit sentence", "section": "Findings", "sentence": 0, "text": "A nodule."}
BOX = [1, 2, 30, 40]


@pytest.mark.parametrize(
    ("one", "words"),
    [
        ({"kind": "praise"}, "needs a kind, one of: edit sentence"),
        ("edit", "needs a kind"),
        (GOOD | {"who": "me"}, "no field 'who'; its fields are kind, section, sentence, text"),
        ({"kind": "edit sentence", "section": "Findings", "sentence": 0}, "needs the field text"),
        (GOOD | {"sentence": "first"}, "must be a whole number"),
        (GOOD | {"sentence": True}, "must be a whole number"),
        (GOOD | {"sentence": -1}, "counts from 0"),
        (GOOD | {"text": " "}, "one line of 1 to 2,000"),
        (GOOD | {"text": "two\nlines"}, "one line"),
        (GOOD | {"sentence": 9}, "sentence 9 of 'Findings', which the draft does not have"),
        (GOOD | {"section": "Poems"}, "sentence 0 of 'Poems'"),
        ({"kind": "reject finding", "finding": 7}, "finding 7, but the draft has findings 0 to 3"),
        ({"kind": "change finding", "finding": 1, "presence": "maybe"}, "one of present, absent, uncertain"),
        ({"kind": "add finding", "label": "unicorn"}, "'unicorn' is not in the vocabulary"),
        ({"kind": "add sentence", "section": "Findings", "text": "A.", "finding": 9}, "finding 9"),
        ({"kind": "reject region", "region": 9}, "region 9"),
        ({"kind": "redraw region", "region": 0}, "needs a box or a mask"),
        ({"kind": "redraw region", "region": 0, "box": [1, 2]}, "four numbers"),
        ({"kind": "redraw region", "region": 0, "box": [1, 2, 90, 40]}, "leaves the image"),
        ({"kind": "add region", "label": "fracture", "image": 0, "box": [90, 2, 95, 4]}, "outside the image"),
        ({"kind": "add region", "label": "fracture", "image": 4, "box": BOX}, "no image 4"),
        ({"kind": "redraw region", "region": 0, "mask": encode_mask(np.ones((5, 5), bool))}, "5 x 5 pixels, its image 80 x 60"),
        ({"kind": "redraw region", "region": 0, "mask": encode_mask(np.zeros(SIZE, bool))}, "empty: reject the region"),
        ({"kind": "redraw region", "region": 0, "mask": {"size": [60, 80], "counts": "oops"}}, "run-length"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_said_in_a_sentence(one, words):
    draft, study = drafted()
    with pytest.raises(RequestError, match=words) as refused:
        apply(draft, Corrections.from_json({"report": Corrections.of(draft).report, "corrections": [one]}), study)
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"report": 3, "corrections": []}', '{"report": "a"}', "[" * 99999]
)
def test_files_that_hold_no_corrections_are_refused(tmp_path, content):
    path = tmp_path / "c.json"
    path.write_text(content)
    with pytest.raises(RequestError):
        read_corrections(path)
    with pytest.raises(RequestError, match="cannot be read"):
        read_corrections(tmp_path / "none.json")


def test_corrections_of_another_report_are_refused():
    draft, study = drafted()
    other = Report(draft.sections[1:], draft.findings, draft.regions, draft.model)
    with pytest.raises(RequestError, match="of another report"):
        apply(draft, Corrections.of(other, [RejectFinding(0)]), study)
