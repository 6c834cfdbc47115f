"""Items of an evaluation as metrics, metrics as tables: each task speaks for its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .registry import REGISTRY
from .store import Item
from .summary import Metrics
from .task import Run


def summarise(items: Sequence[Item], run: Run) -> Metrics:
    """Metrics by "task/set/…/name" over the items of all tasks and sets."""
    out: Metrics = {}
    for name, task in REGISTRY.items():
        if mine := [item for item in items if item["task"] == name]:
            out |= task.summarise(mine, run)
    return out


def to_tables(result: dict[str, Any]) -> str:
    """The tables of an `evaluate` result."""
    part = f", the {result['part']} part" if result.get("part") else ""
    parts = [f"Model {result['model']}, split {result['split']}{part}; 95 % bootstrap intervals by patient."]
    if result["failed"]:
        parts.append(f"{result['failed']} items failed and count as wrong.")
    tables = (table for task in REGISTRY.values() for table in task.rows(result["metrics"]))
    return "\n\n".join([*parts, *(str(table) for table in tables if table.rows)]) + "\n"
