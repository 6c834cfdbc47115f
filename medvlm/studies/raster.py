"""Pictures: PNG, JPEG, WebP, BMP, TIFF and GIF, as shown on a screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import PIL.Image
from PIL import ImageOps

from ..errors import StudyError
from ..types import Image, Study
from .display import apply_window, default_image, percentile_window, sample
from .files import Source
from .limits import Limits, reading

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF", "GIF")
_ANIMATED = ("GIF", "WEBP", "PNG")
_DEEP = ("I", "F")  # first letter of the modes with more than 8 bits: I, I;16, I;16B, F
_PHOTOMETRIC = 262  # TIFF tag; 0 means that zero is white


def load(sources: Sequence[Source], limits: Limits, name: str) -> Study:
    """One image a picture, one image a page of a TIFF, sampled frames of an animation.

    Raises:
        StudyError: a picture is damaged or passes a limit.
    """
    total = images = 0
    for source in sources:
        with reading(source.name, "a picture"), _open(source, limits) as picture:
            count = len(_frames(picture, source.name, limits))
            total, images = total + count * picture.width * picture.height, images + count
    limits.check_total(name, images, total)

    pages: list[np.ndarray] = []
    kind = "picture" if len(sources) == 1 else "series"
    note = ""
    for source in sources:
        with reading(source.name, "a picture"), _open(source, limits) as picture:
            count, wanted = getattr(picture, "n_frames", 1), _frames(picture, source.name, limits)
            for index in wanted:
                picture.seek(index)
                limits.check_size(source.name, picture.height, picture.width)
                pages.append(to_pixels(picture))
            if len(wanted) > 1 and len(sources) == 1:
                kind = "video" if picture.format in _ANIMATED else "series"
            if len(wanted) < count and picture.format != "MPO":
                note = f"{len(wanted)} of {count} frames are shown."
            file_format = "JPEG" if picture.format == "MPO" else picture.format
    word = "frame" if kind == "video" else "image"
    found = [Image(page, name=f"{word} {number} of {len(pages)}") for number, page in enumerate(pages, 1)]
    metadata = {"format": file_format} if len(sources) == 1 else {}
    if note:
        metadata["note"] = note
    return Study(found, default=default_image(found) if kind == "video" else 0, kind=kind, metadata=metadata)


def to_pixels(picture: PIL.Image.Image) -> np.ndarray:
    """The picture as shown: EXIF turned, over black where transparent, deep grey windowed to 8 bit.

    Returns:
        uint8 `(H, W)` for one channel, else `(H, W, 3)`.
    """
    zero_is_white = picture.mode.startswith("I;16") and getattr(picture, "tag_v2", {}).get(_PHOTOMETRIC) == 0
    picture.load()  # Pillow turns a TIFF here, and would turn it again below
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(_DEEP):
        values = np.asarray(picture)
        pixels = apply_window(np.nan_to_num(values), percentile_window(values))
        return 255 - pixels if zero_is_white else pixels  # Pillow inverts 8-bit TIFFs only
    if picture.mode in ("1", "L"):
        return np.array(picture.convert("L"))
    if picture.mode == "LA":
        picture = picture.convert("RGBA")
        return np.array(_over_black(picture).convert("L"))
    if picture.has_transparency_data:
        return np.array(_over_black(picture.convert("RGBA")))
    return np.array(picture.convert("RGB"))


def _over_black(picture: PIL.Image.Image) -> PIL.Image.Image:
    black = PIL.Image.new("RGBA", picture.size, (0, 0, 0, 255))
    return PIL.Image.alpha_composite(black, picture).convert("RGB")


@contextmanager
def _open(source: Source, limits: Limits) -> Iterator[PIL.Image.Image]:
    """The header of a picture whose size is within the limits."""
    with open(source.path, "rb") as file:  # by path Pillow 12 maps the file, and garbles turned uncompressed TIFFs
        try:
            picture = PIL.Image.open(file, formats=_FORMATS)
        except PIL.Image.DecompressionBombError:
            raise StudyError(
                f"{source.name} has more than {limits.max_pixels / 1e6:g} megapixels, the limit: "
                "crop it or scale it down."
            ) from None
        limits.check_size(source.name, picture.height, picture.width)
        yield picture


def _frames(picture: PIL.Image.Image, name: str, limits: Limits) -> list[int]:
    """Indices of the frames to show."""
    count = getattr(picture, "n_frames", 1)
    if count == 1 or picture.format == "MPO":  # a phone's second picture is a preview or a depth map
        return [0]
    if picture.format in _ANIMATED:
        return sample(count, limits.video_frames)
    limits.check_total(name, count, count * picture.width * picture.height)
    first = picture.size
    for index in range(1, count):
        picture.seek(index)
        if picture.size != first:  # a pyramid of one picture, or thumbnails
            picture.seek(0)
            return [0]
    picture.seek(0)
    return list(range(count))
