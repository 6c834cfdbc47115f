"""Scores as pure functions of numpy arrays and strings, so that anybody can reproduce a number.

Masks are bool `(H, W)`, boxes `[x0, y0, x1, y1]` in pixels, half-open.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.stats import rankdata, spearmanr

from ..normalise import normalise_answer

# Masks


def dice(pred: np.ndarray, true: np.ndarray) -> float:
    """Overlap of two masks in 0..1. Nothing predicted on a non-empty truth is 0; both empty is 1."""
    total = int(pred.sum()) + int(true.sum())
    return 2.0 * float(np.logical_and(pred, true).sum()) / total if total else 1.0


def _surface(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask)


def nsd(pred: np.ndarray, true: np.ndarray, tolerance_px: float) -> float:
    """Normalised surface Dice: share of both outlines within `tolerance_px` of the other (Nikolov et al. 2018).

    One empty mask is 0, both empty is 1. Outlines are the pixels that an erosion takes away.
    """
    if not pred.any() or not true.any():
        return float(pred.any() == true.any())
    rows, columns = np.nonzero(pred | true)
    margin = int(tolerance_px) + 2  # distances matter only around the two masks
    window = tuple(slice(max(int(i.min()) - margin, 0), int(i.max()) + margin + 1) for i in (rows, columns))
    a, b = _surface(pred.astype(bool))[window], _surface(true.astype(bool))[window]
    near_b = ndimage.distance_transform_edt(~b)[a] <= tolerance_px
    near_a = ndimage.distance_transform_edt(~a)[b] <= tolerance_px
    return float(near_b.sum() + near_a.sum()) / (len(near_b) + len(near_a))


# Boxes


def box_iou(a: np.ndarray | Sequence[Any], b: np.ndarray | Sequence[Any]) -> np.ndarray:
    """Intersection over union of boxes `(N, 4)` with boxes `(M, 4)`, as `(N, M)`; a box without area scores 0."""
    a, b = np.asarray(a, float).reshape(-1, 1, 4), np.asarray(b, float).reshape(1, -1, 4)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    inter = np.clip(sides, 0, None).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


def match_boxes(boxes: Sequence[Any], scores: Sequence[float], truth: Sequence[Any], iou: float = 0.5) -> list[bool]:
    """Which predicted boxes of one image hit, in their given order; best score first takes the best free true box."""
    overlap, hits, taken = box_iou(boxes, truth), [False] * len(boxes), np.zeros(len(truth), bool)
    for i in np.argsort(-np.asarray(scores, float), kind="stable"):
        free = np.where(taken, -1.0, overlap[i])
        if len(free) and free.max() >= iou:
            hits[i], taken[free.argmax()] = True, True
    return hits


def mean_average_precision(images: Sequence[Mapping[str, tuple[Sequence[float], Sequence[bool], int]]]) -> float:
    """The mean of `average_precision` over labels, each over the images that name it; labels without a true box are left
    out, and NaN where none is left."""
    labels = dict.fromkeys(label for image in images for label in image)
    single = [average_precision([image[label] for image in images if label in image]) for label in labels]
    defined = [value for value in single if value == value]
    return sum(defined) / len(defined) if defined else float("nan")


def average_precision(images: Sequence[tuple[Sequence[float], Sequence[bool], int]]) -> float:
    """Area under the interpolated precision-recall curve (all points, as PASCAL VOC since 2010) over images.

    `images` holds, an image each, the scores of its predicted boxes, which of them hit (`match_boxes`), and how many
    true boxes it has; any of them may be empty or zero. NaN where no image has a true box. Predictions that a model
    held back below its threshold cannot be ranked, so the curve ends where they would begin.
    """
    total = sum(n for _, _, n in images)
    if not total:
        return float("nan")
    scores = np.array([s for image in images for s in image[0]], float)
    hits = np.array([h for image in images for h in image[1]], bool)[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best[hits].sum() / total)


# Answers


def exact_match(pred: str, true: str) -> bool:
    """Strict: the whole normalised answers are equal ("normal" does not match "no")."""
    return normalise_answer(pred) == normalise_answer(true)


def token_recall(pred: str, true: str) -> float:
    """Share of the true answer's distinct words that the prediction holds."""
    wanted, predicted = set(normalise_answer(true).split()), set(normalise_answer(pred).split())
    return len(wanted & predicted) / len(wanted) if wanted else float(not predicted)


# Confidence


def ece(confidence: Sequence[float], correct: Sequence[bool], bins: int = 10) -> float:
    """Expected calibration error over `bins` equal-mass bins (each holds the same number of items, sorted)."""
    order = np.argsort(np.asarray(confidence, float), kind="stable")
    if not len(order):
        return float("nan")
    sure, right = np.asarray(confidence, float)[order], np.asarray(correct, float)[order]
    parts = [part for part in np.array_split(np.arange(len(order)), bins) if len(part)]
    return float(sum(len(p) * abs(sure[p].mean() - right[p].mean()) for p in parts) / len(order))


def accuracy_at_coverage(confidence: Sequence[float], correct: Sequence[bool], coverage: float = 0.8) -> float:
    """Accuracy on the `coverage` share of items that the model is surest of."""
    if not len(correct):
        return float("nan")
    keep = max(1, round(coverage * len(correct)))
    order = np.argsort(-np.asarray(confidence, float), kind="stable")[:keep]
    return float(np.asarray(correct, float)[order].mean())


def auc(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties a half (Hanley, McNeil 1982).

    NaN where either kind is missing.
    """
    truth = np.asarray(positive, bool)
    yes, no = int(truth.sum()), int((~truth).sum())
    if not yes or not no:
        return float("nan")
    ranks = rankdata(np.asarray(scores, float))
    return float((ranks[truth].sum() - yes * (yes + 1) / 2) / (yes * no))


def specificity_at_sensitivity(scores: Sequence[float], positive: Sequence[bool], sensitivity: float = 0.9) -> float:
    """Share of negatives below the highest threshold that at least `sensitivity` of the positives reach: a point of the
    ROC curve, its threshold chosen on the very same items. NaN where either kind is missing.
    """
    values, truth = np.asarray(scores, float), np.asarray(positive, bool)
    if not truth.any() or truth.all():
        return float("nan")
    needed = max(math.ceil(sensitivity * int(truth.sum()) - 1e-9), 1)
    threshold = np.sort(values[truth])[::-1][needed - 1]
    return float((values[~truth] < threshold).mean())


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Correlation of ranks in -1..1, ties at their mean rank (Spearman 1904); NaN where either does not vary."""
    varies = len(set(a)) > 1 and len(set(b)) > 1
    return float(spearmanr(a, b).statistic) if varies else float("nan")


# Means


def mean_of_means(pairs: Sequence[tuple[Hashable, float]]) -> float:
    """The mean over groups (sets, labels) of each group's mean; NaN of nothing."""
    groups = defaultdict(list)
    for name, value in pairs:
        groups[name].append(value)
    return float(np.mean([np.mean(values) for values in groups.values()])) if groups else float("nan")


# Intervals


def bootstrap_interval(
    values: Sequence[Any],
    groups: Sequence[Hashable],
    n: int = 1000,
    seed: int = 0,
    statistic: Callable[[list[Any]], float] | None = None,
) -> tuple[float, float]:
    """95 % percentile interval of the mean (or `statistic`) when whole groups, i.e. patients, are resampled.

    Returns `(low, high)`; NaNs for no values.
    """
    if not len(values):
        return float("nan"), float("nan")
    names = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    index = np.array([names[group] for group in groups])
    draws = np.random.default_rng(seed).integers(0, len(names), (n, len(names)))
    if statistic is None:
        sums, counts = np.bincount(index, np.asarray(values, float)), np.bincount(index)
        samples = sums[draws].sum(1) / counts[draws].sum(1)
    else:
        members = [np.flatnonzero(index == i) for i in range(len(names))]
        picks = (np.concatenate([members[g] for g in draw]) for draw in draws)
        samples = np.array([statistic([values[i] for i in pick]) for pick in picks])
        samples = samples[~np.isnan(samples)]
        if not len(samples):
            return float("nan"), float("nan")
    low, high = np.percentile(samples, [2.5, 97.5])
    return float(low), float(high)
