"""JSRT: chest films of 200 × 200 pixels that tell of every patient whether there is a lung nodule, and of nothing else."""

from __future__ import annotations

from medvlm.records import Record

from .adapter import Adapter, findings

NODULE = "lung nodule"


def presence(record: Record) -> dict[str, bool]:
    """A film without a nodule is a normal one: it shows none of the findings."""
    return dict.fromkeys(findings(record), False) if record.labels.get(NODULE) == "no" else {}


def hidden(record: Record) -> set[str]:
    """A nodule that nobody outlined is often too faint to be seen at this size."""
    return {NODULE} if record.labels.get(NODULE) == "yes" and not record.region(NODULE) else set()


ADAPTER = Adapter(skipped=("sex",), presence=presence, hidden=hidden)
