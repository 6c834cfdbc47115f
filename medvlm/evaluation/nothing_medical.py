"""Pictures of nothing medical, as records: scikit-image's everyday ones as far as they are bundled, noise, and blank ones."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import PIL.Image
from scipy import ndimage

from ..records import Record
from ..records.record import Source
from ..sampling import evenly_spaced

EVERYDAY = (  # bundled pictures of nothing medical that are not in the set `photographs`
    "brick.png", "chessboard_RGB.png", "clock_motion.png", "coffee.png",
    "coins.png", "grass.png", "gravel.png", "horse.png", "hubble_deep_field.jpg", "logo.png", "moon.png",
    "motorcycle_left.png", "page.png", "text.png",
)  # fmt: skip
SIDE = 384
NOISES = 12  # of each kind
GREYS = 16


@cache
def nothing_medical() -> list[Record]:
    """Each in the set that its kind is called."""
    kinds = (("everyday pictures", everyday()), ("noise", noise()), ("blank", blank()))
    return [Record(name, kind, "val", name, source) for kind, some in kinds for name, source in some]


def everyday() -> Iterator[tuple[str, Source]]:
    import skimage.data

    folder = Path(skimage.data.__file__).parent
    yield from ((name, folder / name) for name in EVERYDAY if (folder / name).is_file())


def noise() -> Iterator[tuple[str, Source]]:
    """Even noise in grey and in colour, and clouds: noise blurred and stretched to the full range."""
    for seed in range(NOISES):
        rng = np.random.default_rng(seed)
        colour = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        cloud = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 2.0 ** (seed % 4 + 1))
        yield f"grey {seed}", _png(colour[..., 0])
        yield f"colour {seed}", _png(colour)
        yield f"cloud {seed}", _png((255 * (cloud - cloud.min()) / np.ptp(cloud)).astype(np.uint8))


def blank() -> Iterator[tuple[str, Source]]:
    for grey in evenly_spaced(range(256), GREYS):
        yield f"grey {grey}", _png(np.full((SIDE, SIDE), grey, np.uint8))


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
    return file.getvalue()
