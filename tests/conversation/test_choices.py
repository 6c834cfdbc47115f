"""Ranking given answers: by a fact that was learned on such images, else by the language model, and not for a decline."""

from __future__ import annotations

import pytest

from medvlm.conversation.choices import chances

from .made_up import COLON, FILM, MadeUpFinder, MadeUpRecall, study_of, talk

FACTS = {
    "fracture": {"no": 0.1, "yes": 0.9},
    "abnormal": {"no": 0.2, "yes": 0.8},
    "covid-19": {"no": 0.4, "yes": 0.6},
    "harm": {"much": 0.6, "little": 0.3, "none": 0.1},
}
RANKED = [0.5, 0.5]  # by the language model of these tests


def ranked(question: str, calls: str, options: list[str], finder: MadeUpFinder | None = None) -> list[float] | None:
    conversation = talk(finder or MadeUpFinder(facts=FACTS), calls, MadeUpRecall())
    return chances(conversation, study_of(), question, options)


@pytest.mark.parametrize(
    ("question", "calls", "yes"),
    [
        ("Is there a fracture?", "present(fracture)", 0.9),
        ("Is there no fracture?", "present(fracture, not)", 0.1),
        ("Does this film show COVID-19?", "present(covid-19)", 0.6),
        ("Is anything abnormal?", "grade(abnormal)", 0.8),
    ],
)
def test_yes_or_no_is_chosen_by_the_fact_that_is_asked_for(question, calls, yes):
    assert ranked(question, calls, ["Yes", "No"]) == pytest.approx([yes, 1 - yes])
    assert ranked(question, calls, ["No", "Yes"]) == pytest.approx([1 - yes, yes])


def test_yes_or_no_to_anything_else_is_the_language_models():
    assert ranked("Is there a polyp?", "present(polyp)", ["Yes", "No"]) == RANKED


def test_options_that_only_one_fact_has_are_ranked_by_it():
    assert ranked("How much?", "recall()", ["Much", "Little"]) == pytest.approx([2 / 3, 1 / 3])
    assert ranked("How much?", "recall()", ["Much", "a lot"]) == RANKED, "no fact has both"


def test_the_modality_is_known_of_every_image():
    assert ranked("How was it made?", "kind(modality)", ["X-ray", "Photograph"]) == pytest.approx([0.9, 0.1])
    assert ranked("How was it made?", "kind(modality)", ["X-ray", "sketch"]) == RANKED


def test_a_fact_that_was_learned_on_other_images_has_no_say():
    finder = MadeUpFinder(facts=FACTS, kind=COLON)
    finder.config.fact_kinds = {fact: [list(FILM)] for fact in FACTS}
    assert ranked("How much?", "recall()", ["Much", "Little"], finder) == RANKED
    assert ranked("Is there a fracture?", "present(fracture)", ["Yes", "No"], finder) == RANKED


def test_a_question_that_no_image_can_answer_is_not_ranked():
    assert ranked("Which medicine?", "decline(medicine)", ["Much", "Little"]) is None
    assert ranked("How much, and which medicine?", "recall(); decline(medicine)", ["Much", "Little"]) is not None
