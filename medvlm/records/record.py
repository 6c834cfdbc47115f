"""A `Record` is one training or evaluation example: an image with what is known of it."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps

from ..types import Image, Study

Source = bytes | Path

PARTS = ("tune", "report")  # the two halves of a val split: what is chosen sees the first, what is quoted the second
SALT = "66"  # of the first few hundred numbers the one that leaves most data sets images in both parts


def part_of(patient: str) -> str:
    """The part of a val split that a patient belongs to, once and for good: from the id's SHA-256 alone."""
    return PARTS[hashlib.sha256(f"{SALT}{patient}".encode()).digest()[0] % 2]


def _open(source: Source) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)


@dataclass
class RecordRegion:
    """All instances of one label: boxes `[x0, y0, x1, y1]` and, where known, an instance map."""

    label: str
    boxes: list[list[float]]
    source: Source | None = field(default=None, repr=False)

    @property
    def mask(self) -> np.ndarray | None:
        """uint8 `(H, W)`: 0 background, 1…255 instance ids; `None` where only boxes are known. Decoded at each call."""
        if self.source is None:
            return None
        with _open(self.source) as picture:
            return np.asarray(picture.convert("L") if picture.mode not in ("L", "P") else picture, dtype=np.uint8)


@dataclass
class QA:
    question: str
    answer: str
    type: str = "open"  # open | closed
    kind: str = ""
    lang: str = "en"
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Record:
    id: str
    set: str
    split: str
    patient: str
    source: Source = field(repr=False)
    modality: str | None = None
    body_part: str | None = None
    view: str | None = None
    spacing_mm: tuple[float, float] | None = None
    labels: dict[str, Any] = field(default_factory=dict)
    regions: list[RecordRegion] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    qa: list[QA] = field(default_factory=list)
    report: str | None = None

    @property
    def image(self) -> np.ndarray:
        """uint8 `(H, W, 3)`, as shown (EXIF turned). Decoded at each call."""
        with _open(self.source) as picture:
            return np.asarray(PIL.ImageOps.exif_transpose(picture).convert("RGB"))

    def region(self, label: str) -> RecordRegion | None:
        return next((r for r in self.regions if r.label == label), None)

    def study(self) -> Study:
        """The record as an unlabelled study: nothing that it knows of modality or body part travels along."""
        return Study([Image(self.image, self.spacing_mm)])

    @property
    def part(self) -> str:
        """`part_of` the record's patient."""
        return part_of(self.patient)

    @cached_property
    def key(self) -> str:
        return f"{self.set}/{self.id}"
