"""What has to be said beside whatever is answered about a study: its own notices, and what sides in labels rest on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .types import Report, Sentence, Study

SIDES_ASSUMED = (
    "The files do not say which side is which: left and right assume the usual display, "
    "with the patient's right on the left of the image."
)


def notices(study: Study, labels: Iterable[str]) -> list[str]:
    """Those of a study, and that sides are assumed where a label names one and the files do not."""
    sided = any({"left", "right"} & set(label.lower().split()) for label in labels)
    return [*study.notices, *([SIDES_ASSUMED] if sided and not study.sides_known else [])]


def add_notices(report: Report, study: Study) -> Report:
    """The same report with its notices, which its first section says too."""
    report.notices = notices(study, [finding.label for finding in report.findings if finding.regions])
    if report.sections:
        report.sections[0].sentences += [Sentence(text) for text in report.notices]
    return report


def scope(study: Study, looked_at: Sequence[int], most: int | None = None) -> str:
    """Which images of several were looked at, such as "slice 12 of 40", or "8 of 40 images, most on slice 12 of 40"."""
    count = len(study.images)
    if count == 1:
        return ""
    if len(looked_at) == 1:
        return named(study, looked_at[0])
    what = f"{len(looked_at)} of {count} images"
    return what if most is None else f"{what}, most on {named(study, most)}"


def named(study: Study, index: int) -> str:
    """What an image of a study is called."""
    return study.images[index].name or f"image {index + 1} of {len(study.images)}"
