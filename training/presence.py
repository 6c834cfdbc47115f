"""What a record tells of which labels are in its image: by its regions, its questions, and where it calls the image normal."""

from __future__ import annotations

from medvlm.questions import presence_question
from medvlm.records import Record
from medvlm.records.vocabulary import LABELS, expected_labels, is_finding

from .data import asked_facts

NORMAL = {  # (set, image-level fact) -> the value by which an image shows nothing abnormal
    ("slake", "abnormal"): "no",
    ("jsrt", "lung nodule"): "no",
    ("covid_cxr_followup", "finding"): "no finding",
    ("medmnist_pneumoniamnist", "medmnist_pneumoniamnist"): "normal",
}
ILL = {("medmnist_pneumoniamnist", "medmnist_pneumoniamnist", "pneumonia"): "pneumonia"}  # fact and value -> label
DISEASES = "what diseases are included in the picture?"  # asked by SLAKE; of a chest X-ray its answer names all of
LISTED = {
    "nodule": "lung nodule", "mass": "lung mass", "infiltration": "lung infiltrate", "effusion": "pleural effusion",
    "cardiomegaly": "cardiomegaly", "atelectasis": "atelectasis", "pneumonia": "pneumonia", "pneumothorax": "pneumothorax",
}  # fmt: skip


def known_presence(record: Record) -> dict[str, int]:
    """1 for each label that is in the image, 0 for each that is not; labels of which nothing is known are left out."""
    findings = [a for a in expected_labels(record.modality or "", record.body_part or "") if is_finding(a)]
    known: dict[str, int] = {}
    if any(str(record.labels.get(fact)) == value for (of, fact), value in NORMAL.items() if of == record.set):
        known |= dict.fromkeys(findings, 0)
    for question, answer in asked_facts(record).items():
        if question == DISEASES and set(LISTED.values()) <= set(findings):
            known |= {label: int(word in answer) for word, label in LISTED.items()}
        elif answer in ("yes", "no") and (asked := presence_question(question)):
            known[asked.label] = int((answer == "yes") != asked.denied)
    known |= {
        label: 1 for (of, fact, value), label in ILL.items() if of == record.set and record.labels.get(fact) == value
    }
    known |= dict.fromkeys(record.absent, 0) | {r.label: 1 for r in record.regions}
    return {label: there for label, there in known.items() if label in LABELS}
