"""Fonts, words, colours and sheets to draw on, as the makers of pictures share them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

Colour = tuple[int, int, int]

SENTENCES = (
    "The lungs are clear. There is no pneumothorax or pleural effusion.",
    "Heart size is normal. No acute bony abnormality is seen.",
    "Impression: unchanged since the prior study. Follow-up is suggested.",
    "Please find enclosed the results of the examination of last week.",
    "Findings: a small nodule in the right lobe, 6 mm, most likely benign.",
    "We thank you for your order. It will be sent within two days.",
    "The meeting is moved to Tuesday at nine; the agenda is attached.",
    "In this chapter we show how the method is applied to new data.",
    "Save changes before closing? Unsaved changes will be lost.",
    "Table 2 lists sensitivity and specificity of both readers.",
    "Dose, route and time are to be noted for each patient.",
    "Copyright, all rights reserved. See the licence for details.",
)
LETTERS = "etaoinshrdlucmfwypvbgkqjxz"
ROMAN = ("DejaVuSans", "DejaVuSerif", "STIXGeneral", "cmr10", "cmss10", "DejaVuSans-Bold", "DejaVuSerif-Bold")
EVEN = "DejaVuSansMono"


@cache
def font(name: str, size: float) -> PIL.ImageFont.FreeTypeFont:
    """One of the fonts that matplotlib carries."""
    return PIL.ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf", size)


def any_font(rng: np.random.Generator, size: float) -> PIL.ImageFont.FreeTypeFont:
    return font(str(rng.choice(ROMAN)), size)


def word(rng: np.random.Generator) -> str:
    """Letters in about their frequency, or a number."""
    if rng.random() < 0.08:
        return str(rng.integers(0, 10 ** int(rng.integers(1, 5))))
    return "".join(LETTERS[min(25, int(rng.exponential(6)))] for _ in range(rng.integers(2, 10)))


def words(rng: np.random.Generator, count: int) -> str:
    """Words of sentences, or of none."""
    text = ""
    while text.count(" ") < count:
        text += f"{rng.choice(SENTENCES)} " if rng.random() < 0.6 else f"{word(rng)} "
    return " ".join(text.split()[:count])


def size(rng: np.random.Generator, least: int = 300, most: int = 1200) -> tuple[int, int]:
    """Width and height of a picture, upright or not."""
    long = int(np.exp(rng.uniform(np.log(least * 1.3), np.log(most))))
    short = int(long * rng.uniform(0.4, 1.0))
    return (long, short) if rng.random() < 0.65 else (short, long)


def colour(values: Iterable[int]) -> Colour:
    red, green, blue = map(int, values)
    return red, green, blue


def colours(rng: np.random.Generator, dark: float = 0.3) -> tuple[Colour, Colour]:
    """Paper and ink that stand out from each other, dark mode in a share of cases."""
    paper, ink = rng.integers(225, 256, 3), rng.integers(0, 90, 3)
    if rng.random() < 0.5:
        paper, ink = np.full(3, paper[0]), np.full(3, ink[0])
    if rng.random() < dark:
        paper, ink = rng.integers(0, 60, 3), rng.integers(170, 256, 3)
    return colour(paper), colour(ink)


def bright(rng: np.random.Generator) -> Colour:
    return colour(rng.integers(0, 256, 3))


def between(a: Colour, b: Colour, share: float) -> Colour:
    """A colour on the way from one to another."""
    return colour(round(x + (y - x) * share) for x, y in zip(a, b, strict=True))


def sheet(shape: tuple[int, int], paper: Colour) -> tuple[PIL.Image.Image, PIL.ImageDraw.ImageDraw]:
    picture = PIL.Image.new("RGB", shape, paper)
    return picture, PIL.ImageDraw.Draw(picture)


def lines(draw: PIL.ImageDraw.ImageDraw, rng: np.random.Generator, box, face, ink: Colour, gap: float = 1.5) -> None:
    """Fill a box `(x0, y0, x1, y1)` with lines of words, paragraphs left ragged."""
    x0, y, x1, y1 = box
    step = max(8, int(face.size * gap))
    across = max(1, int((x1 - x0) / (face.size * 0.52) / 5.5))
    while y + step <= y1:
        count = across if rng.random() < 0.85 else max(1, int(across * rng.uniform(0.2, 0.9)))
        text = words(rng, count)
        while text and draw.textlength(text, face) > x1 - x0:
            text = text.rpartition(" ")[0]
        draw.text((x0, y), text, ink, face)
        y += step * (2 if rng.random() < 0.06 else 1)
