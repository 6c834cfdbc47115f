"""Several pictures pasted into one, side by side or above each other: where they meet, read from the pixels. Torch-free.

A seam is a place where the picture steps along its whole height, or a plain gap, with something on both sides of it that
looks like a picture of its own: the sides are alike when one is laid on the other, not when one is mirrored as in a body's
two halves, and their outer borders fit each other better than those that meet. How these count was learned from pictures
pasted together and single ones (`python -m training.seams`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import yaml
from scipy import ndimage

from .types import Box

NUMBERS = Path(__file__).with_name("seams.yaml")
LONG = 400  # pixels of the longer side at which a picture is looked at
LEAST = 48  # pixels of a part's side, of the picture itself, that is still looked at
MARGIN = 0.2  # of the width at either side, where no edge is taken for a seam
STEPS = 3  # edges that are looked at
FLAT = 8  # grey levels that a gap may vary by …
PLAIN = 12  # … and a margin
SLACK = 0.02  # of the whole's longer side, by which a region may reach over a seam


@dataclass(frozen=True)
class Seam:
    """Columns `start` to `end` between two pictures, half-open; equal where they touch."""

    start: int
    end: int
    logit: float = 0.0


@dataclass(frozen=True)
class Judge:
    """One hidden layer over standardised features; `least` is the logit from which a seam is believed."""

    mean: np.ndarray  # (F,)
    deviation: np.ndarray  # (F,)
    hidden: np.ndarray  # (K, F)
    hidden_bias: np.ndarray  # (K,)
    out: np.ndarray  # (K,)
    out_bias: float
    least: float

    def __call__(self, features: Sequence[float]) -> float:
        x = (np.asarray(features) - self.mean) / self.deviation
        return float(self.out @ np.tanh(self.hidden @ x + self.hidden_bias) + self.out_bias)


@cache
def judge() -> Judge:
    values: dict[str, Any] = yaml.safe_load(NUMBERS.read_text(encoding="utf-8"))
    arrays: dict[str, Any] = {k: v if isinstance(v, float) else np.array(v) for k, v in values.items()}
    return Judge(**arrays)


def parts(pixels: np.ndarray) -> list[Box]:
    """The pictures that an image, uint8 `(H, W)` or `(H, W, 3)`, is pasted together from, in reading order: their boxes in
    its pixels. Empty where it is one picture."""
    height, width = pixels.shape[:2]
    found = list(_divided(grey(pixels), 2))
    if len(found) < 2:
        return []
    scale = max(1.0, max(height, width) / LONG)
    ends = float(width), float(height)
    boxes = [(scale * x0, scale * y0, min(ends[0], scale * x1), min(ends[1], scale * y1)) for x0, y0, x1, y1 in found]
    return sorted(boxes, key=lambda box: (round(box[1] / LEAST), box[0]))


def notice(boxes: Sequence[Box]) -> str:
    """What is said of a picture that holds several."""
    if len(boxes) > 2:
        where = f"{len(boxes)} images"
    else:
        (_, _, _, bottom), (_, top, _, _) = boxes
        where = f"two images {'one above the other' if top >= bottom - 1 else 'side by side'}"
    return f"The picture holds {where}: open them one at a time, as sizes and regions across them mean nothing."


def across(box: Box, boxes: Sequence[Box]) -> bool:
    """Whether a region's box lies in more than one of the pictures, by more than a little."""
    slack = SLACK * max(max(b[2], b[3]) for b in boxes) if boxes else 0.0
    x0, y0, x1, y1 = box
    reached = [min(x1, b[2]) - max(x0, b[0]) > slack and min(y1, b[3]) - max(y0, b[1]) > slack for b in boxes]
    return sum(reached) > 1


def _divided(picture: np.ndarray, depth: int) -> Iterator[Box]:
    """The parts `(x0, y0, x1, y1)` of a grey picture `(h, w)`, in its own pixels; each part is divided once more at most."""
    height, width = picture.shape
    beside, above = (best_seam(p) if depth and min(p.shape) >= LEAST else None for p in (picture, picture.T))
    upright = above is None or beside is not None and beside.logit >= above.logit
    seam = beside if upright else above
    if seam is None or seam.logit < judge().least:
        yield (0, 0, width, height)
        return
    for low, high in ((0, seam.start), (seam.end, width if upright else height)):
        part = picture[:, low:high] if upright else picture[low:high]
        for x0, y0, x1, y1 in _divided(part, depth - 1):
            yield (x0 + low, y0, x1 + low, y1) if upright else (x0, y0 + low, x1, y1 + low)


def grey(pixels: np.ndarray) -> np.ndarray:
    """uint8 `(h, w)` of at most `LONG` pixels a side."""
    picture = PIL.Image.fromarray(pixels).convert("L")
    scale = LONG / max(picture.size)
    if scale < 1:
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        picture = picture.resize(size, PIL.Image.Resampling.BOX)
    return np.asarray(picture)


def best_seam(picture: np.ndarray) -> Seam | None:
    """The likeliest of the upright seams in a grey picture `(h, w)`; `None` where nothing could be one."""
    steps = stepping(picture)
    seams = [Seam(s.start, s.end, judge()(features(picture, steps, s))) for s in candidates(picture, steps)]
    return max(seams, key=lambda s: s.logit, default=None)


def stepping(picture: np.ndarray) -> np.ndarray:
    """For each column but the last `(w - 1,)`, the share of rows that step to the next more than they do nearby."""
    step = np.abs(np.diff(picture.astype(np.float32), axis=1))
    near = 17 * ndimage.uniform_filter1d(step, 17, axis=1) - 5 * ndimage.uniform_filter1d(step, 5, axis=1)
    return (step > near / 6 + 4).mean(0)  # twice the mean of the twelve others


def candidates(picture: np.ndarray, steps: np.ndarray) -> list[Seam]:
    """Plain gaps with something on both sides, and the few edges that most rows take part in."""
    width = picture.shape[1]
    rows = np.sort(picture, axis=0)
    few = len(rows) * 3 // 100
    plain, tone = rows[-1 - few].astype(int) - rows[few] < FLAT, rows[len(rows) // 2].astype(int)
    runs = np.flatnonzero(np.diff(np.pad(plain, 1).astype(int)))
    found = []
    for start, end in runs.reshape(-1, 2):
        bounds = [start, *(start + 1 + np.flatnonzero(np.abs(np.diff(tone[start:end])) >= FLAT)), end]
        found += [Seam(int(a), int(b)) for a, b in zip(bounds, bounds[1:], strict=False)]
    found = [s for s in found if s.start > 0.08 * width and s.end < 0.92 * width]
    low, left = int(MARGIN * width), steps.copy()
    for _ in range(STEPS):
        at = low + int(left[low : width - low].argmax())
        if left[at] > 0.1 and not any(s.start - 3 <= at + 1 <= s.end + 3 for s in found):
            found.append(Seam(at + 1, at + 1))
        left[max(0, at - 4) : at + 5] = 0
    return found


def features(picture: np.ndarray, steps: np.ndarray, seam: Seam) -> list[float]:
    """What speaks for and against a seam in a grey picture `(h, w)`."""
    width = picture.shape[1]
    values = picture.astype(np.float32)
    first, second = values[:, : seam.start], values[:, seam.end :]
    one, other = trimmed(first), trimmed(second)
    small, small_other = thumbnail(one), thumbnail(other)
    same, mirrored = alike(small, small_other), alike(small, small_other[:, ::-1])
    rim = max(2, width // 80)
    borders = [side.mean(1) for side in (first[:, :rim], first[:, -rim:], second[:, :rim], second[:, -rim:])]
    left, inner_left, inner_right, right = borders
    jump = np.abs(values[:, seam.start] - values[:, seam.start - 1]).clip(0, 60).mean()
    if seam.end > seam.start:
        jump += np.abs(values[:, seam.end] - values[:, seam.end - 1]).clip(0, 60).mean()
    fits = np.abs(left - inner_right).mean() + np.abs(inner_left - right).mean()
    shapes = [np.log(p.shape[1] / p.shape[0]) for p in (one, other)]
    greys = [picture[:, : seam.start], picture[:, seam.end :]]
    shares = [np.bincount(p.ravel() >> 3, minlength=32) / p.size for p in greys]
    sizes = sorted(p.size for p in (one, other))
    filled = sorted(1 + p.size * foreground_share(share) for p, share in zip(greys, shares, strict=True))
    return [
        float(min(steps[seam.start - 1], steps[seam.end - 1])),
        float(np.log1p(jump)),
        min((seam.end - seam.start) / width, 0.15),
        float(seam.end > seam.start),
        same,
        mirrored,
        alike(left, inner_right),
        alike(inner_left, right),
        alike(inner_left, inner_right),
        float(fits - 2 * np.abs(inner_left - inner_right).mean()) / 60,
        abs(float(np.log(seam.start / (width - seam.end)))),
        *map(float, shapes),
        abs(float(shapes[0] - shapes[1])),
        float(np.log(width / len(picture))),
        float(np.log1p(min(first.std(), second.std()))),
        float(np.minimum(*shares).sum()),
        float(np.log(sizes[0] / sizes[1])),
        float(np.log(filled[0] / filled[1])),
        float(np.log(filled[1] / picture.size)),
    ]


def trimmed(part: np.ndarray) -> np.ndarray:
    """A part `(h, w)` without its plain margins."""
    spans = [np.flatnonzero(np.ptp(part, axis=axis) > PLAIN) for axis in (1, 0)]
    if not all(map(len, spans)):
        return part[:1, :1]
    (top, bottom), (low, high) = ((span[0], span[-1] + 1) for span in spans)
    return part[top:bottom, low:high]


def foreground_share(shares: np.ndarray) -> float:
    """The share of a part that is not background, which is the commonest of its 32 bins of grey with its neighbours."""
    most = int(shares.argmax())
    return float(1 - shares[max(0, most - 1) : most + 2].sum())


def thumbnail(part: np.ndarray, side: int = 20) -> np.ndarray:
    return np.asarray(PIL.Image.fromarray(part).resize((side, side), PIL.Image.Resampling.BOX))


def alike(a: np.ndarray, b: np.ndarray) -> float:
    """The correlation of two arrays of one shape; 0 where one is plain."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 1e-3 else 0.0
