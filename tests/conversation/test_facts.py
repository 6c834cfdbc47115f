"""The tools that tell the kind of an image, grades, and whether anything is abnormal, over made-up facts."""

from __future__ import annotations

import pytest

from medvlm.conversation.facts import WITHHELD
from medvlm.operating import Scores

from .made_up import CELLS, EYE, MRI, MadeUpFinder, MadeUpRecall, run, scene_of, shown, study_of


def test_the_kind_of_an_image_is_the_likeliest_or_what_the_file_states():
    assert run("kind(modality)", MadeUpFinder()).value == "x-ray"
    assert run("kind(body part)", MadeUpFinder()).likelihood == pytest.approx(0.8)
    both = run("kind(image)", MadeUpFinder())
    assert (both.value, both.things) == ("x-ray", ("chest",))
    finder = MadeUpFinder()
    stated = run("kind(modality)", finder, scene_of(finder, study_of(modality="ct")))
    assert stated.value == "ct" and stated.likelihood == 1.0
    view = run("kind(view)", finder, scene_of(finder, study_of(metadata={"view": "PA"})))
    assert view.value == "PA"


def test_a_kind_that_is_asked_for_is_yes_or_no():
    yes = run("kind(modality, is=x-ray)", MadeUpFinder())
    assert yes.value is True and yes.remarks == ["It is X-ray."]
    assert run("kind(modality, is=ct)", MadeUpFinder()).value is False
    assert run("kind(modality, is=ct, not)", MadeUpFinder()).value is True
    plane = MadeUpFinder(kind=MRI, facts={"plane": {"Transverse Plane": 0.9, "Coronal Plane": 0.1}})
    assert run("kind(plane, is=axial)", plane).value is True
    assert run("kind(plane, is=coronal)", plane).value is False


def test_a_kind_that_nothing_tells():
    assert run("kind(sequence)", MadeUpFinder()).why_not == "Neither the file nor the image tells me the sequence."


GRADED = MadeUpFinder(kind=EYE, facts={"severity": {"no": 0.2, "mild": 0.5, "severe": 0.3}})


def test_a_grade_is_the_likeliest_with_its_runner_up():
    result = run("grade(severity)", GRADED)
    assert (
        result.value == "mild"
        and result.likelihood == 0.5
        and result.remarks[0] == "It could also be severe (0.30 against 0.50)."
    )


def test_a_grade_that_is_asked_for_is_yes_or_no():
    sure = MadeUpFinder(kind=EYE, facts={"severity": {"no": 0.05, "mild": 0.15, "severe": 0.8}})
    result = run("grade(severity, is=severe)", sure)
    assert result.value is True and result.likelihood == pytest.approx(0.8)
    assert run("grade(severity, is=mild)", sure).value is False
    assert run("grade(severity, is=severe, not)", sure).value is False
    assert run("grade(severity, is=mild, not)", sure).value is True
    assert result.remarks == ["Most likely severe (0.80)."]


def test_a_disease_that_such_an_image_does_not_show_is_neither_there_nor_not():
    elsewhere = MadeUpFinder(kind=MRI, facts={"covid-19": {"covid-19": 0.5, "no": 0.5}})
    elsewhere.config.fact_kinds = {"covid-19": [["x-ray", "chest"]]}
    told = run("present(covid-19)", elsewhere)
    assert told.value is None and told.why_not == "I have not learned to tell covid-19 in such an image."


def test_a_grade_that_was_not_learned_on_this_kind_of_image():
    elsewhere = MadeUpFinder(kind=EYE, facts={"severity": {"no": 1.0}})
    elsewhere.config.fact_kinds = {"severity": [["dermoscopy", "skin"]]}
    asked = scene_of(elsewhere, question="What is its severity?")
    assert run("grade(severity)", elsewhere, asked).why_not == "I have not learned to tell severity in such an image."
    assert run("grade(severity)", elsewhere).why_not == WITHHELD, "nobody spoke of it"


def test_whether_an_image_is_abnormal_is_told_by_the_fact_or_by_what_is_found():
    fact = MadeUpFinder(facts={"abnormal": {"no": 0.1, "yes": 0.9}})
    assert [run(f"grade(abnormal{rest})", fact).value for rest in ("", ", is=yes", ", is=no")] == [
        "abnormal",
        True,
        False,
    ]
    assert run("present(anything, not)", fact).value is False
    unseen = run("grade(abnormal)", fact)
    assert "none of the abnormalities" in unseen.remarks[0] and 0.4 < unseen.likelihood < 0.6, "two looks disagree"
    nodule = MadeUpFinder(shown("lung nodule", (30, 40, 40, 50)))
    assert run("grade(abnormal)", nodule).value == "abnormal" and len(run("grade(abnormal)", nodule).regions) == 1
    assert run("grade(abnormal, is=no)", MadeUpFinder()).value is True, "nothing is found"
    assert not run("grade(abnormal)", MadeUpFinder(kind=CELLS)).answered, "no abnormality is known of such images"


def test_what_is_found_in_a_normal_image_is_said():
    finder = MadeUpFinder(shown("lung nodule", (30, 40, 40, 50)), facts={"abnormal": {"no": 0.9, "yes": 0.1}})
    assert run("grade(abnormal)", finder).remarks == [
        "By its look as a whole it is normal, but I find lung nodule.",
    ]


def test_a_disease_with_stages_is_there_where_any_stage_is():
    """Asked whether there is retinopathy, "No, most likely moderate" was said of a retina full of haemorrhages."""
    stages = {"no apparent retinopathy": 0.1, "moderate non-proliferative": 0.56, "proliferative": 0.34}
    finder = MadeUpFinder(facts={"diabetic retinopathy": stages}, kind=("fundus", "retina"))
    assert run("grade(diabetic retinopathy, is=yes)", finder).value is True
    assert run("grade(diabetic retinopathy, is=no)", finder).value is False
    assert run("grade(diabetic retinopathy, is=yes, not)", finder).value is False


POINTS = Scores("malignant", (0.9, 0.8, 0.3), (0.6, 0.6, 0.6, 0.6, 0.2), (0.1, 0.1, 0.1, 0.1, 0.4))
LUMP = MadeUpFinder(facts={"breast_finding": {"benign": 0.6, "malignant": 0.4}}, operating={"breast_finding": POINTS})


def at(sensitivity, call="grade(breast finding, is=malignant)", finder=LUMP):
    scene = scene_of(finder)
    scene.sensitivity = sensitivity
    return run(call, finder, scene)


def test_what_is_said_at_a_point_comes_with_all_that_were_measured():
    usual, sharp = at(None), at(1.0)
    assert (usual.value, sharp.value) == (False, True)
    assert usual.operating.fact == "malignant" and usual.operating.curve == sharp.operating.curve
    assert (usual.operating.point.sensitivity, sharp.operating.point.sensitivity) == (0.8, 0.8)
    assert (usual.operating.point.specificity, sharp.operating.point.specificity) == (1.0, 0.8)


def test_what_is_said_at_a_moved_point_is_as_likely_as_the_fact():
    """A "Yes" from a probability of 0.4 was given as 0.6 likely."""
    assert at(None).likelihood == pytest.approx(0.6) and at(1.0).likelihood == pytest.approx(0.4)
    finder = MadeUpFinder(facts={"fracture": {"no": 0.6, "yes": 0.4}}, operating={"fracture": POINTS})
    broken = at(1.0, "present(fracture)", finder)
    assert broken.value is True and broken.likelihood == pytest.approx(0.4)
    assert broken.operating.fact == "fracture" and at(1.0, "present(fracture, not)", finder).operating


@pytest.mark.parametrize("call", ["grade(breast finding)", "grade(breast finding, is=benign)"])
def test_what_is_given_without_a_point_has_none_to_move(call):
    assert at(1.0, call).operating is None


def test_the_point_is_that_of_the_fact_that_was_learned_on_such_images():
    other = Scores("malignant", (0.1,) * 5, (0.1,) * 5, (0.0,) * 5)
    facts = {"severity": {"benign": 0.1, "malignant": 0.9}, "breast_finding": {"benign": 0.6, "malignant": 0.4}}
    finder = MadeUpFinder(facts=facts, operating={"severity": other, "breast_finding": POINTS})
    finder.config.fact_kinds["severity"] = [["mammography", "breast"]]
    result = at(1.0, "grade(severity, is=malignant)", finder)
    assert result.value is True and "from a probability of 0.30" in result.remarks[1]


NODULE = MadeUpFinder(
    kind=("ultrasound", "thyroid"),
    facts={
        "composition": {"solid": 0.3, "predominantly solid": 0.1, "cystic": 0.2, "spongiform": 0.4},
        "echogenicity": {"hypoechogenicity": 0.6, "isoechogenicity": 0.4},
    },
)


def chosen(call: str, question: str, finder=NODULE):
    return run(call, finder, scene_of(finder, question=question))


def test_the_likeliest_of_the_values_that_a_question_offers_is_given():
    told = chosen("grade(composition)", "solid or cystic?")
    assert told.value == "solid" and told.likelihood == pytest.approx(0.6)
    assert told.remarks == ["Of all that I know it looks most like spongiform (0.40)."]
    assert chosen("recall()", "would you say cystic or spongiform").value == "spongiform"
    assert chosen("grade(breast finding)", "cystic or solid").value == "solid", "of the fact that has these values"
    assert chosen("grade(echogenicity)", "solid or cystic").value == "solid", "though the call names another fact"


def test_where_the_image_is_normal_none_of_the_offered_values_is_given():
    healthy = MadeUpFinder(facts={"breast_finding": {"normal": 0.7, "benign": 0.2, "malignant": 0.1}})
    told = chosen("grade(breast finding)", "benign or malignant?", healthy)
    assert told.value == "normal" and told.remarks == ["It could also be benign (0.20 against 0.70)."]


def test_a_value_or_its_contrary_is_answered_by_the_value():
    mole = MadeUpFinder(
        kind=("dermoscopy", "skin"),
        facts={"asymmetry": {"symmetric": 0.6, "asymmetric in one axis": 0.3, "asymmetric in both axes": 0.1}},
    )
    told = chosen("grade(lesion asymmetry, is=symmetric)", "symmetric or not", mole)
    assert (told.value, told.likelihood) == ("symmetric", 0.6)
    assert chosen("grade(lesion asymmetry, is=symmetric)", "is it symmetric?", mole).value is True
    ill = MadeUpFinder(facts={"covid-19": {"yes": 0.8, "no": 0.2}})
    assert chosen("grade(covid-19, is=yes)", "covid or not", ill).value is True, "yes is the value"


def test_a_value_that_no_fact_has_is_not_denied():
    told = chosen("grade(composition, is=malignant)", "is it malignant?")
    assert not told.answered and told.why_not.startswith("I have not learned to tell whether it is malignant; its")


def test_alternatives_of_something_else_are_not_answered_by_a_sign():
    signs = {
        "pigment network": {"typical": 0.7, "atypical": 0.3},
        "dots and globules": {"absent": 0.6, "atypical": 0.4},
    }
    mole = MadeUpFinder(kind=("dermoscopy", "skin"), facts=signs)
    told = chosen("grade(pigment network)", "common nevus, atypical nevus or melanoma?", mole)
    assert not told.answered and "which of these" in told.why_not
    assert chosen("grade(pigment network)", "is the network typical or not so much?", mole).value == "typical"


def test_half_of_a_hyphenated_value_stands_for_it():
    film = MadeUpFinder(
        kind=EYE, facts={"breast_tissue": {"fatty": 0.2, "dense-glandular": 0.7, "fatty-glandular": 0.1}}
    )
    assert chosen("grade(breast tissue)", "dense or fatty?", film).value == "dense-glandular"


def test_what_grades_the_same_is_told_where_its_kind_was_not_learned():
    facts = {"ti-rads": {"4a": 0.3, "5": 0.7}, "breast_finding": {"benign": 0.5, "malignant": 0.5}}
    gland = MadeUpFinder(kind=("ultrasound", "thyroid"), facts=facts)
    gland.config.fact_kinds["breast_finding"] = [["ultrasound", "breast"]]
    told = chosen("grade(breast finding)", "benign or malignant?", gland)
    assert told.why_not.startswith("I have not learned to tell benign from malignant in such an image. By TI-RADS")
    assert told.why_not.endswith("most likely 5 (0.70).")


def test_what_the_whole_image_speaks_for_is_said_wherever_nothing_is_outlined():
    facts = {"breast_finding": {"benign": 0.2, "malignant": 0.7, "normal": 0.1}}
    breast = MadeUpFinder(kind=("ultrasound", "breast"), facts=facts)
    graded, placed, normal = (
        run(call, breast) for call in ("grade(breast finding)", "place(anything)", "grade(abnormal, is=no)")
    )
    assert graded.value == "malignant" and "look of the image" in graded.remarks[-1]
    assert "looks abnormal (malignant)" in placed.why_not and normal.value is False
    torn = MadeUpFinder(kind=MRI, facts={"abnormal": {"yes": 0.2, "no": 0.8}}, presence={"brain tumour": 0.9})
    told = run("grade(abnormal, is=yes)", torn)
    assert told.value is True and told.likelihood == 0.5 and "brain tumour is likely there (0.90)" in told.remarks[0]
    healthy = MadeUpFinder(kind=("ultrasound", "breast"), facts={"breast_finding": {"malignant": 0.1, "normal": 0.9}})
    assert run("grade(abnormal, is=no)", healthy).value is True and run("place(anything)", healthy).answered


def test_a_fact_of_the_image_answers_for_a_thing_that_is_not_outlined_in_it():
    nodule = MadeUpFinder(
        kind=("ultrasound", "thyroid"), facts={"calcifications": {"none": 0.2, "microcalcifications": 0.8}}
    )
    told = chosen("present(calcification)", "any calcs", nodule)
    assert told.value is True and told.likelihood == pytest.approx(0.8)
    assert chosen("present(calcification, not)", "no calcs?", nodule).value is False


def test_a_disease_is_shown_and_counted_by_its_signs():
    signs = [shown("microaneurysms", (10, 10, 14, 14)), shown("microaneurysms", (50, 50, 54, 54))]
    sick, healthy = ({"severe non-proliferative": yes, "no apparent retinopathy": 1 - yes} for yes in (0.9, 0.1))
    told = run("count(diabetic retinopathy)", MadeUpFinder(*signs, kind=EYE, facts={"diabetic retinopathy": sick}))
    assert told.value == 2 and told.remarks == ["Shown is microaneurysms, which can be how diabetic retinopathy looks."]
    none = run("find(diabetic retinopathy)", MadeUpFinder(kind=EYE, facts={"diabetic retinopathy": healthy}))
    assert (none.value, none.things) == (0, ("diabetic retinopathy",))


def test_nothing_is_recalled_of_an_organ_that_such_an_image_does_not_show():
    recall = MadeUpRecall({"Gray": 0.9})
    asked = scene_of(MadeUpFinder(), question="what colour is the liver")
    assert (
        run("recall()", MadeUpFinder(), asked, recall).why_not
        == "In such an image (X-ray, chest) I do not look for liver."
    )
    trunk, abdomen = MadeUpFinder(kind=("ct", "chest")), MadeUpFinder(kind=("ct", "abdomen"))
    assert run("recall()", trunk, scene_of(trunk, question="what colour is the liver"), recall).value == "Gray"
    missed = run("recall()", abdomen, scene_of(abdomen, question="what colour is the liver"), recall)
    assert missed.why_not == "I find no liver here, so I cannot tell."


def test_no_choice_is_made_where_none_is_offered():
    assert chosen("grade(composition)", "is it solid?").value == "spongiform"
    assert chosen("grade(echogenicity)", "is it dark?").value == "hypoechogenicity"


def test_a_word_that_one_value_alone_has_stands_for_it_among_alternatives():
    cells = MadeUpFinder(
        kind=("microscopy", "blood"),
        facts={"red_cell_disease": {"thalassemia": 0.3, "hereditary spherocytosis": 0.2, "megaloblastic anemia": 0.5}},
    )
    told = chosen("grade(red cell disease)", "thalassemia or spherocytosis?", cells)
    assert told.value == "thalassemia" and told.likelihood == pytest.approx(0.6)
    assert told.remarks == ["Of all that I know it looks most like megaloblastic anemia (0.50)."]
