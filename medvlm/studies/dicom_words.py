"""DICOM's codes in our words. Only what is listed here is shown: a free text could hold a patient's name."""

from __future__ import annotations

# Modality (0008,0060), PS3.3 C.7.3.1.1.1; None is known but has no word of ours.
MODALITIES: dict[str, str | None] = {
    "CR": "x-ray",
    "DX": "x-ray",
    "RG": "x-ray",
    "PX": "x-ray",
    "IO": "x-ray",
    "CT": "ct",
    "MR": "mri",
    "US": "ultrasound",
    "IVUS": "ultrasound",
    "MG": "mammography",
    "OP": "fundus",
    "ES": "endoscopy",
    "XC": "dermoscopy",
    "DMS": "dermoscopy",
    "SM": "histopathology",
    "GM": "histopathology",
    **dict.fromkeys(("BMD", "DG", "NM", "OCT", "OPT", "OT", "PT", "RF", "RTIMAGE", "SC", "TG", "XA")),
}

PROJECTIONS = ("CR", "DX", "RG", "MG", "PX", "IO", "RF", "XA", "DG")  # X-ray films, which lie across the whole body
SECTIONS = ("CT", "MR", "PT")  # slices of the body

# Words of Image Type (0008,0008)
SCOUTS = ("LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW")
SCREENS = ("SCREEN SAVE", "SCREENSAVE", "SCREEN", "SCREEN CAPTURE", "CAPTURE", "DOSE", "DOSE_INFO")
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and its multi-frame kinds

# Objects that have no picture of the patient, with a word for messages.
NOT_IMAGES = {
    "SEG": "a segmentation",
    "RTSTRUCT": "radiotherapy contours",
    "RTDOSE": "a radiotherapy dose",
    "RTPLAN": "a radiotherapy plan",
    "SR": "a structured report",
    "PR": "a presentation state",
    "KO": "a key object list",
    "REG": "a registration",
    "DOC": "a document",
    "ECG": "a waveform",
    "HD": "a waveform",
    "AU": "a sound",
}

IMPLIED_PARTS = {"PX": "teeth", "IO": "teeth", "MG": "breast"}

_SAME = (
    *("ankle", "arm", "bladder", "breast", "clavicle", "colon", "elbow", "femur", "forearm", "heart", "hip", "humerus"),
    *("knee", "neck", "pelvis", "prostate", "shoulder", "skin", "stomach", "thyroid", "uterus", "wrist"),
)

# Body Part Examined (0018,0015), PS3.16 Annex L, without spaces, dashes and underscores.
BODY_PARTS = {
    **dict.fromkeys(("CHEST", "THORAX", "LUNG", "LUNGS", "RIB", "RIBS", "STERNUM"), "chest"),
    **dict.fromkeys(("HEAD", "BRAIN", "SKULL"), "brain"),
    **dict.fromkeys(("ABDOMEN", "ABDOMENPELVIS", "ABDOMENANDPELVIS", "LIVER", "PANCREAS", "SPLEEN"), "abdomen"),
    **dict.fromkeys(("SPINE", "CSPINE", "TSPINE", "LSPINE", "SSPINE", "CTSPINE", "TLSPINE", "LSSPINE"), "spine"),
    **dict.fromkeys(("JAW", "MANDIBLE", "MAXILLA", "TEETH", "TOOTH"), "teeth"),
    **dict.fromkeys(("EYE", "EYES", "RETINA"), "eye"),
    **dict.fromkeys(("KIDNEY", "KIDNEYS"), "kidney"),
    **dict.fromkeys(("HAND", "FINGER", "THUMB"), "hand"),
    **dict.fromkeys(("FOOT", "TOE", "CALCANEUS"), "foot"),
    **dict.fromkeys(("LEG", "TIBIAFIBULA", "TIBIA"), "leg"),
    **{word.upper(): word for word in _SAME},
}


def modality_code(value: object) -> str | None:
    """The code if it is a known one."""
    code = str(value or "").strip().upper()
    return code if code in MODALITIES else None


def body_part(value: object, code: str | None) -> str | None:
    """Our word for Body Part Examined, or what the modality implies."""
    key = "".join(letter for letter in str(value or "").upper() if letter.isalnum())
    return BODY_PARTS.get(key) or IMPLIED_PARTS.get(code or "")


def modality_words(code: str) -> str:
    """What people call a modality."""
    word = MODALITIES.get(code)
    return {"ct": "CT", "mri": "MRI", "x-ray": "X-ray"}.get(
        word or "", word or (code if code in MODALITIES else "DICOM")
    )
