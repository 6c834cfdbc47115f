"""The vocabulary: rows of its table that are at fault, what each column is for, and names as people say them."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from medvlm import vocabulary
from medvlm.vocabulary import (
    LABELS,
    Label,
    canonical,
    canonical_name,
    expected_labels,
    is_finding,
    known_name,
    other_types,
    parts,
    surely_absent,
    whole,
)
from medvlm.vocabulary.labels import COLUMNS, read_labels

POLYP = {
    **dict.fromkeys(COLUMNS, ""),
    **{"name": "polyp", "kind": "finding", "places": "endoscopy/colon", "multiplicity": "many"},
}


def table(folder: Path, *rows: dict[str, str], columns: list[str] = COLUMNS) -> Path:
    path = folder / "labels.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *([row[name] for name in columns] for row in rows)])
    return path


# The table


def test_every_column_is_read(tmp_path: Path) -> None:
    full = {
        **{"name": "polyp", "kind": "object", "places": "endoscopy/colon; ct/chest", "multiplicity": "tree"},
        **{"fine": "yes", "group": "brain tumour", "elsewhere": "yes", "lump": "2", "side": "left"},
        **{"snomed": "68496003", "snomed_name": "Polyp of colon", "radlex": "RID1"},
        **{"spellings": "polip", "synonyms": "polyps; growth, in the bowel"},
    }
    read = read_labels(table(tmp_path, full, {**POLYP, "name": "mass"}))
    places = frozenset({("endoscopy", "colon"), ("ct", "chest")})
    assert read["polyp"] == Label(
        *("polyp", "object", places, "tree", True, "brain tumour", True, 2, "left"),
        *("68496003", "Polyp of colon", "RID1", ("polip",), ("polyps", "growth, in the bowel")),
    )
    assert read["mass"] == Label(
        "mass", "finding", frozenset({("endoscopy", "colon")}), "many", False, "", False, 0, "", "", "", "", (), ()
    )
    assert list(read) == ["polyp", "mass"]


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("kind", "organ", "kind is 'organ'; it must be one of: anatomy, finding, device, object."),
        ("places", "endoscopy/bowl", "places: the body part of 'endoscopy/bowl' is 'bowl'; it must be one of: brain, head, teeth,"),
        ("places", "ct/chest; pet/brain", "places: the modality of 'pet/brain' is 'pet'; it must be one of: x-ray, ct, mri,"),
        ("places", "", "places: the modality of '' is ''; it must be one of: x-ray,"),
        ("places", "chest", "places: the modality of 'chest' is 'chest'; it must be one of: x-ray,"),
        ("multiplicity", "few", "multiplicity is 'few'; it must be one of: many, one, tree."),
        ("group", "bowel tumour", "group is 'bowel tumour'; it must be one of: nothing, breast tumour, brain tumour."),
        ("fine", "no", "fine is 'no'; it must be one of: nothing, yes."),
        ("elsewhere", "1", "elsewhere is '1'; it must be one of: nothing, yes."),
        ("lump", "3", "lump is '3'; it must be one of: nothing, 1, 2."),
        ("side", "both", "side is 'both'; it must be one of: nothing, left, right."),
        ("side", "left", "snomed is '', with '' as snomed_name and 'left' as side; give the code's digits and its meaning, or"),
        ("snomed", "68496003", "snomed is '68496003', with '' as snomed_name and '' as side; give the code's digits and its"),
        ("snomed_name", "Polyp", "snomed is '', with 'Polyp' as snomed_name and '' as side; give the code's digits and its"),
        ("name", "mass", "name has 'mass', which must be a word of one row; labels.csv, line 2, 'mass' has it."),
        ("synonyms", "growth; Mass", "synonyms has 'Mass', which must be a word of one row; labels.csv, line 2, 'mass' has it."),
        ("spellings", "tumor", "spellings has 'tumor', which must be a word of one row; labels.csv, line 2, 'mass' has it."),
    ],
)  # fmt: skip
def test_a_row_at_fault_is_told_with_its_field_and_what_is_allowed(
    tmp_path: Path, field: str, value: str, told: str
) -> None:
    path = table(tmp_path, {**POLYP, "name": "mass", "synonyms": "tumor"}, {**POLYP, field: value})
    with pytest.raises(ValueError) as error:
        read_labels(path)
    name = value if field == "name" else "polyp"
    assert str(error.value).startswith(f"labels.csv, line 3, {name!r}: {told}")


def test_columns_and_cells_must_be_there(tmp_path: Path) -> None:
    path = table(tmp_path, POLYP, columns=COLUMNS[:-1])
    with pytest.raises(ValueError, match="labels.csv: the columns must be name, kind, "):
        read_labels(path)
    for row in ("polyp,finding,endoscopy/colon,many", f"polyp,finding,endoscopy/colon,many{',' * 11}"):
        path.write_text(f"{','.join(COLUMNS)}\n{row}\n")
        with pytest.raises(ValueError, match="line 2, 'polyp': a row must have 14 cells"):
            read_labels(path)


# What the columns are for


def test_kind_tells_findings() -> None:
    assert is_finding("polyp") and is_finding("Pituitary Tumor")
    assert not is_finding("liver") and not is_finding("teapot")


def test_places_tell_what_is_looked_for() -> None:
    assert "polyp" in expected_labels("endoscopy", "colon") and expected_labels("endoscopy", "teapot") == []
    assert surely_absent("polyp", "ct", "chest") and not surely_absent("polyp", "histopathology", "colon")


def test_multiplicity_tells_parts() -> None:
    assert parts("heart") == "one" and parts("retinal vessels") == parts("airways") == "tree"
    assert parts("tooth") == parts("lung") == parts("polyp") == parts("unheard of") == "many"


def test_group_tells_types_of_one_thing() -> None:
    assert vocabulary.TYPES["breast tumour"] == ("benign tumour", "malignant tumour")
    assert other_types("glioma") == ("meningioma", "pituitary tumour") and other_types("polyp") == ()
    assert whole("malignant tumour") == "breast tumour" and whole("brain tumour") is None


def test_fine_elsewhere_and_lump_make_lists() -> None:
    assert len(vocabulary.FINE) == 7 and "microaneurysms" in vocabulary.FINE and "airways" not in vocabulary.FINE
    assert set(vocabulary.ANYWHERE) > {"fracture", "calcification"} and "polyp" not in vocabulary.ANYWHERE
    assert "polyp" in vocabulary.LUMPS and "fracture" not in vocabulary.LUMPS
    assert vocabulary.LUMPS.index("lung mass") < vocabulary.LUMPS.index("lung nodule")  # though it stands below it


def test_it_needs_no_torch() -> None:
    code = "import sys, medvlm.vocabulary; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# Names


def test_names_spellings_and_synonyms() -> None:
    assert canonical(" Pituitary  Tumor ") == "pituitary tumour" and canonical("unheard of") == "unheard of"
    assert known_name("mole") == "skin lesion" and known_name("teapot") is None
    assert "polyp" in expected_labels("endoscopy", "colon") and expected_labels("endoscopy", "teapot") == []
    names = [s for label in LABELS.values() for s in label.synonyms]
    assert len(names) == len(set(names)) and not set(names) & set(LABELS), "a synonym means one label"


def test_a_name_among_words_that_only_ask_for_it() -> None:
    assert canonical_name("Where is the patient's left lung on this film?") == "left lung"
    assert canonical_name("could you outline the papilla, please") == "optic disc"
    assert canonical_name("lung, left") == "left lung" and canonical_name("the lung on the left side") == "left lung"
    assert canonical_name("the lung above the liver") is None and canonical_name("where is it?") is None
    assert all(canonical_name(name) == name for name in LABELS)
    assert all(
        canonical_name(f"show me the {s}") == name
        for name, label in LABELS.items()
        for s in label.synonyms
        if "," not in s
    )
