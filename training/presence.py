"""What data sets tell of which labels are in an image in words of their own, beside what any record tells."""

from __future__ import annotations

from medvlm.records import Record
from medvlm.records.presence import known_presence as plainly_known
from medvlm.vocabulary import expected_labels, is_finding

from .data import asked_facts

NORMAL = {
    ("jsrt", "lung nodule"): "no"
}  # (set, image-level fact) -> the value by which an image shows nothing abnormal
UNSEEN = {
    ("jsrt", "lung nodule"): "yes"
}  # the value that is true of the patient, but at this size often not to be seen
DISEASES = "what diseases are included in the picture?"  # asked by SLAKE; of a chest X-ray its answer names all of
LISTED = {
    "nodule": "lung nodule", "mass": "lung mass", "infiltration": "lung infiltrate", "effusion": "pleural effusion",
    "cardiomegaly": "cardiomegaly", "atelectasis": "atelectasis", "pneumonia": "pneumonia", "pneumothorax": "pneumothorax",
}  # fmt: skip


def known_presence(record: Record) -> dict[str, int]:
    """1 for each label that is in the image, 0 for each that is not; labels of which nothing is known are left out."""
    findings = [a for a in expected_labels(record.modality or "", record.body_part or "") if is_finding(a)]
    known: dict[str, int] = {}
    if _says(record, NORMAL):
        known |= dict.fromkeys(findings, 0)
    answer = asked_facts(record).get(DISEASES)
    if answer is not None and set(LISTED.values()) <= set(findings):
        known |= {label: int(word in answer) for word, label in LISTED.items()}
    plain = {label: int(there) for label, there in plainly_known(record).items()}
    hidden = [fact for _, fact in UNSEEN if _says(record, UNSEEN) and not record.region(fact)]
    return known | {label: there for label, there in plain.items() if label not in hidden}


def _says(record: Record, values: dict[tuple[str, str], str]) -> bool:
    return any(str(record.labels.get(fact)) == value for (of, fact), value in values.items() if of == record.set)
