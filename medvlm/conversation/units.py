"""Numbers with their units: as text, in the unit that a question wants, and out of a question's words. Torch-free."""

from __future__ import annotations

import re

from ..types import Measurement

NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()
LENGTHS = {"cm": 10.0, "mm": 1.0, "µm": 0.001}  # millimetres
WISH = re.compile(
    r"\b(?:(cm|centimet(?:er|re)s?)|(mm|millimet(?:er|re)s?)|(?:µm|μm|um|microns?|micromet(?:er|re)s?))(?:[2²]|\b)",
    re.IGNORECASE,
)


def wished(question: str) -> str:
    """The unit of length that a question wants: "cm", "mm" or "µm"; nothing where it names none."""
    match = WISH.search(question)
    return "" if match is None else "cm" if match[1] else "mm" if match[2] else "µm"


def shown(m: Measurement, wish: str = "") -> str:
    """A measurement as text, such as "34.2 mm", "3.42 cm", "0.53" or "12.4 %"; in the unit of a `wish`, where it has one."""
    if m.unit == "count":
        return f"{m.value:.0f}"
    if m.unit == "ratio":
        return f"{m.value:.2f}"
    value, unit = m.value, shown_unit(m.unit)
    if m.unit in ("mm", "mm2"):
        scale = LENGTHS[wish or _fitting(m)]
        value, unit = m.value / scale ** (2 if m.unit == "mm2" else 1), unit.replace("mm", wish or _fitting(m))
    return f"{digits(value)} {unit}".strip()


def _fitting(m: Measurement) -> str:
    return "mm" if m.value >= 0.1 or m.value == 0 else "µm"


def digits(value: float) -> str:
    """A number with as many places as one reads."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 or value == 0 else f"{value:.3g}"


def quantity(text: str) -> tuple[float, str] | None:
    """The number in words such as "4 cm", "20" or "five", and its unit ("" for none); `None` where there is no number."""
    match = re.search(r"\d+(?:[.,]\d+)?", text)
    words = [word for word in text.lower().split() if word in NUMBERS]
    if match is None and not words:
        return None
    number = float(match[0].replace(",", ".")) if match else float(NUMBERS.index(words[0]))
    unit = re.search(r"ml\b|millil|cc\b|mm|millim|cm|centim|px|pixel|%|per ?cent", text.lower())
    if unit and unit[0] in ("millil", "cc"):
        return number, "ml"
    return number, unit[0][:2] if unit else ""


def in_unit(found: Measurement, unit: str) -> float | None:
    """A measurement's value in the unit of a bound; `None` where one is in pixels and the other is not."""
    if unit == "":
        return found.value
    if unit in ("mm", "mi", "cm", "ce") and found.unit.startswith("mm"):
        power = 2 if found.unit.endswith("2") else 1
        return found.value / (10**power if unit in ("cm", "ce") else 1)
    if unit in ("px", "pi") and found.unit.startswith("px"):
        return found.value
    if unit == "ml":
        return found.value if found.unit == "ml" else None
    return found.value if unit in ("%", "pe") and found.unit == "percent" else None


def shown_unit(unit: str) -> str:
    """A unit as one writes it."""
    return {"mm2": "mm²", "px2": "px²", "percent": "%", "ratio": "", "count": ""}.get(unit, unit)
