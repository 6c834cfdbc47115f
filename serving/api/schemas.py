"""The API's JSON: what is taken, checked here for its shape alone, and what is given, for the description.

What is given is written by `to_json` of `medvlm.types`; a test holds it against these models.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Box = Annotated[list[float], Field(min_length=4, max_length=4, description="[x0, y0, x1, y1] in pixels, half-open")]
Points = Annotated[
    list[Annotated[list[float], Field(min_length=3, max_length=3)]],
    Field(min_length=1, max_length=100, description="[x, y, 1] on the thing, [x, y, 0] beside it, in pixels"),
]
UID = r"^[0-9]+(\.[0-9]+)*$"
Index = Annotated[int, Field(ge=0, description="index of an image of the study, from 0")]


class Taken(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


# What is taken


class RunLengths(Taken):
    """A mask as a COCO compressed run-length code, as pycocotools writes it."""

    size: Annotated[list[int], Field(min_length=2, max_length=2, description="[H, W] in pixels")]
    counts: str


class Turn(Taken):
    """A question that was asked before, and the answer as it was given."""

    question: str
    answer: dict[str, Any]


class Ask(Taken):
    """A question, over a drawn box or points if there are any."""

    question: str
    image: Index | None = None
    history: Annotated[list[Turn], Field(max_length=50, description="earlier turns, the oldest first")] = []
    box: Box | None = None
    points: Points | None = None
    sensitivity: Annotated[float | None, Field(gt=0, le=1, description="share of images with a fact to be found")] = (
        None
    )


class Find(Taken):
    """What to find, in one image or in all of the study."""

    phrases: Annotated[list[str], Field(min_length=1, max_length=64)]
    image: Index | None = None


class Segment(Taken):
    """Exactly one prompt: a box, points or a scribble."""

    image: Index | None = None
    box: Box | None = None
    points: Points | None = None
    scribble: RunLengths | None = None
    carry: Annotated[bool, Field(description="carry it to the neighbouring slices of a volume")] = False


class CheckReport(Taken):
    """An existing report as plain text."""

    text: str


class Reference(Taken):
    """A study of the server's archive, by its Study Instance UID."""

    study: Annotated[str, Field(max_length=64, pattern=UID)]
    series: Annotated[str | None, Field(max_length=64, pattern=UID, description="this series of it alone")] = None


class FromArchive(Taken):
    """What is opened of the archive that the server was started with."""

    dicomweb: Reference


class Compare(Taken):
    """The id of another study, the prior; the dates in the headers decide which of the two is the earlier one."""

    prior: str
    as_given: Annotated[bool, Field(description="the prior is the earlier one, whatever the dates say")] = False
    other_patient: Annotated[bool, Field(description="compare although the ids are those of two patients")] = False


# What is given


class Fault(Given):
    type: str
    message: str


class ErrorBody(Given):
    """What every refusal looks like."""

    error: Fault


class Health(Given):
    status: Literal["ok"]


class Ready(Given):
    status: Literal["ready"]
    model: str
    fingerprint: Annotated[str, Field(description="of the model's files and of the code")]
    waiting: Annotated[int, Field(description="requests that wait for the model")]


class ImageInfo(Given):
    name: str
    size: Annotated[list[int], Field(description="[H, W] in pixels")]
    spacing_mm: Annotated[list[float] | None, Field(description="[row, column], null where unknown")]


class SeriesInfo(Given):
    number: int
    images: int
    words: str
    scout: bool
    taken: bool


class StudyInfo(Given):
    """A study that is held, by its id."""

    id: str
    kind: Literal["picture", "series", "volume", "video"]
    modality: str | None
    body_part: str | None
    images: list[ImageInfo]
    default: int
    sides_known: bool
    series: Annotated[list[SeriesInfo], Field(description="all that was among the files")]
    notices: list[str]
    formats: Annotated[list[str], Field(description="that its report can be written in")]
    idle_s: Annotated[float, Field(description="seconds without a request after which it is closed")]


class Mask(Given):
    """A COCO compressed run-length code or, with `masks=png`, a PNG in base64, white inside."""

    size: list[int]
    counts: str | None = None
    png: str | None = None


class Stored(Given):
    box: list[float]
    mask: Mask | None


class RegionOut(Given):
    label: str
    image: int
    box: list[float]
    mask: Mask | None
    score: float
    instance: int
    phrase: str | None = None
    stored: Annotated[Stored | None, Field(description="the same in the file's own pixels, where these differ")] = None


class AnswerOut(Given):
    text: str
    detail: str
    confidence: float
    regions: list[RegionOut]
    thoughts: str | None
    abstained: bool
    reason: str | None
    model: str
    seconds: float
    scope: str
    notices: list[str]
    scores: dict[str, float] | None = None


class MeasurementOut(Given):
    name: str
    value: float
    unit: str


class BodyOut(Given):
    slices: list[int]
    largest: int
    measurements: list[MeasurementOut]


class Found(Given):
    regions: list[RegionOut]
    absent: list[str]
    presence: dict[str, float]
    notes: dict[str, str]
    scope: str
    notices: list[str]
    bodies: dict[str, BodyOut] | None = None


class Segmented(Given):
    regions: list[RegionOut]
    notices: list[str]


class InArchive(Given):
    """What was stored in the archive, all of which it has confirmed."""

    stored: Annotated[int, Field(description="DICOM objects: SEG, where something was outlined, SR and PDF")]


class ClaimOut(Given):
    sentence: str
    label: str
    presence: Literal["present", "absent", "uncertain"]
    verdict: Literal["supported", "contradicted", "cannot be shown"]
    regions: list[RegionOut]
    note: str


class Checked(Given):
    claims: list[ClaimOut]
    notices: list[str]


class FindingOut(Given):
    label: str
    presence: Literal["present", "absent", "uncertain"]
    confidence: float
    regions: list[int]
    measurements: list[MeasurementOut]


class SentenceOut(Given):
    text: str
    finding: int | None
    regions: list[int]


class SectionOut(Given):
    title: str
    sentences: list[SentenceOut]


class ReportOut(BaseModel):
    """A report draft; a compared one has `comparison` and the ids of both studies, which the dates may have exchanged."""

    sections: list[SectionOut]
    findings: list[FindingOut]
    regions: list[RegionOut]
    model: str
    fingerprint: str
    disclaimer: str
    notices: list[str]
    comparison: dict[str, Any] | None = None
    study: str | None = None
    prior: str | None = None
