"""Where a training image and its instance maps are turned, scaled and re-lit together."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional as F

from medvlm.geometry import resampled

FLIP_SIDEWAYS = {
    "endoscopy",
    "dermoscopy",
    "microscopy",
    "fluorescence microscopy",
    "histopathology",
    "ultrasound",
    "fundus",
    "mammography",
    "photograph",
}
FLIP_ANY_WAY = {"endoscopy", "dermoscopy", "microscopy", "fluorescence microscopy", "histopathology"}


@dataclass
class Turn:
    """A change of geometry: degrees, scale, shift in fractions of the side, and flips."""

    degrees: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    flip_x: bool = False
    flip_y: bool = False


def random_turn(rng: np.random.Generator, modality: str | None, body_part: str | None, boxes_only: bool) -> Turn:
    """Flips only where left and right mean nothing; boxes without outlines are not rotated."""
    sideways = modality in FLIP_SIDEWAYS or (modality, body_part) == ("mri", "brain")
    sideways |= modality == "x-ray" and body_part not in ("chest", "abdomen")
    limit = 180 if modality in FLIP_ANY_WAY else 15
    return Turn(
        degrees=0.0 if boxes_only else float(rng.uniform(-limit, limit)),
        scale=float(np.exp(rng.uniform(-0.25, 0.3))),
        shift=tuple(rng.uniform(-0.08, 0.08, 2)),
        flip_x=bool(sideways and rng.random() < 0.5),
        flip_y=bool(modality in FLIP_ANY_WAY and rng.random() < 0.5),
    )


def slight_turn(rng: np.random.Generator) -> Turn:
    """No flips and little turning, where answers speak of left and right."""
    return Turn(rng.uniform(-6, 6), float(np.exp(rng.uniform(-0.1, 0.1))), tuple(rng.uniform(-0.04, 0.04, 2)))


def zoom(turn: Turn, centre: tuple[float, float], size: tuple[int, int], scale: float) -> Turn:
    """A turn that shows the image `(height, width)` around `centre` (x, y in its pixels) at `scale` times its fitted size."""
    long = max(size) / 2
    shift = ((size[1] / 2 - centre[0]) / long, (size[0] / 2 - centre[1]) / long)
    return replace(turn, scale=scale, shift=shift)


def turn_grid(height: int, width: int, size: int, turn: Turn) -> torch.Tensor:
    """The sampling grid `(1, size, size, 2)` that lays an image `(height, width)` on a square canvas, turned.

    As `F.affine_grid` without corners aligned, whose matrix product over all places takes several times as long.
    """
    angle = math.radians(turn.degrees)
    long = max(height, width)
    cos, sin = math.cos(angle) / turn.scale, math.sin(angle) / turn.scale
    fx, fy = (-1 if turn.flip_x else 1), (-1 if turn.flip_y else 1)
    kx, ky = long / width, long / height
    middles = (torch.arange(size, dtype=torch.float32) * 2 + 1) / size - 1
    x = fx * cos * kx * middles + (-fx * sin * kx * middles - turn.shift[0] * kx)[:, None]
    y = fy * sin * ky * middles + (fy * cos * ky * middles - turn.shift[1] * ky)[:, None]
    return torch.stack([x, y], dim=-1)[None]


def turn_image(image: np.ndarray, size: int, turn: Turn) -> torch.Tensor:
    """uint8 `(H, W, 3)` to float `(3, size, size)` in 0..1; black outside.

    As `geometry.Letterbox` shows an image in use, but turned: first made smaller where it is, then sampled by cubic
    interpolation.
    """
    height, width = image.shape[:2]
    scale = turn.scale * size / max(height, width)
    if scale < 1:
        image = resampled(image, (max(1, round(height * scale)), max(1, round(width * scale))))
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
    grid = turn_grid(height, width, size, turn)
    return F.grid_sample(pixels, grid, mode="bicubic", padding_mode="zeros", align_corners=False)[0].clamp(0, 1)


def turn_map(instances: np.ndarray, grid: torch.Tensor) -> torch.Tensor:
    """uint8 `(H, W)` to uint8 `(size, size)`, nearest neighbour."""
    ids = torch.from_numpy(instances.copy())[None, None].float()
    return F.grid_sample(ids, grid, mode="nearest", padding_mode="zeros", align_corners=False)[0, 0].to(torch.uint8)


def turn_boxes(boxes: np.ndarray, height: int, width: int, size: int, turn: Turn) -> np.ndarray:
    """Boxes `(N, 4)` of an image `(height, width)` onto the canvas, in pixels of the canvas; no rotation."""
    long = max(height, width)
    centre = np.array([width / 2, height / 2])
    flips = np.array([-1 if turn.flip_x else 1, -1 if turn.flip_y else 1])
    # grid_sample maps canvas to image; this is its inverse for a turn without rotation
    corners = boxes.reshape(-1, 2, 2)
    unit = (corners - centre) / (long / 2)
    canvas = (unit + np.array(turn.shift)) * turn.scale * flips
    pixels = (canvas + 1) * size / 2
    return np.concatenate([pixels.min(1), pixels.max(1)], axis=1).clip(0, size)


def not_medical(rng: np.random.Generator, size: int) -> torch.Tensor:
    """Noise, an even colour or a gradient, float `(3, size, size)` in 0..1: what no medical image looks like."""
    kind = rng.integers(4)
    colours = torch.from_numpy(rng.uniform(0, 1, (2, 3, 1, 1)).astype(np.float32))
    if rng.random() < 0.4:
        colours = colours.mean(1, keepdim=True).expand(2, 3, 1, 1)
    if kind == 0:
        return colours[0].expand(3, size, size).clone()
    if kind == 1:
        ramp = torch.linspace(0, 1, size)
        ramp = ramp[None, :, None] if rng.random() < 0.5 else ramp[None, None]
        return (colours[0] * ramp + colours[1] * (1 - ramp)).expand(3, size, size).clone()
    channels = 3 if rng.random() < 0.6 else 1
    coarse = int(rng.choice([size, size // 2, size // 4, size // 10, size // 40]))
    noise = torch.from_numpy(rng.normal(0, rng.uniform(0.1, 0.5), (1, channels, coarse, coarse)).astype(np.float32))
    noise = F.interpolate(noise, size=(size, size), mode="bilinear", align_corners=False)[0]
    return (colours[0] + noise).clamp(0, 1)


def generator(device: torch.device | str, *seeds: int) -> torch.Generator:
    """A generator on a device that only the seeds decide."""
    seed = np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(seed >> np.uint64(1)))


def relight(images: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    """Random gamma, tint of coloured images, contrast, brightness, now and then blur or noise: float `(B, 3, H, W)` in 0..1.

    `chance` lies on the images' device. Black margins stay black.
    """
    count = len(images)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.empty(count, *shape, device=images.device).uniform_(low, high, generator=chance)

    inside = images.amax(1, keepdim=True) > 0
    x = images.clamp(min=1e-4) ** uniform(-0.35, 0.35, 1, 1, 1).exp()
    coloured = (x[:, 0] - x[:, 2]).abs().mean((1, 2)) > 0.01
    tinted = (coloured & (uniform(0, 1) < 0.6)).float()[:, None, None, None]
    x = x * (1 + tinted * (uniform(-0.18, 0.18, 3, 1, 1).exp() - 1))
    x = (x - 0.5) * uniform(0.65, 1.35, 1, 1, 1) + 0.5 + uniform(-0.13, 0.13, 1, 1, 1)
    blurred = uniform(0, 1)
    for low, high, size in ((0.0, 0.13, 3), (0.13, 0.2, 5)):
        rows = ((blurred >= low) & (blurred < high)).nonzero()[:, 0]
        if len(rows):
            x[rows] = F.avg_pool2d(x[rows], size, 1, size // 2, count_include_pad=False)
    strength = (uniform(0, 1) < 0.2).float() * uniform(0.01, 0.09)
    noise = torch.empty_like(x).normal_(generator=chance)
    return (x + strength[:, None, None, None] * noise).clamp(0, 1) * inside
