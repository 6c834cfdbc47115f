"""A report as a FHIR R4 bundle: a `DiagnosticReport` with an `Observation` a finding, the `ImagingStudy` and the `Device`.

It names no patient and no study: who takes it in sets `subject` and the identifiers. Plain JSON, made without a package.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from ... import __version__
from ...types import Finding, Measurement, Report, Study
from ...vocabulary import LABELS
from .markdown import to_markdown
from .wording import image_name, images_of, sure, ucum

SNOMED, LOINC, UCUM = "http://snomed.info/sct", "http://loinc.org", "http://unitsofmeasure.org"
DICOM = "http://dicom.nema.org/resources/ontology/DCM"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
UNNAMED = {"display": "The patient of the images, who is not named here"}
LATERALITY = "272741003"
SIDES = {"left": "7771000", "right": "24028007"}

PRESENCE = {
    "present": ("52101004", "Present"),
    "absent": ("272519000", "Absent"),
    "uncertain": ("42425007", "Equivocal"),
}
# Measurements that DICOM's lists have a code for
MEASURED = {
    "longest diameter": (SNOMED, "103339001", "Long axis"),
    "perpendicular diameter": (SNOMED, "103340004", "Short axis"),
    "area": (SNOMED, "42798000", "Area"),
    "volume": (SNOMED, "118565006", "Volume"),
    "width": (SNOMED, "103355008", "Width"),
    "height": (DICOM, "121207", "Height"),
    "head circumference": (LOINC, "11984-2", "Head Circumference"),
}
MODALITIES = {
    "x-ray": "DX",
    "ct": "CT",
    "mri": "MR",
    "ultrasound": "US",
    "endoscopy": "ES",
    "fundus": "OP",
    "dermoscopy": "XC",
    "mammography": "MG",
    "histopathology": "SM",
    "microscopy": "GM",
    "fluorescence microscopy": "GM",
    "photograph": "XC",
}


def write(report: Report, study: Study, folder: Path) -> list[Path]:
    """`report.fhir.json`."""
    path = folder / "report.fhir.json"
    path.write_text(json.dumps(to_fhir(report, study), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return [path]


def to_fhir(report: Report, study: Study) -> dict[str, Any]:
    """The bundle of a report, of type `collection`."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    device, imaging = _device(report), _imaging_study(study)
    observations = [_observation(finding, report, study, now) for finding in report.findings]
    links = {
        "device": {"reference": f"urn:uuid:{device['id']}"},
        "derivedFrom": [{"reference": f"urn:uuid:{imaging['id']}"}],
    }
    observations = [{**observation, **links} for observation in observations]
    main = _diagnostic_report(report, observations, imaging, now)
    resources = [main, *observations, imaging, device]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": now,
        "entry": [{"fullUrl": f"urn:uuid:{one['id']}", "resource": one} for one in resources],
    }


def _diagnostic_report(
    report: Report, observations: list[dict[str, Any]], imaging: dict[str, Any], now: str
) -> dict[str, Any]:
    impression = [s.text for section in report.sections if section.title == "Impression" for s in section.sentences]
    codes = [_concept(f.label) for f in report.findings if f.presence == "present" and _is_coded_finding(f.label)]
    return {
        "resourceType": "DiagnosticReport",
        "id": str(uuid4()),
        "status": "preliminary",  # a person has yet to confirm it
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "IMG"}]}],
        "code": {"coding": [{"system": LOINC, "code": "18748-4", "display": "Diagnostic imaging study"}]},
        "issued": now,
        "imagingStudy": [{"reference": f"urn:uuid:{imaging['id']}"}],
        "conclusion": " ".join([*impression, report.disclaimer]),
        "presentedForm": [
            {
                "contentType": "text/markdown; charset=utf-8",
                "title": "Report draft",
                "data": base64.b64encode(to_markdown(report).encode()).decode(),
            }
        ],
        **({"conclusionCode": codes} if codes else {}),
        **({"result": [{"reference": f"urn:uuid:{one['id']}"} for one in observations]} if observations else {}),
    }


def _is_coded_finding(label: str) -> bool:
    return label in LABELS and LABELS[label].kind == "finding" and bool(LABELS[label].snomed)


def _observation(finding: Finding, report: Report, study: Study, now: str) -> dict[str, Any]:
    """Whether something is there, how sure that is, and what was measured of it."""
    code, display = PRESENCE[finding.presence]
    site = _site(finding.label)
    places = [image_name(study, image) for image in images_of(finding, report)]
    out = {
        "resourceType": "Observation",
        "id": str(uuid4()),
        "status": "preliminary",
        "category": [{"coding": [{"system": CATEGORY, "code": "imaging", "display": "Imaging"}]}],
        "code": _concept(finding.label),
        "issued": now,
        "valueCodeableConcept": {
            "coding": [{"system": SNOMED, "code": code, "display": display}],
            "text": f"{finding.presence} ({sure(finding.confidence)})",
        },
        "component": [_probability(finding), *map(_component, finding.measurements)],
    }
    if site:
        out["bodySite"] = site
    if places:
        out["note"] = [{"text": f"Seen in {', '.join(places)}."}]
    return out


def _concept(label: str) -> dict[str, Any]:
    """A label as text, with its SNOMED CT code where the vocabulary has one."""
    known = LABELS.get(label)
    if known is None or not known.snomed:
        return {"text": label}
    return {"coding": [{"system": SNOMED, "code": known.snomed, "display": known.snomed_name}], "text": label}


def _site(label: str) -> dict[str, Any] | None:
    """The structure itself, for anatomy; of a pair with its side, as SNOMED CT's expressions say it."""
    known = LABELS.get(label)
    if known is None or known.kind != "anatomy" or not known.snomed:
        return None
    side = f":{LATERALITY}={SIDES[known.side]}" if known.side else ""
    return {"coding": [{"system": SNOMED, "code": f"{known.snomed}{side}"}], "text": label}


def _probability(finding: Finding) -> dict[str, Any]:
    what = "Probability that it is absent" if finding.presence == "absent" else "Probability that it is present"
    return {"code": {"text": what}, "valueQuantity": _quantity(round(float(finding.confidence), 4), "1", "")}


def _component(measurement: Measurement) -> dict[str, Any]:
    code: dict[str, Any] = {"text": measurement.name}
    if measurement.name in MEASURED:
        system, number, display = MEASURED[measurement.name]
        code = {"coding": [{"system": system, "code": number, "display": display}], **code}
    value = round(float(measurement.value), 3)
    return {"code": code, "valueQuantity": _quantity(value, ucum(measurement.unit), measurement.unit)}


def _quantity(value: float, code: str, unit: str) -> dict[str, Any]:
    return {"value": value, **({"unit": unit} if unit else {}), "system": UCUM, "code": code}


def _imaging_study(study: Study) -> dict[str, Any]:
    """What the images are. Its series are left out, since these are known by identifiers that lead to a patient."""
    code = str(study.metadata.get("dicom_modality") or MODALITIES.get(study.modality or "", "OT"))
    return {
        "resourceType": "ImagingStudy",
        "id": str(uuid4()),
        "status": "available",
        "subject": UNNAMED,
        "modality": [{"system": DICOM, "code": code}],
        "numberOfSeries": 1,
        "numberOfInstances": len(study.images),
        **({"description": study.body_part} if study.body_part else {}),
    }


def _device(report: Report) -> dict[str, Any]:
    """The model, told by its fingerprint."""
    versions = [{"value": f"medvlm {__version__}"}]
    if report.fingerprint:
        versions.append({"value": f"fingerprint {report.fingerprint}"})
    return {
        "resourceType": "Device",
        "id": str(uuid4()),
        "deviceName": [{"name": f"medvlm {report.model}".strip(), "type": "model-name"}],
        "version": versions,
        "note": [{"text": report.disclaimer}],
    }
