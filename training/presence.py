"""Which labels are present in an image or absent, by its record and by its data set's own rules."""

from __future__ import annotations

from medvlm.records import Record
from medvlm.records.presence import labelled_presence as plainly_labelled

from .datasets import adapter_of


def labelled_presence(record: Record) -> dict[str, int]:
    """1 for each label that is in the image, 0 for each that is not; unlabelled ones are left out."""
    rules = adapter_of(record.set)
    plain = {label: there for label, there in plainly_labelled(record).items() if label not in rules.hidden(record)}
    return {label: int(there) for label, there in (rules.presence(record) | plain).items()}
