"""A few of many, and many a few at a time. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from .types import Study

MOST_IMAGES = 8  # of a study that is no volume, that are looked at

Item = TypeVar("Item")


def evenly_spaced(items: Sequence[Item], count: int | None) -> list[Item]:
    """At most `count` of the items in their order, evenly spaced, the first and the last among them; `None` takes all."""
    if count is None or len(items) <= count:
        return list(items)
    return [items[int(place)] for place in np.linspace(0, len(items) - 1, count).round()]


def batches(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """All of the items in their order, `size` at a time."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def examined_images(study: Study, limit: int = MOST_IMAGES) -> list[int]:
    """Indices of the images to examine: all slices of a volume and all of a few, else `limit` evenly spaced ones with the
    default among them."""
    if len(study.images) <= limit or study.is_volume:
        return list(range(len(study.images)))
    spread = evenly_spaced(range(len(study.images)), limit)
    nearest = min(spread, key=lambda index: abs(index - study.default))
    return sorted({study.default if index == nearest else index for index in spread})
