"""The head that reads whether a question asks for what no image can answer, over the frozen language model's states.

It learns from `declined.yaml`, questions written by hand for both sides, and from the questions of the data sets.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
import yaml
from torch.nn import functional as F

from medvlm.model.modeling_medvlm import MedVLMForConditionalGeneration
from medvlm.model.processing_medvlm import MedVLMProcessor
from medvlm.records import Record

from .stage_phrases import SPREAD, phrase_states

WORDINGS = Path(__file__).parent / "declined.yaml"
BATCH = 256
VOTES_LR = 0.02
QUIET = 1e-3  # pull of the votes to zero
KNOWLEDGE = ("treat", "prevent", "cause")  # relations of a knowledge graph that no image shows …
UNSURE = ("symptom", "damage")  # … and those that teach neither


def written_questions() -> list[tuple[str, bool]]:
    """Questions written by hand, each with whether it must be declined."""
    sides = yaml.safe_load(WORDINGS.read_text(encoding="utf-8"))
    return [(q, side == "declined") for side, kinds in sides.items() for some in kinds.values() for q in some]


def known_questions(records: Iterable[Record]) -> list[tuple[str, bool]]:
    """The different English questions of records, each with whether a picture cannot answer it."""
    found = {}
    for qa in (qa for record in records for qa in record.qa if qa.lang == "en" and qa.question.strip()):
        relation = (qa.extra.get("triple") or [None, None])[1]
        if relation not in UNSURE:
            found[qa.question.strip()] = relation in KNOWLEDGE
    return list(found.items())


def train_declined(
    model: MedVLMForConditionalGeneration,
    processor: MedVLMProcessor,
    records: Iterable[Record],
    steps: int = 600,
    lr: float = 3e-3,
    seed: int = 0,
) -> float:
    """Fit the decline head by cross-entropy, both sides drawn alike and what was written by hand as often as the rest.

    Returns the last loss.
    """
    groups = [written_questions(), known_questions(records)]
    rows = [row for group in groups for row in group]
    texts, truth = [text for text, _ in rows], torch.tensor([float(side) for _, side in rows])
    weights = np.concatenate([_shares(group) for group in groups if group])
    rng, head = np.random.default_rng(seed), model.decline_head.to(model.device)
    torch.manual_seed(seed)
    model.eval()
    states, tokens = phrase_states(model, processor, texts), processor.phrases(texts).to(model.device)
    head.scale.fit(states)
    head.votes.count(**tokens)
    deviation, truth = states.std(0), truth.to(states.device)
    optimizer = torch.optim.AdamW(
        [
            {"params": head.read.parameters(), "lr": lr, "weight_decay": 0.3},
            {"params": head.votes.parameters(), "lr": VOTES_LR, "weight_decay": 0.0},
        ]
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=[lr, VOTES_LR], total_steps=steps)
    for _ in range(steps):
        some = torch.from_numpy(rng.choice(len(rows), BATCH, p=weights / weights.sum())).to(states.device)
        noisy = states[some] + SPREAD * deviation * torch.randn_like(states[some])
        logits = head(noisy, tokens["input_ids"][some], tokens["attention_mask"][some])
        loss = F.binary_cross_entropy_with_logits(logits, truth[some])
        (loss + QUIET * head.votes.votes.weight.square().sum()).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return float(loss.detach())


def _shares(group: list[tuple[str, bool]]) -> np.ndarray:
    """The weight of each question of a group, so that its two sides weigh the same and the group 1 in all."""
    sides = np.array([side for _, side in group])
    counts = np.array([max(1, (~sides).sum()), max(1, sides.sum())])
    return 0.5 / counts[sides.astype(int)]
