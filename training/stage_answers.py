"""Stage four: the head that chooses among frequent short answers, over the frozen rest of the model.

Images and questions are encoded once, each image in a few views; the head then learns over what was kept.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F
from tqdm.auto import tqdm

from medvlm.evaluation.metrics import normalise_answer
from medvlm.model.answers import GRID
from medvlm.model.modeling_medvlm import MedVLMForConditionalGeneration
from medvlm.model.processing_medvlm import MedVLMProcessor
from medvlm.records import Record

from .augment import relight, slight_turn, turn_grid, turn_image
from .data import english
from .grounding_examples import shrink
from .stage_phrases import phrase_states

LEAST = 2  # times that an answer must be given in training
BATCH = 96
NOISE = 0.15  # on the questions' states, in their standard deviations
SMOOTHING = 0.05


@dataclass
class Encoded:
    """What the head sees of one image in V views."""

    pixels: torch.Tensor  # (V, C, GRID, GRID)
    evidence: torch.Tensor  # (V, E)


def frequent_answers(records: Sequence[Record]) -> list[str]:
    """Answers given to English questions at least `LEAST` times, the commonest first, as most people spell them."""
    spelt: dict[str, Counter[str]] = defaultdict(Counter)
    for _, answer in (pair for record in records for pair in english(record)):
        spelt[normalise_answer(answer)][answer.strip()] += 1
    often = sorted(spelt.values(), key=lambda s: -s.total())
    return [s.most_common(1)[0][0] for s in often if s.total() >= LEAST]


@torch.no_grad()
def encode_views(
    model: MedVLMForConditionalGeneration, processor: MedVLMProcessor, record: Record, views: int, rng
) -> Encoded:
    """A record's image as it is, and in views a little turned and re-lit."""
    image, side = record.image, model.config.image_size
    pixels = [processor(images=[image])["pixel_values"][0]]
    small = shrink(record).image
    for _ in range(views - 1):
        grid = turn_grid(*small.shape[:2], side, slight_turn(rng))
        pixels.append(relight(turn_image(small, grid), rng) * 2 - 1)
    features = model.encode_images(torch.stack(pixels).to(model.device))
    evidence = model.grounder.heads.evidence(features.maps, features.pyramid)
    return Encoded(F.adaptive_avg_pool2d(features.maps[-1], GRID), evidence)


def train_answers(
    model: MedVLMForConditionalGeneration,
    processor: MedVLMProcessor,
    records: Sequence[Record],
    epochs: int,
    views: int,
    lr: float,
    seed: int,
) -> None:
    """Give the model a head for the frequent answers of the records' English questions and fit it; none without any."""
    asked = [record for record in records if english(record)]
    answers = frequent_answers(asked)
    if not answers or not epochs:
        return
    rng, numbers = np.random.default_rng(seed), {normalise_answer(a): i for i, a in enumerate(answers)}
    torch.manual_seed(seed)
    model.eval()
    images = [encode_views(model, processor, r, views, rng) for r in tqdm(asked, desc="images of questions")]
    different = sorted({question for record in asked for question, _ in english(record)})
    states = dict(zip(different, phrase_states(model, processor, different), strict=True))
    rows = [
        (i, states[question], numbers[normalise_answer(answer)])
        for i, record in enumerate(asked)
        for question, answer in english(record)
        if normalise_answer(answer) in numbers
    ]
    model.add_answers(answers)
    head = model.answer_head.to(model.device)
    head.scales["question"].fit(torch.stack([state for _, state, _ in rows]))
    head.scales["pixels"].fit(torch.cat([i.pixels.flatten(2).transpose(1, 2).flatten(0, 1) for i in images]))
    head.scales["evidence"].fit(torch.cat([i.evidence for i in images]))
    optimizer = torch.optim.AdamW(head.parameters(), lr=lr, weight_decay=0.05)
    batches = -(-len(rows) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=epochs * batches, pct_start=0.1)
    head.train()
    for _ in tqdm(range(epochs), desc="answers"):
        for chosen in np.array_split(rng.permutation(len(rows)), batches):
            batch = [rows[i] for i in chosen]
            seen = [(images[i], rng.integers(views)) for i, _, _ in batch]
            questions = torch.stack([state for _, state, _ in batch])
            noise = NOISE * head.scales["question"].deviation * torch.randn_like(questions)
            logits = head(
                questions + noise,
                torch.stack([image.pixels[view] for image, view in seen]),
                torch.stack([image.evidence[view] for image, view in seen]),
            )
            truth = torch.tensor([number for _, _, number in batch], device=logits.device)
            F.cross_entropy(logits, truth, label_smoothing=SMOOTHING).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    head.eval()
