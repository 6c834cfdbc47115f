"""Which labels a record says are present in its image, or absent. Torch-free."""

from __future__ import annotations

import re

from ..mentions import label_of
from ..vocabulary import LABELS, canonical, expected_labels, is_finding
from .record import Record

HERE = r"(?: (?:in|on|of) (?:this|the) (?:image|picture|scan|film|x-ray|study))?"
FORMS = [  # in which records ask whether something is there
    re.compile(form + r" ?\??")
    for form in (
        rf"(?:is|are) there (?:(?:an?|any|the) )?(.+?){HERE}",
        r"does (?:this|the) (?:image|picture|scan|film) (?:contain|show) (?:(?:an?|any|the) )?(.+?)",
        rf"(?:does|do|is|are) (?:(?:the|an?) )?(.+?) (?:appear|exist|present|visible|seen){HERE}",
    )
]
NORMAL = ("normal", "no finding")  # an image-level fact with such a value says that nothing abnormal is there


def labelled_presence(record: Record) -> dict[str, bool]:
    """Whether each label is in the image; labels that the record says nothing of are left out.

    Regions and `absent` say so, and before them, the surer the later: English yes/no questions on the presence of one
    label, and image-level facts. Such a fact names a label and says yes or no (`{"fracture": "no"}`), has a label for its
    value (`{"finding": "pneumonia"}`), or calls the whole image normal.
    """
    presence: dict[str, bool] = {}
    expected = expected_labels(record.modality or "", record.body_part or "")
    facts = {canonical(name): canonical(str(value)) for name, value in record.labels.items() if value is not None}
    if set(facts.values()) & set(NORMAL) or facts.get("abnormal") == "no":
        presence |= {label: False for label in expected if is_finding(label)}
    presence |= {value: True for value in facts.values() if value in expected and is_finding(value)}
    presence |= {name: value == "yes" for name, value in facts.items() if name in LABELS and value in ("yes", "no")}
    for qa in record.qa:
        answer = qa.answer.strip().lower()
        if qa.lang == "en" and answer in ("yes", "no") and (label := label_in_question(qa.question)):
            presence[label] = answer == "yes"
    presence |= dict.fromkeys(record.absent, False) | {r.label: True for r in record.regions}
    return {label: there for label, there in presence.items() if label in LABELS}


def label_in_question(question: str) -> str | None:
    """The label whose presence a question in one of the plain `FORMS` asks for; `None` for any other question."""
    text = " ".join(question.lower().split())
    for form in FORMS:
        if (match := form.fullmatch(text)) and (label := label_of(match[1])):
            return label
    return None
