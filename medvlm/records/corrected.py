"""A person's corrections of a report as records to learn from: what they said of an image, and nothing of the model's alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from ..errors import RequestError
from ..report import edits
from ..report.corrections import PROVENANCE, Corrections
from ..studies.burned_in import leaving_pixels
from ..types import Region, Report, Study, mask_box
from ..vocabulary import LABELS, MODALITIES, known_name
from ..writing import whole
from .readers import read_rows

MOST_INSTANCES = 255  # that an 8-bit map tells apart


def write_records(draft: Report, out: Report, corrections: Corrections, study: Study, folder: str | Path) -> list[Path]:
    """Add a record an image to a data set in the folder form, which is made if needed; those of the same study are replaced.

    A label that a person drew, redrew or rejected in an image is known there: with all of its regions in `out`, the corrected
    report, or as absent. A finding that was rejected is absent where the draft saw it. Text in pixels is blacked out.
    Returns the paths of the images. Raises `RequestError` where nothing was corrected, or the folder cannot be written to.
    """
    if not corrections.made:
        raise RequestError("Nothing was corrected, so there is no record to write.")
    folder, known = Path(folder), _known(draft, corrections, study)
    study_id = _study_id(study)
    try:
        for name in ("images", "masks"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        rows = [_row(image, labels, study_id, out, study, folder) for image, labels in sorted(known.items())]
        _add(rows, study_id, folder)
    except OSError as error:
        raise RequestError(
            f"The records cannot be written to {str(folder)!r}: {error.strerror or 'it cannot be used'}."
        ) from error
    return [folder / row["file_name"] for row in rows]


def _known(draft: Report, corrections: Corrections, study: Study) -> dict[int, set[str]]:
    """The labels that a person spoke of, by image; the image that is shown first has none where they only wrote."""
    said: list[tuple[int, str]] = []
    for one in corrections.made:
        match one:
            case edits.RedrawRegion(carried=True) | edits.RejectRegion(carried=True) | edits.AddRegion(carried=True):
                pass  # the model's, seen and kept by a person, but not drawn by them
            case edits.RedrawRegion(index) | edits.RejectRegion(index) if index < len(draft.regions):
                said.append((draft.regions[index].image, draft.regions[index].label))
            case edits.RenameFinding(number, label) if number < len(draft.findings):
                images = {draft.regions[i].image for i in draft.findings[number].regions}
                names = (draft.findings[number].label, known_name(label) or label)
                said += [(image, name) for image in images for name in names]
            case edits.AddRegion(label, image):
                said.append((image, known_name(label) or label))
            case edits.RejectFinding(number) | edits.ChangeFinding(number, "absent") if number < len(draft.findings):
                finding = draft.findings[number]
                images = {draft.regions[i].image for i in finding.regions}
                said += [(image, finding.label) for image in images or _whole(study)]
            case edits.AddFinding(label, "absent"):
                said += [(image, known_name(label) or label) for image in _whole(study)]
    out: dict[int, set[str]] = {}
    for image, label in said:
        out.setdefault(image, set()).add(label)
    return out or {study.default: set()}


def _whole(study: Study) -> Iterable[int]:
    """The image of a study that has one alone: of several, it is not known which one is meant."""
    return [0] if len(study.images) == 1 else []


def _study_id(study: Study) -> str:
    """A name that is made of the pixels alone, and is the same for the same study."""
    digest = hashlib.sha256()
    for image in study.images:
        digest.update(repr(image.size).encode() + np.ascontiguousarray(image.pixels).tobytes())
    return digest.hexdigest()[:12]


def _row(image: int, labels: set[str], study_id: str, out: Report, study: Study, folder: Path) -> dict[str, Any]:
    name = f"{study_id}-{image + 1:04d}"
    _save(leaving_pixels(study, image), folder / "images" / f"{name}.png")
    spacing = study.images[image].spacing_mm
    regions, absent = [], []
    for label in sorted(labels & LABELS.keys()):
        shown = [region for region in out.regions if (region.image, region.label) == (image, label)]
        if shown:
            regions.append({"label": label, **_outlines(shown, folder, f"{name}-{label.replace(' ', '_')}")})
        elif not _is_shown(label, image, out):
            absent.append(label)
    told = [s.text for section in out.sections if section.title != PROVENANCE for s in section.sentences]
    return {
        "file_name": f"images/{name}.png",
        "id": name,
        "split": "train",
        "patient": study_id,
        "modality": study.modality if study.modality in MODALITIES else None,
        "body_part": study.body_part,
        "spacing_mm": list(spacing) if spacing else None,
        "regions": regions,
        "absent": absent,
        "report": " ".join(told),
        "source": "corrected by a person",
    }


def _is_shown(label: str, image: int, out: Report) -> bool:
    """Whether regions of another label in an image, such as those of a type of it, show a finding."""
    return any(out.regions[i].image == image for f in out.findings if f.label == label for i in f.regions)


def _outlines(regions: Sequence[Region], folder: Path, name: str) -> dict[str, Any]:
    """Boxes and, where all regions have masks, their path; small things are drawn over large ones."""
    boxes = [[round(float(v), 1) for v in region.box] for region in regions]
    masks = [region.mask for region in regions if region.mask is not None]
    if len(masks) < len(regions):
        return {"boxes": boxes, "mask": None}
    numbers = np.zeros(masks[0].shape, np.uint8)
    for number, mask in enumerate(sorted(masks, key=np.count_nonzero, reverse=True), 1):
        numbers[mask] = min(number, MOST_INSTANCES)
    _save(numbers, folder / "masks" / f"{name}.png")
    left = [mask_box(numbers == number) for number in np.unique(numbers) if number]
    return {"boxes": [list(box) for box in left], "mask": f"masks/{name}.png"}


def _add(rows: list[dict[str, Any]], study_id: str, folder: Path) -> None:
    """Put rows into `metadata.jsonl` in place of those of the same study; it is whole at every moment."""
    path = folder / "metadata.jsonl"
    before = [row for _, row in read_rows(folder)] if path.exists() else []
    kept = [row for row in before if row.get("patient") != study_id]
    text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in [*kept, *rows])
    whole(path, lambda new: new.write_text(text, encoding="utf-8"))


def _save(pixels: np.ndarray, path: Path) -> None:
    whole(path, lambda new: PIL.Image.fromarray(pixels).save(new, "PNG"))
