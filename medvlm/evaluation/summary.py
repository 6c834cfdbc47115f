"""What metrics are made with: a mean with its interval by patient, and what baselines reach beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from . import metrics
from .store import Item

Metric = dict[str, Any]  # value, n, low, high, baseline
Metrics = dict[str, Metric]  # by "task/set/…/name"
EVERY = "all"  # stands for a set where all of them are meant


def metric(
    values: Sequence[Any],
    patients: Sequence[str],
    baseline: Mapping[str, float] | None = None,
    statistic: Callable[[list[Any]], float] | None = None,
) -> Metric:
    """A mean (or `statistic`) with its count, its 95 % interval by patient, and what baselines reach."""
    low, high = metrics.bootstrap_interval(values, patients, statistic=statistic)
    value = statistic(list(values)) if statistic else sum(values) / len(values)
    return {
        "value": _round(value),
        "n": len(values),
        "low": _round(low),
        "high": _round(high),
        "baseline": {name: _round(v) for name, v in (baseline or {}).items()},
    }


def _round(value: float) -> float | None:
    return None if value != value else round(float(value), 4)  # JSON has no NaN


def mean(values: Sequence[float]) -> float:
    """NaN of nothing."""
    return sum(values) / len(values) if values else float("nan")


def patients_of(items: Iterable[Item]) -> list[str]:
    return [f"{item['set']}/{item['patient']}" for item in items]


def by_set(items: Iterable[Item]) -> dict[str, list[Item]]:
    """In the order of each set's first item."""
    out: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        out[item["set"]].append(item)
    return dict(out)


def sets_and_every(items: Sequence[Item]) -> dict[str, Sequence[Item]]:
    """The items of each set, and last all of them."""
    return {**by_set(items), EVERY: items}


def over_pairs(score: Callable[[Sequence[Any], Sequence[Any]], float]) -> Callable[[list[Any]], float]:
    """A score of two lists as a statistic of pairs."""
    return lambda pairs: score([first for first, _ in pairs], [second for _, second in pairs])
