"""SLAKE: of a chest film it asks for the diseases in the picture, and the answer names all of eight that are there."""

from __future__ import annotations

import yaml

from medvlm.records import Record

from ..record_questions import question_answers
from .adapter import HERE, Adapter, findings

DISEASES = "what diseases are included in the picture?"
LISTED = {
    "nodule": "lung nodule", "mass": "lung mass", "infiltration": "lung infiltrate", "effusion": "pleural effusion",
    "cardiomegaly": "cardiomegaly", "atelectasis": "atelectasis", "pneumonia": "pneumonia", "pneumothorax": "pneumothorax",
}  # fmt: skip


def presence(record: Record) -> dict[str, bool]:
    """Each of the eight as the answer has it; nothing for images of other kinds, where the answer is no full list."""
    answer = question_answers(record).get(DISEASES)
    if answer is None or not set(LISTED.values()) <= set(findings(record)):
        return {}
    return {label: word in answer for word, label in LISTED.items()}


ADAPTER = Adapter(presence=presence, questions=yaml.safe_load((HERE / "slake.yaml").read_text(encoding="utf-8")))
