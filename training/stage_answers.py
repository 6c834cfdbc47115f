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

from medvlm.model.answers import GRID
from medvlm.model.modeling_medvlm import MedVLMForConditionalGeneration
from medvlm.model.processing_medvlm import MedVLMProcessor
from medvlm.normalise import normalise_answer
from medvlm.records import Record
from medvlm.vocabulary import reviewed_answers

from .augment import generator, relight, slight_turn, turn_image
from .cache import ImageCache
from .record_questions import english
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
    """Reviewed answers given to English questions at least `LEAST` times, the commonest first, as most people spell them."""
    reviewed = set(map(normalise_answer, reviewed_answers()))
    spelt: dict[str, Counter[str]] = defaultdict(Counter)
    for _, answer in (pair for record in records for pair in english(record)):
        if normalise_answer(answer) in reviewed:
            spelt[normalise_answer(answer)][answer.strip()] += 1
    often = sorted(spelt.values(), key=lambda s: -s.total())
    return [s.most_common(1)[0][0] for s in often if s.total() >= LEAST]


@torch.no_grad()
def encode_views(
    model: MedVLMForConditionalGeneration, processor: MedVLMProcessor, image: np.ndarray, views: int, rng
) -> Encoded:
    """An image `(H, W, 3)` as it is, and in views a little turned and re-lit."""
    side = model.config.image_size
    pixels = processor(images=[image])["pixel_values"].to(model.device)
    if views > 1:
        turned = torch.stack([turn_image(image, side, slight_turn(rng)) for _ in range(views - 1)]).to(model.device)
        lit = relight(turned, generator(model.device, int(rng.integers(2**31))))
        pixels = torch.cat([pixels, lit * 2 - 1])
    features = model.encode_images(pixels)
    evidence = model.grounder.heads.evidence(features.maps, features.pyramid)
    return Encoded(F.adaptive_avg_pool2d(features.maps[-1], GRID), evidence)


def train_answers(
    model: MedVLMForConditionalGeneration,
    processor: MedVLMProcessor,
    cache: ImageCache,
    epochs: int,
    views: int,
    lr: float,
    seed: int,
) -> int:
    """Give the model a head for the frequent answers of the records' English questions and fit it; none without any.

    Returns the number of steps.
    """
    with_questions = [i for i, record in enumerate(cache.records) if english(record)]
    records = [cache.records[i] for i in with_questions]
    answers = frequent_answers(records)
    if not answers or not epochs:
        return 0
    rng, numbers = np.random.default_rng(seed), {normalise_answer(a): i for i, a in enumerate(answers)}
    torch.manual_seed(seed)
    model.eval()
    bar = tqdm(with_questions, desc="images of questions")
    images = [encode_views(model, processor, cache[i].image, views, rng) for i in bar]
    different = sorted({question for record in records for question, _ in english(record)})
    states = dict(zip(different, phrase_states(model, processor, different), strict=True))
    rows = [
        (i, states[question], numbers[normalise_answer(answer)])
        for i, record in enumerate(records)
        for question, answer in english(record)
        if normalise_answer(answer) in numbers
    ]
    head = model.add_answers(answers).to(model.device)
    head.standard("question").fit(torch.stack([state for _, state, _ in rows]))
    head.standard("pixels").fit(torch.cat([i.pixels.flatten(2).transpose(1, 2).flatten(0, 1) for i in images]))
    head.standard("evidence").fit(torch.cat([i.evidence for i in images]))
    optimizer = torch.optim.AdamW(head.parameters(), lr=lr, weight_decay=0.05)
    batches = -(-len(rows) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=epochs * batches, pct_start=0.1)
    head.train()
    for _ in tqdm(range(epochs), desc="answers"):
        for picked in np.array_split(rng.permutation(len(rows)), batches):
            batch = [rows[i] for i in picked]
            sampled = [(images[i], rng.integers(views)) for i, _, _ in batch]
            questions = torch.stack([state for _, state, _ in batch])
            noise = NOISE * head.standard("question").deviation * torch.randn_like(questions)
            logits = head(
                questions + noise,
                torch.stack([image.pixels[view] for image, view in sampled]),
                torch.stack([image.evidence[view] for image, view in sampled]),
            )
            truth = torch.tensor([number for _, _, number in batch], device=logits.device)
            F.cross_entropy(logits, truth, label_smoothing=SMOOTHING).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    head.eval()
    return epochs * batches
