"""What is looked for in which image, and what a label is: finding, type of a thing, one structure or many things."""

from __future__ import annotations

from .labels import GROUPS, LABELS
from .names import canonical

TYPES = {group: tuple(name for name, label in LABELS.items() if label.group == group) for group in GROUPS}
FINE = tuple(name for name, label in LABELS.items() if label.fine)
ANYWHERE = tuple(name for name, label in LABELS.items() if label.elsewhere)
LUMPS = tuple(sorted((name for name, label in LABELS.items() if label.lump), key=lambda name: LABELS[name].lump))


def is_finding(label: str) -> bool:
    """Whether a label is an abnormality rather than normal anatomy."""
    return canonical(label) in LABELS and LABELS[canonical(label)].kind == "finding"


def other_types(label: str) -> tuple[str, ...]:
    """The types of the same thing that a label excludes, such as the malignant tumour for the benign one."""
    return tuple(other for group in TYPES.values() if label in group for other in group if other != label)


def whole(label: str) -> str | None:
    """The thing that a label is a type of, such as the breast tumour for the malignant tumour; else `None`."""
    return next((thing for thing, group in TYPES.items() if label in group), None)


def parts(label: str) -> str:
    """What a label's parts in one image are: "many" things, "one" structure, or the branches of a "tree"."""
    return LABELS[label].multiplicity if label in LABELS else "many"


def expected_labels(modality: str, body_part: str) -> list[str]:
    """What is looked for in an image of this kind, in the registry's order; empty for an unknown kind."""
    return [name for name, label in LABELS.items() if (modality, body_part) in label.places]


def surely_absent(label: str, modality: str, body_part: str) -> bool:
    """True where a label cannot be in such an image: neither its modalities nor its body parts fit."""
    places = LABELS[label].places
    return modality not in {m for m, _ in places} and body_part not in {b for _, b in places}
