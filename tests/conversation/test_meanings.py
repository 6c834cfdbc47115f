"""What the things of a call stand for in an image of a kind."""

import pytest

from medvlm.conversation.grammar import parse, text_of
from medvlm.conversation.meanings import labels_of, misspelt, named, options_in, pointed
from medvlm.vocabulary import expected_labels

BREAST, COLON, CELLS, FILM = (
    ("ultrasound", "breast"),
    ("endoscopy", "colon"),
    ("fluorescence microscopy", "cells"),
    ("x-ray", "chest"),
)


def meant(thing, kind, question="", spoken_of=()):
    return labels_of(thing, kind, expected_labels(*kind), spoken_of, question)


def made(call, kind, question, spoken_of=()):
    (one,) = parse(call)
    labels = meant(one.things[0], kind, question, spoken_of)
    return text_of([pointed(one, labels, kind, expected_labels(*kind), spoken_of, question)])


def test_a_lump_is_what_such_an_image_shows():
    assert meant("brain tumour", BREAST, "segment the tumour") == ["benign tumour", "malignant tumour"]
    assert meant("mass", COLON, "any mass?") == ["polyp"]
    assert meant("brain tumour", BREAST, "is there a brain tumour?") == ["brain tumour"], "named by the question"


def test_cells_are_what_such_an_image_shows_of_them():
    assert meant("cells", CELLS) == ["nucleus"]
    assert {"red blood cell", "white blood cell"} <= set(meant("cells", ("microscopy", "blood")))
    assert meant("cells", COLON) == meant("cavities", ("x-ray", "teeth")) == []


def test_an_organ_is_no_finding():
    assert "heart" in meant("anything", FILM, "mark the biggest organ") and "mass" not in meant(
        "anything", FILM, "which organs?"
    )
    assert "heart" not in meant("anything", FILM, "mark the biggest thing")


def test_a_misspelt_name_is_read():
    assert misspelt("heamorrhages") == "haemorrhages" and misspelt("hilum") is None
    assert meant("heamorrhages", ("fundus", "retina")) == ["haemorrhages"]


def test_a_name_may_stand_in_the_plural():
    assert (
        named("polyp", "how many polyps")
        and named("red blood cell", "Erythrocytes?")
        and not named("brain tumour", "a tumour")
    )


@pytest.mark.parametrize(
    ("call", "kind", "question", "spoken_of", "right"),
    [
        ("measure(it, length)", COLON, "how long is it", (), "measure(anything, length)"),
        ("count(it)", CELLS, "how many?", (), "count(nucleus)"),
        ("measure(it, length)", COLON, "how long is it", ("polyp",), "measure(it, length)"),
        ("measure(pneumothorax, length)", COLON, "longest diameter in px?", ("polyp",), "measure(it, length)"),
        ("measure(pneumothorax, length)", COLON, "length of the pneumothorax", ("polyp",), "measure(pneumothorax, length)"),
        ("measure(left kidney, height)", FILM, "how tall is the left one", ("left lung", "right lung"), "measure(left lung, height)"),
        ("measure(it, area, where=right)", FILM, "now the right one", ("left lung",), "measure(right lung, area)"),
        ("measure(it, area, where=right)", FILM, "on the right", ("lung nodule",), "measure(it, area, where=right)"),
        ("present(pneumothorax)", COLON, "PTX?", ("polyp",), "present(pneumothorax)"),
    ],
)  # fmt: skip
def test_what_is_pointed_at(call, kind, question, spoken_of, right):
    assert made(call, kind, question, spoken_of) == right


def test_values_that_are_offered():
    assert options_in("solid, predominantly solid or cystic", ["cystic", "solid", "predominantly solid"]) == [
        "predominantly solid",
        "cystic",
        "solid",
    ]
    assert options_in("target cells or spherocytes?", ["target cell", "spherocyte", "none"]) == [
        "target cell",
        "spherocyte",
    ]
    assert options_in("is it solid", ["solid", "cystic"]) == [] and options_in("yes or no", ["yes", "no"]) == []
