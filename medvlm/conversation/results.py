"""The result of a tool: a typed value and the regions that show it. The writer makes sentences from results alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..types import Body, Measurement, Operating, Region, Study
from .grammar import Call

CONFLICT = "conflict"  # the source of a value that evidence speaks for and against: as likely as not


@dataclass
class Scene:
    """What a question is about: one image of a study, and what earlier turns or a drawn region point at."""

    study: Study
    index: int  # of the image
    question: str
    focus: list[Region] = field(default_factory=list)  # what "it" is, if it was shown …
    things: tuple[str, ...] = ()  # … and what it was called
    modality: str = ""  # what the image is taken for
    sensitivity: float | None = None  # that facts of the whole image are to be given with, if one is named
    shown: list[Region] = field(default_factory=list)  # what was shown last, if "it" was not
    told: list[Region] = field(default_factory=list)  # all that the turns before have shown in this image
    bodies: dict[str, Body] = field(default_factory=dict)  # of a volume that was searched: label -> all slices together

    @property
    def size(self) -> tuple[int, int]:
        """`(H, W)` of the image in pixels."""
        return self.study.images[self.index].size

    @property
    def spacing(self) -> tuple[float, float] | None:
        """Millimetres a pixel `(row, column)`, `None` where unknown."""
        return self.study.images[self.index].spacing_mm


@dataclass
class Result:
    """The outcome of one call. `value` is yes or no (bool), a number of things, or words."""

    call: Call
    likelihood: float = 0.0  # that the value is right, as the model has it …
    source: str = ""  # … and whose likelihood it is: a calibration's name, the tool's own where it is empty
    value: bool | int | str | None = None
    regions: list[Region] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    things: tuple[str, ...] = ()  # what the things of the call were taken for
    remarks: list[str] = field(default_factory=list)  # sentences that belong beside the value
    why_not: str = ""  # a sentence where there is no value
    operating: Operating | None = None  # where a fact of the whole image was given, if its points were measured

    @property
    def answered(self) -> bool:
        """Whether the call has a result; `why_not` says why it has none."""
        return not self.why_not

    @property
    def who(self) -> str:
        """The name of its calibration."""
        return self.source or self.call.tool

    def trace(self, chance: float) -> str:
        """The call and what it gave, in one line."""
        if self.why_not:
            return f"{self.call} → {self.why_not}"
        value = ("yes" if self.value else "no") if isinstance(self.value, bool) else str(self.value or "")
        measured = ", ".join(f"{m.name} {m.value:.4g} {m.unit}" for m in self.measurements)
        shown = f"{len(self.regions)} region{'s' * (len(self.regions) != 1)}" if self.regions else ""
        gave = ", ".join(part for part in (value, measured, shown) if part)
        return f"{self.call} → {gave or 'nothing'} ({chance:.2f})"
