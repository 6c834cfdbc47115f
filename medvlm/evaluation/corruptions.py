"""What goes wrong with images, at three strengths: pure functions of uint8 `(H, W)` or `(H, W, 3)` to the same.

In the spirit of Yang et al. and of MedMNIST-C (Di Salvo et al., 2024), with strengths of our own. Every function takes
the image, a strength and a seed, which draws the noise, the words or the direction; lengths are shares of the image.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from scipy import ndimage

WORDS = (
    "PORTABLE", "SUPINE AP", "R", "L", "ERECT", "12:47:05", "kV 120 mA 250", "IM 34/112", "W 350 L 40", "FOV 24.0 cm",
    "GAIN 62%", "DEPTH 8.5", "OD", "ID 00482", "x20", "SERIES 3",
)  # fmt: skip


def noise(image: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """Gaussian noise of brightness; `strength` is its deviation as a share of the range."""
    grain = np.random.default_rng(seed).normal(0, 255 * strength, image.shape[:2])
    return _bytes(image + (grain if image.ndim == 2 else grain[..., None]))


def blur(image: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """A Gaussian whose deviation is a share of the longer side."""
    sigma = strength * max(image.shape[:2])
    return _bytes(ndimage.gaussian_filter(image.astype(np.float32), (sigma, sigma, 0)[: image.ndim], mode="nearest"))


def jpeg(image: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """`strength` is the quality."""
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, "JPEG", quality=int(strength))
    return np.asarray(PIL.Image.open(file))


def contrast(image: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """Every pixel is pulled towards the mean; a share of `strength` of its distance is left."""
    return _bytes(image.mean() + strength * (image - image.mean()))


def brightness(image: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """Brighter or darker by a share of the range."""
    return _bytes(image + _sign(seed) * 255 * strength)


def gamma(image: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """To the power of `strength` or of its inverse."""
    return _bytes(255 * (image / 255) ** (strength ** _sign(seed)))


def rotate(image: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """Turned about its centre by `strength` degrees, either way; the same seed turns a mask along. Corners are black."""
    turned = PIL.Image.fromarray(image).rotate(_sign(seed) * strength, PIL.Image.Resampling.BILINEAR)
    return np.asarray(turned)


def burnt_in(image: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """`strength` white texts anywhere on the image."""
    rng, picture = np.random.default_rng(seed), PIL.Image.fromarray(image)
    draw = PIL.ImageDraw.Draw(picture)
    font = PIL.ImageFont.load_default(size=max(8, round(0.05 * min(image.shape[:2]))))
    for _ in range(int(strength)):
        text = str(rng.choice(WORDS))
        _, _, width, height = draw.textbbox((0, 0), text, font=font)
        corner = rng.random(2) * np.maximum([picture.width - width, picture.height - height], 0)
        draw.text(tuple(corner), text, fill=255 if image.ndim == 2 else (255, 255, 255), font=font)
    return np.asarray(picture)


def _sign(seed: int) -> int:
    return int(np.random.default_rng(seed).choice((-1, 1)))


def _bytes(values: np.ndarray) -> np.ndarray:
    return values.round().clip(0, 255).astype(np.uint8)


CORRUPTIONS: dict[str, tuple[Callable[[np.ndarray, float, int], np.ndarray], tuple[float, float, float]]] = {
    "noise": (noise, (0.04, 0.08, 0.16)),
    "blur": (blur, (0.003, 0.006, 0.012)),
    "JPEG": (jpeg, (30, 15, 7)),
    "contrast": (contrast, (0.7, 0.5, 0.3)),
    "brightness": (brightness, (0.1, 0.2, 0.3)),
    "gamma": (gamma, (1.4, 2.0, 3.0)),
    "rotation": (rotate, (5, 10, 15)),
    "burnt-in text": (burnt_in, (2, 5, 10)),
}
