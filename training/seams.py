"""Learn where pictures that are pasted into one meet: the numbers of `medvlm.seams`.

    python -m training.seams ../shared/data -o medvlm/seams.yaml

Pairs are pasted from the train splits, beside or above each other, with and without a gap, of one size or not; against them
stand the pictures alone. How sure a seam must be is chosen on the tune half of val.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import PIL.Image
import torch
import yaml
from torch import nn
from torch.nn import functional as F

from medvlm.records import Record, data_sets, read_records
from medvlm.sampling import evenly_spaced
from medvlm.seams import Seam, candidates, features, grey, stepping

SIDE = 768  # pixels of a picture's longer side at most
OTHER_SET = 0.1  # share of pairs from two data sets
HIDDEN, STEPS, LR, DECAY = 32, 1500, 1e-2, 1e-2
FALSE_ALARMS = 0.003  # share of single pictures that may be called several
NAMES = ("mean", "deviation", "hidden", "hidden_bias", "out")


def medical(folder: Path, split: str) -> list[Record]:
    """The records of one split that are medical images."""
    return [record for record in read_records(folder, split) if record.modality != "photograph"]


def picture(record: Record) -> np.ndarray:
    """A record's image, uint8 `(H, W, 3)`, of at most `SIDE` pixels."""
    image = PIL.Image.fromarray(record.image)
    image.thumbnail((SIDE, SIDE), PIL.Image.Resampling.LANCZOS)
    return np.asarray(image)


def resized(pixels: np.ndarray, scale: float) -> np.ndarray:
    size = [max(8, round(n * scale)) for n in pixels.shape[1::-1]]
    return np.asarray(PIL.Image.fromarray(np.ascontiguousarray(pixels)).resize(size))


def pasted(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, bool, tuple[int, int]]:
    """Two pictures as one: its pixels, whether they lie side by side, and where the one ends and the other begins."""
    beside, gap = bool(rng.random() < 0.7), 0 if rng.random() < 0.4 else int(rng.integers(1, 30))
    tone = int(rng.choice([0, 0, 255, 128]))
    if rng.random() < 0.3:
        second = resized(second, rng.uniform(0.5, 1))
    one, other = (p if beside else p.transpose(1, 0, 2) for p in (first, second))
    height = max(len(one), len(other))
    if rng.random() < 0.6:
        one, other = (resized(p, height / len(p)) for p in (one, other))
        height = max(len(one), len(other))
    filled = []
    for part in (one, other):
        top = (height - len(part)) // 2 if rng.random() < 0.5 else 0
        filled.append(np.pad(part, ((top, height - len(part) - top), (0, 0), (0, 0)), constant_values=tone))
    whole = np.concatenate([filled[0], np.full((height, gap, 3), tone, np.uint8), filled[1]], axis=1)
    whole = whole if beside else whole.transpose(1, 0, 2)
    return np.ascontiguousarray(whole), beside, (one.shape[1], one.shape[1] + gap)


def looked_at(pixels: np.ndarray) -> Iterable[tuple[bool, float, Seam, list[float]]]:
    """Every seam that could be one: whether it is upright, the scale at which it was seen, itself, its features."""
    small = grey(pixels)
    scale = max(small.shape) / max(pixels.shape[:2])
    for upright, turned in ((True, small), (False, small.T)):
        steps = stepping(turned)
        for seam in candidates(turned, steps):
            yield upright, scale, seam, features(turned, steps, seam)


def pairs(
    images: dict[str, list[np.ndarray]], rng: np.random.Generator
) -> Iterable[tuple[np.ndarray, bool, tuple[int, int]]]:
    """Each picture pasted beside another one, mostly of its own set."""
    names = list(images)
    for mine in images.values():
        for number, first in enumerate(mine):
            others = images[str(rng.choice(names))] if rng.random() < OTHER_SET or len(mine) < 2 else mine
            second = others[(number + 1 + int(rng.integers(max(1, len(others) - 1)))) % len(others)]
            yield pasted(first, second, rng)


def examples(images: dict[str, list[np.ndarray]], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Features `(N, F)` of true seams and of what is none in single pictures, and which is which `(N,)`."""
    rows: list[list[float]] = []
    truth: list[float] = []
    for pixels in (p for mine in images.values() for p in mine):
        found = [values for *_, values in looked_at(pixels)]
        rows, truth = rows + found, truth + [0.0] * len(found)
    for pixels, beside, (low, high) in pairs(images, rng):
        for upright, scale, seam, values in looked_at(pixels):
            if upright == beside and seam.start <= scale * high + 2.5 and seam.end >= scale * low - 2.5:
                rows.append(values)
                truth.append(1.0)
    return np.array(rows, np.float32), np.array(truth, np.float32)


def fit(rows: np.ndarray, truth: np.ndarray, seed: int = 0) -> dict[str, np.ndarray | float]:
    """The numbers of a `medvlm.seams.Judge` without its `least`; both sides weigh the same."""
    torch.manual_seed(seed)
    mean, deviation = rows.mean(0), rows.std(0) + 1e-3
    x, y = torch.from_numpy((rows - mean) / deviation), torch.from_numpy(truth)
    weights = torch.where(y > 0, 0.5 / y.sum(), 0.5 / (1 - y).sum())
    hidden, out = nn.Linear(x.shape[1], HIDDEN), nn.Linear(HIDDEN, 1)
    optimizer = torch.optim.AdamW([*hidden.parameters(), *out.parameters()], LR, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        optimizer.zero_grad()
        logits = out(hidden(x).tanh())[:, 0]
        (weights * F.binary_cross_entropy_with_logits(logits, y, reduction="none")).sum().backward()
        optimizer.step()
        schedule.step()
    layers = (hidden.weight, hidden.bias, out.weight[0])
    numbers = (mean, deviation, *(layer.detach().numpy() for layer in layers))
    return dict(zip(NAMES, numbers, strict=True)) | {"out_bias": float(out.bias.detach())}


def logit(numbers: dict, values: list[float]) -> float:
    x = (np.array(values) - numbers["mean"]) / numbers["deviation"]
    return float(numbers["out"] @ np.tanh(numbers["hidden"] @ x + numbers["hidden_bias"]) + numbers["out_bias"])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="training.seams", description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--images", type=int, default=60, help="of each set and half")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    folders = data_sets(args.data)
    train = {f.name: [picture(r) for r in evenly_spaced(medical(f, "train"), args.images)] for f in folders}
    numbers = fit(*examples({k: v for k, v in train.items() if v}, np.random.default_rng(args.seed)), args.seed)
    tune = [r for f in folders for r in evenly_spaced([r for r in medical(f, "val") if r.part == "tune"], args.images)]
    most = [max((logit(numbers, v) for *_, v in looked_at(picture(r))), default=-np.inf) for r in tune]
    numbers["least"] = float(np.quantile(most, 1 - FALSE_ALARMS))
    plain = {k: v if isinstance(v, float) else np.round(np.asarray(v, float), 4).tolist() for k, v in numbers.items()}
    args.output.write_text(yaml.safe_dump(plain, default_flow_style=None, width=120), encoding="utf-8")
    print(f"{len(tune)} single pictures: a seam is believed from {numbers['least']:.2f}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
