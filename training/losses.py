"""The loss of the grounding heads. Targets of −1 (or −100 for facts) are left out."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch.nn import functional as F

from medvlm.model.grounding import GroundingOutput
from medvlm.model.grounding_model import GrounderOutput
from medvlm.model.instances import pixel_boxes

WEIGHTS = {
    "mask": 1.0,
    "dice": 1.0,
    "centre": 0.5,
    "sides": 0.5,
    "presence": 0.5,
    "labels": 0.5,
    "outlined": 0.1,
    "quality": 0.1,
    "facts": 0.2,
    "prompt_mask": 1.0,
    "prompt_dice": 1.0,
    "prompt_quality": 0.1,
}


@dataclass
class GroundingTargets:
    """Truth for Q queries on B images; `(h, w)` is the decoder's grid and masks are twice as fine."""

    presence: torch.Tensor  # (B, Q) 1 present, 0 absent, -1 unknown
    outlined: torch.Tensor  # (B, Q) 1 with a mask, 0 with boxes alone, -1 with neither
    masks: torch.Tensor  # (B, Q, 2h, 2w) uint8
    centres: torch.Tensor  # (B, Q, h, w) heat in 0..1, peaks of 1
    boxes: torch.Tensor  # (B, Q, 4, h, w) the box of the instance at each place, in fractions of the side; else zeros
    facts: torch.Tensor  # (B, F) value index, -100 unknown
    labels: torch.Tensor  # (B, L) presence of every label with a query of its own, as `presence`
    prompted: torch.Tensor  # (B, P, 2h, 2w) uint8 mask of what each drawn prompt means

    def to(self, device) -> GroundingTargets:
        return GroundingTargets(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def mean(values: torch.Tensor) -> torch.Tensor:
    """The mean, and zero (with a gradient) where there is nothing to average."""
    return values.sum() / max(1, values.numel())


def mask_loss(logits: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cross-entropy, soft Dice and the thresholded IoU of N masks, logits against truth, both `(N, H, W)`."""
    truth = truth.float()
    chance = logits.sigmoid()
    entropy = cross_entropy(logits, truth).mean((1, 2))
    overlap = (chance * truth).sum((1, 2))
    dice = 1 - (2 * overlap + 1) / (chance.sum((1, 2)) + truth.sum((1, 2)) + 1)
    predicted = logits > 0
    iou = (predicted & (truth > 0)).sum((1, 2)) / (predicted | (truth > 0)).sum((1, 2)).clamp(min=1)
    return entropy, dice, iou


def centre_loss(logits: torch.Tensor, heat: torch.Tensor) -> torch.Tensor:
    """Focal loss of CenterNet (Zhou et al., 2019, equation 1) a query, per instance: `(N, h, w)` to `(N,)`."""
    chance = logits.sigmoid().clamp(1e-4, 1 - 1e-4)
    peak = heat == 1
    at_peaks = -((1 - chance) ** 2 * chance.log() * peak).sum((1, 2))
    elsewhere = -((1 - heat) ** 4 * chance**2 * (1 - chance).log() * ~peak).sum((1, 2))
    return (at_peaks + elsewhere) / peak.sum((1, 2)).clamp(min=1)


def giou_loss(boxes: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """One minus the generalised IoU (Rezatofighi et al., 2019) of boxes `(N, 4)`."""
    low, high = torch.maximum(boxes[:, :2], truth[:, :2]), torch.minimum(boxes[:, 2:], truth[:, 2:])
    overlap = (high - low).clamp(min=0).prod(1)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (truth[:, 2:] - truth[:, :2]).prod(1) - overlap
    hull = (torch.maximum(boxes[:, 2:], truth[:, 2:]) - torch.minimum(boxes[:, :2], truth[:, :2])).prod(1)
    return 1 - overlap / union.clamp(min=1e-6) + (hull - union) / hull.clamp(min=1e-6)


def sides_loss(sides: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """GIoU loss averaged over each query's labelled places, then over queries: both `(N, 4, h, w)`."""
    here = boxes[:, 2] > boxes[:, 0]
    if not here.any():
        return sides.sum() * 0
    places = here.float()
    weight = (places / places.sum((1, 2), keepdim=True).clamp(min=1))[here]
    predicted = pixel_boxes(sides).movedim(1, -1)[here]
    loss = giou_loss(predicted, boxes.movedim(1, -1)[here])
    return (loss * weight).sum() / max(1, int(here.any(-1).any(-1).sum()))


def cross_entropy(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of logits in single precision against truth in 0..1, one for each."""
    return F.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none")


def presence_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of presence logits where the truth, of the same shape, is labelled (not negative)."""
    labelled = truth >= 0
    return mean(cross_entropy(logits[labelled], truth[labelled].float()))


def loss_parts(given: GrounderOutput, targets: GroundingTargets, valid: torch.Tensor) -> dict[str, torch.Tensor]:
    """The parts of the loss, unweighted; `valid` `(B, P)` marks the prompts that are no padding."""
    facts = [
        F.cross_entropy(logits.float(), values, ignore_index=-100, reduction="sum")
        for logits, values in zip(given.facts, targets.facts.T, strict=True)
    ]
    parts = query_loss(given.queries, targets)
    parts["labels"] = presence_loss(given.labels, targets.labels)
    parts["facts"] = torch.stack(facts).sum() / len(targets.facts)
    return parts | prompt_loss(given.prompt_masks[valid], given.prompt_quality[valid], targets.prompted[valid])


def query_loss(output: GroundingOutput, targets: GroundingTargets) -> dict[str, torch.Tensor]:
    """Only phrases that are present teach masks, centres and boxes."""
    present = targets.presence == 1
    outlined = present & (targets.outlined == 1)
    judged = targets.outlined >= 0
    entropy, dice, iou = mask_loss(output.masks[outlined].float(), targets.masks[outlined])
    counted = present & (targets.centres.flatten(2).amax(-1) == 1)
    return {
        "mask": mean(entropy),
        "dice": mean(dice),
        "centre": mean(centre_loss(output.centres[counted].float(), targets.centres[counted].float())),
        "sides": sides_loss(output.sides[present].float(), targets.boxes[present].float()),
        "presence": presence_loss(output.presence, targets.presence),
        "outlined": mean(cross_entropy(output.outlined[judged], targets.outlined[judged].float())),
        "quality": mean(cross_entropy(output.quality[outlined], iou.detach())),
    }


def prompt_loss(masks: torch.Tensor, quality: torch.Tensor, truth: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of N drawn prompts: masks and truth `(N, 2h, 2w)`, quality `(N,)`."""
    entropy, dice, iou = mask_loss(masks.float(), truth)
    ranked = mean(cross_entropy(quality, iou.detach()))
    return {"prompt_mask": mean(entropy), "prompt_dice": mean(dice), "prompt_quality": ranked}


def total(parts: dict[str, torch.Tensor]) -> torch.Tensor:
    """The weighted sum of the parts."""
    return torch.stack([WEIGHTS[name] * value for name, value in parts.items()]).sum()
