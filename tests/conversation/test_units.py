"""Numbers as they are shown, in the unit that a question wants."""

import pytest

from medvlm.conversation.units import quantity, shown, wished
from medvlm.types import Measurement


@pytest.mark.parametrize(
    ("value", "unit", "wish", "right"),
    [
        (34.24, "mm", "", "34.2 mm"),
        (34.24, "mm", "cm", "3.42 cm"),
        (0.0105, "mm", "", "10.5 µm"),
        (0.0105, "mm", "mm", "0.0105 mm"),
        (1234.0, "mm2", "cm", "12.3 cm²"),
        (0.02, "mm2", "", "20,000 µm²"),
        (350.4, "px", "cm", "350 px"),
        (0.534, "ratio", "cm", "0.53"),
        (12.44, "percent", "", "12.4 %"),
        (7, "count", "", "7"),
        (0.0, "mm", "", "0.0 mm"),
    ],
)
def test_a_measurement_is_shown_in_a_unit_that_fits(value, unit, wish, right):
    assert shown(Measurement("length", value, unit), wish) == right


@pytest.mark.parametrize(
    ("question", "right"),
    [
        ("how long in cm?", "cm"),
        ("area in mm² please", "mm"),
        ("biggest nucleus, in microns", "µm"),
        ("how big", ""),
        ("cmv?", ""),
    ],
)
def test_the_unit_that_a_question_wants(question, right):
    assert wished(question) == right


def test_a_quantity_in_words():
    assert quantity("4 cm") == (4.0, "cm") and quantity("five") == (5.0, "") and quantity("many") is None
