"""What the page asks for beside the picture in view: small pictures of all, the other planes at a point, pixels of the source.

None of it needs the model."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from medvlm.perception.planes import Cut, planes_of
from medvlm.types import Study
from medvlm.validation import check_image

from .handlers import message, opened, told
from .pictures import fitted, picture_url, thumbnail_url
from .reading import reading
from .session import Data, Outputs, Session
from .windows import display_of, displayed

MOST_THUMBNAILS = 60  # of a study with more images, so many evenly apart
DETAIL = 640  # pixels of the source on a side of what the magnifier is sent


def thumbnails(session: Session, data: Data) -> Outputs:
    """The study's images as small pictures, all of them or so many evenly apart."""
    try:
        study = opened(session)
        numbers = np.unique(np.linspace(0, len(study.images) - 1, MOST_THUMBNAILS).round().astype(int)).tolist()
        shown = [{"image": n, "src": thumbnail_url(study.images[n].pixels)} for n in numbers]
    except Exception as error:
        return message(session, told(error))
    return {"thumbnails": {"study": session.key, "images": shown}}


def planes(session: Session, data: Data) -> Outputs:
    """The pictures of the planes that are named, through a point of the stack `[slice, row, column]` in voxels."""
    try:
        study = opened(session)
        offered, named = planes_of(study), data.get("planes")
        point = _point(data.get("point"), study)
        cuts = [through(study, name, offered[name], point) for name in offered if name in (named or ())]
    except Exception as error:
        return message(session, told(error))
    return {"planes": {"study": session.key, "cuts": cuts}}


def through(study: Study, plane: str, cut: Cut, point: list[int]) -> dict[str, Any]:
    """One picture of a plane, with what is needed to window it and to find a voxel in it."""
    index = point[cut.across]
    shown = study.images[index].size if cut.across == 0 else cut.shown
    pixels = study.images[index].pixels if cut.across == 0 else cut.picture(study, index)
    image = index if cut.across == 0 else study.default
    size = shown[::-1]
    return {
        "plane": plane, "cut": asdict(cut), "image": index, "count": cut.count, "size": size, "shown": size,
        "src": picture_url(pixels, size), "reading": reading(study, image, plane, index),
    }  # fmt: skip


def _point(given: Any, study: Study) -> list[int]:
    """A voxel of a study, the nearest one to what a browser sent. Raises `RequestError`."""
    numbers = given if isinstance(given, list) and len(given) == 3 else [study.default, 0, 0]
    most = [len(study.images), *study.images[0].size]
    whole = [int(v) if type(v) in (int, float) and abs(v) < 1e6 else 0 for v in numbers]
    return [min(max(v, 0), n - 1) for v, n in zip(whole, most, strict=True)]


def detail(session: Session, data: Data) -> Outputs:
    """The source's pixels around a point of an image that is sent smaller than it is, in the window that it is looked at in."""
    try:
        study = opened(session)
        number = check_image(data.get("image"), study)
        image, at = study.images[number], data.get("at")
        if fitted(image.size) == image.size or not _is_place(at):
            return message(session)
        box = around(at, image.size)
        x0, y0, x1, y1 = box
        seen = displayed(image, image.pixels, display_of(data))[y0:y1, x0:x1]
    except Exception as error:
        return message(session, told(error))
    src = picture_url(np.ascontiguousarray(seen), (x1 - x0, y1 - y0))
    return {"detail": {"study": session.key, "image": number, "box": box, "src": src}}


def _is_place(at: Any) -> bool:
    return isinstance(at, list) and len(at) == 2 and all(type(v) in (int, float) and abs(v) < 1e6 for v in at)


def around(at: list[float], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box `[x0, y0, x1, y1]` of `DETAIL` pixels about a point, inside an image of a size `(H, W)`."""
    wide, high = (min(DETAIL, side) for side in size[::-1])
    x0, y0 = (
        min(max(int(v) - part // 2, 0), side - part) for v, part, side in zip(at, (wide, high), size[::-1], strict=True)
    )
    return x0, y0, x0 + wide, y0 + high
