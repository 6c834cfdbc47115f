"""Questions that name their answers: what they compare and among what they let choose."""

import pytest

from medvlm.comparisons import SideQuestion, lets_choose, offered, side_question, size_question

ANSWERS = [
    "Left",
    "Right",
    "Lower Right",
    "MRI",
    "CT",
    "X-Ray",
    "Liver",
    "Heart",
    "No",
    "T1",
    "T2",
    "Left Lung",
    "Right Lung",
]


@pytest.mark.parametrize(
    ("text", "names", "smaller"),
    [
        ("Which is bigger, the liver or the spleen?", ["liver", "spleen"], False),
        ("Which is smaller in this image,liver or left lung?", ["liver", "left lung"], True),
        ("What is the largest here: colon, liver or bladder?", ["colon", "liver", "bladder"], False),
    ],
)
def test_things_compared(text, names, smaller):
    asked = size_question(text)
    assert list(asked.options) == names and asked.smaller == smaller
    assert all(asked.options[name] == (name,) for name in names)


def test_both_of_a_pair_are_compared():
    asked = size_question("Which is larger in this picture, kidneys or spinal cord?")
    assert asked.options == {"kidneys": ("left kidney", "right kidney"), "spinal cord": ("spinal cord",)}


@pytest.mark.parametrize(
    "text",
    [
        "Is the liver enlarged?",
        "Is the heart bigger or smaller?",
        "Is the liver larger than the spleen, yes or no?",
        "Which one is not the largest, liver or spleen?",
        "What is the second largest organ, liver or spleen?",
        "Which lung has the larger nodule, left lung or right lung?",
    ],
)
def test_other_questions_compare_nothing(text):
    assert size_question(text) is None


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Which lobe is abnormal,left or right?", SideQuestion(False, ())),
        ("Which hemisphere is normal?", SideQuestion(True, ())),
        (
            "Which kidney is abnormal in this image, right or left?",
            SideQuestion(False, ("left kidney", "right kidney")),
        ),
        ("Is the left lung abnormal?", None),
        ("Which side is not normal, left or right?", None),
        ("Which lung is abnormal, left or right or both?", None),
        ("What is the normal size of the left or right kidney?", None),
    ],
)
def test_sides(text, asked):
    assert side_question(text) == asked


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("Which lobe is it,left or right?", ["Left", "Right"]),
        ("Where is the heart in this image, right or lower right?", ["Right", "Lower Right"]),
        ("Which modality is shown, MRI, CT or X-Ray?", ["MRI", "CT", "X-Ray"]),
        ("Is this an MRI, a CT, or an X-ray?", ["MRI", "CT", "X-Ray"]),
        ("What was made, a CT or an MRI?", ["CT", "MRI"]),
        ("Which lung is abnormal in this CT, left or right?", ["Left", "Right"]),
        ("Is this the left or right lung?", ["Left Lung", "Right Lung"]),
        ("Is this T1 or T2 weighted?", ["T1", "T2"]),
        ("Is the liver or another organ sick?", []),
        ("Is there a tumour on this CT or MRI?", []),
        ("Is the nodule solid or cystic?", []),
        ("Is this normal or not?", []),
        ("Is there a liver?", []),
    ],
)
def test_offered_answers(text, options):
    assert offered(text, ANSWERS) == options


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("Is the mass cystic or solid?", True),
        ("Was this taken with or without contrast?", True),
        ("Are there any cysts or stones?", False),
        ("Can you see the kidneys or the bladder?", False),
        ("Is the heart enlarged or not?", False),
        ("Is the liver enlarged?", False),
    ],
)
def test_questions_that_let_choose(text, choice):
    assert lets_choose(text) == choice
