"""Two studies of one patient, drawn: textured enough to be laid on each other, with a bright thing that grows and moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from medvlm.report import draft_report, examined_images
from medvlm.report.prior import report_with_prior

from .fakes import FakeAssistant
from .studies import place, write

THING = "lung nodule"
SIZE = (160, 200)
TODAY, BEFORE = "20200111", "20200101"


class ComparingAssistant(FakeAssistant):
    """A fake that compares too, as the assistant does."""

    def report(self, study, prior=None, remarks=()):
        if prior is not None:
            return report_with_prior(study, prior, self.report, self.facts, remarks)
        groundings = [self.ground(study, [THING], i) for i in examined_images(study)]
        return draft_report(study, self.facts(study), groundings, [THING], self.name)


def drawn(radius: int, shift: tuple[int, int] = (0, 0), gone: bool = True) -> np.ndarray:
    """uint8 `SIZE`: the same body, with a disc of a radius at (60, 80), and with `gone` a second one at (110, 150), all of it
    moved by `shift` rows and columns."""
    clouds = ndimage.gaussian_filter(np.random.default_rng(7).normal(size=SIZE), 4)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    body = ((rows - 80) / 70) ** 2 + ((columns - 100) / 85) ** 2 < 1
    picture = body * (50 + 45 * clouds / np.abs(clouds).max())
    picture[(rows - 60) ** 2 + (columns - 80) ** 2 <= radius**2] = 120
    if gone:
        picture[(rows - 110) ** 2 + (columns - 150) ** 2 <= 12**2] = 120
    return np.roll(picture.astype(np.uint8), shift, (0, 1))


def pair(folder: Path, **of_prior: object) -> tuple[Path, Path]:
    """DICOM files of today and of ten days before, in which one disc was smaller, a second was there, and all lay elsewhere."""
    said = {"Modality": "DX", "BodyPartExamined": "CHEST", "WindowCenter": 128, "WindowWidth": 256}
    today = write(folder / "today.dcm", drawn(24, gone=False), StudyDate=TODAY, **said)
    elements = {**said, "StudyDate": BEFORE, **of_prior}
    return today, write(folder / "before.dcm", drawn(14, (6, -8)), **elements)


def pair_of_series(folder: Path) -> tuple[Path, list[Path]]:
    """As `pair`, slices of CT with that one disc, and of before two series: in the first it was smaller, in the second as large as today."""
    said = {"WindowCenter": 128, "WindowWidth": 256, **place(0)}
    today = write(folder / "today.dcm", drawn(24, gone=False), StudyDate=TODAY, **said)
    before = [
        write(
            folder / f"{name}.dcm", drawn(radius, gone=False), StudyDate=BEFORE, SeriesInstanceUID=f"1.2.{name}", **said
        )
        for name, radius in ((7, 18), (8, 24))
    ]
    return today, before
