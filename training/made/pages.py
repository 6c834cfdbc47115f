"""Pages: text, tables, forms, letters, notes by hand, and photos of a page on a desk."""

from __future__ import annotations

import numpy as np
import PIL.Image
import PIL.ImageFilter

from .ink import any_font, between, bright, colours, font, lines, sheet, size, word, words


def page(rng: np.random.Generator) -> np.ndarray:
    """Running text in one to three columns, with or without headings."""
    width, height = size(rng)
    paper, ink = colours(rng)
    picture, draw = sheet((width, height), paper)
    face = any_font(rng, int(rng.integers(10, max(12, min(36, width // 22)))))
    columns = int(rng.choice([1, 1, 1, 2, 2, 3])) if width > 420 else 1
    margin = int(min(width, height) * rng.uniform(0.01, 0.12))
    top = margin
    if rng.random() < 0.6:
        big = any_font(rng, int(face.size * rng.uniform(1.3, 2.5)))
        draw.text((margin, top), words(rng, 4), ink, big)
        top += int(big.size * 2)
    filled = top + (height - margin - top) * (1.0 if rng.random() < 0.6 else rng.uniform(0.15, 0.9))
    room = (width - 2 * margin) / columns
    gap = rng.uniform(1.2, 2.6)
    for column in range(columns):
        x = margin + column * room
        lines(draw, rng, (x, top, x + room * (0.94 if columns > 1 else 1), filled), face, ink, gap)
    return np.asarray(picture)


def table(rng: np.random.Generator) -> np.ndarray:
    """Rows and columns of numbers and words, ruled or striped."""
    width, height = size(rng)
    paper, ink = colours(rng)
    picture, draw = sheet((width, height), paper)
    face = any_font(rng, int(rng.integers(10, 22)))
    step, columns = int(face.size * rng.uniform(1.4, 2.4)), int(rng.integers(2, max(3, min(14, width // 60))))
    left, top = int(rng.integers(0, width // 12)), int(rng.integers(0, height // 6))
    room = (width - 2 * left) / columns
    rows = range(top, height - step, step)
    ruled, striped = rng.random() < 0.6, rng.random() < 0.4
    shade, rule = between(paper, bright(rng), 0.15), between(paper, ink, rng.uniform(0.15, 1))
    for number, y in enumerate(rows):
        if striped and number % 2 or number == 0 and rng.random() < 0.5:
            draw.rectangle((left, y, width - left, y + step), shade)
        for column in range(columns):
            text = word(rng) if column == 0 or number == 0 else f"{rng.normal(0, 50):.{rng.integers(0, 3)}f}"
            draw.text((left + column * room + 4, y + 3), text, ink, face)
        if ruled:
            draw.line((left, y, width - left, y), rule)
    if ruled and rng.random() < 0.7:
        for column in range(columns + 1):
            x = left + column * room
            draw.line((x, top, x, height - step), rule)
    return np.asarray(picture)


def form(rng: np.random.Generator) -> np.ndarray:
    """A letterhead, fields with boxes to fill in, ticks, a signature."""
    width, height = size(rng, 400)
    paper, ink = colours(rng, 0.1)
    picture, draw = sheet((width, height), paper)
    face, tint = any_font(rng, int(rng.integers(11, 19))), bright(rng)
    draw.rectangle((0, 0, width, int(height * rng.uniform(0.02, 0.15))), between(paper, tint, rng.uniform(0, 1)))
    draw.text((20, 8), words(rng, 3), ink, any_font(rng, face.size + 8))
    y, rule = int(height * 0.18), between(paper, ink, 0.5)
    while y < height - 3 * face.size:
        draw.text((20, y), f"{words(rng, int(rng.integers(1, 4)))}:", ink, face)
        kind, x = rng.integers(4), width * rng.uniform(0.25, 0.5)
        if kind == 0:
            draw.rectangle((x, y - 2, width - 20, y + face.size + 6), outline=rule)
            draw.text((x + 5, y), words(rng, 3), ink, face)
        elif kind == 1:
            draw.line((x, y + face.size + 2, width - 20, y + face.size + 2), rule)
        elif kind == 2:
            for n in range(3):
                at = x + n * (width - x) / 3
                draw.rectangle((at, y, at + face.size, y + face.size), outline=ink)
                if rng.random() < 0.4:
                    draw.line((at, y, at + face.size, y + face.size), ink, 2)
                draw.text((at + face.size + 5, y), word(rng), ink, face)
        else:
            draw.text((x, y), words(rng, 4), ink, face)
        y += int(face.size * rng.uniform(1.7, 3.4))
    stroke = np.cumsum(rng.normal(0, 6, (40, 2)) + (2.5, 0), axis=0) + (width * 0.5, height - 40)
    draw.line([tuple(p) for p in stroke], (20, 30, 120), 2)
    return np.asarray(picture)


def handwriting(rng: np.random.Generator) -> np.ndarray:
    """Loops of a pen on plain, ruled or squared paper."""
    width, height = size(rng)
    paper, ink = colours(rng, 0.1)
    picture, draw = sheet((width, height), paper)
    step, rule = int(rng.integers(22, 60)), between(paper, bright(rng), 0.25)
    kind = rng.integers(3)
    for y in range(step, height, step) if kind else ():
        draw.line((0, y, width, y), rule)
    for x in range(step, width, step) if kind == 2 else ():
        draw.line((x, 0, x, height), rule)
    ink = (int(rng.integers(0, 60)), int(rng.integers(0, 60)), int(rng.integers(0, 160))) if sum(paper) > 300 else ink
    for y in range(step, height - step // 2, int(step * rng.uniform(1, 1.6))):
        at, end = width * rng.uniform(0.03, 0.15), width * rng.uniform(0.4, 0.97)
        while at < end:
            t = np.linspace(0, rng.uniform(4, 16), 40)
            loop = np.stack(
                [at + t * step / 9, y + np.sin(t * rng.uniform(1.5, 3)) * step * rng.uniform(0.1, 0.4)], axis=1
            )
            loop[:, 0] += np.cos(t * 2) * step * 0.12
            draw.line([tuple(p) for p in loop], ink, int(rng.integers(1, 4)))
            at = float(loop[-1, 0] + step * rng.uniform(0.4, 0.9))
    return np.asarray(picture)


def photographed(rng: np.random.Generator) -> np.ndarray:
    """A page or a screen as a phone sees it: askew on a desk, unevenly lit."""
    what = PIL.Image.fromarray((page, table, form, handwriting)[rng.integers(4)](rng))
    width, height = what.size
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
    corners += rng.uniform(-0.16, 0.16, (4, 2)) * min(width, height)
    desk = bright(rng)
    askew = what.transform(
        (width, height), PIL.Image.Transform.QUAD, corners[[0, 3, 2, 1]].ravel().tolist(),
        PIL.Image.Resampling.BILINEAR, fillcolor=desk,
    )  # fmt: skip
    pixels = np.asarray(askew.filter(PIL.ImageFilter.GaussianBlur(rng.uniform(0.3, 1.6))), np.float32)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = 1 - rng.uniform(0, 0.35) * (x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1) + 0.5)
    pixels = pixels * light[..., None] * rng.uniform(0.6, 1.05) + rng.normal(0, rng.uniform(1, 9), pixels.shape)
    return pixels.clip(0, 255).astype(np.uint8)


def receipt(rng: np.random.Generator) -> np.ndarray:
    """A narrow column of even letters with amounts."""
    width, height = int(rng.integers(240, 460)), int(rng.integers(400, 1100))
    paper, ink = colours(rng, 0.05)
    picture, draw = sheet((width, height), paper)
    face = font("DejaVuSansMono", int(rng.integers(10, 17)))
    for y in range(10, height - int(face.size), int(face.size * 1.5)):
        if rng.random() < 0.12:
            draw.text((10, y), "-" * int(width / face.size * 1.5), ink, face)
            continue
        draw.text((10, y), words(rng, int(rng.integers(1, 4)))[:18], ink, face)
        draw.text((width - 6 * face.size, y), f"{rng.uniform(0, 99):8.2f}", ink, face)
    return np.asarray(picture)


PAGES = {
    "page": page,
    "table": table,
    "form": form,
    "handwriting": handwriting,
    "photographed page": photographed,
    "receipt": receipt,
}
