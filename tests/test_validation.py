"""Prompts and texts as people send them: each works, or is refused in one sentence that says what to do."""

from pathlib import Path

import pytest
import yaml

from medvlm.errors import RequestError
from medvlm.languages import surely_foreign
from medvlm.validation import check_box, check_phrase, check_points, check_question
from medvlm.vocabulary import LABELS, canonical_name
from training.tasks import FREE_OF, PRESENT, free_wordings, outside_names, with_article

SIZE = (80, 100)  # (H, W)


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0.5, 0.1, 0.9, 0.6), "looks like fractions of the image; give pixels, such as 50,8,90,48: x from 0 to 100 and y from 0 to 80"),
        ((0, 0, 1, 1), "looks like fractions of the image; give pixels, such as 0,0,100,80"),
        ((0, 0.5, 1, 1), "fractions"),
        ((9, 9, 3, 3), "are exchanged; give the top left one before the bottom right one: 3,3,9,9"),
        ((9, 3, 3, 9), "are exchanged; give the top left one before the bottom right one: 3,3,9,9"),
        ((3, 3, 3, 9), "has no area"),
        ((200, 200, 300, 300), "lies outside the image; keep x within 0..100 and y within 0..80"),
        ((-5, 0, 10, 10), "leaves the image"),
        ((3, 3, 3.2, 3.2), "is smaller than a pixel"),
        ((1, 2, 3), "four numbers"),
    ],
)  # fmt: skip
def test_boxes_that_are_no_good(box, words):
    with pytest.raises(RequestError, match=words.replace(".", r"\.")) as error:
        check_box(box, SIZE)
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


@pytest.mark.parametrize("box", [(3, 3, 4, 4), (0, 0, 1, 2), (0.5, 0.5, 2.5, 1.5), (0, 0, 100, 80)])
def test_boxes_in_pixels(box):
    assert check_box(box, SIZE) == box


def test_the_only_pixel_of_an_image_is_no_fraction():
    assert check_box((0, 0, 1, 1), (1, 1)) == (0, 0, 1, 1)


@pytest.mark.parametrize("point", [(0.5, 0.1), (0, 0.5), (0.99, 1)])
def test_points_in_fractions(point):
    with pytest.raises(RequestError, match="looks like fractions of the image; give pixels"):
        check_points([(*point, 1)], SIZE)


@pytest.mark.parametrize("point", [(0, 0), (1, 1), (0, 1), (1.5, 0.5), (99.9, 79.9)])
def test_points_in_pixels(point):
    assert check_points([(*point, 1)], SIZE) == [(*point, 1)]


def other_languages(part: str) -> list[str]:
    text = (Path(__file__).parent / "other_languages.yaml").read_text(encoding="utf-8")
    return [question for questions in yaml.safe_load(text)[part].values() for question in questions]


@pytest.mark.parametrize("part", ["tune", "report"])
def test_questions_in_other_languages_are_mostly_known(part):
    questions = other_languages(part)
    long = [question for question in questions if len(question.split()) > 2]
    assert len(questions) == 100
    assert sum(map(surely_foreign, long)) >= 0.9 * len(long)
    assert sum(map(surely_foreign, questions)) >= 0.85 * len(questions)


@pytest.mark.parametrize(
    "text", ["¿Hay neumotórax?", "¿Hay derrame pleural?", "Gibt es einen Polypen?", "Kalp büyümüş mü?"]
)
def test_a_question_in_another_language_is_refused(text):
    with pytest.raises(RequestError, match="Ask in English"):
        check_question(text)


def test_questions_in_english_are_not_refused():
    short = """any ptx?|PTX?|CTR?|polyp?|liver|effusion L>R?|pneumothorax?|cardiomegaly|glioma or meningioma?|r/o pna|AP or PA?|ETT ok?|
    T1 or T2?|BI-RADS?|mg/kg?|RLL consolidation?|is teh hart enlargd|wht is dis|any pneumothroax|Ménière disease?|hi|normal?""".split(
        "|"
    )
    forms = [
        with_article(f, label) for label in LABELS for f in (*PRESENT, *FREE_OF, "rule out {x}", "{x}?", "any {x}")
    ]
    refused = [text for text in (*map(str.strip, short), *forms) if surely_foreign(text)]
    assert not refused


def test_a_phrase_that_denies_is_refused():
    with pytest.raises(RequestError, match="Name what to find, not what is missing: write “polyp”"):
        check_phrase("no polyp")
    for phrase in (*LABELS, *(p for phrases in free_wordings().values() for p in phrases)):
        assert check_phrase(phrase)


@pytest.mark.parametrize(
    ("phrase", "label"),
    [
        ("without any visible polyp", "polyp"),
        ("absence of pneumothorax", "pneumothorax"),
        ("There is no polyp", "polyp"),
        ("no suspicious polyp", "suspicious polyp"),
    ],
)
def test_what_is_missing_is_named_in_the_refusal(phrase, label):
    with pytest.raises(RequestError, match=f"write “{label}”"):
        check_phrase(phrase)


@pytest.mark.parametrize(
    "phrase", ["polyp", "non-enhancing tumour", "tumour part without enhancement", "the lung that is not collapsed"]
)
def test_a_denial_inside_a_phrase_is_part_of_it(phrase):
    assert check_phrase(phrase) == phrase


def test_what_no_label_names_is_no_name():
    names = outside_names()
    assert len(set(names)) == len(names) > 500 and not any(map(canonical_name, names))
