"""The vocabulary's SNOMED CT codes: each one's meaning is that of a published list, and no two things share one."""

from __future__ import annotations

from collections import defaultdict

# The table behind `pydicom.sr.codedict.codes`, which finds a meaning by its code; the public class goes by keyword alone.
from pydicom.sr._concepts_dict import concepts

from medvlm.vocabulary import LABELS, Label

CODED = [label for label in LABELS.values() if label.snomed]
HPO = "Human Phenotype Ontology, release of 2025-01-16"
SCREENING = "FHIR guide for screening for lung cancer in Lithuania, IncidentalFindingVS and the profile of a nodule"
CELLS = "FHIR value set of blood cells with SNOMED CT's fully specified names"

# Code → (meaning, where it was read), of those that DICOM's lists lack.
PUBLISHED = {
    "110765007": ("Portal vein and splenic vein", "TotalSegmentator, totalsegmentator_snomed_mapping.csv"),
    "233604007": ("Pneumonia", HPO),
    "46621007": ("Atelectasis", HPO),
    "8186001": ("Cardiomegaly", HPO),
    "93870000": ("Malignant neoplasm of liver", f"{HPO}, as liver cancer"),
    "126952004": ("Neoplasm of brain", HPO),
    "393564001": ("Glioma", HPO),
    "302820008": ("Intracranial meningioma", HPO),
    "2032001": ("Cerebral edema", HPO),
    "254837009": (
        "Malignant neoplasm of breast",
        "FHIR guide of the Medical Informatics Initiative, molecular genetics",
    ),
    "125605004": ("Fracture of bone", "SNOMED CT Expression Constraint Language, its example of a reversed attribute"),
    "309529002": ("Lung mass", "FHIR R5, examples of GenomicStudy"),
    "409609008": ("Radiologic infiltrate of lung", "UMLS, documentation of its REST API, source SNOMEDCT_US"),
    "786838002": ("Nodule of lung", SCREENING),
    "95436008": ("Lung consolidation", SCREENING),
    "41898006": ("Erythrocyte", CELLS),
    "52501007": ("Leukocyte", CELLS),
}


def of_dicom() -> dict[str, set[str]]:
    """Code → its meanings in DICOM's context groups, as pydicom has them.

    Entries of no group are left out: they are the code's formal name, or show that DICOM means something else by it.
    """
    meanings: dict[str, set[str]] = defaultdict(set)
    for entries in concepts["SCT"].values():
        for code, (meaning, groups) in entries.items():
            if groups:
                meanings[code].add(meaning)
    return dict(meanings)


def thing(label: Label) -> str:
    """What a label names, without its side."""
    return label.name.removeprefix(f"{label.side} ")


def test_a_code_means_what_a_published_list_says() -> None:
    known = of_dicom()
    wrong = {
        label.name: label.snomed
        for label in CODED
        if label.snomed_name not in known.get(label.snomed, {PUBLISHED.get(label.snomed, ("",))[0]})
    }
    assert wrong == {}, "correct the meaning, or read the code in a published list and add it to PUBLISHED"


def test_what_was_read_elsewhere_is_used_and_unknown_to_dicom() -> None:
    assert PUBLISHED.keys() <= {label.snomed for label in CODED} - of_dicom().keys()


def test_only_the_sides_of_one_organ_share_a_code() -> None:
    sharing: dict[str, list[Label]] = defaultdict(list)
    for label in CODED:
        sharing[label.snomed].append(label)
    for labels in sharing.values():
        assert len({thing(label) for label in labels}) == 1
        assert len({label.side for label in labels}) == len(labels)


def test_a_side_is_that_of_the_name() -> None:
    sided = [label for label in CODED if label.side]
    assert all(label.name.startswith(f"{label.side} ") for label in sided)
    assert {label.name for label in sided} > {"left lung", "right eye"}
    assert LABELS["left ventricle"].side == "", "its code is of the left one already"


def test_most_labels_have_a_code() -> None:
    assert len(CODED) >= 79
    assert all(label.snomed for label in LABELS.values() if "ct" in {modality for modality, _ in label.places})
