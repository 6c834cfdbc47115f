"""What is measured of outlines or counted, in the truth and in what was found. Masks are bool `(H, W)`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from ..records import Record
from ..report import measurements
from ..report.measurements import Spacing
from ..types import Measurement, Region
from ..vocabulary import LABELS


def cardiothoracic_ratio(masks: Sequence[np.ndarray], _: Spacing) -> Measurement | None:
    """The heart's widest width over the chest's, from outer edge to outer edge of the lungs (Danzer 1919)."""
    return measurements.cardiothoracic_ratio(*masks)


def head_circumference_mm(masks: Sequence[np.ndarray], spacing: Spacing) -> Measurement | None:
    """Perimeter in mm of the ellipse with the outline's second moments; `None` where the spacing is unknown."""
    return measurements.head_circumference(masks[0], spacing) if spacing else None


def cup_to_disc_ratio(masks: Sequence[np.ndarray], _: Spacing) -> Measurement | None:
    """Height of the optic cup over the disc's."""
    return measurements.cup_to_disc_ratio(*masks)


# Name → modality in which it has a meaning, labels whose masks it takes in this order, function.
MEASURES: dict[str, tuple[str, tuple[str, ...], Callable[[Sequence[np.ndarray], Spacing], Measurement | None]]] = {
    "cardiothoracic_ratio": ("x-ray", ("heart", "left lung", "right lung"), cardiothoracic_ratio),
    "head_circumference_mm": ("ultrasound", ("fetal head",), head_circumference_mm),
    "cup_to_disc_ratio": ("fundus", ("optic cup", "optic disc"), cup_to_disc_ratio),
}


def is_counted(label: str, modality: str | None) -> bool:
    """Whether an image shows many of a label, each outlined for itself; the teeth in CT are one outline."""
    return (label in LABELS and LABELS[label].kind == "object") or (label == "tooth" and modality == "x-ray")


def count_name(label: str) -> str:
    return f"{label.replace(' ', '_')}_count"


def true_measures(record: Record) -> dict[str, float]:
    """Every measure of a record by name, as its labels state it under that name, else from its outlines.

    Counts are of its boxes, one an instance, and 0 for a label that is labelled absent.
    """
    outlined = {region.label: region for region in record.regions if region.source is not None}
    counts = dict.fromkeys(record.absent, 0) | {region.label: len(region.boxes) for region in record.regions}
    out = {count_name(k): float(n) for k, n in counts.items() if is_counted(k, record.modality)}
    for name, (modality, labels, take) in MEASURES.items():
        if record.modality != modality or not outlined.keys() >= set(labels):
            continue
        if name.endswith("_mm") and not record.spacing_mm:
            continue
        if record.labels.get(name) is not None:
            out[name] = float(record.labels[name])
            continue
        masks = [mask > 0 for label in labels if (mask := outlined[label].mask) is not None]
        if measured := take(masks, record.spacing_mm):
            out[name] = measured.value
    return out


def found_measures(
    names: Iterable[str], masks: Mapping[str, np.ndarray], regions: Sequence[Region], spacing: Spacing
) -> dict[str, float | None]:
    """The measures called `names` of what was found: `masks` holds a union a label, `regions` are what is counted.

    `None` where a mask that it takes is missing or empty.
    """
    out: dict[str, float | None] = {}
    for name in names:
        if name in MEASURES:
            _, labels, take = MEASURES[name]
            whole = all(label in masks for label in labels)
            measured = take([masks[label] for label in labels], spacing) if whole else None
            out[name] = measured.value if measured else None
        else:
            out[name] = float(sum(count_name(region.phrase or region.label) == name for region in regions))
    return out


def mean_measures(records: Iterable[Record]) -> dict[str, float]:
    """The mean of every measure over training records: the guess without looking."""
    by_name: dict[str, list[float]] = {}
    for record in records:
        for name, value in true_measures(record).items():
            by_name.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in by_name.items()}
