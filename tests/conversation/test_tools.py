"""Each tool over made-up regions and facts: what it gives, and what it says where it has nothing to give."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medvlm.conversation.tools import unknown
from medvlm.conversation.writer import answer_text

from .made_up import CELLS, COLON, CT, EYE, FILM, MRI, MadeUpFinder, MadeUpRecall, run, scene_of, shown, study_of

SMALL, LARGE = shown("polyp", (10, 10, 30, 20)), shown("polyp", (120, 50, 180, 90))
POLYPS = MadeUpFinder(SMALL, LARGE, kind=COLON)
BLANK = MadeUpFinder(kind=COLON)
HEART = shown("heart", (60, 40, 120, 80))
LUNGS = shown("left lung", (110, 20, 180, 90)), shown("right lung", (20, 20, 90, 90))


def boxes(result) -> list[tuple]:
    return [region.box for region in result.regions]


# present


def test_what_is_shown_is_present():
    result = run("present(polyp)", POLYPS)
    assert result.value is True and boxes(result) == [SMALL.box, LARGE.box] and result.things == ("polyp",)
    assert result.likelihood == pytest.approx(0.9) and result.who == "present"


def test_what_is_not_shown_is_absent():
    result = run("present(polyp)", BLANK)
    assert result.value is False and result.regions == [] and result.likelihood == pytest.approx(0.9)


def test_a_denial_turns_yes_and_no_and_nothing_else():
    there, absent = run("present(polyp, not)", POLYPS), run("present(polyp, not)", BLANK)
    assert there.value is False and len(there.regions) == 2 and absent.value is True
    assert there.likelihood == pytest.approx(0.9) == absent.likelihood


def test_that_some_teeth_are_there_does_not_deny_that_one_is_missing():
    teeth = MadeUpFinder(*(shown("tooth", (x, 10, x + 10, 30)) for x in (10, 40, 70)), kind=("x-ray", "teeth"))
    result = run("present(tooth, not)", teeth)
    assert answer_text(result, scene_of(teeth)) == "I count 3 teeth; whether any is missing I cannot tell."
    assert run("present(tooth, not)", MadeUpFinder(kind=("x-ray", "teeth"))).value is True


def test_an_answer_is_the_less_sure_the_nearer_a_presence_is_to_its_threshold():
    close = run("present(polyp)", MadeUpFinder(SMALL, kind=COLON, presence={"polyp": 0.55}))
    assert close.value is True and close.likelihood == pytest.approx(0.55)
    strict = MadeUpFinder(SMALL, kind=COLON)
    strict.policy = replace(strict.policy, labels={"polyp": 0.9})
    assert run("present(polyp)", strict).likelihood == pytest.approx(0.5)


def test_a_synonym_means_its_label():
    assert run("present(erythrocyte)", MadeUpFinder(kind=("microscopy", "blood"))).things == ("red blood cell",)


def test_a_thing_without_its_side_means_both_sides():
    result = run("find(lungs)", MadeUpFinder(*LUNGS))
    assert result.things == ("left lung", "right lung") and len(result.regions) == 2


def test_a_lump_is_what_this_kind_of_image_shows():
    result = run("present(mass)", MadeUpFinder(shown("glioma", (10, 10, 30, 30)), kind=MRI))
    assert result.value is True and "glioma" in result.things and "polyp" not in result.things


def test_it_needs_something_to_stand_for():
    smear = MadeUpFinder(kind=("microscopy", "blood"))  # shows several things, none of which is abnormal
    result = run("present(it)", smear)
    assert not result.answered and "“it”" in result.why_not
    assert run("present(it)", POLYPS).things == ("polyp",), "else it is what is abnormal"


def test_an_unknown_thing_is_neither_affirmed_nor_denied():
    for call in ("present(hilum)", "present(hilum, not)"):
        result = run(call, MadeUpFinder())
        assert result.value is None and result.why_not == unknown("hilum")


def test_short_answers_tell_of_a_thing_that_has_no_outline():
    recall = MadeUpRecall({"Yes": 0.6, "No": 0.2})
    result = run("present(hilum)", MadeUpFinder(), recall=recall)
    assert result.value is True and result.who == "short" and result.likelihood == pytest.approx(0.75)
    assert run("present(hilum, not)", MadeUpFinder(), recall=recall).value is False
    assert recall.asked[0] == "Is there a hilum?"
    unsure = MadeUpRecall({"Yes": 0.2, "No": 0.2, "Left": 0.6})
    assert run("present(hilum)", MadeUpFinder(), recall=unsure).why_not == unknown("hilum")


def test_what_may_be_elsewhere_too_is_not_denied_there():
    recall = MadeUpRecall({"Yes": 0.6, "No": 0.2})
    assert run("present(calcification)", MadeUpFinder(), recall=recall).value is True
    assert run("present(calcification, not)", MadeUpFinder(), recall=recall).value is False
    assert run("present(polyp)", MadeUpFinder(), recall=recall).value is False, "a polyp is of the colon"
    alone = run("present(calcification)", MadeUpFinder())
    assert alone.value is None and "not learned to find calcification" in alone.why_not, "nobody else can tell"


def test_a_fact_of_the_whole_image_decides_where_it_was_learned():
    finder = MadeUpFinder(facts={"fracture": {"no": 0.2, "yes": 0.8}}, kind=("x-ray", "wrist"))
    result = run("present(fracture)", finder)
    assert result.value is True and result.likelihood == pytest.approx(0.8) and result.who == "grade"
    assert run("present(fracture, not)", finder).value is False


def test_an_enlarged_heart_is_weighed_against_the_measured_ratio():
    wide = [shown("heart", (40, 40, 160, 80)), *LUNGS]  # 120 of 160 px
    agreed = run("present(cardiomegaly)", MadeUpFinder(*wide, presence={"cardiomegaly": 0.9}))
    assert agreed.value is True and agreed.likelihood == pytest.approx(0.9) and "0.75, above 0.50" in agreed.remarks[0]
    torn = run("present(cardiomegaly)", MadeUpFinder(HEART, *LUNGS, presence={"cardiomegaly": 0.9}))
    assert torn.value is False and torn.likelihood == 0.5 and "0.38, not above 0.50" in torn.remarks[0]
    assert "uncertain" in torn.remarks[1]
    assert run("present(cardiomegaly, not)", MadeUpFinder(HEART, *LUNGS, presence={"cardiomegaly": 0.9})).value is True


# Which of them


@pytest.mark.parametrize(
    ("call", "left"),
    [
        ("find(polyp, which=largest)", [LARGE]),
        ("find(polyp, which=smallest)", [SMALL]),
        ("find(polyp, which=second)", [SMALL]),
        ("find(polyp, which=third)", []),
        ("find(polyp, which=all)", [SMALL, LARGE]),
        ("find(polyp, where=upper left)", [SMALL]),
        ("find(polyp, where=right)", [LARGE]),
        ("find(polyp, where=upper right)", []),
        ("find(polyp, where=lower, which=largest)", [LARGE]),
    ],
)
def test_modifiers_pick_regions(call, left):
    assert boxes(run(call, POLYPS)) == [region.box for region in left]


@pytest.mark.parametrize(
    ("kind", "side"), [(FILM, "right"), (CT, "right"), (MRI, "right"), (COLON, "left"), (EYE, "left")]
)
def test_left_is_the_patients_left_on_films_and_in_slices(kind, side):
    """What is shown on the left of such an image is on the patient's right."""
    label = {FILM: "lung nodule", CT: "liver", MRI: "glioma", COLON: "polyp", EYE: "optic disc"}[kind]
    finder = MadeUpFinder(shown(label, (10, 10, 30, 20)), kind=kind)
    other = "left" if side == "right" else "right"
    assert run(f"present({label}, where={side})", finder).value is True
    assert run(f"present({label}, where={other})", finder).value is False
    assert run(f"place({label})", finder).value == f"upper {side}"


def test_the_files_own_modality_says_whose_left_it_is():
    finder = MadeUpFinder(shown("polyp", (10, 10, 30, 20)), kind=COLON)
    assert run("place(polyp)", finder, scene_of(finder, study_of(modality="ct"))).value == "upper right"


def test_regions_in_an_organ():
    nodule, other = shown("lung nodule", (120, 40, 130, 50)), shown("lung nodule", (30, 40, 40, 50))
    finder = MadeUpFinder(nodule, other, *LUNGS)
    assert boxes(run("find(lung nodule, in=left lung)", finder)) == [nodule.box]
    assert run("present(lung nodule, in=left lung)", MadeUpFinder(other, *LUNGS)).value is False
    assert len(run("find(lung nodule, in=lungs)", finder).regions) == 2


def test_the_one_near_what_was_shown_and_the_other_one():
    scene = scene_of(POLYPS, focus=[SMALL])
    assert boxes(run("find(polyp, which=other)", POLYPS, scene)) == [LARGE.box]
    far = shown("polyp", (10, 70, 30, 90))
    assert boxes(run("find(polyp, near=it)", MadeUpFinder(far, LARGE, kind=COLON), scene)) == [far.box]


def test_anything_abnormal_is_looked_for_where_it_is_asked_for():
    nodule = shown("lung nodule", (30, 40, 40, 50))
    finder = MadeUpFinder(nodule, *LUNGS)
    assert run("present(anything)", finder).value is True
    assert run("present(anything, in=right lung)", finder).value is True
    assert run("present(anything, in=left lung)", finder).value is False
    assert run("present(anything, where=left)", finder).value is False


# find, count, place


def test_find_shows_all_regions_of_a_thing():
    result = run("find(polyp)", POLYPS)
    assert result.value == 2 and boxes(result) == [SMALL.box, LARGE.box]


def test_find_of_it_is_what_was_shown():
    result = run("find(it)", POLYPS, scene_of(POLYPS, focus=[SMALL]))
    assert boxes(result) == [SMALL.box] and result.things == ("polyp",)
    assert "draw a box" in run("find(it)", MadeUpFinder(kind=("microscopy", "blood"))).why_not


@pytest.mark.parametrize(
    "call", ["find(hilum)", "count(hilum)", "place(hilum)", "measure(hilum, size)", "describe(hilum)"]
)
def test_an_unknown_thing_is_said_to_be_unknown(call):
    result = run(call, MadeUpFinder())
    assert result.why_not == unknown("hilum") and not result.regions


def test_count_is_how_many_there_are_not_how_many_were_shown():
    nuclei = [shown("nucleus", (10 * n, 10, 10 * n + 5, 20)) for n in range(7)]
    finder = MadeUpFinder(*nuclei, kind=CELLS)
    assert run("count(nucleus)", finder).value == 7
    scene = scene_of(finder, focus=nuclei[:2])
    assert run("count(it)", finder, scene).value == 7
    assert run("count(nucleus, where=left)", finder).value == 7
    assert run("count(nucleus)", MadeUpFinder(kind=CELLS)).value == 0


def test_a_count_against_a_number_is_yes_or_no():
    result = run("count(polyp, over=1)", POLYPS)
    assert result.value is True and result.remarks == ["It is 2."]
    assert run("count(polyp, over=two)", POLYPS).value is False
    assert run("count(polyp, under=three)", POLYPS).value is True


@pytest.mark.parametrize(
    ("box", "where"),
    [
        ((10, 10, 30, 20), "upper left"),
        ((170, 80, 190, 90), "lower right"),
        ((90, 45, 110, 55), "centre"),
        ((90, 5, 110, 15), "upper"),
        ((5, 40, 25, 60), "left"),
        ((5, 5, 195, 95), "most"),
        ((5, 5, 195, 25), "upper"),
    ],
)
def test_place_says_where_the_largest_lies(box, where):
    tiny = shown("polyp", (100, 1, 101, 2))
    assert run("place(polyp)", MadeUpFinder(tiny, shown("polyp", box), kind=COLON)).value == where


def test_place_names_the_organ_that_holds_a_finding():
    finder = MadeUpFinder(shown("lung nodule", (120, 40, 130, 50)), *LUNGS)
    assert run("place(lung nodule)", finder).remarks == ["It lies within the left lung."]
    assert run("place(lung nodule)", MadeUpFinder(*LUNGS)).regions == []


# describe, identify, look, recall


def test_describe_tells_all_that_is_looked_for():
    result = run("describe()", MadeUpFinder(HEART, *LUNGS))
    assert {r.label for r in result.regions} == {"heart", "left lung", "right lung"} and "pneumothorax" in result.things
    alone = run("describe(it)", POLYPS, scene_of(POLYPS, focus=[SMALL]))
    assert boxes(alone) == [SMALL.box] and alone.things == ("polyp",)


def test_of_the_types_of_one_thing_the_surest_is_told():
    finder = MadeUpFinder(
        shown("glioma", (10, 10, 30, 30), score=0.6), shown("meningioma", (12, 10, 30, 30), score=0.8), kind=MRI
    )
    assert [r.label for r in run("describe()", finder).regions] == ["meningioma"]


def test_a_drawn_region_is_what_lies_under_it():
    drawn = shown("region", (62, 42, 118, 78))
    finder = MadeUpFinder(HEART, *LUNGS)
    result = run("identify(it)", finder, scene_of(finder, focus=[drawn]))
    assert result.value == "heart" and result.likelihood == pytest.approx(0.9) and boxes(result) == [HEART.box]


def test_a_drawn_region_over_nothing_is_nothing_that_has_a_name():
    finder = MadeUpFinder(HEART, *LUNGS)
    nothing = run("identify(it)", finder, scene_of(finder, focus=[shown("region", (0, 92, 20, 99))]))
    assert nothing.why_not == "It is nothing that I can name in this kind of image."
    assert run("identify(it)", finder).value == "x-ray", "nothing is pointed at: the image is meant"


def test_a_closer_look_asks_again_of_the_enlarged_part():
    finder = MadeUpFinder(SMALL, kind=COLON, enlarged=0.7)
    result = run("look(polyp)", finder)
    assert result.value is True and result.likelihood == pytest.approx(0.7)
    assert result.remarks == ["Looked at enlarged, its probability is 0.70; in the whole image 0.90."]
    assert run("look(polyp)", MadeUpFinder(SMALL, kind=COLON, enlarged=0.2)).value is False
    assert run("look(polyp)", BLANK).value == 0, "nothing to look at closer"


def test_recall_gives_a_short_answer_where_it_is_sure_else_the_models_own_words():
    recall = MadeUpRecall({"Left": 0.8, "Right": 0.1}, said=("the left one", 0.4))
    result = run("recall()", MadeUpFinder(), recall=recall)
    assert (result.value, result.who, result.likelihood) == ("Left", "short", 0.8)
    unsure = MadeUpRecall({"Left": 0.2}, said=("the left one", 0.4))
    result = run("recall()", MadeUpFinder(), recall=unsure)
    assert (result.value, result.who, result.likelihood) == ("the left one", "generated", 0.4)
    assert run("recall()", MadeUpFinder(), recall=MadeUpRecall({"No": 0.8})).value is False
    assert not run("recall()", MadeUpFinder()).answered


def test_what_only_the_whole_image_speaks_for_is_not_said_to_be_missing():
    finder = MadeUpFinder(kind=("x-ray", "wrist"), facts={"fracture": {"yes": 0.9, "no": 0.1}})
    for call in ("place(fracture)", "find(fracture)", "measure(fracture, size)"):
        assert run(call, finder).why_not == "The image as a whole speaks for fracture, but I cannot show where."
    without = MadeUpFinder(kind=("x-ray", "wrist"), facts={"fracture": {"yes": 0.1, "no": 0.9}})
    assert run("find(fracture)", without).value == 0
    brain = MadeUpFinder(kind=("mri", "brain"), facts={"tumour_type": {"glioma": 0.9, "meningioma": 0.1}})
    assert "speaks for glioma" in run("place(glioma)", brain).why_not
    assert "speaks for glioma" in run("describe(glioma)", brain).why_not
    assert run("find(meningioma)", brain).value == 0


def test_what_is_in_a_drawn_box_is_named():
    finder = MadeUpFinder(SMALL, kind=COLON)
    scene = scene_of(finder, focus=[shown("region", (10, 10, 30, 20))])
    result = run("describe(it)", finder, scene)
    assert answer_text(result, scene) == "Most likely: polyp."


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("is this the polyp I boxed?", True),
        ("is that a gland?", False),
        ("what is this?", "polyp"),
        ("polyp or gland?", "polyp"),
    ],
)
def test_whether_what_is_drawn_is_a_thing_is_yes_or_no(question, value):
    finder = MadeUpFinder(SMALL, kind=COLON)
    scene = scene_of(finder, question=question, focus=[shown("region", (10, 10, 30, 20))])
    assert run("identify(it)", finder, scene).value == value


def test_it_is_the_type_that_was_shown_where_there_is_none_of_the_type_that_was_spoken_of():
    tumour = shown("meningioma", (10, 10, 30, 20))
    finder = MadeUpFinder(tumour, kind=MRI)
    scene = scene_of(finder, question="how long is it?")
    scene.things, scene.shown = ("glioma",), [tumour]
    result = run("measure(it, length)", finder, scene)
    assert boxes(result) == [tumour.box] and result.things == ("meningioma",)
    scene.things = ("pneumothorax",)
    assert run("count(it)", finder, scene).value == 0, "another thing is not meant"


def test_findings_are_told_before_what_everybody_has():
    film = MadeUpFinder(HEART, *LUNGS, shown("pleural effusion", (20, 70, 60, 90)))
    result = run("describe()", film)
    assert result.regions[0].label == "pleural effusion"
    assert (
        answer_text(result, scene_of(film)) == "I find pleural effusion. Also shown: left lung, right lung and heart."
    )


def test_the_largest_of_those_that_were_counted_is_measured():
    result = run("count(polyp, which=largest)", POLYPS)
    assert boxes(result) == [LARGE.box] and result.measurements


def test_what_was_found_has_the_name_that_it_was_found_by():
    assert run("identify(it)", POLYPS, scene_of(POLYPS, focus=[SMALL])).value == "polyp"


def test_of_several_things_the_surest_is_looked_at_again():
    weak, sure = shown("pneumonia", (10, 10, 190, 90), score=0.6), shown("lung nodule", (100, 50, 110, 60))
    film = MadeUpFinder(weak, sure, presence={"pneumonia": 0.6, "lung nodule": 0.9})
    assert run("look(it)", film, scene_of(film, focus=[weak, sure])).things == ("lung nodule",)
    result = run("look(it)", film, scene_of(film, focus=[weak]))
    assert result.value is True and "as a whole its probability" in result.remarks[0]


def test_one_of_the_findings_that_were_told_is_told_alone():
    effusion, nodule = shown("pleural effusion", (20, 70, 60, 90)), shown("lung nodule", (100, 50, 110, 60))
    film = MadeUpFinder(effusion, nodule)
    told = [effusion, nodule]
    for rank, right in {"first": effusion, "second": nodule, "last": nodule, "largest": effusion}.items():
        assert run(f"describe(it, which={rank})", film, scene_of(film, focus=told)).regions == [right], rank
    assert run("describe(it)", film, scene_of(film, focus=told)).regions == told


def test_a_share_of_another_thing_is_what_lies_in_it():
    half = MadeUpFinder(shown("liver cancer", (50, 0, 150, 50)), shown("liver", (100, 0, 200, 50)), kind=CT)
    (share,) = run("measure(liver cancer, share, of=liver)", half).measurements
    assert share.value == pytest.approx(50)
    assert "do not find its outline" in run("measure(liver cancer, share, of=abdomen)", half).why_not


def test_the_left_and_the_right_one_are_not_told_a_second_time_as_both():
    sides = [shown("left lung", (10, 10, 90, 90)), shown("right lung", (110, 10, 190, 90))]
    told = run("describe()", MadeUpFinder(*sides, shown("lung", (10, 10, 90, 90)), kind=("ct", "chest")))
    assert [region.label for region in told.regions] == ["left lung", "right lung"]


def test_the_side_of_a_breast_or_thyroid_lobe_is_not_affirmed_of_an_image_of_the_whole():
    breast = MadeUpFinder(shown("benign tumour", (10, 10, 40, 40)), kind=("ultrasound", "breast"))
    told = run("present(benign tumour, in=left breast)", breast)
    assert told.why_not == "Whether this is the left or the right breast the image does not tell."


def test_the_body_part_of_the_image_stands_for_all_of_it():
    gland = MadeUpFinder(shown("thyroid nodule", (10, 10, 40, 40)), kind=("ultrasound", "thyroid"))
    assert run("describe(thyroid)", gland, scene_of(gland, question="is my thyroid ok")).value == "abnormal"
    assert run("describe(thyroid)", gland, scene_of(gland, question="tell me of the thyroid")).value == 1


def test_no_bone_is_named_where_none_is_outlined():
    film = MadeUpFinder(shown("fracture", (10, 10, 40, 40)), kind=("x-ray", "wrist"))
    told = run("place(fracture)", film, scene_of(film, question="which bone is broken"))
    assert told.remarks[-1].endswith("I outline no normal structures, so I cannot name the one it is in.")
    assert not run("place(fracture)", film, scene_of(film, question="where is it")).remarks


def test_an_organ_that_looks_healthy_though_something_is_found_in_it_is_neither():
    sick = MadeUpFinder(shown("liver", (0, 0, 100, 90)), shown("liver cancer", (10, 10, 30, 30)), kind=CT)
    told = run("describe(liver)", sick, scene_of(sick, question="is the liver ok"), MadeUpRecall({"Yes": 0.8}))
    assert told.why_not == "I cannot tell: by its look as a whole it is healthy, but I find liver cancer in it."
    well = MadeUpFinder(shown("liver", (0, 0, 100, 90)), kind=CT)
    told = run("describe(liver)", well, scene_of(well, question="is the liver ok"), MadeUpRecall({"Yes": 0.8}))
    assert told.value is True and told.remarks[0].endswith("I find no abnormality in it.")


def test_cancer_is_not_denied_of_a_kind_of_image_that_shows_no_lump():
    tissue = MadeUpFinder(kind=("histopathology", "colon"))
    assert run("present(cancer)", tissue).why_not.startswith("I have not learned to find cancer in this kind of image")


def test_nothing_is_said_to_be_in_an_organ_that_is_not_found():
    recall = MadeUpRecall({"Yes": 0.9})
    asked = scene_of(MadeUpFinder(kind=CT), question="stones in the gallbladder?")
    told = run("present(stones, in=gallbladder)", MadeUpFinder(kind=CT), asked, recall)
    assert told.why_not == "I find no gallbladder here, so I cannot tell."


def test_what_an_image_is_of_stands_for_the_parts_that_are_outlined_in_it():
    parts = shown("left ventricle", (60, 40, 90, 80)), shown("right ventricle", (20, 40, 50, 60))
    heart = MadeUpFinder(*parts, kind=("mri", "heart"))
    assert run("present(heart)", heart).value is True and len(run("find(heart)", heart).regions) == 2
    assert "left ventricle" in run("measure(heart, size)", heart).why_not, "none of them is the heart's size"
    assert not run("present(cardiomegaly)", heart).answered, "its size has no limit here"
    ok = run("describe(heart)", heart, scene_of(heart, question="is the heart ok"))
    assert not ok.answered and "no heart" not in ok.why_not


def test_no_type_is_named_of_what_is_not_there():
    facts = {"tumour_type": {"glioma": 0.6, "meningioma": 0.4}}
    told = run("grade(tumour type)", MadeUpFinder(kind=MRI, facts=facts))
    assert told.why_not.startswith("I find no brain tumour here") and "glioma (0.60)" in told.why_not
    there = MadeUpFinder(shown("glioma", (10, 10, 30, 30)), kind=MRI, facts=facts)
    assert run("grade(tumour type)", there).value == "glioma"


def test_what_else_there_is_is_told_and_not_affirmed():
    scene = scene_of(POLYPS, question="what else", focus=[LARGE])
    assert boxes(run("present(anything, which=other)", POLYPS, scene)) == [SMALL.box]
