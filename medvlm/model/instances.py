"""Decoder output → regions in the pixels of the source image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional as F

from ..geometry import Letterbox
from ..types import Box, mask_box
from .grounding import GroundingOutput

MOST_INSTANCES = 300
SPECK = 0.03  # of the largest part of a single structure
OVERLAP = 0.5  # IoU above which the weaker of two boxes is dropped


@dataclass
class Instance:
    """One thing found: its box, its mask `(H, W)` where outlines are known, and its score."""

    box: Box
    mask: np.ndarray | None
    score: float


def to_source(logits: torch.Tensor, size: tuple[int, int], side: int) -> np.ndarray:
    """Mask logits `(h, w)` on the canvas of `side` pixels to a bool mask of the source's `size`, `(H, W)`."""
    return source_logits(logits, size, side) > 0


def source_logits(logits: torch.Tensor, size: tuple[int, int], side: int) -> np.ndarray:
    """Mask logits `(h, w)` on the canvas of `side` pixels to those of the source's pixels, float32 `(H, W)`."""
    canvas = F.interpolate(logits[None, None].float(), size=(side, side), mode="bilinear", align_corners=False)
    inner = canvas[(..., *Letterbox(size, side).inside)]
    return F.interpolate(inner, size=size, mode="bilinear", align_corners=False)[0, 0].numpy()


def pixel_boxes(sides: torch.Tensor) -> torch.Tensor:
    """Distances to the four sides `(..., 4, h, w)` to boxes `(..., 4, h, w)`, all in fractions of the side."""
    height, width = sides.shape[-2:]
    y = ((torch.arange(height, device=sides.device) + 0.5) / height)[:, None].expand(height, width)
    x = ((torch.arange(width, device=sides.device) + 0.5) / width)[None].expand(height, width)
    left, top, right, bottom = sides.unbind(-3)
    return torch.stack([x - left, y - top, x + right, y + bottom], dim=-3)


def find_peaks(centres: torch.Tensor, sides: torch.Tensor, lowest: float) -> tuple[np.ndarray, np.ndarray]:
    """Centre logits `(h, w)` and side distances `(4, h, w)` to boxes `(N, 4)` in fractions and scores `(N,)`, best first."""
    heat = centres.float().sigmoid()
    top = (F.max_pool2d(heat[None, None], 3, 1, 1)[0, 0] == heat) & (heat >= lowest)
    rows, columns = top.nonzero(as_tuple=True)
    scores = heat[rows, columns]
    order = scores.argsort(descending=True)[:MOST_INSTANCES]
    boxes = pixel_boxes(sides.float())[:, rows[order], columns[order]].T.numpy()
    return suppress(boxes.clip(0, 1), scores[order].numpy())


def suppress(boxes: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Non-maximum suppression of boxes `(N, 4)` sorted by score."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    kept: list[int] = []
    for i in range(len(boxes)):
        low, high = np.maximum(boxes[kept, :2], boxes[i, :2]), np.minimum(boxes[kept, 2:], boxes[i, 2:])
        overlap = (high - low).clip(0).prod(1)
        if not len(kept) or (overlap / (areas[kept] + areas[i] - overlap).clip(1e-9)).max() < OVERLAP:
            kept.append(i)
    return boxes[kept], scores[kept]


def split_mask(mask: np.ndarray, sides: torch.Tensor, boxes: np.ndarray, side: int) -> np.ndarray:
    """Which instance each pixel of a mask `(H, W)` belongs to: 0 none, else one plus the box's row.

    A pixel goes to the box whose centre is nearest to the centre of the box that the pixel itself predicts
    (as Panoptic-DeepLab votes, Cheng et al., 2020).
    """
    own = pixel_boxes(sides.float()).numpy()  # (4, h, w)
    centre = np.stack([(own[0] + own[2]) / 2, (own[1] + own[3]) / 2], -1)[:, :, None]
    peaks = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2], -1)
    nearest = ((centre - peaks) ** 2).sum(-1).argmin(-1)  # (h, w)
    rows, columns = Letterbox(mask.shape, side).middles()
    scale = nearest.shape[0] / side
    grid = np.ix_((rows * scale).astype(int), (columns * scale).astype(int))
    return np.where(mask, nearest[grid] + 1, 0)


def without_specks(mask: np.ndarray) -> np.ndarray:
    """A mask `(H, W)` without connected parts smaller than `SPECK` of its largest."""
    kept = np.zeros_like(mask)
    for window in ndimage.find_objects(mask.view(np.uint8)):  # one at most, which is often far smaller than the image
        pieces, _ = ndimage.label(mask[window])
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        kept[window] = (sizes >= SPECK * sizes.max())[pieces]
    return kept


def separate(mask: np.ndarray) -> list[np.ndarray]:
    """The connected parts of a mask `(H, W)`, largest first and at most `MOST_INSTANCES`; parts that nearly touch are one."""
    pieces, count = ndimage.label(ndimage.binary_dilation(mask, iterations=2))
    pieces *= mask
    order = np.bincount(pieces.ravel(), minlength=count + 1)[1:].argsort()[::-1] + 1
    return [pieces == number for number in order[:MOST_INSTANCES]]


def instances(
    output: GroundingOutput,
    image: int,
    query: int,
    size: tuple[int, int],
    side: int,
    parts: str = "many",
    centre: float = 0.25,
) -> list[Instance]:
    """Every instance of one query in one image of `size` `(H, W)`, best first, scored as if the thing is there.

    `parts`, as `vocabulary.parts` has it: "one" and "tree" keep a mask in one piece, "one" without the specks beside it.
    `centre` is the lowest probability of an instance's centre; of a thing that has no outline the likeliest comes all the same.
    """
    sides = output.sides[image, query]
    centres = output.centres[image, query]
    if float(output.outlined[image, query]) < 0:
        boxes, peaks = find_peaks(centres, sides, min(centre, float(centres.max().sigmoid())))
        scores = peaks**0.5
        canvas = Letterbox(size, side)
        return [Instance(canvas.box_back(b * side), None, float(s)) for b, s in zip(boxes, scores, strict=True)]
    boxes, peaks = find_peaks(centres, sides, centre)
    mask = to_source(output.masks[image, query], size, side)
    quality = float(output.quality[image, query].float().sigmoid())
    if not mask.any():
        return []
    if parts == "one":
        mask = without_specks(mask)
    if parts != "many" or len(boxes) < 2:
        return [Instance(mask_box(mask), mask, quality)]
    owners = split_mask(mask, sides, boxes, side)
    found = []
    for number, window in enumerate(ndimage.find_objects(owners, max_label=len(boxes))):
        if window is not None:
            part = np.zeros_like(mask)
            part[window] = owners[window] == number + 1
            found.append(Instance(mask_box(part), part, quality * float(peaks[number]) ** 0.5))
    return found
