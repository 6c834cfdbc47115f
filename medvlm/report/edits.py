"""What a person corrects in a report draft: sentences and findings changed, rejected and added, regions drawn anew.

Corrections say what, not who or when. They name sentences and regions by their place in the draft, so each file of them
carries the digest of the draft that it is about.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from ..errors import RequestError
from ..types import Box, Region, Report, encode_mask, mask_box
from ..vocabulary import known_name
from ..writing import whole

FILE = "report.corrections.json"
DRAWN = "drawn by the reader"  # in the place of a draft's digest, where a person drew without a draft
PRESENCE = ("present", "absent", "uncertain")
MOST_CORRECTIONS, MOST_CHARACTERS, MOST_BYTES = 2_000, 2_000, 2**26
_WORDS = {int: "a whole number", str: "text", bool: "true or false", list: "a list", dict: "an object"}


@dataclass(frozen=True, eq=False)
class Correction:
    """One thing that a person changed. Sentences, findings and regions count from 0, as they stand in the draft."""

    def to_json(self) -> dict[str, Any]:
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        out = {name: value for name, value in values.items() if value is not None and value is not False}
        if isinstance(out.get("mask"), np.ndarray):
            out["mask"] = encode_mask(out["mask"])
        return {"kind": KINDS_OF[type(self)], **out}


@dataclass(frozen=True, eq=False)
class EditSentence(Correction):
    section: str
    sentence: int
    text: str


@dataclass(frozen=True, eq=False)
class RejectSentence(Correction):
    section: str
    sentence: int


@dataclass(frozen=True, eq=False)
class AddSentence(Correction):
    section: str  # made, where the draft has none of this title
    text: str
    finding: int | None = None  # that it speaks of


@dataclass(frozen=True, eq=False)
class RejectFinding(Correction):
    """It is not there: its regions go."""

    finding: int


@dataclass(frozen=True, eq=False)
class ChangeFinding(Correction):
    finding: int
    presence: str  # as in `Finding`


@dataclass(frozen=True, eq=False)
class AddFinding(Correction):
    label: str
    presence: str = "present"


@dataclass(frozen=True, eq=False)
class RenameFinding(Correction):
    """It is something else: its regions show that."""

    finding: int
    label: str


@dataclass(frozen=True, eq=False)
class RedrawRegion(Correction):
    region: int
    box: Box | None = None  # that of the mask, where there is one
    mask: np.ndarray | None = None  # bool `(H, W)` of the image as shown; JSON has it as a COCO run-length code
    carried: bool = False  # from a slice that a person drew on, and not drawn itself


@dataclass(frozen=True, eq=False)
class RejectRegion(Correction):
    region: int
    carried: bool = False  # it went into what was carried to its slice


@dataclass(frozen=True, eq=False)
class AddRegion(Correction):
    """Shows the finding of its label, which is added where the draft has none."""

    label: str
    image: int
    box: Box | None = None
    mask: np.ndarray | None = None
    carried: bool = False  # as in `RedrawRegion`


KINDS: dict[str, type[Correction]] = {
    "edit sentence": EditSentence,
    "reject sentence": RejectSentence,
    "add sentence": AddSentence,
    "reject finding": RejectFinding,
    "change finding": ChangeFinding,
    "add finding": AddFinding,
    "rename finding": RenameFinding,
    "redraw region": RedrawRegion,
    "reject region": RejectRegion,
    "add region": AddRegion,
}
KINDS_OF = {kind: name for name, kind in KINDS.items()}


@dataclass
class Corrections:
    """All that a person corrected in one draft, the later ones over the earlier ones."""

    report: str  # digest of the draft, or `DRAWN`
    made: list[Correction] = field(default_factory=list)

    @classmethod
    def of(cls, report: Report, made: Sequence[Correction] = ()) -> Self:
        return cls(digest(report), list(made))

    def to_json(self) -> dict[str, Any]:
        return {"report": self.report, "corrections": [one.to_json() for one in self.made]}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """What `to_json` gave. Raises `RequestError` in one sentence that names what is wrong."""
        if not isinstance(data, dict) or not isinstance(data.get("report"), str):
            raise RequestError(
                f"Corrections are an object with report, the digest of the draft, and corrections, a list; start from {FILE} "
                "beside the draft."
            )
        _check_fields(data, ("report", "corrections"), "A file of corrections")
        made = data.get("corrections")
        if not isinstance(made, list) or len(made) > MOST_CORRECTIONS:
            raise RequestError(f"The corrections must be a list of {MOST_CORRECTIONS:,} at most.")
        return cls(data["report"], [_correction(one, f"Correction {n}") for n, one in enumerate(made, 1)])


def digest(report: Report) -> str:
    """What tells a draft from others: what its sentences, findings and regions say, without the last digits of numbers. An empty
    one is no draft, but what a person draws in."""
    if not (report.sections or report.findings or report.regions):
        return DRAWN
    said = [[section.title, [sentence.text for sentence in section.sentences]] for section in report.sections]
    found = [[f.label, f.presence, f"{f.confidence:.2f}"] for f in report.findings]
    content = [report.model, said, found, [[region.label, region.image] for region in report.regions]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def read_corrections(path: str | Path) -> Corrections:
    """The corrections in a file. Raises `RequestError` in one sentence."""
    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise RequestError(f"{path.name} is larger than {MOST_BYTES // 2**20} MB: it is no file of corrections.")
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"{path.name!r} cannot be read: {error.strerror}. Check the path.") from None
    except (ValueError, RecursionError):
        raise RequestError(f"{path.name} is not JSON: start from {FILE} beside the draft.") from None
    return Corrections.from_json(data)


def write_corrections(corrections: Corrections, folder: str | Path) -> Path:
    """`report.corrections.json` in a folder that is there. Raises `RequestError`."""
    path, text = Path(folder) / FILE, json.dumps(corrections.to_json(), ensure_ascii=False, indent=1) + "\n"
    try:
        whole(path, lambda new: new.write_text(text, encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"The corrections cannot be written to {str(path)!r}: {error.strerror}.") from error
    return path


def _check_fields(data: dict[str, Any], known: Sequence[str], what: str) -> None:
    for name in data:
        if name not in known:
            raise RequestError(f"{what} has no field {name!r}; its fields are {', '.join(known)}.")


def _correction(data: Any, what: str) -> Correction:
    kind = data.get("kind") if isinstance(data, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise RequestError(f"{what} needs a kind, one of: {', '.join(KINDS)}.")
    fields = {f.name: f for f in dataclasses.fields(KINDS[kind])}
    _check_fields(data, ["kind", *fields], f"{what}, of the kind {kind!r},")
    hints = typing.get_type_hints(KINDS[kind])
    values = {name: data[name] for name in fields if data.get(name) is not None}
    for name, one in fields.items():
        if name not in values and one.default is dataclasses.MISSING:
            raise RequestError(f"{what}, of the kind {kind!r}, needs the field {name}.")
    for name, value in values.items():
        _check_value(name, value, _json_type(hints[name]), what)
    if "box" in fields:
        values |= _outline(values, what)
    return KINDS[kind](**values)


def _json_type(hint: Any) -> type:
    """The JSON type of a field: a list for a box, an object for a mask."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    plain = next((one for one in options if one in (int, str, bool)), None)
    return plain or (dict if np.ndarray in options else list)


def _check_value(name: str, value: Any, kind: type, what: str) -> None:
    if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
        raise RequestError(f"The {name} of {what[0].lower()}{what[1:]} must be {_WORDS[kind]}.")
    if isinstance(value, int) and value < 0:
        raise RequestError(f"The {name} of {what[0].lower()}{what[1:]} counts from 0.")
    if isinstance(value, str) and not (value.strip() and len(value) <= MOST_CHARACTERS and value.isprintable()):
        raise RequestError(
            f"The {name} of {what[0].lower()}{what[1:]} must be one line of 1 to {MOST_CHARACTERS:,} characters."
        )
    if name == "presence" and value not in PRESENCE:
        raise RequestError(f"The presence of a finding is one of {', '.join(PRESENCE)}.")
    if name == "label" and known_name(str(value)) is None:
        raise RequestError(
            f"The label {value!r} is not in the vocabulary: say it in a sentence of its own (add sentence)."
        )


def _outline(values: dict[str, Any], what: str) -> dict[str, Any]:
    """Box and mask as a region has them."""
    if "box" not in values and "mask" not in values:
        raise RequestError(f"{what} needs a box or a mask.")
    sent = {"label": "", "box": values.get("box", [0, 0, 2, 2]), "mask": values.get("mask")}
    region = Region.from_json(sent)
    if region.mask is None:
        return {"box": region.box}
    if not region.mask.any():
        raise RequestError(f"The mask of {what[0].lower()}{what[1:]} is empty: reject the region in place of that.")
    return {"box": mask_box(region.mask), "mask": region.mask}
