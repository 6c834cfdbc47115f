"""What a report says, as codes: labels and sites in SNOMED CT, measurements, and names of our own where no code is known."""

from __future__ import annotations

from hashlib import sha256

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from ...types import Study
from ...vocabulary import LABELS
from .wording import ucum

SCHEME = "99MEDVLM"  # PS3.16 8.2: private schemes start with 99
IDENTIFICATION = CodingSchemeIdentificationItem(SCHEME, name="Labels of medvlm", responsible_organization="medvlm")

_LONGEST = 16  # characters of a code's value that every reader takes
_MEANING = 64
_SCT = codes.SCT
_SITES = {
    "brain": _SCT.Brain, "head": _SCT.Head, "teeth": _SCT.Tooth, "retina": _SCT.Retina, "neck": _SCT.Neck,
    "thyroid": _SCT.Thyroid, "chest": _SCT.Chest, "lung": _SCT.Lung, "heart": _SCT.Heart, "breast": _SCT.Breast,
    "abdomen": _SCT.Abdomen, "kidney": _SCT.Kidney, "colon": _SCT.Colon, "pelvis": _SCT.Pelvis,
    "prostate": _SCT.Prostate, "fetal head": _SCT.Head, "skin": _SCT.Skin, "blood": _SCT.Blood,
    "shoulder": _SCT.Shoulder, "upper arm": _SCT.UpperArm, "elbow": _SCT.ElbowJoint, "forearm": _SCT.Forearm,
    "forearm and wrist": _SCT.Forearm, "wrist": _SCT.WristJoint, "hand": _SCT.Hand, "fingers": _SCT.Finger,
    "hip": _SCT.Hip, "thigh": _SCT.Thigh, "knee": _SCT.Knee, "lower leg": _SCT.LowerLeg, "ankle": _SCT.AnkleJoint,
}  # fmt: skip
_CATEGORIES = {
    "anatomy": _SCT.AnatomicalStructure,
    "finding": _SCT.MorphologicallyAbnormalStructure,
    "device": _SCT.PhysicalObject,
    "object": _SCT.AnatomicalStructure,
}
_UNIT_WORDS = {"px": "pixels", "px2": "pixels", "count": "no units"}
_SIDES = {"left": _SCT.Left, "right": _SCT.Right}
_MEASURED = {
    "longest diameter": _SCT.LongAxis,
    "perpendicular diameter": _SCT.ShortAxis,
    "area": _SCT.Area,
    "volume": _SCT.Volume,
    "width": _SCT.Width,
    "height": codes.DCM.Height,
    "head circumference": codes.LN.HeadCircumference,
}


def own_code(name: str) -> CodedConcept:
    """A code of the private scheme for a name that has none: the name itself where it is short enough."""
    value = name if len(name) <= _LONGEST else f"{name[:9]}~{sha256(name.encode()).hexdigest()[:6]}"
    return CodedConcept(value, SCHEME, name[:_MEANING])


def label_code(label: str) -> CodedConcept:
    """The code of what a label names, without its side."""
    row = LABELS.get(label)
    return CodedConcept(row.snomed, "SCT", row.snomed_name[:_MEANING]) if row and row.snomed else own_code(label)


def side_code(label: str) -> Code | None:
    """Left or right of the patient, where the label's code leaves it open."""
    return _SIDES.get(LABELS[label].side) if label in LABELS else None


def category_code(label: str) -> Code:
    """What kind of thing a label is."""
    return _CATEGORIES[LABELS[label].kind if label in LABELS else "finding"]


def site_code(label: str, study: Study) -> tuple[CodedConcept | Code, Code | None] | None:
    """Where a thing is, with its side: itself for anatomy, the organ that its name starts with, else the body part."""
    named = [
        name
        for name, row in LABELS.items()
        if row.kind == "anatomy" and row.snomed and f"{label} ".startswith(f"{name} ")
    ]
    if named:
        organ = max(named, key=len)
        return label_code(organ), side_code(organ)
    part = _SITES.get(study.body_part or "")
    return (part, None) if part and label in LABELS and LABELS[label].kind != "anatomy" else None


def measured_code(name: str) -> CodedConcept | Code:
    """The code of what was measured."""
    return _MEASURED.get(name) or own_code(name)


def unit_code(unit: str) -> Code:
    """The UCUM code of a measurement's unit."""
    return Code(ucum(unit), "UCUM", _UNIT_WORDS.get(unit, unit))
