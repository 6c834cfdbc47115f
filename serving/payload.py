"""What is sent to the page, as JSON: texts, pictures as data URLs, masks as run lengths. Nothing becomes a file."""

from __future__ import annotations

import base64
import io
import json
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from medvlm.errors import RequestError
from medvlm.report.draft import MODALITY_WORDS
from medvlm.report.export import FORMATS, check_formats, possible_formats
from medvlm.report.overlay import Colour, draw_overlay, label_colours
from medvlm.types import Region, Study, mask_box

from .replies import worth
from .session import Session, Turn

MAX_SIDE = 1600  # pixels of a picture as sent
LOSSLESS = 600_000  # pixels; larger pictures are sent as JPEG of high quality


def to_text(value: dict[str, Any]) -> str:
    """JSON without a "<": nothing that handles it on its way to the page can take it for HTML."""
    return json.dumps(value).replace("<", "\\u003c")


def chat(session: Session) -> str:
    """The conversation: messages as plain text, as `said` makes them, which of them can show regions again, and which can
    be asked for at another operating point."""
    talk = session.chat
    messages = [
        {**message, "shows": index in talk.layers, "points": points(talk.turns.get(index))}
        for index, message in enumerate(talk.messages)
    ]
    return to_text({"seq": session.count(), "messages": messages})


def points(turn: Turn | None) -> dict[str, Any] | None:
    """The operating points that an answer can be moved to: of what, where it is, whether it waits there, and what each was
    worth in words."""
    operating = turn.answer.operating if turn else None
    if turn is None or operating is None:
        return None
    words = [worth(point, operating.images) for point in operating.curve]
    at = operating.used if turn.wanted is None else turn.wanted
    return {"fact": operating.fact, "at": at, "waits": turn.wanted is not None, "words": words}


def picture(session: Session) -> str:
    """The image that is open, with what the viewer says about it."""
    study = session.study
    if study is None:
        return to_text({"seq": session.count()})
    image = study.images[session.image]
    height, width = image.size
    scale = min(1.0, MAX_SIDE / max(height, width))
    shown = max(1, round(width * scale)), max(1, round(height * scale))
    value = {
        "seq": session.count(),
        "study": session.key,
        "image": session.image,
        "count": len(study.images),
        "size": [width, height],
        "shown": shown,
        "src": picture_url(image.pixels, shown),
        "facts": facts_line(study, session.image),
        "series": [series.to_json() for series in study.series] if session.upload else [],
    }
    return to_text(value)


def picture_url(pixels: np.ndarray, size: tuple[int, int]) -> str:
    """uint8 pixels as a data URL of `size` `(width, height)`."""
    source = PIL.Image.fromarray(pixels)
    if source.size != size:
        source = source.resize(size, PIL.Image.Resampling.LANCZOS)
    if size[0] * size[1] <= LOSSLESS:
        return _url(source, "PNG")
    return _url(source, "JPEG", quality=93, subsampling=0)


def facts_line(study: Study, index: int) -> str:
    """Such as "CT · chest · slice 3 of 40 · 512 × 512 px · 0.70 × 0.70 mm": what the files state."""
    image = study.images[index]
    height, width = image.size
    place = image.name if len(study.images) > 1 else ""
    words = [_shown(study.modality), study.body_part, place, f"{width} × {height} px"]
    if image.spacing_mm:
        words.append("{1:.2f} × {0:.2f} mm per px".format(*image.spacing_mm))
    return " · ".join(word for word in words if word)


def _shown(modality: str | None) -> str | None:
    return MODALITY_WORDS.get(modality, modality) if modality else None


def layer(session: Session) -> str:
    """The regions that lie over the study and the text tied to them."""
    value: dict[str, Any] = {"seq": session.count(), "study": session.key, "title": "", "regions": [], "sections": []}
    top, study = session.layer, session.study
    if top is None or study is None:
        return to_text(value)
    colours = label_colours(region.label for region in top.regions)
    value["title"], value["note"] = top.title, top.note
    value["regions"] = [_region(region, study, colours[region.label]) for region in top.regions]
    if top.report:
        value["sections"] = [section.to_json() for section in top.report.sections]
        value["disclaimer"] = top.report.disclaimer
        value["formats"] = [
            name for name in possible_formats(study) if name != "png"
        ]  # which the open image has itself
    return to_text(value)


def _region(region: Region, study: Study, colour: Colour) -> dict[str, Any]:
    height, width = study.images[region.image].size
    scale = min(1.0, MAX_SIDE / max(height, width))
    out = {
        "label": region.label,
        "image": region.image,
        "score": round(float(region.score), 2),
        "colour": list(colour),
        "box": [round(float(v), 1) for v in region.box],
        "mask": None,
    }
    if region.mask is not None and region.mask.any():
        out["mask"] = run_lengths(region.mask, (max(1, round(height * scale)), max(1, round(width * scale))))
    return out


def run_lengths(mask: np.ndarray, size: tuple[int, int]) -> dict[str, Any]:
    """A mask shrunk to `size` `(H, W)` as `{"box": [x0, y0, x1, y1], "runs": […]}`: row by row inside the box, lengths
    of outside and inside in turn, outside first."""
    if mask.shape != size:
        rows, columns = ((np.arange(n) + 0.5) * m / n for n, m in zip(size, mask.shape, strict=True))
        mask = mask[np.ix_(rows.astype(int), columns.astype(int))]
    x0, y0, x1, y1 = map(int, mask_box(mask))
    flat = mask[y0:y1, x0:x1].ravel()
    if not flat.size:
        return {"box": [0, 0, 0, 0], "runs": []}
    changes = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return {"box": [x0, y0, x1, y1], "runs": [0, *runs] if flat[0] else runs}


def download(session: Session, what: str, opacity: float, folder: Path) -> tuple[str, str]:
    """Name and data URL of the overlay of the open image (`png`) or of the report in a format, zipped where that has several
    files. The private `folder` holds them for that moment. Raises `RequestError`."""
    study, top = session.study, session.layer
    if what == "png" and study is not None:
        regions = [r for r in top.regions if r.image == session.image] if top else []
        drawn = draw_overlay(study.images[session.image].pixels, regions, opacity)
        return "overlay.png", _url(PIL.Image.fromarray(drawn), "PNG")
    if top is None or top.report is None or study is None:
        raise RequestError("Ask for a report first.")
    (what,) = check_formats([what])
    try:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            paths = FORMATS[what](top.report, study, Path(scratch))
            if not paths:
                raise RequestError("The report has no region that this format could hold.")
            name, content = _packed(paths, Path(scratch), what)
    except OSError as error:
        raise RequestError("The file does not fit on this machine's disk; make room there.") from error
    return name, f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"


def _packed(paths: Sequence[Path], folder: Path, what: str) -> tuple[str, bytes]:
    """Name and content of one file, or of an archive of several."""
    if len(paths) == 1:
        return paths[0].name, paths[0].read_bytes()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            archive.write(path, path.relative_to(folder))
    return f"report.{what}.zip", stream.getvalue()


def _url(image: PIL.Image.Image, kind: str, **options: Any) -> str:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"
