"""The rules of one data set, beside what any record tells."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

from medvlm.records import Record
from medvlm.vocabulary import expected_labels, is_finding


def nothing_more(record: Record) -> dict[str, bool]:
    return {}


def none_hidden(record: Record) -> Collection[str]:
    return ()


@dataclass(frozen=True)
class Adapter:
    """How the records of one data set are to be understood; a set without rules of its own needs none.

    `presence` tells which labels are in a record's image, where the record does not say so in a way that any set has; what
    it does say so outweighs it. `hidden` names labels that are true of the patient and hardly to be seen in the image:
    their presence is not learned.
    """

    skipped: tuple[str, ...] = ()  # image-level facts that do not show in an image, or in no way worth learning
    presence: Callable[[Record], dict[str, bool]] = nothing_more
    hidden: Callable[[Record], Collection[str]] = none_hidden


@cache
def adapter_of(name: str) -> Adapter:
    """The rules of the data set of that name: those of the module `name` beside this one, if there is such a module."""
    here = {path.stem for path in Path(__file__).parent.glob("*.py")} - {"__init__", "adapter", "mixtures"}
    return import_module(f"{__package__}.{name}").ADAPTER if name in here else Adapter()


def findings(record: Record) -> list[str]:
    """The findings that this kind of image can show."""
    return [label for label in expected_labels(record.modality or "", record.body_part or "") if is_finding(label)]
