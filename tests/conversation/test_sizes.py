"""The tools that measure and compare, over made-up regions: in mm where that is known, in px and % else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medvlm.conversation.writer import beside
from medvlm.types import Study

from .made_up import COLON, CT, EYE, SIZE, MadeUpFinder, MadeUpRecall, run, scene_of, shown, study_of

SMALL, LARGE = shown("polyp", (10, 10, 30, 20)), shown("polyp", (120, 50, 180, 90))
POLYPS = MadeUpFinder(SMALL, LARGE, kind=COLON)
HEART = shown("heart", (60, 40, 120, 80))
LUNGS = shown("left lung", (110, 20, 180, 90)), shown("right lung", (20, 20, 90, 90))


def boxes(result) -> list[tuple]:
    return [region.box for region in result.regions]


# measure


def measured(call: str, finder: MadeUpFinder, study: Study | None = None) -> dict[str, tuple[float, str]]:
    result = run(call, finder, scene_of(finder, study))
    return {m.name: (pytest.approx(m.value, rel=0.02), m.unit) for m in result.measurements}


def test_sizes_are_in_millimetres_where_the_spacing_is_known():
    study = study_of(spacing=(0.5, 0.5))
    assert measured("measure(polyp, area)", POLYPS, study) == {"area": (60 * 40 / 4, "mm2")}
    assert measured("measure(polyp, height)", POLYPS, study) == {"height": (20, "mm")}
    sizes = measured("measure(polyp, size)", POLYPS, study)
    assert set(sizes) == {"longest diameter", "perpendicular diameter", "area"}
    result = run("measure(polyp, length)", POLYPS, scene_of(POLYPS, study))
    assert result.measurements[0].value == pytest.approx(36, rel=0.03) and result.remarks == []


def test_sizes_are_in_pixels_where_it_is_not_and_that_is_said():
    result = run("measure(polyp, area)", POLYPS)
    assert [(m.value, m.unit) for m in result.measurements] == [(2400, "px2")]
    assert result.remarks == ["The pixel spacing is unknown, so sizes are in pixels."]
    assert boxes(result) == [LARGE.box], "the one that is measured"


def test_the_one_that_is_asked_for_is_measured():
    assert measured("measure(polyp, area, which=smallest)", POLYPS) == {"area": (200, "px2")}
    scene = scene_of(POLYPS, focus=[SMALL])
    assert run("measure(it, area)", POLYPS, scene).measurements[0].value == 200


def test_a_box_without_an_outline_has_a_width_and_a_height():
    finder = MadeUpFinder(replace(LARGE, mask=None), kind=COLON)
    assert measured("measure(polyp, width)", finder) == {"width": (60, "px")}
    assert measured("measure(polyp, size)", finder) == {"width": (60, "px"), "height": (40, "px")}
    assert "cannot measure the area of the polyp" in run("measure(polyp, area)", finder).why_not


def test_a_share_is_of_the_image_or_of_another_thing():
    covered = (20 * 10 + 60 * 40) / (SIZE[0] * SIZE[1])
    assert measured("measure(polyp, share)", POLYPS) == {"share": (100 * covered, "percent")}
    nodule = shown("lung nodule", (120, 30, 127, 40))
    assert measured("measure(lung nodule, share, of=left lung)", MadeUpFinder(nodule, *LUNGS)) == {
        "share": (100 * 70 / 4900, "percent")
    }


def test_a_ratio_is_of_the_heart_to_the_chest_or_of_the_cup_to_the_disc():
    result = run("measure(heart, ratio)", MadeUpFinder(HEART, *LUNGS))
    assert [(m.value, m.unit) for m in result.measurements] == [(60 / 160, "ratio")]
    assert run("measure(cardiomegaly, ratio)", MadeUpFinder(HEART, *LUNGS)).measurements == result.measurements
    cup, disc = shown("optic cup", (60, 40, 80, 60)), shown("optic disc", (50, 30, 90, 70))
    for thing in ("optic cup", "optic disc"):
        (found,) = run(f"measure({thing}, ratio)", MadeUpFinder(cup, disc, kind=EYE)).measurements
        assert found.value == 0.5


def test_the_size_of_a_heart_on_a_film_comes_with_its_ratio():
    assert "The cardiothoracic ratio is 0.38." in run("measure(heart, size)", MadeUpFinder(HEART, *LUNGS)).remarks
    assert not any("ratio" in one for one in run("measure(heart, size)", MadeUpFinder(HEART)).remarks)


def test_a_ratio_without_its_other_half_says_what_is_missing():
    why_not = run("measure(heart, ratio)", MadeUpFinder(HEART)).why_not
    assert (
        why_not
        == "For a ratio of the heart I would need the left lung and the right lung as well, which I do not find."
    )


def test_a_size_against_a_number_is_yes_or_no_in_its_unit():
    finder, study = MadeUpFinder(shown("polyp", (10, 10, 70, 30)), kind=COLON), study_of(spacing=(1.0, 1.0))
    scene = scene_of(finder, study)
    assert run("measure(polyp, height, over=1 cm)", finder, scene).value is True
    assert run("measure(polyp, height, over=30 mm)", finder, scene).value is False
    assert run("measure(polyp, height, over=30 mm, not)", finder, scene).value is True
    unfit = run("measure(polyp, height, under=3 cm)", finder)
    assert unfit.value is None and "20.0 px, which cannot be compared with 3 cm" in unfit.why_not


# compare


def test_the_larger_of_two_things():
    liver, spleen = shown("liver", (10, 10, 70, 70)), shown("spleen", (120, 20, 150, 50))
    finder = MadeUpFinder(liver, spleen, kind=CT)
    result = run("compare(liver | spleen, larger)", finder, scene_of(finder, question="Which is larger?"))
    assert result.value == "liver" and [m.value for m in result.measurements] == [3600, 900]
    assert result.likelihood == pytest.approx(0.8)
    assert run("compare(liver | spleen, smaller)", finder).value == "spleen"
    assert run("compare(liver | spleen, higher)", finder).value == "spleen", "its middle is nearer to the top"


def test_whether_one_is_larger_is_yes_or_no():
    finder = MadeUpFinder(shown("liver", (10, 10, 70, 70)), shown("spleen", (120, 20, 150, 50)), kind=CT)

    def asked(call: str, question: str):
        return run(call, finder, scene_of(finder, question=question))

    result = asked("compare(liver | spleen, larger)", "Is the liver larger than the spleen?")
    assert result.value is True and result.remarks == ["The liver is larger."]
    assert asked("compare(spleen | liver, larger)", "Is the spleen larger than the liver?").value is False
    assert asked("compare(liver | spleen, larger, not)", "Is the liver not larger than the spleen?").value is False
    assert asked("compare(liver | spleen, larger)", "Is the liver or the spleen larger?").value == "liver"


def test_both_of_a_pair_are_compared():
    finder = MadeUpFinder(shown("left kidney", (120, 30, 150, 70)), shown("right kidney", (30, 30, 50, 70)), kind=CT)
    result = run("compare(kidney, larger)", finder)
    assert result.value == "left kidney" and len(result.regions) == 2


def test_more_of_one_thing_than_of_another():
    red = [shown("red blood cell", (10 * n, 10, 10 * n + 5, 20)) for n in range(3)]
    finder = MadeUpFinder(*red, kind=("microscopy", "blood"))
    result = run("compare(red blood cell | white blood cell, more)", finder)
    assert result.value == "red blood cell" and [m.value for m in result.measurements] == [3, 0]
    assert run("compare(red blood cell | white blood cell, fewer)", finder).value == "white blood cell"


def test_nothing_is_compared_with_what_is_not_found():
    result = run("compare(liver | spleen, larger)", MadeUpFinder(shown("liver", (10, 10, 70, 70)), kind=CT))
    assert result.why_not == "I do not find spleen here, so there is nothing to compare."
    assert "Name two things" in run("compare(liver, larger)", MadeUpFinder(kind=CT)).why_not


def test_areas_are_compared_in_millimetres_where_they_are_known():
    finder = MadeUpFinder(shown("liver", (10, 10, 70, 70)), shown("spleen", (120, 20, 150, 50)), kind=CT)
    result = run("compare(liver | spleen, larger)", finder, scene_of(finder, study_of(spacing=(0.5, 0.4))))
    assert [(m.name, m.value, m.unit) for m in result.measurements] == [
        ("liver", pytest.approx(720), "mm2"),
        ("spleen", pytest.approx(180), "mm2"),
    ]


def test_sizes_that_hardly_differ_are_said_to():
    finder = MadeUpFinder(shown("liver", (10, 10, 70, 70)), shown("spleen", (100, 10, 160, 71)), kind=CT)
    assert run("compare(liver | spleen, larger)", finder).remarks == ["They differ by less than 5 %."]


def test_whether_a_thing_is_enlarged_is_told_by_the_short_answers_with_its_size_beside():
    finder = MadeUpFinder(shown("liver", (10, 10, 50, 40)), kind=CT)
    call = "measure(liver, size, is=enlarged)"
    sure = run(call, finder, recall=MadeUpRecall({"Yes": 0.9, "No": 0.1}))
    assert sure.value is True and sure.who == "short"
    assert "It measures" in " ".join(beside(sure, scene_of(finder)))
    unsure = run(call, finder, recall=MadeUpRecall({"Yes": 0.2, "No": 0.1}))
    assert unsure.value is None and unsure.measurements and "no normal size" in unsure.remarks[-1]
    missing = run(call, MadeUpFinder(kind=CT), recall=MadeUpRecall({"Yes": 0.9}))
    assert missing.value == 0, "what is not there is not enlarged"


def test_no_thing_is_a_share_of_itself():
    lesion = shown("consolidation", (30, 30, 60, 60))
    film = MadeUpFinder(*LUNGS, lesion)
    (share,) = run("measure(right lung, share, of=right lung)", film).measurements
    assert (
        share.value < 50 and run("measure(right lung, share, of=right lung)", film).regions[0].label == "consolidation"
    )


def test_whether_a_size_is_normal_is_told_by_the_ratio_that_has_a_limit_alone():
    wide = shown("heart", (40, 40, 160, 80))  # 120 of 160 px

    def judged(thing, *beside):
        finder = MadeUpFinder(thing, *beside)
        return run("measure(it, size, is=normal)", finder, scene_of(finder, focus=[thing]), MadeUpRecall({"Yes": 0.9}))

    assert judged(HEART, *LUNGS).value is True and "0.38" in judged(HEART, *LUNGS).remarks[0]
    assert judged(wide, *LUNGS).value is False
    assert judged(LUNGS[0]).why_not == "I have no normal range for the size of the left lung, so I cannot tell."
    nodule = judged(shown("lung nodule", (10, 10, 20, 20)))
    assert nodule.value is False and "abnormal itself, whatever its size" in nodule.remarks[0]
