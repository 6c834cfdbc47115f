"""The head that tells medical images from everything else, over the frozen encoder.

It learns from images of the data sets, plain and as people send them, against pictures that are made: pages, screens,
charts, drawings (`training.made`), and the photographs among the data sets.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import chain
from zlib import crc32

import numpy as np
import torch
from torch.nn import functional as F
from tqdm.auto import tqdm

from medvlm.model.modeling_medvlm import MedVLMForConditionalGeneration
from medvlm.model.processing_medvlm import MedVLMProcessor
from medvlm.model.recognising import MedicalHead
from medvlm.sampling import evenly_spaced

from .cache import ImageCache
from .made import MADE, disguised

PULL = 1e-2  # of squared weights to zero
PHOTOGRAPH = "photograph"


def chance(seed: int, kind: str, number: int) -> np.random.Generator:
    """A generator that only the seed and the picture's kind and number decide."""
    return np.random.default_rng([seed, crc32(kind.encode()), number])


def medical_pictures(cache: ImageCache, count: int, seed: int) -> Iterator[tuple[str, bool, np.ndarray]]:
    """`count` images of each data set, evenly spaced: the set's name, whether they are medical, and the pixels; every other
    medical one in disguise."""
    places = defaultdict(list)
    for place, record in enumerate(cache.records):
        places[record.set].append(place)
    for name, mine in places.items():
        for number, at in enumerate(evenly_spaced(mine, count)):
            pixels, medical = cache[at].image, cache.records[at].modality != PHOTOGRAPH
            yield name, medical, disguised(pixels, chance(seed, name, number)) if medical and number % 2 else pixels


def made_pictures(count: int, seed: int) -> Iterator[tuple[str, bool, np.ndarray]]:
    """`count` pictures of each kind that is made."""
    for kind, draw in MADE.items():
        for number in range(count):
            yield kind, False, draw(chance(seed, kind, number))


def train_medical(
    model: MedVLMForConditionalGeneration,
    processor: MedVLMProcessor,
    cache: ImageCache,
    images: int = 40,
    made: int = 30,
    steps: int = 200,
    seed: int = 0,
) -> float:
    """Fit a fresh head by logistic regression, both sides weighted alike, and a kind or a set by the root of its number.

    Returns the loss. `steps` are of L-BFGS.
    """
    kinds, truth, rows = [], [], []
    model.eval()
    head = model.add_medical().to(model.device)
    pictures = chain(medical_pictures(cache, images, seed), made_pictures(made, seed))
    for kind, medical, pixels in tqdm(pictures, desc="encoding", leave=False, disable=None):
        with torch.no_grad():
            pixel_values = processor(images=[np.ascontiguousarray(pixels)])["pixel_values"].to(model.device)
            maps = model.grounder.maps(pixel_values)
        kinds.append(kind)
        truth.append(float(medical))
        rows.append(MedicalHead.pooled(maps))
    return fit(head, torch.cat(rows), truth, kinds, steps)


def fit(head: MedicalHead, rows: torch.Tensor, truth: list[float], kinds: list[str], steps: int) -> float:
    """Fit a head to pooled maps `(N, size)`; `kinds` says what each is of."""
    head.scale.fit(rows)
    scaled, wanted = head.scale(rows), torch.tensor(truth, device=rows.device)
    counts = Counter(kinds)
    weights = torch.tensor([counts[kind] ** -0.5 for kind in kinds], device=rows.device)
    for side in (0.0, 1.0):
        weights[wanted == side] /= 2 * weights[wanted == side].sum()
    optimizer = torch.optim.LBFGS(head.read.parameters(), max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = head.read(scaled)[:, 0]
        value = (weights * F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")).sum()
        value = value + PULL * head.read.weight.square().sum()
        value.backward()
        return value

    torch.nn.init.zeros_(head.read.bias)
    optimizer.step(loss)
    return float(loss().detach())
