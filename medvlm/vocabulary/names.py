"""How people and data sets say a label."""

from __future__ import annotations

import re

from .labels import LABELS

# Words around a name that only ask for it.
ASKING = frozenset(
    """a an the any all each every some both of my his her their our this that these those here there please can could would you i
    we me us do does did is are be find show mark outline trace draw segment highlight locate point out to where what which how
    big large see seen visible look looks looking for in on at it its patient's patient patients' image picture photo photograph
    scan slice film x-ray radiograph view structure area region tissue let's get give tell there's where's""".split()
)

# What people call a lump; which of `LUMPS` is meant, the kind of image tells.
LUMP_WORDS = frozenset("tumour tumor lump lesion growth mass neoplasm cancer malignancy".split())

SPELLINGS = {spelling: label.name for label in LABELS.values() for spelling in label.spellings}
_NAMES = {s.lower(): label.name for label in LABELS.values() for s in label.synonyms} | {n: n for n in LABELS}


def canonical(label: str) -> str:
    """The registry's name of a label as a data set spells it; unknown labels come back as they are."""
    text = " ".join(label.lower().split())
    return SPELLINGS.get(text, text)


def known_name(phrase: str) -> str | None:
    """The label that a phrase names by its name, a spelling or a synonym; `None` for any other phrase."""
    return _NAMES.get(canonical(phrase))


def names_of(label: str) -> tuple[str, ...]:
    """All that a label is called: its name, synonyms and spellings."""
    row = LABELS.get(label)
    return (label, *row.synonyms, *row.spellings) if row else (label,)


def canonical_name(phrase: str) -> str | None:
    """As `known_name`, also where the label stands among words that only ask for it: "where is the patient's heart?"."""
    if name := known_name(phrase):
        return name
    words = re.findall(r"[a-z0-9'-]+", phrase.lower())
    while words and words[0] in ASKING and known_name(" ".join(words)) is None:
        words = words[1:]
    while words and words[-1] in ASKING and known_name(" ".join(words)) is None:
        words = words[:-1]
    return known_name(" ".join(words)) if words else None
