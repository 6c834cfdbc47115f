"""Questions made from what a record holds: modality, organ, presence, place, count, size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from medvlm.records import Record
from medvlm.vocabulary import LABELS, MODALITIES, surely_absent

from .datasets import facts_of

SPOKEN = {"x-ray": "X-Ray", "ct": "CT", "mri": "MRI"}
MODALITY = (
    "What modality is used to take this image?",
    "Which imaging modality is this?",
    "What kind of image is this?",
    "How was this image taken?",
)
BODY_PART = (
    "Which body part is shown?",
    "What part of the body does this image show?",
    "Which organ or region was imaged?",
    "Which part of the body does this image belong to?",
)
PRESENT = (
    "Is there {a} {x} in this image?",
    "Does the image show {a} {x}?",
    "Can {a} {x} be seen?",
    "Is {a} {x} present?",
)
FREE_OF = (
    "Is the image free of any {x}?",
    "Is there no {x} in this image?",
    "Is {a} {x} missing from this image?",
)
WHERE = ("In which part of the image is the {x}?", "Where in the image does the {x} lie?")
COUNT = ("How many {x}s can be counted?", "How many instances of {x} are there?")
COVER = ("How much of the image does the {x} cover?", "How large is the {x} relative to the image?")
FACT = ("What is the {x}?", "Which {x} does this image show?")


def place(box: np.ndarray, height: int, width: int) -> str:
    """The ninth of the image that holds a box's centre: "upper left", …, "centre"."""
    x, y = (box[0] + box[2]) / 2 / width, (box[1] + box[3]) / 2 / height
    row = ("upper", "", "lower")[min(int(y * 3), 2)]
    column = ("left", "", "right")[min(int(x * 3), 2)]
    return " ".join(w for w in (row, column) if w) or "centre"


def share(area: float) -> str:
    """A share of the image in words that a small model can learn."""
    for limit, text in ((0.01, "less than 1%"), (0.05, "1 to 5%"), (0.15, "5 to 15%"), (0.35, "15 to 35%")):
        if area < limit:
            return text
    return "more than 35%"


def with_article(template: str, name: str) -> str:
    article = "an" if name[0] in "aeiou" else "a"
    return template.format(x=name, a=article)


def presence_questions(record: Record, rng: np.random.Generator) -> list[tuple[str, str]]:
    """One thing that is there and one that is not, each in a plain or a negated question."""
    present = [r.label for r in record.regions]
    absent = [a for a in record.absent if a in LABELS]
    absent = absent or [a for a in LABELS if surely_absent(a, record.modality or "", record.body_part or "")]
    pairs = []
    for names, there in ((present, True), (absent, False)):
        if not names:
            continue
        label = str(rng.choice(names))
        name = str(rng.choice([label, *LABELS[label].synonyms])) if label in LABELS and rng.random() < 0.3 else label
        straight = rng.random() < 0.6
        template = str(rng.choice(PRESENT if straight else FREE_OF))
        pairs.append((with_article(template, name), "Yes" if there == straight else "No"))
    return pairs


def region_questions(record: Record, rng: np.random.Generator, size: tuple[int, int]) -> list[tuple[str, str]]:
    """Where, how many and how large, for one region of an image `(H, W)`."""
    regions = [r for r in record.regions if r.boxes]
    if not regions:
        return []
    region = regions[rng.integers(len(regions))]
    height, width = size
    boxes = np.array(region.boxes)
    if len(boxes) > 1:
        return [(str(rng.choice(COUNT)).format(x=region.label), str(len(boxes)))]
    area = float(np.prod(boxes[0, 2:] - boxes[0, :2])) / (height * width)
    return [
        (str(rng.choice(WHERE)).format(x=region.label), place(boxes[0], height, width).capitalize()),
        (str(rng.choice(COVER)).format(x=region.label), share(area * 0.75).capitalize()),
    ]


def description(record: Record) -> str:
    modality = SPOKEN.get(record.modality or "", (record.modality or "image").capitalize())
    labels = sorted({r.label for r in record.regions})
    missing = [a for a in record.absent if a in LABELS and LABELS[a].kind == "finding"][:2]
    text = f"{modality} of the {record.body_part}"
    text += f", showing {', '.join(labels[:5])}." if labels else "."
    return text + (f" No {' or '.join(missing)}." if missing else "")


def questions(
    record: Record, rng: np.random.Generator, size: tuple[int, int], facts: dict[str, list[str]]
) -> list[tuple[str, str]]:
    """(question, answer) pairs for a record whose image is `(H, W)`."""
    if record.modality == "photograph":
        return [(str(rng.choice(MODALITY)), "Photograph"), ("Is this a medical image?", "No")]
    if not record.modality:
        return presence_questions(record, rng) + region_questions(record, rng, size)
    modality = SPOKEN.get(record.modality, record.modality.capitalize())
    pairs = [(str(rng.choice(MODALITY)), modality)]
    if record.body_part:
        pairs.append((str(rng.choice(BODY_PART)), record.body_part.capitalize()))
    others = [SPOKEN.get(m, m.capitalize()) for m in rng.permutation(MODALITIES)[:3] if m != record.modality]
    options = [str(o) for o in rng.permutation([modality, *others[:2]])]
    pairs.append((f"Is this a {', a '.join(options[:-1])} or a {options[-1]} image?", modality))
    pairs += presence_questions(record, rng) + region_questions(record, rng, size)
    stated = facts_of(record)
    for name in facts:
        if stated.get(name) in facts[name]:
            pairs.append((str(rng.choice(FACT)).format(x=name.replace("_", " ")), stated[name].capitalize()))
    pairs.append((str(rng.choice(("Describe the image.", "What does this image show?"))), description(record)))
    return pairs


PHRASE_FORMS = (
    "{x}", "the {x}", "{a} {x}", "any {x}", "all {x}", "where is the {x}?", "show me the {x}",
    "is there {a} {x}?", "find the {x}", "segment the {x}", "{x} in this image", "outline of the {x}",
)  # fmt: skip
NAMES_NOTHING = (
    "car", "dog", "cat", "house", "tree", "unicorn", "bicycle", "cloud", "guitar", "banana", "pizza", "sky", "shoe", "airplane",
    "book", "table", "mountain", "flower", "bird", "phone", "happiness", "the weather", "a poem", "traffic light", "dragon",
    "river", "window", "hat", "football", "keyboard", "nothing at all", "asdf qwer", "xyz", "spaceship", "kitchen", "chair",
    "person", "face", "smile", "beach", "horse", "boat", "clock", "umbrella", "spoon", "laptop", "road", "train", "moon",
)  # fmt: skip


def free_wordings() -> dict[str, list[str]]:
    """Label → ways to ask for it that hold neither its name nor a synonym."""
    return yaml.safe_load(Path(__file__).with_name("wordings.yaml").read_text(encoding="utf-8"))


def outside_names() -> list[str]:
    """Things in medical images that no label names."""
    kinds = yaml.safe_load(Path(__file__).with_name("outside.yaml").read_text(encoding="utf-8"))
    return [name for names in kinds.values() for name in names]


def wordings(labels: list[str], per_name: int, free: int, rng: np.random.Generator) -> list[tuple[str, int]]:
    """`per_name` phrases for every name and synonym of every label, and for names of nothing, which come last; and up to
    `free` of each label's wordings in `wordings.yaml`, as they stand there."""
    pairs = [(LABELS[label].name, i) for i, label in enumerate(labels)]
    pairs += [(synonym, i) for i, label in enumerate(labels) for synonym in LABELS[label].synonyms]
    pairs += [(name, len(labels)) for name in (*NAMES_NOTHING, *outside_names())]
    free_forms = free_wordings()
    return [(text, i) for i, label in enumerate(labels) for text in free_forms.get(label, [])[:free]] + [
        (with_article(PHRASE_FORMS[k], name), number)
        for name, number in pairs
        for k in rng.permutation(len(PHRASE_FORMS))[:per_name]
    ]
