"""Which labels are known to be in an image or not, by what any record tells and by its data set's own rules."""

from __future__ import annotations

from medvlm.records import Record
from medvlm.records.presence import known_presence as plainly_known

from .datasets import adapter_of


def known_presence(record: Record) -> dict[str, int]:
    """1 for each label that is in the image, 0 for each that is not; labels of which nothing is known are left out."""
    rules = adapter_of(record.set)
    plain = {label: there for label, there in plainly_known(record).items() if label not in rules.hidden(record)}
    return {label: int(there) for label, there in (rules.presence(record) | plain).items()}
