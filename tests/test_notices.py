"""What is said beside every answer."""

from __future__ import annotations

import numpy as np

from medvlm.notices import SIDES_ASSUMED, add_notices, notices, scope
from medvlm.types import Finding, Image, Report, Section, Sentence, Study


def study(count: int = 1, **known) -> Study:
    images = [Image(np.zeros((4, 4), np.uint8), name=f"slice {n + 1} of {count}") for n in range(count)]
    return Study(images, **known)


def test_sides_are_called_assumed_where_the_files_do_not_say() -> None:
    assert notices(study(), ["heart", "left lung"]) == [SIDES_ASSUMED]
    assert notices(study(sides_known=True, notices=["A gap."]), ["left lung"]) == ["A gap."]
    assert notices(study(notices=["A gap."]), ["heart", "cleft"]) == ["A gap."]


def test_a_report_says_its_notices() -> None:
    found = [Finding("left lung", "present", 0.9, [0]), Finding("right lung", "absent", 0.9)]
    report = add_notices(Report([Section("Examination", [Sentence("CT.")])], found, []), study(notices=["A gap."]))
    assert report.to_json()["notices"] == ["A gap.", SIDES_ASSUMED]
    assert [s.text for s in report.sections[0].sentences] == ["CT.", "A gap.", SIDES_ASSUMED]
    absent = add_notices(Report([Section("Examination", [])], found[1:], []), study())
    assert absent.notices == []


def test_the_images_that_were_looked_at() -> None:
    assert scope(study(), [0], 0) == ""
    assert scope(study(40), [11], 11) == "slice 12 of 40"
    assert scope(study(40), [0, 11, 39], 11) == "3 of 40 images, most on slice 12 of 40"
    assert scope(study(40), [0, 39]) == "2 of 40 images"
