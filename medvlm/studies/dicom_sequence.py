"""The pulse sequence of a magnetic resonance image, by its header's codes and times. Free texts, such as the series' description,
are not read: they could hold a name. Between the ranges, which leave a margin, nothing is said."""

from __future__ import annotations

from .dicom_header import Frame, many, numbers

# Acquisition Contrast (0008,9209), PS3.3 C.8.13.3.1, of enhanced objects
_CONTRASTS = {
    "DIFFUSION": "DWI",
    "FLUID_ATTENUATED": "FLAIR",
    "PERFUSION": "perfusion",
    "PROTON_DENSITY": "PD",
    "STIR": "STIR",
    "T1": "T1",
    "T2": "T2",
    "T2_STAR": "T2*",
    "TOF": "time of flight",
}
_TYPES = {"ADC": "ADC", "DIFFUSION": "DWI"}  # words of Image Type, the more exact one first
_SHORT_TE, _LONG_TE = 30.0, 70.0  # ms, of spin echoes
_SHORT_TR, _LONG_TR = 1000.0, 1800.0
_STIR_TI, _FLAIR_TI = (80.0, 350.0), 1500.0
_GRADIENT_T1_TE, _GRADIENT_T2_TE = 8.0, 15.0


def sequence(frame: Frame) -> str | None:
    """Such as "T1" or "FLAIR"; None where the header does not tell, or the image is of another modality."""
    if frame.code != "MR":
        return None
    contrast = _CONTRASTS.get(str(frame.facts.get("AcquisitionContrast") or "").strip().upper())
    told = next((word for kind, word in _TYPES.items() if kind in frame.types), None) or contrast
    b_value = _number(frame, "DiffusionBValue")
    return told or ("DWI" if b_value else _by_times(frame))


def _by_times(frame: Frame) -> str | None:
    """By echo, repetition and inversion time, in milliseconds."""
    kinds, variants = (
        {str(word).strip().upper() for word in many(frame.facts.get(key))}
        for key in ("ScanningSequence", "SequenceVariant")
    )
    echo, repetition = _number(frame, "EchoTime"), _number(frame, "RepetitionTime")
    inversion = _number(frame, "InversionTime") or 0.0
    if not echo or not repetition or "Y" in str(frame.facts.get("AngioFlag") or "").upper():
        return None
    if "GR" in kinds:
        spoiled = "SE" not in kinds and (bool(variants & {"SP", "MP"}) or "IR" in kinds)
        if echo >= _GRADIENT_T2_TE:
            return "T2*" if "SE" not in kinds else None
        return "T1" if spoiled and echo <= _GRADIENT_T1_TE and "EP" not in kinds else None
    if not kinds & {"SE", "IR"} or "EP" in kinds:
        return None
    if inversion >= _FLAIR_TI:
        return "FLAIR" if echo >= _LONG_TE else None
    if _STIR_TI[0] <= inversion <= _STIR_TI[1]:
        return "STIR"
    if inversion or repetition <= _SHORT_TR:
        return "T1" if echo <= _SHORT_TE else None
    if repetition < _LONG_TR:
        return None
    return "T2" if echo >= _LONG_TE else "PD" if echo <= _SHORT_TE else None


def _number(frame: Frame, keyword: str) -> float | None:
    found = numbers([frame.facts.get(keyword)], 1)
    return None if found is None else float(found[0])
