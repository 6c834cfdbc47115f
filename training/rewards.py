"""Rewards of reinforcement learning, each also the metric of its task: the higher the better, in 0..1.

A reward is a plain function of TRL's form: lists of completions and of the examples' columns in, a list of floats out,
`None` for what it cannot judge.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import PIL.Image
import torch

from medvlm.errors import RequestError
from medvlm.evaluation.metrics import box_iou, dice, exact_match
from medvlm.mentions import mentioned
from medvlm.model.instances import Instance, instances
from medvlm.model.modeling_medvlm import MedVLMForConditionalGeneration
from medvlm.model.processing_medvlm import MedVLMProcessor
from medvlm.normalise import normalise_answer
from medvlm.policy import DecisionPolicy
from medvlm.records.record import RecordRegion

SPARE_WORDS = 3  # that an answer may have over the true one before it rambles

Completion = str | list[dict[str, str]]
Find = Callable[[PIL.Image.Image, str], list[Instance] | None]


def text_of(completion: Completion) -> str:
    """The text of a completion, plain or as a conversation's last message."""
    return (completion if isinstance(completion, str) else completion[-1]["content"]).strip()


def expected(answer: str) -> str:
    """What kind of answer a true answer shows to be wanted: "closed" (yes or no), "label" (names a region) or "open"."""
    if normalise_answer(answer) in ("yes", "no"):
        return "closed"
    return "label" if mentioned(answer) else "open"


def exact_answer(completions: Sequence[Completion], answer: Sequence[str], **_) -> list[float]:
    """1 where the whole normalised answer is right."""
    return [float(exact_match(text_of(c), a)) for c, a in zip(completions, answer, strict=True)]


def answer_format(completions: Sequence[Completion], answer: Sequence[str], **_) -> list[float]:
    """1 for one short line of the kind wanted: yes or no, or a text that names a known label where one is asked for."""
    scores = []
    for completion, true in zip(completions, answer, strict=True):
        text, kind = text_of(completion), expected(true)
        short = 0 < len(text.split()) <= len(true.split()) + SPARE_WORDS and "\n" not in text
        fits = {"closed": normalise_answer(text) in ("yes", "no"), "label": bool(mentioned(text)), "open": True}[kind]
        scores.append(float(short and fits))
    return scores


def region_iou(
    completions: Sequence[Completion],
    answer: Sequence[str],
    truth: Sequence[list[RecordRegion]],  # the regions of each image
    image: Sequence[PIL.Image.Image],
    record: Sequence[int],  # equal numbers mean the same image
    find: Find,
    **_,
) -> list[float | None]:
    """How well the region that an answer names, found by the heads, overlaps the region that the true answer names.

    `None` where the true answer names no region of the image, or the answer one that the heads have no query for.
    """
    cache: dict[tuple[int, str], list[Instance] | None] = {}
    scores: list[float | None] = []
    for completion, true, regions, picture, number in zip(completions, answer, truth, image, record, strict=True):
        names = mentioned(true)
        wanted = [r for r in regions if r.label in names]
        if not wanted:
            scores.append(None)
            continue
        found: list[Instance] | None = []
        for label in mentioned(text_of(completion)):
            if (number, label) not in cache:
                cache[number, label] = find(picture, label)
            here = cache[number, label]
            found = None if found is None or here is None else found + here
        scores.append(None if found is None else overlap(found, wanted))
    return scores


def overlap(found: Sequence[Instance], truth: Sequence[RecordRegion]) -> float:
    """IoU of the masks' unions where all have outlines; else of boxes, the best partner's averaged both ways."""
    if not found:
        return 0.0
    masks, true = [i.mask for i in found if i.mask is not None], [m > 0 for r in truth if (m := r.mask) is not None]
    if len(masks) == len(found) and len(true) == len(truth):
        both = dice(np.any(masks, axis=0), np.any(true, axis=0))
        return both / (2 - both)
    iou = box_iou([i.box for i in found], [b for r in truth for b in r.boxes])
    return float(iou.max(0).mean() + iou.max(1).mean()) / 2 if iou.size else 0.0


REWARDS: dict[str, Callable] = {"answer": exact_answer, "format": answer_format, "region": region_iou}


def choose_rewards(names: Sequence[str], find: Find) -> list[Callable]:
    """The named rewards, ready for TRL. Raises `RequestError` for an unknown name."""
    for name in names:
        if name not in REWARDS:
            raise RequestError(f"No reward {name!r}; the known ones are {', '.join(REWARDS)}.")
    return [functools.partial(region_iou, find=find) if name == "region" else REWARDS[name] for name in names]


class LabelFinder:
    """Finds a label in an image with the heads' own learned query, which no policy can talk into anything."""

    def __init__(
        self, model: MedVLMForConditionalGeneration, processor: MedVLMProcessor, policy: DecisionPolicy | None = None
    ):
        self.policy = policy or DecisionPolicy()
        self.grounder, self.processor = model.grounder, processor
        self.side = model.config.image_size
        self.numbers = {label: i for i, label in enumerate(model.config.grounding_config.labels)}

    @torch.no_grad()
    def __call__(self, image: PIL.Image.Image, label: str) -> list[Instance] | None:
        """What is found, best first; `None` for a label without a query."""
        if label not in self.numbers:
            return None
        heads = self.grounder.heads
        weight = heads.labels.weight
        features = self.grounder.encode(self.processor(images=image)["pixel_values"].to(weight.device, weight.dtype))
        output = heads(features.pyramid, weight[self.numbers[label]][None, None]).to_cpu()
        if float(output.presence[0, 0].sigmoid()) < self.policy.least(label):
            return []
        found = instances(output, 0, 0, image.size[::-1], self.side, centre=self.policy.centre)
        return sorted(found, key=lambda i: -i.score)
