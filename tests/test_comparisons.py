"""Questions that name their answers: what they compare and among what they let choose."""

import pytest

from medvlm.comparisons import offered, side_question, size_question

ANSWERS = ["Left", "Right", "Lower Right", "MRI", "CT", "X-Ray", "Liver", "Heart", "No"]


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
    "text", ["Is the liver enlarged?", "Is the heart bigger or smaller?", "Is there a liver or not?"]
)
def test_other_questions_compare_nothing(text):
    assert size_question(text) is None


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("Which lobe is abnormal,left or right?", "abnormal"),
        ("Which hemisphere is normal, right or left?", "normal"),
        ("Is the left lung abnormal?", None),
        ("Is the left or right lung larger?", None),
    ],
)
def test_sides(text, state):
    assert side_question(text) == state


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("Which lobe is it,left or right?", ["Left", "Right"]),
        ("Where is the heart in this image, right or lower right?", ["Right", "Lower Right"]),
        ("Which modality is shown, MRI, CT or X-Ray?", ["MRI", "CT", "X-Ray"]),
        ("What was made, a CT or an MRI?", ["CT", "MRI"]),
        ("Is the liver or another organ sick?", []),
        ("Is the nodule solid or cystic?", []),
        ("Is there a liver?", []),
    ],
)
def test_offered_answers(text, options):
    assert offered(text, ANSWERS) == options
