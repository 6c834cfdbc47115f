"""JPEGs of three components as RGB, also where nothing says which colours these are."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import PIL.Image

from .codestream import jpeg_is_rgb

_DARK, _BRIGHT, _MIDDLE, _NEAR = 24, 232, 128, 48


def jpeg_colours(stream: bytes, rgb: bool) -> np.ndarray:
    """The pixels of a JPEG of three components, uint8 `(H, W, 3)` RGB.

    Args:
        rgb: whether its components are RGB, for streams that neither say nor show it.
    """
    said = jpeg_is_rgb(stream)
    if said is None:
        said = _are_colours(_decoded(stream, "RGB"))
    return _decoded(stream, "RGB" if (rgb if said is None else said) else "YCbCr")


def _decoded(stream: bytes, mode: str) -> np.ndarray:
    """A JPEG as RGB, whose components are taken for those of `mode`; "RGB" leaves them as they are."""
    picture = PIL.Image.open(BytesIO(stream), formats=("JPEG",))
    picture.tile = [tile._replace(args=("RGB", mode)) for tile in picture.tile]
    return np.asarray(picture)


def _are_colours(components: np.ndarray) -> bool | None:
    """Whether components `(H, W, 3)` are RGB; None where no pixel is dark or bright enough to tell.

    Black and white have two middling chromas, but three equal colours.
    """
    first = components[..., 0]
    extreme = components[(first < _DARK) | (first > _BRIGHT)].astype(int)
    if len(extreme) < 0.02 * first.size:
        return None
    middling = float((np.abs(extreme[:, 1:] - _MIDDLE) < _NEAR).all(axis=1).mean())
    return False if middling > 0.95 else True if middling < 0.5 else None
