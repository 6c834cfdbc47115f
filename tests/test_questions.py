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
        ("Registrar unsure; polyp noted?", "polyp", False),
        ("Registrar unsure; nil polyp noted?", "polyp", True),
        ("Is the pneumothorax undetectable?", "pneumothorax", True),
        ("this scan aint got a polyp??", "polyp", True),
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
        "Is there an effusion on the right?",
        "There is a liver in this image; is it healthy?",
        "Is the patient ill?",
        "How many polyps are there?",
        "Is the tumour on the left of the liver?",
        "Are there abnormalities in the patient's right lung?",
        "Can a cavitation be observed on the left lung?",
        "Which is bigger in this image, kidney or liver?",
        "Is the fracture unstable?",
        "",
    ],
)
def test_questions_of_more_than_presence_are_left_alone(text):
    assert presence_question(text) is None


def everyday(word):
    return (
        word
        in "before homework grandmother last week doctor made attached section report we sign off carefully".split()
    )


@pytest.mark.parametrize(
    ("text", "label", "denied"),
    [
        ("If it is not too much trouble, can a polyp be made out in the attached image?", "polyp", False),
        ("My grandmother had surgery last week: is her left lung not visible?", "left lung", True),
        ("Pneumothorax before we sign off: absent?", "pneumothorax", True),
        ("There's a fracture in this section, isn't there?", "fracture", False),
        ("Can you not rule out a fracture in this section?", "fracture", False),
        ("There is no fracture in this report, am I right?", "fracture", True),
    ],
)
def test_everyday_words_only_frame_a_question(text, label, denied):
    assert presence_question(text, everyday) == PresenceQuestion(label, denied)


@pytest.mark.parametrize(
    "text",
    ["Is the liver attached?", "Are the lungs before the doctor?", "What section has a polyp?", "Is a polyp attached?"],
)
def test_everyday_words_about_the_label_ask_for_more(text):
    assert presence_question(text, everyday) is None


def test_a_name_among_words_that_only_ask_for_it():
    assert asked_name("Where is the patient's left lung on this film?") == "left lung"
    assert asked_name("could you outline the papilla, please") == "optic disc"
    assert asked_name("lung, left") == "left lung" and asked_name("the lung on the left side") == "left lung"
    assert asked_name("the lung above the liver") is None and asked_name("where is it?") is None
    assert all(asked_name(name) == name for name in LABELS)
    assert all(
        asked_name(f"show me the {s}") == name for name, label in LABELS.items() for s in label.synonyms if "," not in s
    )
