"""The table of what can be found, `labels.csv`: a row a label, lists within a cell separated by semicolons.

- `name`: what it is called; `kind`: one of `KINDS`
- `places`: the kinds of images in which it is looked for, each `modality/body part`
- `multiplicity`: what its parts in one image are: "many" things, "one" structure, or the branches of a "tree"
- `fine`: thinner or smaller than a pixel of the model's grid, so it is looked for in enlarged parts of the image (yes or nothing)
- `group`: the thing that it is a type of; an image shows at most one type of a thing
- `elsewhere`: found in other parts of the body too, where the model does not know it (yes or nothing)
- `lump`: people call it a lump, mass, growth or tumour; 1 is what such a word is taken for first where there are several, 2
  comes after it, and nothing is no lump
- `side`: left or right, where `snomed` is the code of either organ of a pair: DICOM says the side in a modifier beside the code
- `snomed`, `snomed_name`: its SNOMED CT code with that code's meaning in the words of DICOM's lists; nothing where no code was
  checked, by number and by name, in a published list (`tests/test_vocabulary_codes.py` has which)
- `radlex`: its RadLex identifier, nothing where none was checked
- `spellings`: how data sets write it, which is read as its name; `synonyms`: how people say it
"""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path

KINDS = ("anatomy", "finding", "device", "object")
MODALITIES = (
    "x-ray", "ct", "mri", "ultrasound", "endoscopy", "fundus", "dermoscopy", "mammography",
    "histopathology", "microscopy", "fluorescence microscopy", "photograph",
)  # fmt: skip
BODY_PARTS = (
    "brain", "head", "teeth", "retina", "neck", "thyroid", "chest", "lung", "heart", "breast", "abdomen", "kidney", "colon",
    "pelvis", "prostate", "fetal head", "skin", "blood", "cells", "tissue",
    "shoulder", "upper arm", "elbow", "forearm", "forearm and wrist", "wrist", "hand", "fingers",
    "hip", "thigh", "knee", "lower leg", "ankle",
)  # fmt: skip
MULTIPLICITIES = ("many", "one", "tree")
GROUPS = ("breast tumour", "brain tumour")  # things whose types are labels
ALLOWED = {
    **{"kind": KINDS, "multiplicity": MULTIPLICITIES, "group": ("", *GROUPS), "lump": ("", "1", "2")},
    **{"fine": ("", "yes"), "elsewhere": ("", "yes"), "side": ("", "left", "right")},
}
FILE = Path(__file__).parent / "labels.csv"


@dataclass(frozen=True)
class Label:
    """One thing that can be found; the fields are the table's columns."""

    name: str
    kind: str
    places: frozenset[tuple[str, str]]  # (modality, body part)
    multiplicity: str
    fine: bool
    group: str
    elsewhere: bool
    lump: int  # 0 for what is no lump
    side: str
    snomed: str
    snomed_name: str
    radlex: str
    spellings: tuple[str, ...]
    synonyms: tuple[str, ...]


COLUMNS = [field.name for field in fields(Label)]


def read_labels(path: Path = FILE) -> dict[str, Label]:
    """Name → label, in the table's order. Raises `ValueError` in one sentence that names the row, the field and what is allowed."""
    with path.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file)
        if table.fieldnames != COLUMNS:
            raise ValueError(f"{path.name}: the columns must be {', '.join(COLUMNS)}.")
        rows = [(f"{path.name}, line {table.line_num}, {row['name']!r}", row) for row in table]
    labels = {where: _label(where, row) for where, row in rows}
    _check_words(labels)
    return {label.name: label for label in labels.values()}


def _label(where: str, row: dict[str, str]) -> Label:
    if None in row or None in row.values():
        raise ValueError(f"{where}: a row must have {len(COLUMNS)} cells, one a column, empty ones too.")
    for field, allowed in ALLOWED.items():
        _check(where, field, row[field], allowed)
    _check_code(where, row)
    return Label(
        row["name"],
        row["kind"],
        frozenset(_place(where, place.strip()) for place in row["places"].split(";")),
        row["multiplicity"],
        bool(row["fine"]),
        row["group"],
        bool(row["elsewhere"]),
        int(row["lump"] or 0),
        row["side"],
        row["snomed"],
        row["snomed_name"],
        row["radlex"],
        _listed(row["spellings"]),
        _listed(row["synonyms"]),
    )


def _listed(cell: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in cell.split(";")) if cell else ()


def _place(where: str, place: str) -> tuple[str, str]:
    modality, _, body_part = place.partition("/")
    _check(where, f"places: the modality of {place!r}", modality, MODALITIES)
    _check(where, f"places: the body part of {place!r}", body_part, BODY_PARTS)
    return modality, body_part


def _check_code(where: str, row: dict[str, str]) -> None:
    code, name, side = row["snomed"], row["snomed_name"], row["side"]
    if (code or name or side) and not (code.isdecimal() and name):
        raise ValueError(
            f"{where}: snomed is {code!r}, with {name!r} as snomed_name and {side!r} as side; give the code's digits and its "
            "meaning, or leave all three empty."
        )


def _check_words(labels: dict[str, Label]) -> None:
    """Raises `ValueError` where a word would mean two labels."""
    owners: dict[str, str] = {}
    for where, label in labels.items():
        for field, words in (("name", (label.name,)), ("spellings", label.spellings), ("synonyms", label.synonyms)):
            for word in words:
                owner = owners.setdefault(word.lower(), where)
                if owner != where:
                    raise ValueError(f"{where}: {field} has {word!r}, which must be a word of one row; {owner} has it.")


def _check(where: str, what: str, value: str, allowed: Collection[str]) -> None:
    if value not in allowed:
        raise ValueError(
            f"{where}: {what} is {value!r}; it must be one of: {', '.join(word or 'nothing' for word in allowed)}."
        )


LABELS = read_labels()
