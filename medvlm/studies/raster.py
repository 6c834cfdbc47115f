"""Pictures: PNG, JPEG, WebP, BMP, TIFF and GIF, as shown on a screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
from PIL import ImageOps, TiffImagePlugin

from ..errors import StudyError
from ..sampling import evenly_spaced
from ..types import Image, Study
from .codestream import jpeg_is_rgb
from .display import PERCENTILES, apply_window, default_image, percentile_window, thinned, unstated_window
from .files import Source
from .jpeg import jpeg_colours
from .limits import Limits, reading
from .values import Kept, offset_of

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF", "GIF")
_ANIMATED = ("GIF", "WEBP", "PNG")
_DEEP = ("I", "F")  # first letter of the modes with more than 8 bits: I, I;16, I;16B, F
_PHOTOMETRIC = 262  # TIFF tag; 0 means that zero is white
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SHARED = 500_000  # values of a picture that decide what all of them are


@dataclass
class _Page:
    """A picture that is 8 bits deep, or one whose numbers still have to be brought to 8 bits."""

    values: np.ndarray
    deep: bool = False
    inverted: bool = False
    numbers: np.ndarray | None = None  # its values, once they are brought to 8 bits


def load(sources: Sequence[Source], limits: Limits, name: str, hounsfield: bool | float | None = None) -> Study:
    """One image a picture, one image a page of a TIFF, sampled frames of an animation.

    Args:
        hounsfield: whether pictures deeper than 8 bits hold Hounsfield units, or what was added to these; None to
            judge by their numbers.

    Raises:
        StudyError: a picture is damaged, holds no valid number or passes a limit.
    """
    total = images = 0
    for source in sources:
        with reading(source.name, "a picture"), _open(source, limits) as picture:
            wanted = _frames(picture, source.name, limits)[0]
            picture.seek(wanted[0])
            total, images = total + len(wanted) * picture.width * picture.height, images + len(wanted)
            channels = 1 if picture.mode in ("1", "L", "LA") or picture.mode.startswith(_DEEP) else 3
            limits.check_total(name, images, total, channels)

    pages: list[_Page] = []
    kind = "picture" if len(sources) == 1 else "series"
    notices: list[str] = []
    for source in sources:
        with reading(source.name, "a picture"), _open(source, limits) as picture:
            wanted, said = _frames(picture, source.name, limits)
            notices += said
            for index in wanted:
                picture.seek(index)
                limits.check_size(source.name, picture.height, picture.width)
                pages.append(_page(picture, source))
            if len(wanted) > 1 and len(sources) == 1:
                kind = "video" if picture.format in _ANIMATED else "series"
            file_format = "JPEG" if picture.format == "MPO" else picture.format
    shown, facts = _shown(pages, name, hounsfield, notices)
    word = "frame" if kind == "video" else "image"
    found = [Image(pixels, name=f"{word} {number} of {len(shown)}") for number, pixels in enumerate(shown, 1)]
    kept = Kept(limits.max_value_bytes, total, offset_of(facts.get("window"), facts.get("window_name")))
    for number, page in enumerate(pages):
        if page.numbers is not None:
            kept.add(number, page.numbers)
    for number, image in enumerate(found):
        image.values = kept.of(number)
    return Study(
        found,
        default=default_image(found) if kind == "video" else 0,
        kind=kind,
        metadata=({"format": file_format} if len(sources) == 1 else {}) | facts,
        notices=list(dict.fromkeys(notices)),
    )


def _page(picture: PIL.Image.Image, source: Source) -> _Page:
    """The picture as shown, but for the window: EXIF turned, over black where transparent; `(H, W)` or `(H, W, 3)`."""
    if picture.format == "JPEG" and picture.mode == "RGB" and jpeg_is_rgb(stream := source.path.read_bytes()) is None:
        turned = picture.getexif()
        picture = PIL.Image.fromarray(jpeg_colours(stream, rgb=False))
        picture.getexif().update(turned)
    zero_is_white = picture.mode.startswith("I;16") and getattr(picture, "tag_v2", {}).get(_PHOTOMETRIC) == 0
    picture.load()  # Pillow turns a TIFF here, and would turn it again below
    ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode.startswith(_DEEP):
        return _Page(np.asarray(picture), True, zero_is_white)  # Pillow inverts 8-bit TIFFs only
    if picture.mode in ("1", "L"):
        return _Page(np.array(picture.convert("L")))
    if picture.mode == "LA":
        return _Page(np.array(_over_black(picture.convert("RGBA")).convert("L")))
    if picture.has_transparency_data:
        return _Page(np.array(_over_black(picture.convert("RGBA"))))
    return _Page(np.array(picture if picture.mode == "RGB" else picture.convert("RGB")))  # a copy may be too large


def _over_black(picture: PIL.Image.Image) -> PIL.Image.Image:
    black = PIL.Image.new("RGBA", picture.size, (0, 0, 0, 255))
    return PIL.Image.alpha_composite(black, picture).convert("RGB")


def _shown(
    pages: list[_Page], name: str, hounsfield: bool | float | None, notices: list[str]
) -> tuple[list[np.ndarray], dict[str, Any]]:
    """All pages as uint8; deep ones in one window if they are of a CT, else each in its own."""
    deep = [page for page in pages if page.deep]
    if not deep:
        return [page.values for page in pages], {}
    _check_numbers(deep, name, notices)
    pooled = np.concatenate([_spread(page.values) for page in deep])
    window, window_name, said = unstated_window(pooled, hounsfield)
    if said is None and hounsfield is None and all(page.values.dtype == np.uint16 for page in deep):
        signed = unstated_window(pooled.astype(np.uint16).view(np.int16))  # written as if they were unsigned
        if signed[2]:
            window, window_name, said = signed
            for page in deep:
                page.values = page.values.view(np.int16)
    if said:
        notices.append(said)
    shown = []
    for page in pages:
        if page.deep:
            own = percentile_window(page.values) if window_name == PERCENTILES else window
            page.numbers, page.values = page.values, apply_window(page.values, own)
        shown.append(255 - page.values if page.inverted else page.values)
    return shown, {"window_name": window_name} | (
        {"window": [round(value, 3) for value in window]} if window_name != PERCENTILES or len(deep) == 1 else {}
    )


def _check_numbers(pages: list[_Page], name: str, notices: list[str]) -> None:
    """Make what is no number NaN, which is shown black; raise `StudyError` where nothing else is there."""
    for page in pages:
        if page.values.dtype.kind != "f" or (good := np.isfinite(page.values)).all():
            continue
        if not good.any():
            raise StudyError(f"{name} holds no valid number, only NaN: export the picture again.")
        page.values = np.where(good, page.values, np.nan)
        notices.append("Invalid numbers (NaN) are shown black.")


def _spread(values: np.ndarray) -> np.ndarray:
    flat = thinned(values)
    return flat[:: (len(flat) // _SHARED) | 1]


@contextmanager
def _open(source: Source, limits: Limits) -> Iterator[PIL.Image.Image]:
    """The header of a picture, whose pages have to be checked against the limits before they are decoded."""
    with open(source.path, "rb") as file:  # by path Pillow 12 maps the file, and garbles turned uncompressed TIFFs
        head = file.read(4)
        file.seek(0)
        if head in _TIFF:  # `open` would refuse a slide by its first page, where a smaller one is at hand
            yield TiffImagePlugin.TiffImageFile(file)
            return
        try:
            picture = PIL.Image.open(file, formats=_FORMATS)
        except PIL.Image.DecompressionBombError:
            raise StudyError(
                f"{source.name} has more than {limits.max_pixels / 1e6:g} megapixels, the limit: "
                "crop it or scale it down."
            ) from None
        limits.check_size(source.name, picture.height, picture.width)
        yield picture


def _frames(picture: PIL.Image.Image, name: str, limits: Limits) -> tuple[list[int], list[str]]:
    """Indices of the frames to show, and what has to be said of the others."""
    count = getattr(picture, "n_frames", 1)
    if picture.format == "MPO":  # a phone's second picture is a preview or a depth map
        return [0], []
    if picture.format in _ANIMATED:
        # frame after frame has to be decoded up to the last that is shown
        near = min(count, limits.max_frames, max(1, limits.max_total_pixels // (picture.width * picture.height)))
        wanted = evenly_spaced(range(near), limits.video_frames)
        rest = f", from the first {near}" if near < count else ""
        return wanted, [f"{len(wanted)} of {count} frames are shown{rest}."] if len(wanted) < count else []
    return _largest(picture, count, name, limits)


def _largest(picture: PIL.Image.Image, count: int, name: str, limits: Limits) -> tuple[list[int], list[str]]:
    """Pages of the largest size within the limit: those of a stack, or the one of a slide's levels and previews."""
    by_size: dict[tuple[int, int], list[int]] = {}
    for index in range(count):
        picture.seek(index)
        by_size.setdefault(picture.size, []).append(index)
    picture.seek(0)
    fitting = {size: pages for size, pages in by_size.items() if size[0] * size[1] <= limits.max_pixels}
    if not fitting:
        width, height = min(by_size, key=lambda size: size[0] * size[1])
        limits.check_size(name, height, width)
    largest = max(fitting, key=lambda size: size[0] * size[1])
    left = count - len(fitting[largest])
    said = f"The largest pages that can be read are shown; {left} of another size (levels or previews) are left out."
    return fitting[largest], [said] if left else []
