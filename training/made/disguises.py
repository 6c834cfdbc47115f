"""Medical pictures as people send them: with words burned in, framed by a viewer, as a photo of a screen, cut, pale."""

from __future__ import annotations

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFilter

from .ink import any_font, between, bright, colours, font, sheet, words
from .screens import frame

LEAST = 0.4  # of a viewer's width and height that the image in it takes


def written(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lines of words in some corners, a scale, an arrow."""
    picture = PIL.Image.fromarray(pixels)
    draw, (width, height) = PIL.ImageDraw.Draw(picture), picture.size
    face = any_font(rng, max(8, int(min(width, height) * rng.uniform(0.02, 0.05))))
    ink = (255, 255, 255) if rng.random() < 0.6 else bright(rng)
    for corner in rng.permutation(4)[: rng.integers(1, 5)]:
        for n in range(int(rng.integers(1, 7))):
            y = 4 + n * face.size * 1.3 if corner < 2 else height - 4 - (n + 1) * face.size * 1.3
            text = words(rng, int(rng.integers(1, 4)))[:26]
            x = 4 if corner % 2 else width - 4 - draw.textlength(text, face)
            draw.text((x, y), text, ink, face)
    if rng.random() < 0.5:
        for y in range(height // 5, 4 * height // 5, max(4, height // 30)):
            draw.line((width - 12, y, width - 4, y), ink)
    if rng.random() < 0.3:
        x, y = rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height
        draw.line((x, y, x + width * 0.1, y + height * 0.08), ink, 2)
    return np.asarray(picture)


def bordered(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A border of one colour, mostly black, of other widths on each side."""
    height, width = pixels.shape[:2]
    top, bottom = (rng.uniform(0, 0.3, 2) * height).astype(int)
    left, right = (rng.uniform(0, 0.3, 2) * width).astype(int)
    tone = int(rng.choice([0, 0, 0, 30, 255]))
    return np.pad(pixels, ((top, bottom), (left, right), (0, 0)), constant_values=tone)


def viewed(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The window of a viewer around the image: title, tools, a list at the side, words over the image."""
    paper, ink = colours(rng, 0.75)
    height, width = pixels.shape[:2]
    scale = rng.uniform(400, 700) / max(height, width)
    inner = PIL.Image.fromarray(written(pixels, rng) if rng.random() < 0.6 else pixels)
    inner = inner.resize((max(8, int(width * scale)), max(8, int(height * scale))))
    wide = int(inner.width / rng.uniform(LEAST + 0.1, 0.95))
    shape = max(wide, 260), int(inner.height / rng.uniform(LEAST + 0.2, 0.95)) + 60
    picture, draw = sheet(shape, paper)
    top = frame(draw, rng, shape, paper, ink) if rng.random() < 0.85 else 0
    side = int((shape[0] - inner.width) * rng.choice([0.0, 0.5, 1.0]))
    stage = (0, 0, 0) if rng.random() < 0.7 else paper
    draw.rectangle((side, top, side + inner.width, shape[1]), stage)
    picture.paste(inner, (side, top + max(0, (shape[1] - top - inner.height) // 2)))
    face = font("DejaVuSans", int(rng.integers(9, 14)))
    for y in range(top + 10, shape[1] - 12, int(rng.integers(18, 40))):
        if side > 60:
            draw.text((8, y), words(rng, 2)[: side // 8], ink, face)
        if shape[0] - side - inner.width > 60:
            draw.text((side + inner.width + 8, y), words(rng, 2)[:14], between(ink, paper, 0.2), face)
    return np.asarray(picture)


def photographed(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A film or a screen as a phone sees it: askew, unevenly lit, with a glare and a moiré."""
    picture = PIL.Image.fromarray(pixels)
    width, height = picture.size
    corners = np.array([(0, 0), (0, height), (width, height), (width, 0)], float)
    corners += rng.uniform(-0.12, 0.08, (4, 2)) * min(width, height)
    quad = picture.transform(
        picture.size, PIL.Image.Transform.QUAD, corners.ravel().tolist(),
        PIL.Image.Resampling.BILINEAR, fillcolor=tuple(int(v) for v in rng.integers(0, 120, 3)),
    )  # fmt: skip
    soft = np.asarray(quad.filter(PIL.ImageFilter.GaussianBlur(rng.uniform(0.2, 1.2))), np.float32)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = 1 - 0.3 * rng.random() * (x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1) + 0.5)
    glare = (
        90 * rng.random() * np.exp(-((x - rng.uniform(-1, 1)) ** 2 + (y - rng.uniform(-1, 1)) ** 2) * rng.uniform(2, 9))
    )
    moire = rng.uniform(0, 9) * np.sin(x * rng.uniform(60, 160) + y * rng.uniform(-60, 60))
    tint = rng.uniform(0.85, 1.1, 3)
    pixels = soft * light[..., None] * tint + (glare + moire)[..., None] + rng.normal(0, rng.uniform(0, 6), soft.shape)
    return pixels.clip(0, 255).astype(np.uint8)


def cut(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A part of at least half of each side."""
    height, width = pixels.shape[:2]
    h, w = (np.array([height, width]) * rng.uniform(0.5, 0.95, 2)).astype(int)
    y, x = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
    return pixels[y : y + h, x : x + w]


def relit(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Paler, darker, lighter; now and then a negative."""
    values = pixels.astype(np.float32) / 255
    values = (values ** np.exp(rng.uniform(-0.6, 0.6)) - 0.5) * rng.uniform(0.25, 1.2) + 0.5 + rng.uniform(-0.2, 0.2)
    values = 1 - values if rng.random() < 0.12 else values
    return (255 * values).clip(0, 255).astype(np.uint8)


def paired(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image beside or above itself, as in a comparison, with or without a gap."""
    axis, gap = int(rng.integers(2)), int(rng.integers(0, 20))
    tone = int(rng.choice([0, 0, 255]))
    other = pixels[:, ::-1] if rng.random() < 0.3 else pixels
    pad = [(0, 0)] * 3
    pad[axis] = (0, gap)
    return np.concatenate([np.pad(pixels, pad, constant_values=tone), other], axis=axis)


DISGUISES = (written, bordered, viewed, viewed, photographed, cut, relit, paired)


def disguised(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A medical picture `(H, W, 3)` in one or two disguises, in an order that happens."""
    for number in rng.permutation(len(DISGUISES))[: rng.integers(1, 3)]:
        pixels = DISGUISES[number](np.ascontiguousarray(pixels), rng)
    return np.ascontiguousarray(pixels)
