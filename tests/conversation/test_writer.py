"""The sentences of each kind of result, and that every number and place in them comes from the result."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest

from medvlm.conversation import writer
from medvlm.conversation.grammar import REASONS, Call, parse
from medvlm.conversation.results import Result
from medvlm.types import Measurement, Region

from .made_up import COLON, CT, EYE, MadeUpFinder, MadeUpRecall, run, scene_of, shown, study_of

SMALL, LARGE = shown("polyp", (10, 10, 30, 20)), shown("polyp", (120, 50, 180, 90))
POLYPS, BLANK = MadeUpFinder(SMALL, LARGE, kind=COLON), MadeUpFinder(kind=COLON)
KIDNEYS = MadeUpFinder(shown("left kidney", (120, 30, 150, 70)), shown("right kidney", (30, 30, 50, 70)), kind=CT)
NUCLEUS = MadeUpFinder(shown("nucleus", (10, 10, 30, 20)), kind=("microscopy", "cells"))
VESSELS = MadeUpFinder(shown("retinal vessels", (10, 10, 150, 90)), kind=EYE)
CELLS = MadeUpFinder(
    *(shown("red blood cell", (10 * n, 10, 10 * n + 5, 20)) for n in range(4)),
    shown("white blood cell", (100, 50, 120, 70)),
    kind=("microscopy", "blood"),
)


def told(call: str, finder: MadeUpFinder, recall: MadeUpRecall | None = None, **about) -> str:
    scene = scene_of(finder, **about)
    return writer.answer_text(run(call, finder, scene, recall), scene)


def details(call: str, finder: MadeUpFinder, **about) -> list[str]:
    scene = scene_of(finder, **about)
    return writer.beside(run(call, finder, scene), scene)


@pytest.mark.parametrize(
    ("call", "finder", "text"),
    [
        ("present(polyp)", POLYPS, "Yes"),
        ("present(polyp)", BLANK, "No"),
        ("find(polyp)", POLYPS, "2 polyps shown."),
        ("find(polyp, which=largest)", POLYPS, "Polyp shown."),
        ("find(polyp)", BLANK, "I find no polyp here."),
        ("find(kidney)", KIDNEYS, "Left kidney and right kidney shown."),
        ("count(polyp)", POLYPS, "2"),
        ("count(polyp)", BLANK, "0"),
        ("count(kidney)", KIDNEYS, "2"),
        ("count(nucleus)", NUCLEUS, "1"),
        ("count(retinal vessels)", VESSELS, "1"),
        ("find(retinal vessels)", VESSELS, "Retinal vessels shown."),
        ("place(polyp)", POLYPS, "2 polyps, the largest in the lower right of the image."),
        ("place(polyp)", BLANK, "I find no polyp here."),
        ("place(left kidney)", KIDNEYS, "Left kidney on the patient's left."),
        ("measure(polyp, area)", POLYPS, "2,400 px²"),
        ("measure(polyp, height)", POLYPS, "40.0 px"),
        ("measure(polyp, share)", POLYPS, "13.0 %"),
        ("measure(polyp, area)", BLANK, "I find no polyp here, so there is nothing to measure."),
        ("compare(kidney, larger)", KIDNEYS, "Left kidney"),
        ("kind(modality)", KIDNEYS, "CT"),
        ("kind(image)", KIDNEYS, "CT, abdomen"),
        ("kind(modality, is=mri)", KIDNEYS, "No"),
        ("describe()", POLYPS, "I find 2 polyps."),
        ("describe()", CELLS, "I find 4 red blood cells and 1 white blood cell."),
        ("describe()", BLANK, "I find none of what I look for in this kind of image (polyp)."),
        ("find(hilum)", BLANK, "“hilum” is not among what I can find."),
    ],
)
def test_an_answer_is_as_short_as_the_question_allows(call, finder, text):
    assert told(call, finder) == text


def test_a_drawn_thing_is_named_with_a_reserve():
    assert told("identify(it)", POLYPS, focus=[shown("region", (118, 50, 180, 90))]) == "Most likely: polyp."


def test_a_grade_is_its_value():
    assert told("grade(severity)", MadeUpFinder(kind=EYE, facts={"severity": {"mild": 0.9, "severe": 0.1}})) == "Mild"


@pytest.mark.parametrize("call", ["recall()", "place(it)", "count(anything)", "kind(plane)"])
def test_words_that_were_recalled_are_told_as_they_are_whichever_tool_was_called(call):
    finder, recall = MadeUpFinder(kind=("microscopy", "blood")), MadeUpRecall({"upper lobe": 0.8})
    assert told(call, finder, recall) == "Upper lobe"


def test_every_reason_to_decline_has_a_sentence_and_none_gives_advice():
    sentences = {reason: told(f"decline({reason})", BLANK) for reason in REASONS}
    assert len(set(sentences.values())) == len(REASONS)
    for text in sentences.values():
        assert text.endswith(".") and not re.search(r"\d|\byou (should|can|may)\b", text)


def test_what_is_shown_is_told_with_its_place_and_the_largest_alone():
    assert details("present(polyp)", POLYPS) == ["2 polyps, the largest in the lower right of the image."]
    assert details("find(polyp, which=smallest)", POLYPS) == ["Polyp in the upper left of the image."]
    assert details("find(polyp)", BLANK) == []


def test_on_films_and_slices_places_are_the_patients():
    film = MadeUpFinder(shown("lung nodule", (10, 10, 30, 20)))
    assert details("present(lung nodule)", film) == ["Lung nodule in the upper part, on the patient's right."]
    assert details("present(left kidney)", KIDNEYS) == ["Left kidney shown."], "its name says the side"
    assert not details("find(left kidney)", KIDNEYS), "which the answer has said"


def test_what_was_measured_and_compared_stands_beside():
    assert details("measure(polyp, area)", POLYPS, study=study_of(spacing=(1.0, 1.0)))[-1].count("polyp") == 1
    assert details("compare(kidney, larger)", KIDNEYS) == ["Left kidney 1,200 px²; right kidney 800 px²."]


def test_what_was_looked_for_and_not_found_is_said():
    assert details("describe()", KIDNEYS)[-1].startswith("Looked for and not found: liver, spleen, stomach")
    assert "kidney" not in details("describe()", KIDNEYS)[-1]


def test_nothing_stands_beside_what_is_not_told():
    assert details("find(hilum)", BLANK) == []


@pytest.mark.parametrize(
    ("words", "mirrored", "text"),
    [
        ("upper left", False, "in the upper left of the image"),
        ("upper left", True, "in the upper part, on the patient's left"),
        ("left", False, "on the left side of the image"),
        ("left", True, "on the patient's left"),
        ("lower", True, "in the lower part of the image"),
        ("centre", True, "in the centre of the image"),
        ("most", False, "across most of the image"),
    ],
)
def test_places_as_words(words, mirrored, text):
    assert writer.phrase(words, mirrored) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (34.21, "mm", "34.2 mm"),
        (1512.5, "px2", "1,512 px²"),
        (0.526, "ratio", "0.53"),
        (12.44, "percent", "12.4 %"),
        (3, "count", "3"),
    ],
)
def test_numbers_with_their_units(value, unit, text):
    assert writer.number(Measurement("x", value, unit)) == text


def test_plurals():
    names = ["polyp", "nucleus", "tooth", "retinal vessels", "breast tumour, malignant tumour 0.5"]
    assert [writer.plural(name) for name in names] == [
        *("polyps", "nuclei", "teeth", "retinal vessels", "breast tumours, malignant tumour 0.5"),
    ]


def test_what_can_be_looked_for_is_offered():
    assert writer.offers(["liver", "polyp", "pneumothorax"]) == " I can look for polyp, pneumothorax and liver."
    assert writer.offers(["polyp"]) == " I can look for polyp." and writer.offers([]) == ""
    assert writer.offers([], ["streaks", "pigment network"]) == " I have learned to tell streaks and pigment network."


# Where every number comes from

CALLS = [
    *("present(polyp)", "find(polyp)", "count(polyp)", "place(polyp)", "describe()", "compare(polyp | liver, more)"),
    *(f"measure(polyp, {word})" for word in ("size", "length", "width", "height", "area", "circumference", "share")),
]


def numbers(text: str) -> list[float]:
    return [float(n.replace(",", "")) for n in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


@pytest.mark.parametrize("call", CALLS)
def test_every_number_of_an_answer_is_one_of_its_result(call):
    chance = random.Random(call)
    for _ in range(20):
        spacing = chance.choice([None, (0.37, 0.81)])
        corners = [(chance.randrange(150), chance.randrange(70)) for _ in range(chance.randrange(4))]
        regions = [shown("polyp", (x, y, x + chance.randrange(5, 50), y + chance.randrange(5, 30))) for x, y in corners]
        finder = MadeUpFinder(*regions, kind=COLON)
        scene = scene_of(finder, study_of(spacing=spacing))
        result = run(call, finder, scene)
        own = [m.value for m in result.measurements] + [len(result.regions), 0]
        for text in (writer.answer_text(result, scene), *writer.beside(result, scene)):
            for number in numbers(text):
                assert any(number == pytest.approx(value, abs=0.5 if value >= 100 else 0.0501) for value in own), text


def test_a_size_is_never_told_without_a_measurement():
    (call,) = parse("measure(polyp, length)")
    scene = scene_of(POLYPS)
    for result in (Result(call, things=("polyp",)), Result(call, 0.5, value="12 mm", why_not="I cannot measure it.")):
        assert not numbers(writer.answer_text(result, scene))


def test_a_region_that_has_no_outline_has_a_place_too():
    box = Region("polyp", 0, SMALL.box, None, 0.9, phrase="polyp")
    result = Result(Call("find", ("polyp",)), 0.9, value=1, regions=[box])
    assert writer.beside(result, scene_of(POLYPS)) == ["Polyp in the upper left of the image."]
    assert writer.beside(replace(result, regions=[SMALL]), scene_of(POLYPS)) == writer.beside(result, scene_of(POLYPS))


@pytest.mark.parametrize(
    ("there", "words"),
    [(True, "Yes: looked at again, I still find polyp."), (False, "No: looked at again, I no longer find polyp.")],
)
def test_a_second_look_says_what_it_looked_at(there, words):
    call = Call("look", ("it",))
    assert writer.answer_text(Result(call, 0.9, "present", there, things=("polyp",)), scene_of(POLYPS)) == words
