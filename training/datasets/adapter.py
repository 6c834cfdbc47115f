"""The rules of one data set, beside what its records say in the common way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path

from medvlm.records import Record
from medvlm.vocabulary import expected_labels, is_finding

HERE = Path(__file__).parent


def nothing_more(record: Record) -> dict[str, bool]:
    return {}


def none_hidden(record: Record) -> Collection[str]:
    return ()


@dataclass(frozen=True)
class Adapter:
    """How the records of one data set are to be understood; a set without rules of its own needs none.

    `presence` tells which labels are in a record's image, where the record does not say so in the common way, which
    outweighs it. `hidden` names labels that are true of the patient and hardly to be seen in the image:
    their presence is not learned. `questions` are English questions, in lower case, each with the normalised answers to tell
    apart: they are learned as facts without a name.
    """

    skipped: tuple[str, ...] = ()  # image-level facts that do not show in an image, or in no way worth learning
    named: Mapping[str, str] = field(default_factory=dict)  # a fact as records spell it -> its name in a model
    questions: Mapping[str, list[str]] = field(default_factory=dict)
    presence: Callable[[Record], dict[str, bool]] = nothing_more
    hidden: Callable[[Record], Collection[str]] = none_hidden


@cache
def adapter_of(name: str) -> Adapter:
    """The rules of the data set of that name: those of the module `name` beside this one, if there is such a module."""
    return import_module(f"{__package__}.{name}").ADAPTER if name in sets_with_rules() else Adapter()


@cache
def sets_with_rules() -> Collection[str]:
    """The names of the data sets that have a module beside this one."""
    return {path.stem for path in HERE.glob("*.py")} - {"__init__", "adapter", "mixtures"}


@cache
def question_values() -> dict[str, list[str]]:
    """The questions of all sets that are learned as unnamed facts, each with its values, in the order of the weights."""
    return dict(sorted(pair for name in sets_with_rules() for pair in adapter_of(name).questions.items()))


def facts_of(record: Record) -> dict[str, str]:
    """The image-level facts that a record states, as text, under their names in a model."""
    named = adapter_of(record.set).named
    return {named.get(name, name): str(value) for name, value in record.labels.items()}


def findings(record: Record) -> list[str]:
    """The findings that this kind of image can show."""
    return [label for label in expected_labels(record.modality or "", record.body_part or "") if is_finding(label)]
