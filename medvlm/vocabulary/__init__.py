"""What can be found and said: the labels with where each is looked for and how people say it, and short answers. Torch-free."""

from .answers import reviewed_answers
from .labels import LABELS, MODALITIES, Label
from .names import ASKING, LUMP_WORDS, SPELLINGS, canonical, canonical_name, known_name, names_of
from .registry import (
    ANYWHERE,
    FINE,
    LUMPS,
    TYPES,
    expected_labels,
    is_finding,
    other_types,
    parts,
    surely_absent,
    whole,
)

__all__ = [
    "ANYWHERE",
    "ASKING",
    "FINE",
    "LABELS",
    "LUMPS",
    "LUMP_WORDS",
    "MODALITIES",
    "SPELLINGS",
    "TYPES",
    "Label",
    "canonical",
    "canonical_name",
    "expected_labels",
    "is_finding",
    "known_name",
    "names_of",
    "other_types",
    "parts",
    "reviewed_answers",
    "surely_absent",
    "whole",
]
