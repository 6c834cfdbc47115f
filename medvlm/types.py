"""The words every module speaks in: plain dataclasses, no torch.

Pixels have their origin at the top left of the image as shown, x to the right and y down. Boxes are
`[x0, y0, x1, y1]`, half-open, in pixels; masks are bool `(H, W)` at the source's own resolution.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pycocotools import mask as coco

from .errors import RequestError
from .geometry import Space, Turn
from .sent import MOST_SIDE, checked_field, checked_mask, checked_object

if TYPE_CHECKING:
    from .report.comparison import Comparison

DISCLAIMER = "Draft by a research model. Not a medical device; not for diagnosis or treatment."

EXTENTS = ("extent left to right", "extent front to back", "extent head to foot")  # names of a body's measurements

Box = tuple[float, float, float, float]


def encode_mask(mask: np.ndarray) -> dict[str, Any]:
    """A bool mask `(H, W)` as a COCO compressed run-length code, ready for JSON."""
    code = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(n) for n in code["size"]], "counts": code["counts"].decode("ascii")}


def decode_mask(code: dict[str, Any]) -> np.ndarray:
    """The bool mask `(H, W)` behind a COCO compressed run-length code."""
    return coco.decode({"size": code["size"], "counts": code["counts"].encode("ascii")}).astype(bool)


def mask_box(mask: np.ndarray) -> Box:
    """The smallest half-open box around a mask `(H, W)`; all zeros for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return (0.0, 0.0, 0.0, 0.0)
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


@dataclass(frozen=True, repr=False)  # a path can name the patient, so it stays out of every log
class Origin:
    """The frame of a file that an image was made of, for what is written beside its source; part of no JSON."""

    path: str
    entry: int | None = None  # number of the file in `path`, a zip archive
    frame: int = 0
    tile: tuple[int, int, int, int] | None = None  # first row, first column, rows, columns; None for the whole frame
    instance: str = ""  # digest of the file's own identifier: another file in its place is noticed


@dataclass(frozen=True, eq=False)
class Values:
    """What an image's file holds, before any window, for a reader's eye: no model sees it."""

    numbers: np.ndarray  # int16, or float32 where that would not hold them, (H, W) as shown
    unit: str = ""  # "HU" for Hounsfield units, else not known


@dataclass(eq=False)  # told apart by identity, so that what was computed for one can be kept beside it
class Image:
    """One 2-D picture, slice or frame: uint8 `(H, W)` or `(H, W, 3)`, as shown on a screen."""

    pixels: np.ndarray
    spacing_mm: tuple[float, float] | None = None  # (row, column), None where unknown
    name: str = ""  # patient-safe, e.g. "slice 12 of 40"
    turn: Turn | None = None  # from the file's own pixels to these, None where they are the same
    parts: tuple[Box, ...] = ()  # where it is several pictures pasted together, their boxes
    origin: Origin | None = None  # of a DICOM image
    values: Values | None = None  # where they were asked for (`Limits.max_value_bytes`)

    @property
    def size(self) -> tuple[int, int]:
        """`(H, W)` in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes that its pixels and values take."""
        return self.pixels.nbytes + (self.values.numbers.nbytes if self.values else 0)

    @property
    def rgb(self) -> np.ndarray:
        """uint8 `(H, W, 3)`."""
        return self.pixels if self.pixels.ndim == 3 else np.repeat(self.pixels[..., None], 3, axis=2)


@dataclass(frozen=True)
class Series:
    """One of the things among a user's files that could be the study, told apart without a patient's data."""

    number: int  # from 1, the most useful one first
    images: int
    words: str  # such as "CT, axial, 40 slices of 512 x 512 pixels"
    scout: bool = False  # a localizer, taken only when it is asked for
    taken: bool = False  # whether it is the study

    def to_json(self) -> dict[str, Any]:
        """All its fields."""
        return asdict(self)


@dataclass
class Study:
    """What a user drops: one or more images that belong together, and what is known of them; nothing of a patient."""

    images: list[Image]
    modality: str | None = None  # as the file states it, in the records' words; None lets the model say
    body_part: str | None = None
    default: int = 0  # the image shown and asked first
    kind: str = "picture"  # picture | series | volume | video
    metadata: dict[str, Any] = field(default_factory=dict)  # patient-safe facts only
    notices: list[str] = field(
        default_factory=list
    )  # what whoever reads an answer has to know of the files, a sentence each
    sides_known: bool = False  # whether the files say where the patient's left and right are
    series: list[Series] = field(default_factory=list)  # all that there is among the files, this one included
    space: Space | None = None  # of a stack whose place in the patient is known
    keep_text: bool = False  # whether text that is burned into the pixels may leave with them

    @property
    def nbytes(self) -> int:
        """Bytes that its images take."""
        return sum(image.nbytes for image in self.images)

    @property
    def is_volume(self) -> bool:
        """Whether the images are slices of one body, in order, that lie on one another."""
        return self.kind == "volume" and len(self.images) > 1 and len({image.size for image in self.images}) == 1


@dataclass
class Region:
    """Something seen in one image: a label with a box, mostly a mask, and a score."""

    label: str
    image: int  # index in Study.images
    box: Box
    mask: np.ndarray | None  # bool (H, W), None where only a box is known
    score: float  # calibrated probability in 0..1 that the region is there
    instance: int = 0  # counts the regions of one label in one image
    phrase: str = ""  # what it was found for, where `label` calls it something surer
    turn: Turn | None = None  # that of its image

    @property
    def area(self) -> float:
        """px² of the mask or, without one, of the box."""
        x0, y0, x1, y1 = self.box
        return float((x1 - x0) * (y1 - y0) if self.mask is None else self.mask.sum())

    def to_json(self) -> dict[str, Any]:
        """Its fields, the mask as a COCO run-length code. Box and mask are in the image as shown, `stored` has them in the file's own pixels where these lie otherwise."""
        return {
            "label": self.label,
            "image": self.image,
            "box": [round(float(v), 1) for v in self.box],
            "mask": None if self.mask is None else encode_mask(self.mask),
            "score": round(float(self.score), 4),
            "instance": self.instance,
            **({"phrase": self.phrase} if self.phrase not in ("", self.label) else {}),
            **({"stored": self._stored(self.turn)} if self.turn and not self.turn.identity else {}),
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """The region that `to_json` wrote, without `stored`. Raises `RequestError` in one sentence that names what is wrong."""
        from .validation import check_box

        what = "a region"
        data = checked_object(data, what)
        image, instance = (checked_field(data, what, name, (int,), 0) for name in ("image", "instance"))
        score = checked_field(data, what, "score", (int, float), 1.0)
        if image < 0 or instance < 0 or not 0 <= score <= 1:
            raise RequestError("The image and the instance of a region count from 0, and its score lies within 0..1.")
        return cls(
            checked_field(data, what, "label", (str,)),
            image,
            check_box(checked_field(data, what, "box", (list,)), (MOST_SIDE, MOST_SIDE)),
            None if data.get("mask") is None else checked_mask(data["mask"]),
            score,
            instance,
            checked_field(data, what, "phrase", (str,), ""),
        )

    def _stored(self, turn: Turn) -> dict[str, Any]:
        box = [round(float(v), 1) for v in turn.box_to_stored(self.box)]
        return {"box": box, "mask": None if self.mask is None else encode_mask(turn.to_stored(self.mask))}


@dataclass(frozen=True)
class Body:
    """What the slices of a volume show of one thing together."""

    slices: tuple[int, int]  # indices in Study.images of the first and the last one that show it
    largest: int  # index of the one that shows most of it
    count: int  # separate pieces, connected across slices
    volume_ml: float | None = None  # None where the distance of slices or pixels is unknown
    extent_mm: tuple[float, float, float] | None = (
        None  # left to right, front to back, head to foot; None where unknown
    )

    @property
    def measurements(self) -> list[Measurement]:
        """Its volume in ml and its extents in mm, where they are known, and its count."""
        found = [] if self.volume_ml is None else [Measurement("volume", self.volume_ml, "ml")]
        found += [Measurement(name, mm, "mm") for name, mm in zip(EXTENTS, self.extent_mm or (), strict=False)]
        return [*found, Measurement("count", self.count, "count")]

    def to_json(self) -> dict[str, Any]:
        """Its slices as [first, last], and what is known of its size as measurements."""
        measured = [m.to_json() for m in self.measurements]
        return {"slices": list(self.slices), "largest": self.largest, "measurements": measured}


@dataclass
class Grounding:
    """What `ground` found for its phrases in one image, or in all slices of a volume."""

    regions: list[Region]  # best first within a phrase
    presence: dict[str, float]  # phrase -> calibrated probability that it is there
    absent: list[str]  # phrases with no region
    notes: dict[str, str] = field(default_factory=dict)  # phrase -> a sentence on what was found in its place
    scope: str = ""  # which of several images were looked at
    notices: list[str] = field(default_factory=list)  # those of the study, and what the labels' sides rest on
    bodies: dict[str, Body] = field(default_factory=dict)  # phrase -> what a volume's slices show of it together

    def of(self, phrase: str) -> list[Region]:
        """The regions that were found for a phrase, whatever they are called."""
        return [r for r in self.regions if (r.phrase or r.label) == phrase]

    def to_json(self) -> dict[str, Any]:
        """Its fields; bodies only where there are some."""
        return {
            "regions": [r.to_json() for r in self.regions],
            "absent": self.absent,
            "presence": {phrase: round(float(p), 4) for phrase, p in self.presence.items()},
            "notes": self.notes,
            "scope": self.scope,
            "notices": self.notices,
            **({"bodies": {name: body.to_json() for name, body in self.bodies.items()}} if self.bodies else {}),
        }


@dataclass(frozen=True)
class Point:
    """Where a fact of the whole image may be given from, and what that was worth on images kept aside."""

    asked: float | None  # the sensitivity that chooses it; None chooses the usual point
    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class Operating:
    """The point at which a fact of the whole image is given, among all that were measured."""

    fact: str  # such as "pneumonia"
    used: int  # index in `curve`
    curve: tuple[Point, ...]  # the more sensitive, the later
    images: tuple[int, int]  # that were kept aside: with the fact, and without

    @property
    def point(self) -> Point:
        """The one that is used."""
        return self.curve[self.used]


@dataclass
class Answer:
    """The reply to one question, with the regions that show it."""

    text: str
    confidence: float  # calibrated probability in 0..1 that the text is right; 0 where none is given
    regions: list[Region] = field(default_factory=list)
    thoughts: str | None = None  # the calls that the question was read as and what they gave, a line each
    detail: str = ""  # sentences beside the text: what is shown, where, and what speaks for and against it
    abstained: bool = False  # no answer is given, or would be: `reason` says why
    declined: bool = False  # for a question that no image can answer
    reason: str | None = None  # why it is abstained
    model: str = ""  # its name
    seconds: float = 0.0  # that it took
    scores: dict[str, float] | None = None  # option -> probability, for a `choose` request
    scope: str = ""  # which of several images were looked at
    notices: list[str] = field(default_factory=list)  # those of the study, and what the labels' sides rest on
    source: str = ""  # whose likelihood the confidence is made of, a tool's or a calibration's name …
    likelihood: float = 0.0  # … and that likelihood, before calibration
    operating: Operating | None = None  # of a fact of the whole image, where its points were measured; not in the JSON

    def to_json(self) -> dict[str, Any]:
        """Its fields but for `declined`, `source`, `likelihood` and `operating`; `scores` only where there are some."""
        out: dict[str, Any] = {
            "text": self.text,
            "detail": self.detail,
            "confidence": round(float(self.confidence), 4),
            "regions": [r.to_json() for r in self.regions],
            "thoughts": self.thoughts,
            "abstained": self.abstained,
            "reason": self.reason,
            "model": self.model,
            "seconds": round(self.seconds, 3),
            "scope": self.scope,
            "notices": self.notices,
        }
        if self.scores is not None:
            out["scores"] = {option: round(float(p), 4) for option, p in self.scores.items()}
        return out

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """The answer that `to_json` wrote; all but its text may be left out. Raises `RequestError` in one sentence that names
        what is wrong."""
        what = "an answer"
        data = checked_object(data, what)
        texts = {
            name: checked_field(data, what, name, (str,), "")
            for name in ("detail", "thoughts", "reason", "model", "scope")
        }
        numbers = {name: checked_field(data, what, name, (int, float), 0.0) for name in ("confidence", "seconds")}
        if not 0 <= numbers["confidence"] <= 1:
            raise RequestError("The confidence of an answer lies within 0..1.")
        notices = checked_field(data, what, "notices", (list,), [])
        if not all(isinstance(notice, str) for notice in notices):
            raise RequestError("The notices of an answer must be a list of texts.")
        scores = checked_object(data.get("scores") or {}, "the scores of an answer")
        return cls(
            checked_field(data, what, "text", (str,)),
            numbers["confidence"],
            [Region.from_json(region) for region in checked_field(data, what, "regions", (list,), [])],
            thoughts=texts["thoughts"] or None,
            detail=texts["detail"],
            abstained=checked_field(data, what, "abstained", (bool,), False),
            reason=texts["reason"] or None,
            model=texts["model"],
            seconds=numbers["seconds"],
            scores={option: checked_field(scores, "an option's scores", option, (int, float)) for option in scores}
            or None,
            scope=texts["scope"],
            notices=notices,
        )


@dataclass
class Measurement:
    """A number with its unit; `unit` is mm, mm2, ml, px, px2, count, ratio or percent."""

    name: str
    value: float
    unit: str

    def to_json(self) -> dict[str, Any]:
        """Its fields, the value with three decimals."""
        return {"name": self.name, "value": round(float(self.value), 3), "unit": self.unit}


@dataclass
class Finding:
    """One thing that was looked for: its presence, how sure, and where."""

    label: str
    presence: str  # present | absent | uncertain
    confidence: float  # probability in 0..1 that it is there, or that it is not where it is absent
    regions: list[int] = field(default_factory=list)  # indices in Report.regions
    measurements: list[Measurement] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """All its fields."""
        return {
            "label": self.label,
            "presence": self.presence,
            "confidence": round(float(self.confidence), 4),
            "regions": self.regions,
            "measurements": [m.to_json() for m in self.measurements],
        }


@dataclass
class Sentence:
    """One sentence of a report, tied to the finding and the regions that it speaks of."""

    text: str
    finding: int | None = None  # index in Report.findings
    regions: list[int] = field(default_factory=list)  # indices in Report.regions

    def to_json(self) -> dict[str, Any]:
        """All its fields."""
        return {"text": self.text, "finding": self.finding, "regions": self.regions}


@dataclass
class Section:
    """Sentences under a title, such as "Findings"."""

    title: str
    sentences: list[Sentence]

    def to_json(self) -> dict[str, Any]:
        """All its fields."""
        return {"title": self.title, "sentences": [s.to_json() for s in self.sentences]}


@dataclass
class Report:
    """A report draft: sections of sentences over findings over regions."""

    sections: list[Section]
    findings: list[Finding]
    regions: list[Region]
    model: str = ""
    disclaimer: str = DISCLAIMER
    notices: list[str] = field(default_factory=list)  # those of the study, and what the labels' sides rest on
    fingerprint: str = ""  # of the model's files and of this package
    comparison: Comparison | None = None  # with a prior, where one was given

    def to_json(self) -> dict[str, Any]:
        """Its fields; `comparison` only where there is one."""
        return {
            "sections": [s.to_json() for s in self.sections],
            "findings": [f.to_json() for f in self.findings],
            "regions": [r.to_json() for r in self.regions],
            "model": self.model,
            "fingerprint": self.fingerprint,
            "disclaimer": self.disclaimer,
            "notices": self.notices,
            **({"comparison": self.comparison.to_json()} if self.comparison else {}),
        }


@dataclass
class ImageFacts:
    """What the model takes an image for; confidences are probabilities in 0..1."""

    modality: str  # most likely known modality
    modality_confidence: float
    body_part: str
    body_part_confidence: float
    medical: float  # probability that it is a medical image of a kind the model knows
