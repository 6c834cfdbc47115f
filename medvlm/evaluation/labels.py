"""Image-level facts that records state, such as a fracture or a tumour's type, as text."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ..records import Record
from .baselines import commonest

NEGATIVE = {"no", "normal", "absent", "none", "typical"}
Chances = Mapping[str, Mapping[str, float]]  # fact → value → probability


def stated(record: Record) -> dict[str, str]:
    """The labels of a record as text; unknown ones are left out."""
    return {fact: str(value) for fact, value in record.labels.items() if value is not None}


def learned(record: Record, chances: Chances) -> dict[str, str]:
    """The model's name for each stated fact whose value it learned.

    That is the fact's own, but where a set calls its fact like itself: such a name says nothing, and "pneumonia film" of a
    model is meant by a set "pneumoniamnist" that has its values.
    """
    found = {}
    for name, value in stated(record).items():
        names = [name]
        if name == record.set and name not in chances:
            names = [fact for fact in chances if any(word in name for word in fact.replace("_", " ").split())]
        if fact := next((fact for fact in names if value in chances.get(fact, {})), ""):
            found[name] = fact
    return found


def commonest_values(records: Iterable[Record]) -> dict[str, str | None]:
    """Fact → its commonest value over training records."""
    values: dict[str, list[str]] = {}
    for record in records:
        for fact, value in stated(record).items():
            values.setdefault(fact, []).append(value)
    return {fact: commonest(some) for fact, some in values.items()}


def positive_value(values: Collection[str]) -> str | None:
    """The value that a test looks for: malignant against the rest, else that of two which is not the normal one."""
    if "malignant" in values:
        return "malignant"
    found = [value for value in values if value not in NEGATIVE]
    return found[0] if len(values) == 2 and len(found) == 1 else None
