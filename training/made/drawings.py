"""Drawings and other pictures of nothing medical: diagrams, codes, logos, sketches, landscapes, patterns."""

from __future__ import annotations

import numpy as np
import PIL.Image
from scipy import ndimage

from .ink import any_font, between, bright, colours, font, sheet, size, word, words


def diagram(rng: np.random.Generator) -> np.ndarray:
    """Boxes with words, joined by arrows."""
    width, height = size(rng)
    paper, ink = colours(rng)
    picture, draw = sheet((width, height), paper)
    face, places = any_font(rng, int(rng.integers(10, 18))), []
    for _ in range(int(rng.integers(3, 14))):
        places.append((rng.uniform(0.05, 0.75) * width, rng.uniform(0.05, 0.85) * height))
    for (x, y), (u, v) in zip(places, places[1:], strict=False):
        draw.line((x + 50, y + 20, u + 50, v + 20), ink, int(rng.integers(1, 4)))
        draw.polygon([(u + 50, v), (u + 44, v - 10), (u + 56, v - 10)], ink)
    shape, tint = rng.integers(3), bright(rng)
    for x, y in places:
        fill, box = between(paper, tint, rng.uniform(0, 0.8)), (x, y, x + 110, y + 44)
        (draw.rectangle, draw.ellipse, draw.rounded_rectangle)[shape](box, fill=fill, outline=ink)
        draw.text((x + 10, y + 14), words(rng, 1)[:12], ink, face)
    return np.asarray(picture)


def code(rng: np.random.Generator) -> np.ndarray:
    """A bar code, or a square one, alone or on a label with words."""
    width, height = size(rng, 260, 800)
    paper, ink = (255, 255, 255), (0, 0, 0)
    picture, draw = sheet((width, height), paper)
    long = int(min(width, height) * rng.uniform(0.4, 0.95))
    x, y = (width - long) // 2, int((height - long) * rng.random())
    if rng.random() < 0.5:
        cells = rng.random((29, 29)) < 0.5
        for r, c in ((0, 0), (0, 22), (22, 0)):
            cells[r : r + 7, c : c + 7] = True
            cells[r + 1 : r + 6, c + 1 : c + 6] = False
            cells[r + 2 : r + 5, c + 2 : c + 5] = True
        block = PIL.Image.fromarray(np.where(cells, 0, 255).astype(np.uint8)).resize((long, long), 0)
    else:
        stripes = np.repeat(rng.random(95) < 0.5, 4)[None].repeat(int(380 * rng.uniform(0.25, 0.6)), 0)
        block = PIL.Image.fromarray(np.where(stripes, 0, 255).astype(np.uint8)).resize((long, int(long * 0.5)))
    picture.paste(block, (x, y))
    for n in range(int(rng.integers(0, 4))):
        draw.text((x, height - 20 * (n + 1)), words(rng, 3), ink, font("DejaVuSans", 13))
    return np.asarray(picture)


def logo(rng: np.random.Generator) -> np.ndarray:
    """A few plain shapes with a word."""
    width, height = size(rng, 120, 700)
    paper = bright(rng) if rng.random() < 0.5 else colours(rng)[0]
    picture, draw = sheet((width, height), paper)
    for _ in range(int(rng.integers(1, 6))):
        x, y, w, h = rng.uniform(0, 0.7) * width, rng.uniform(0, 0.7) * height, width * 0.35, height * 0.35
        shape = rng.integers(4)
        if shape < 3:
            (draw.rectangle, draw.ellipse, draw.rounded_rectangle)[shape]((x, y, x + w, y + h), fill=bright(rng))
        else:
            draw.polygon([(x, y), (x + w, y), (x + w / 2, y + h)], bright(rng))
    if rng.random() < 0.7:
        text = (width * 0.1, height * rng.uniform(0.3, 0.7))
        draw.text(text, word(rng).upper(), bright(rng), any_font(rng, max(12, int(height * rng.uniform(0.1, 0.3)))))
    return np.asarray(picture)


def sketch(rng: np.random.Generator) -> np.ndarray:
    """Outlines of a pencil: curves, polygons, hatching, figures."""
    width, height = size(rng)
    paper, ink = colours(rng, 0.15)
    picture, draw = sheet((width, height), paper)
    for _ in range(int(rng.integers(3, 40))):
        t = np.linspace(0, 2 * np.pi, 60)
        x, y = rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.9) * height
        r = rng.uniform(0.02, 0.3) * min(width, height)
        wave = 1 + sum(rng.normal(0, 0.15) * np.sin(k * t + rng.uniform(0, 6)) for k in range(1, 5))
        kind = rng.integers(4)
        end = 60 if kind else int(rng.integers(10, 50))
        points = np.stack([x + r * wave * np.cos(t), y + r * wave * np.sin(t) * rng.uniform(0.4, 1.2)], axis=1)[:end]
        points = points[:: 12 if kind == 1 else 1]
        draw.line([tuple(p) for p in points], between(ink, paper, rng.uniform(0, 0.5)), int(rng.integers(1, 5)))
        for n in range(0, int(2 * r), 6) if kind == 2 else ():
            draw.line((x - r + n, y - r / 2, x - r + n + r / 3, y + r / 2), ink)
    return np.asarray(picture)


def clouds(rng: np.random.Generator, width: int, height: int, rough: float) -> np.ndarray:
    """Float `(H, W)` in 0..1 whose detail falls off with scale."""
    field = np.zeros((height, width))
    for octave in range(1, 7):
        coarse = rng.normal(size=(2**octave + 3, 2**octave + 3))
        field += np.asarray(PIL.Image.fromarray(coarse.astype(np.float32)).resize((width, height), 3)) * rough**octave
    return (field - field.min()) / np.ptp(field)


def landscape(rng: np.random.Generator) -> np.ndarray:
    """Sky, hills and things in them, in any colours; now and then grey."""
    width, height = size(rng, 240, 700)
    sky = np.linspace(0, 1, height)[:, None, None]
    pixels = np.array(bright(rng)) * sky + np.array(bright(rng)) * (1 - sky) + np.zeros((height, width, 3))
    pixels += 60 * (clouds(rng, width, height, 0.7)[..., None] - 0.5)
    y, x = np.mgrid[:height, :width]
    for n in range(int(rng.integers(1, 5))):
        line = height * (0.35 + 0.15 * n) + ndimage.gaussian_filter1d(
            rng.normal(0, 300, width), width / rng.uniform(10, 40)
        )
        ground = np.array(bright(rng)) * 0.6 + 90 * (clouds(rng, width, height, 0.85)[..., None] - 0.5)
        pixels = np.where((y > line[None])[..., None], ground, pixels)
    for _ in range(int(rng.integers(0, 9))):
        cx, cy, r = rng.uniform(0, width), rng.uniform(0.3, 1) * height, rng.uniform(0.02, 0.15) * width
        square = rng.random() < 0.5
        here = (np.maximum(abs(x - cx), abs(y - cy)) < r) if square else (np.hypot(x - cx, y - cy) < r)
        pixels = np.where(here[..., None], np.array(bright(rng)) * (1 - 0.4 * (x - cx) / r)[..., None], pixels)
    pixels += rng.normal(0, rng.uniform(0, 8), pixels.shape)
    if rng.random() < 0.25:
        pixels = pixels.mean(-1, keepdims=True).repeat(3, -1)
    return pixels.clip(0, 255).astype(np.uint8)


def pattern(rng: np.random.Generator) -> np.ndarray:
    """Stripes, checks, tiles, fabric, a gradient, noise, one colour."""
    width, height = size(rng, 200, 700)
    y, x = np.mgrid[:height, :width]
    a, b = np.array(bright(rng), float), np.array(bright(rng), float)
    if rng.random() < 0.3:
        a, b = np.full(3, a[0]), np.full(3, b[0])
    step, angle = rng.uniform(4, 90), rng.uniform(0, np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = -x * np.sin(angle) + y * np.cos(angle)
    kind = rng.integers(8)
    share = (
        lambda: np.sin(along / step * 3) > 0,
        lambda: (np.sin(along / step * 3) > 0) ^ (np.sin(across / step * 3) > 0),
        lambda: 0.5 + 0.5 * np.sin(along / step) * np.sin(across / step),
        lambda: (along - along.min()) / np.ptp(along),
        lambda: np.hypot(x - width / 2, y - height / 2) / np.hypot(width, height) * 2,
        lambda: rng.random((height, width)),
        lambda: clouds(rng, width, height, rng.uniform(0.5, 1.1)),
        lambda: np.full((height, width), rng.random()),
    )[kind]()
    pixels = (
        a * share[..., None] + b * (1 - share[..., None]) + rng.normal(0, rng.choice([0, 0, 12]), (height, width, 3))
    )
    return pixels.clip(0, 255).astype(np.uint8)


def collage(rng: np.random.Generator) -> np.ndarray:
    """A poster: landscapes and plain fields with large words over them."""
    width, height = size(rng, 300, 900)
    picture, draw = sheet((width, height), bright(rng))
    for _ in range(int(rng.integers(1, 4))):
        part = PIL.Image.fromarray((landscape, pattern)[rng.integers(2)](rng))
        part = part.resize((int(width * rng.uniform(0.3, 1)), int(height * rng.uniform(0.3, 1))))
        picture.paste(part, (int(rng.uniform(0, 0.5) * width), int(rng.uniform(0, 0.5) * height)))
    for _ in range(int(rng.integers(1, 5))):
        at = (rng.uniform(0, 0.5) * width, rng.uniform(0, 0.9) * height)
        draw.text(at, words(rng, int(rng.integers(1, 4))), bright(rng), any_font(rng, int(rng.integers(18, 70))))
    return np.asarray(picture)


DRAWINGS = {
    "diagram": diagram,
    "code": code,
    "logo": logo,
    "sketch": sketch,
    "landscape": landscape,
    "pattern": pattern,
    "collage": collage,
}
