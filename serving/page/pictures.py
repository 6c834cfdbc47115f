"""Pictures and masks as the page's scripts take them: data URLs and run lengths."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import PIL.Image

from medvlm.report.overlay import Colour
from medvlm.types import Region, Study, mask_box

MAX_SIDE = 1600  # pixels of a picture as sent
THUMBNAIL = 160  # pixels of the longer side of a small picture
LOSSLESS = 600_000  # pixels; larger pictures are sent as JPEG of high quality


def fitted(size: tuple[int, int]) -> tuple[int, int]:
    """The size `(H, W)` that an image of a size is sent at."""
    scale = min(1.0, MAX_SIDE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def picture_url(pixels: np.ndarray, size: tuple[int, int]) -> str:
    """uint8 pixels as a data URL of `size` `(width, height)`."""
    source = PIL.Image.fromarray(pixels)
    if source.size != size:
        source = source.resize(size, PIL.Image.Resampling.LANCZOS)
    if size[0] * size[1] <= LOSSLESS:
        return data_url(source, "PNG")
    return data_url(source, "JPEG", quality=93, subsampling=0)


def thumbnail_url(pixels: np.ndarray) -> str:
    """uint8 pixels as a small picture's data URL."""
    small = PIL.Image.fromarray(pixels)
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    return data_url(small, "JPEG", quality=80)


def data_url(image: PIL.Image.Image, kind: str, **options: Any) -> str:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"


def region_json(region: Region, study: Study, colour: Colour) -> dict[str, Any]:
    """A region as the viewer draws it, its mask at the size of its image as sent."""
    out = {
        "label": region.label,
        "image": region.image,
        "score": round(float(region.score), 2),
        "colour": list(colour),
        "box": [round(float(v), 1) for v in region.box],
        "mask": None,
    }
    if region.mask is not None and region.mask.any():
        out["mask"] = run_lengths(region.mask, fitted(study.images[region.image].size))
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
