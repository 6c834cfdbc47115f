"""Which questions ask for a label's presence, and phrases that only ask for a name."""

import pytest

from medvlm.questions import PresenceQuestion, StateQuestion, denied_name, doubtful, presence_question, state_question
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
        ("Does the scan fail to show a pneumothorax?", "pneumothorax", True),
        ("rule out pneumothorax", "pneumothorax", False),
        ("Please rule out pleural effusion.", "pleural effusion", False),
        ("r/o PTX", "pneumothorax", False),
        ("Can you rule out a pneumothorax?", "pneumothorax", True),
        ("pneumothorax ruled out?", "pneumothorax", True),
        ("Not sure if there is a pneumothorax", "pneumothorax", False),
        ("Is there a pneumothroax?", "pneumothorax", False),
        ("Is there no polpy?", "polyp", True),
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


@pytest.mark.parametrize(
    "text",
    [
        "Isn’t there a pneumothorax?",  # yes is there is one, for most
        "You see no polyp, do you?",
        "No doubt there is a polyp?",
        "Is there a polyp that was not seen before?",
        "Could you please rule out a polyp?",
        "pneumothorax not excluded?",
        "Did I miss a polyp?",
        "Is it a false polyp?",
        "polyp or no polyp?",
        "Prior: no polyp. Is there a polyp now?",
        "neg for polyp?",
        "w/o polyp",
        "no change in the polyp?",
        "Why is there no pneumothorax?",
        "Is there a polyp without symptoms?",
        "Is the liver not healthy?",
        "Is there no evidence of blunting?",
    ],
)
def test_a_yes_that_may_mean_either_is_nobodys_guess(text):
    assert presence_question(text, lambda word: len(word) < 9) is None
    assert doubtful(text)


@pytest.mark.parametrize(
    "text",
    ["Is there a polyp?", "Was this taken with or without contrast?", "Is there free air?", "Where is the liver?"],
)
def test_other_questions_are_not_doubtful(text):
    assert not doubtful(text)


@pytest.mark.parametrize(
    ("text", "forms", "abnormal"),
    [
        ("Is this chest x-ray normal?", ("does the chest look abnormal?", "does the chest look normal?"), False),
        ("Is this chest x-ray abnormal?", ("does the chest look abnormal?", "does the chest look normal?"), True),
        ("Does the lung look healthy?", ("does the lung look abnormal?", "does the lung look normal?"), False),
        ("normal?", ("does the image look abnormal?", "does the image look normal?"), False),
        (
            "Are there any abnormalities in this image?",
            ("does the image look abnormal?", "does the image look normal?"),
            True,
        ),
    ],
)
def test_whether_something_is_normal_is_asked_both_ways(text, forms, abnormal):
    assert state_question(text) == StateQuestion(forms, abnormal)


@pytest.mark.parametrize(
    "text", ["Is there a polyp?", "Is the liver not normal?", "What is abnormal?", "Is it normal or abnormal?"]
)
def test_other_questions_of_a_state(text):
    assert state_question(text) is None


@pytest.mark.parametrize(
    ("phrase", "label"),
    [
        ("no polyp", "polyp"),
        ("without any visible polyp", "polyp"),
        ("absence of pneumothorax", "pneumothorax"),
        ("no suspicious polyp", "polyp"),
        ("polyp", None),
        ("non-enhancing tumour", None),
        ("tumour part without enhancement", None),
        ("the lung that is not collapsed", None),
    ],
)
def test_phrases_that_name_what_is_missing(phrase, label):
    assert denied_name(phrase) == label


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
        ("There's a fracture in this section, isn't there?", "fracture", False),
        ("Can we rule out a fracture in this section?", "fracture", True),
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
