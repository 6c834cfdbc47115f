"""The head that reads whether a question asks for what no image can answer, over the frozen language model's states.

It learns from `declined.yaml`, questions written by hand for both sides, and from the questions of the data sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
import yaml
from torch.nn import functional as F

from medvlm.model.declining import DEPTHS
from medvlm.model.modeling_medvlm import MedVLMForConditionalGeneration
from medvlm.model.processing_medvlm import MedVLMProcessor
from medvlm.records import Record

from .stage_phrases import phrase_states

WORDINGS = Path(__file__).parent / "declined.yaml"
KNOWN_SHARE = 0.3  # weight of the data sets' questions, beside 1 of the written ones
STATES_PULL, VOTES_PULL = 2.0, 1e-3  # of squared weights to zero
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
    model: MedVLMForConditionalGeneration, processor: MedVLMProcessor, records: Iterable[Record], steps: int = 100
) -> float:
    """Fit the decline head by logistic regression, both sides weighted alike, and the many alike questions of data sets
    little beside what was written by hand: the reading of the states and the votes of words each by itself, so that their sum rests on both.

    Returns the loss of the sum. `steps` are of L-BFGS; nothing is random.
    """
    groups = [written_questions(), known_questions(records)]
    rows = [row for group in groups for row in group]
    texts, truth = [text for text, _ in rows], torch.tensor([float(side) for _, side in rows])
    shares = [share * _shares(group) for share, group in zip((1.0, KNOWN_SHARE), groups, strict=True) if group]
    weights = torch.from_numpy(np.concatenate(shares)).float()
    head = model.decline_head.to(model.device)
    model.eval()
    states, tokens = phrase_states(model, processor, texts, DEPTHS), processor.phrases(texts).to(model.device)
    truth, weights = truth.to(states.device), (weights / weights.sum()).to(states.device)
    head.scale.fit(states)
    head.votes.count(**tokens)
    scaled = head.scale(states)

    def fit(parameters: list[torch.Tensor], pull: float, logits: Callable[[], torch.Tensor]) -> None:
        optimizer = torch.optim.LBFGS(parameters, max_iter=steps, line_search_fn="strong_wolfe")

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            value = _loss(logits(), truth, weights) + pull * parameters[0].square().sum()
            value.backward()
            return value

        optimizer.step(loss)

    fit([head.read.weight, head.read.bias], STATES_PULL, lambda: head.read(scaled)[:, 0])
    fit([head.votes.votes.weight], VOTES_PULL, lambda: head.votes(**tokens)[:, 0])
    with torch.no_grad():
        return float(_loss(head(states, **tokens), truth, weights))


def _loss(logits: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return (weights * F.binary_cross_entropy_with_logits(logits, truth, reduction="none")).sum()


def _shares(group: list[tuple[str, bool]]) -> np.ndarray:
    """The weight of each question of a group, so that its two sides weigh the same and the group 1 in all."""
    sides = np.array([side for _, side in group])
    counts = np.array([max(1, (~sides).sum()), max(1, sides.sum())])
    return 0.5 / counts[sides.astype(int)]
