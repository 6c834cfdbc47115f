"""A table of metrics as Markdown that also reads well as plain text, and what goes into its cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .summary import Metric, Metrics


@dataclass(frozen=True)
class Table:
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        widths = [max(len(row[i]) for row in [self.head, *self.rows]) for i in range(len(self.head))]

        def line(row: Sequence[str]) -> str:
            return "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"

        rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        return "\n".join([self.title, "", line(self.head), rule, *map(line, self.rows)])


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def interval(metric: Metric | None) -> str:
    if not metric or metric["value"] is None:
        return ""
    return f"{number(metric['value'])} [{number(metric['low'])}, {number(metric['high'])}]"


def guess(metric: Metric | None, baseline: str) -> str:
    """What a baseline of a metric reaches."""
    return number(metric["baseline"].get(baseline)) if metric else ""


def names(metrics: Metrics, task: str, depth: int) -> list[tuple[str, ...]]:
    """What stands between the task and the last word of the keys of a task with `depth` words in between."""
    keys = (key.split("/") for key in metrics)
    return list(dict.fromkeys(tuple(k[1:-1]) for k in keys if k[0] == task and len(k) == depth + 2))


def named(metrics: Metrics, task: str, name: str) -> list[tuple[str, Metric]]:
    """Set and metric of every key "task/set/name"."""
    keys = (key.split("/") for key in metrics)
    return [(k[1], metrics["/".join(k)]) for k in keys if (k[0], k[-1]) == (task, name) and len(k) == 3]
