"""Which questions ask for a label's presence, and phrases that only ask for a name."""

import pytest

from medvlm.questions import PresenceQuestion, presence_question
from medvlm.records.vocabulary import LABELS, asked_name
from training.tasks import FREE_OF, PRESENT, with_article


@pytest.mark.parametrize("label", ["polyp", "left lung", "optic disc", "pleural effusion"])
def test_questions_of_training_are_read(label):
    for form in PRESENT:
        assert presence_question(with_article(form, label)) == PresenceQuestion(label, denied=False)
    for form in FREE_OF:
        assert presence_question(with_article(form, label)) == PresenceQuestion(label, denied=True)


@pytest.mark.parametrize(
    ("text", "label", "denied"),
    [
        ("Is there evidence of a pleural effusion?", "pleural effusion", False),
        ("Doesn’t the scan show a pneumothorax?", "pneumothorax", True),
        ("Do you see erythrocytes here?", "red blood cell", False),
        ("I'm looking for cotton wool spots: are there none?", "soft exudates", True),
    ],
)
def test_other_wordings_are_read(text, label, denied):
    assert presence_question(text) == PresenceQuestion(label, denied)


@pytest.mark.parametrize(
    "text",
    [
        "Where is the liver?",
        "Is the heart enlarged?",
        "Are the lungs clear?",
        "Is there oedema in the left lung?",
        "Is this polyp benign?",
        "Is there a polyp larger than 1 cm?",
        "Is there a fracture of the left clavicle?",  # two labels
        "Is the patient ill?",
        "How many polyps are there?",
        "Is the tumour on the left of the liver?",
        "",
    ],
)
def test_questions_of_more_than_presence_are_left_alone(text):
    assert presence_question(text) is None


def test_a_name_among_words_that_only_ask_for_it():
    assert asked_name("Where is the patient's left lung on this film?") == "left lung"
    assert asked_name("could you outline the papilla, please") == "optic disc"
    assert asked_name("lung, left") == "left lung" and asked_name("the lung on the left side") == "left lung"
    assert asked_name("the lung above the liver") is None and asked_name("where is it?") is None
    assert all(asked_name(name) == name for name in LABELS)
    assert all(
        asked_name(f"show me the {s}") == name for name, label in LABELS.items() for s in label.synonyms if "," not in s
    )
