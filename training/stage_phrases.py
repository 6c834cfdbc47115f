"""Stage three: with the language model as it now is, its states of a phrase become a label's query.

The states of every wording are computed once; the query projector and the votes of single words then learn over them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from medvlm.model.modeling_medvlm import MedVLMForConditionalGeneration, nearness
from medvlm.model.processing_medvlm import MedVLMProcessor

from .tasks import wordings

BATCH = 64  # phrases in one pass of the language model
VOTES_LR = 0.02
QUIET = 1e-5  # pull of the votes to zero
SPREAD = 0.3  # noise on the states, in their standard deviations, so that new wordings near the known ones count


def phrase_states(
    model: MedVLMForConditionalGeneration,
    processor: MedVLMProcessor,
    phrases: list[str],
    depths: Sequence[float] = (1.0,),
) -> torch.Tensor:
    """The language model's states of each phrase at some depths, `(N, 2 * hidden * depths)`."""
    device, states = next(model.parameters()).device, []
    order = sorted(range(len(phrases)), key=lambda i: len(phrases[i]))  # like lengths together: less padding
    with torch.no_grad():
        for start in range(0, len(order), BATCH):
            text = processor.phrases([phrases[i] for i in order[start : start + BATCH]]).to(device)
            states.append(model.deep_states(text["input_ids"], text["attention_mask"], depths))
    return torch.cat(states)[torch.tensor(order).argsort()]


def train_phrases(
    model: MedVLMForConditionalGeneration,
    processor: MedVLMProcessor,
    per_name: int,
    free: int,
    steps: int,
    lr: float,
    seed: int,
) -> float:
    """Fit the query projector: a wording's query lies nearer to its own label's than to any other's (cross-entropy over
    `nearness`); and each word's votes, by themselves, for the label that it was said of. Returns the projector's last loss.
    """
    rng = np.random.default_rng(seed)
    pairs = wordings(model.config.grounding_config.labels, per_name, free, rng)
    model.language_model.eval()
    texts = [text for text, _ in pairs]
    states = phrase_states(model, processor, texts)
    tokens = processor.phrases(texts).to(states.device)
    numbers = torch.tensor([number for _, number in pairs], device=states.device)
    queries = model.grounder.heads.labels.weight.detach()
    deviation = states.std(0)
    model.word_votes.count(**tokens)
    model.query_projector.requires_grad_(True).train()
    model.word_votes.requires_grad_(True)
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(
        [
            {"params": model.query_projector.parameters(), "lr": lr, "weight_decay": 0.01},
            {"params": model.word_votes.parameters(), "lr": VOTES_LR, "weight_decay": 0.0},
        ]
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=[lr, VOTES_LR], total_steps=steps)
    for _ in range(steps):
        rows = torch.from_numpy(rng.integers(len(pairs), size=256)).to(states.device)
        noisy = states[rows] + SPREAD * deviation * torch.randn_like(states[rows])
        read = F.cross_entropy(nearness(model.query_projector(noisy), queries), numbers[rows])
        votes = model.word_votes(tokens["input_ids"][rows], tokens["attention_mask"][rows])
        heard = F.cross_entropy(votes, numbers[rows]) + QUIET * model.word_votes.votes.weight.square().sum()
        (read + heard).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    model.query_projector.eval()
    return float(read.detach())
