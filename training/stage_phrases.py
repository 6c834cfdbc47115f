"""Stage three: with the language model as it now is, its states of a phrase become a label's query.

The states of every wording are computed once; the query projector then learns over them alone.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from medvlm.model.modeling_medvlm import MedVLMForConditionalGeneration, nearness
from medvlm.model.processing_medvlm import MedVLMProcessor

from .tasks import wordings

BATCH = 64  # phrases in one pass of the language model
SPREAD = 0.3  # noise on the states, in their standard deviations, so that new wordings near the known ones count


def phrase_states(
    model: MedVLMForConditionalGeneration, processor: MedVLMProcessor, phrases: list[str]
) -> torch.Tensor:
    """The language model's states of each phrase, `(N, 2 * hidden)`."""
    device, states = next(model.parameters()).device, []
    order = sorted(range(len(phrases)), key=lambda i: len(phrases[i]))  # like lengths together: less padding
    with torch.no_grad():
        for start in range(0, len(order), BATCH):
            text = processor.phrases([phrases[i] for i in order[start : start + BATCH]]).to(device)
            states.append(model.text_states(text["input_ids"], text["attention_mask"]))
    return torch.cat(states)[torch.tensor(order).argsort()]


def train_phrases(
    model: MedVLMForConditionalGeneration, processor: MedVLMProcessor, per_name: int, steps: int, lr: float, seed: int
) -> float:
    """Fit the query projector: a wording's query lies nearer to its own label's than to any other's (cross-entropy over
    `nearness`). Returns the last loss.
    """
    rng = np.random.default_rng(seed)
    pairs = wordings(model.config.grounding_config.labels, per_name, rng)
    model.language_model.eval()
    states = phrase_states(model, processor, [text for text, _ in pairs])
    numbers = torch.tensor([number for _, number in pairs], device=states.device)
    queries = model.grounder.heads.labels.weight.detach()
    deviation = states.std(0)
    model.query_projector.requires_grad_(True).train()
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(model.query_projector.parameters(), lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=lr, total_steps=steps)
    for _ in range(steps):
        rows = torch.from_numpy(rng.integers(len(pairs), size=256)).to(states.device)
        noisy = states[rows] + SPREAD * deviation * torch.randn_like(states[rows])
        loss = F.cross_entropy(nearness(model.query_projector(noisy), queries), numbers[rows])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    model.query_projector.eval()
    return float(loss.detach())
