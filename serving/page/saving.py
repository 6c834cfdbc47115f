"""What is saved from the page: the overlay of an image, a report in a format, and what a person corrected in it."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path

import PIL.Image

from medvlm.errors import RequestError
from medvlm.records.corrected import write_records
from medvlm.report.corrections import write_corrections
from medvlm.report.export import FORMATS, check_formats
from medvlm.report.overlay import draw_overlay, enlarged, label_colours
from medvlm.studies.burned_in import leaving_pixels
from medvlm.types import Study

from ..packing import packed
from .corrections import Corrected
from .pictures import data_url
from .session import Layer, Session
from .windows import Display, displayed

OWN = ("corrections", "records")  # what is saved of corrections alone, beside the report's formats


def download(
    session: Session, what: str, opacity: float, folder: Path, window: Display | None = None
) -> tuple[str, str]:
    """Name and data URL of the overlay of the open image (`png`), of the report in a format, or of its corrections, zipped
    where that has several files. The private `folder` holds them for that moment. An overlay is drawn in the `window` that the
    user sees it in. Raises `RequestError`."""
    study, top = session.study, session.layer
    if what == "png" and study is not None:
        regions = [r for r in top.regions if r.image == session.image] if top else []
        leaving = leaving_pixels(study, session.image)
        colours = label_colours(region.label for region in top.regions) if top else {}
        pixels = displayed(study.images[session.image], leaving, window)
        drawn = draw_overlay(*enlarged(pixels, regions), opacity, colours)
        return "overlay.png", data_url(PIL.Image.fromarray(drawn), "PNG")
    if top is None or top.report is None or study is None:
        raise RequestError("Ask for a report first.")
    try:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            paths = written(top, study, what, Path(scratch))
            if not paths:
                raise RequestError("The report has no region that this format could hold.")
            name, content = packed(paths, Path(scratch), f"report.{what}.zip")
    except OSError as error:
        raise RequestError("The file does not fit on this machine's disk; make room there.") from error
    return name, f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"


def written(top: Layer, study: Study, what: str, folder: Path) -> list[Path]:
    """The files of a report, or of its corrections, which are saved then. Raises `RequestError`."""
    assert top.report is not None
    if what not in OWN or not isinstance(top.work, Corrected):
        (what,) = check_formats([what])
        return FORMATS[what](top.report, study, folder)
    work = top.work
    if what == "corrections":
        paths = [write_corrections(work.corrections, folder)]
    else:
        write_records(work.draft, work.report, work.corrections, study, folder)
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
    work.history.saved = work.history.at
    return paths
