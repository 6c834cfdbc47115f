"""What is saved from the page: the overlay of an image, a report in a format, and what a person corrected in it."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path

import PIL.Image

from medvlm.errors import RequestError
from medvlm.records.corrected import write_records
from medvlm.report.corrections import Corrections, write_corrections
from medvlm.report.export import FORMATS, check_formats
from medvlm.report.overlay import enlarged, label_colours
from medvlm.studies.burned_in import leaving_pixels
from medvlm.types import Report, Study

from ..folder import takes_nothing
from ..packing import packed
from .findings import marks
from .legend import labelled
from .open_study import Layer
from .outline import EMPTY, Outlines
from .pictures import data_url
from .session import Session
from .windows import Display, displayed
from .words import WORDS

MOST_BYTES = 128 * 2**20  # of a file that comes through the page, which holds it several times
OWN = ("corrections", "records")  # what is saved of corrections alone, beside the report's formats


def download(
    session: Session, what: str, opacity: float, folder: Path, window: Display | None = None
) -> tuple[str, str]:
    """Name and data URL of the overlay of the open image (`png`), of the report in a format, or of its corrections, zipped
    where that has several files. The private `folder` holds them for that moment. An overlay is drawn in the `window` that the
    user sees it in. Raises `RequestError`."""
    study, top = session.study, session.layer
    if what == "png" and study is not None:
        shown = [i for i, region in enumerate(top.regions) if region.image == session.image] if top else []
        said = [WORDS.get(f"marks.{mark}", "") for mark in marks(top)] if top else []
        leaving = leaving_pixels(study, session.image)
        colours = label_colours(region.label for region in top.regions) if top else {}
        pixels = displayed(study.images[session.image], leaving, window)
        over = enlarged(pixels, [top.regions[i] for i in shown] if top else [])
        drawn = labelled(*over, opacity, colours, [said[i] for i in shown])
        return "overlay.png", data_url(PIL.Image.fromarray(drawn), "PNG")
    if top is None or study is None or (top.report is None and not isinstance(top.work, Outlines)):
        raise RequestError(WORDS["panel.unreported"])
    try:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            paths = written(top, study, what, Path(scratch))
            if not paths:
                raise RequestError(WORDS["panel.no_region"])
            name, content = packed(paths, Path(scratch), f"report.{what}.zip")
            if len(content) > MOST_BYTES:
                raise RequestError(WORDS["panel.too_large"].format(name=name))
    except OSError as error:
        if not takes_nothing(error):
            raise
        raise RequestError(WORDS["panel.no_room"]) from error
    return name, f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"


def written(top: Layer, study: Study, what: str, folder: Path) -> list[Path]:
    """The files of a report, or of its corrections, which are saved then. Raises `RequestError`."""
    draft, report, corrections = saved(top, study)
    if what == "corrections":
        paths = [write_corrections(corrections, folder)]
    elif what == "records":
        write_records(draft, report, corrections, study, folder)
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
    else:
        (what,) = check_formats([what])
        paths = FORMATS[what](report, study, folder)
    if top.work is not None and (what in OWN or isinstance(top.work, Outlines)):
        top.work.history.saved = top.work.history.at
    return paths


def saved(top: Layer, study: Study) -> tuple[Report, Report, Corrections]:
    """What was drafted, what is shown, and what a person made of the one in the other. Raises `RequestError`."""
    if isinstance(top.work, Outlines):
        return EMPTY, top.work.report(study), top.work.corrections()
    assert top.report is not None
    return (
        (top.work.draft, top.report, top.work.corrections)
        if top.work
        else (top.report, top.report, Corrections.of(top.report))
    )
