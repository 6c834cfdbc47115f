"""Prompts as people draw them, at random, on known instances: boxes, clicks that also correct, scribbles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from scipy import ndimage

from medvlm.geometry import any_within
from medvlm.model.prompt_heads import PROMPT_CHANNELS
from medvlm.model.prompts import BOX, POINTS, SCRIBBLE, paint_box, paint_point

LEAST = 12  # pixels of an instance that can be pointed at
KINDS = {BOX: 0.45, POINTS: 0.35, SCRIBBLE: 0.2}
NEAR = 12  # pixels around an instance in which a negative click falls
SLACK = 0.06  # of a box's sides, by which it is drawn too large or too small


def draw_prompts(
    maps: Mapping[str, np.ndarray], count: int, size: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
    """Up to `count` prompts on instance maps `(side, side)` of labels: their map `(4, size, size)`, the channel of their
    kind and the instance meant, bool `(side, side)`. Nothing where no instance is large enough."""
    instances = []
    for label, ids in maps.items():
        areas = np.bincount(ids.ravel(), minlength=2)
        instances += [(label, i) for i in np.flatnonzero(areas >= LEAST) if i]
    repeated = np.resize(np.arange(len(instances)), max(count, len(instances)) if instances else 0)
    for number in rng.permutation(repeated)[:count]:
        label, i = instances[number]
        instance = maps[label] == i
        yield *draw_prompt(instance, size, rng), instance


def draw_prompt(instance: np.ndarray, size: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """A random prompt for a bool mask `(side, side)`: float32 `(4, size, size)` and the channel of its kind."""
    side = len(instance)
    prompt = np.zeros((PROMPT_CHANNELS, size, size), np.float32)
    ys, xs = np.nonzero(instance)
    kind = int(rng.choice(list(KINDS), p=list(KINDS.values())))
    if kind == BOX:
        box = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], float)
        slack = SLACK * np.tile([box[2] - box[0], box[3] - box[1]], 2)
        paint_box(prompt, box + rng.uniform(-slack, slack), side)
    elif kind == POINTS:
        x0, y0 = max(0, xs.min() - NEAR), max(0, ys.min() - NEAR)
        around = np.pad(instance[y0 : ys.max() + 1 + NEAR, x0 : xs.max() + 1 + NEAR], 1)
        depth = ndimage.distance_transform_edt(around)[1:-1, 1:-1]
        middle = rng.random() < 0.7  # most people click on the middle
        if middle:
            y, x = np.unravel_index(depth.argmax(), depth.shape)
            paint_point(prompt, x + x0 + 0.5, y + y0 + 0.5, True, side)
        corrected = rng.random() < 0.6
        for i in rng.integers(len(xs), size=rng.integers(0, 4) if middle and corrected else int(not middle)):
            paint_point(prompt, xs[i] + 0.5, ys[i] + 0.5, True, side)
        outside = ndimage.distance_transform_edt(~around)[1:-1, 1:-1]
        rows, columns = np.nonzero((outside > 1) & (outside <= NEAR))
        for i in rng.integers(len(rows), size=rng.integers(0, 3)) if corrected and len(rows) else ():
            paint_point(prompt, columns[i] + x0 + 0.5, rows[i] + y0 + 0.5, False, side)
    else:
        pairs = rng.integers(len(xs), size=(3, 2))  # the longest of a few: nobody scribbles a dot
        ends = pairs[np.hypot(*(np.stack([xs, ys])[:, pairs[:, 0]] - np.stack([xs, ys])[:, pairs[:, 1]])).argmax()]
        steps = np.linspace(0, 1, 2 * side)[:, None]
        line = (1 - steps) * [xs[ends[0]], ys[ends[0]]] + steps * [xs[ends[1]], ys[ends[1]]]
        stroke = np.zeros_like(instance)
        stroke[line[:, 1].astype(int), line[:, 0].astype(int)] = True
        scribble = ndimage.binary_dilation(stroke, iterations=int(rng.integers(1, 3))) & instance
        prompt[SCRIBBLE] = any_within(scribble, (size, size))
    return prompt, kind
