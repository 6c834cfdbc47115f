"""Screens of other programs: windows, dialogs, chats, terminals, spreadsheets, dashboards, web pages, phones."""

from __future__ import annotations

import numpy as np
import PIL.Image

from .charts import plot
from .ink import any_font, between, bright, colours, font, lines, sheet, word, words


def screen(rng: np.random.Generator) -> tuple[int, int]:
    """Width and height of a screen or of a window on it."""
    width = int(rng.integers(420, 1300))
    return width, int(width * rng.uniform(0.5, 0.85))


def inset_plot(rng: np.random.Generator, width: int, height: int) -> PIL.Image.Image:
    return PIL.Image.fromarray(plot(rng)).resize((max(20, width), max(20, height)))


def button(draw, rng, box, face, fill, ink) -> None:
    draw.rounded_rectangle(box, int(rng.integers(0, 8)), fill, between(fill, ink, 0.3))
    draw.text((box[0] + 6, box[1] + 4), word(rng), ink, face)


def frame(draw, rng, shape, paper, ink) -> int:
    """A title bar with its buttons, a menu or a toolbar; returns where they end."""
    width, _ = shape
    face, tint = any_font(rng, int(rng.integers(10, 15))), between(paper, bright(rng), rng.uniform(0.1, 0.8))
    high = int(face.size) + 12
    draw.rectangle((0, 0, width, high), tint)
    draw.text((10, 5), words(rng, 3), ink, face)
    for n in range(3):
        x = width - 20 * (n + 1)
        draw.ellipse((x, 7, x + 11, 18), bright(rng)) if rng.random() < 0.5 else draw.line((x, 7, x + 9, 17), ink, 2)
    if rng.random() < 0.8:
        draw.text((10, high + 4), "    ".join(word(rng).capitalize() for _ in range(6)), ink, face)
        high += int(face.size) + 10
    if rng.random() < 0.6:
        for n in range(int(rng.integers(5, max(6, width // 32)))):
            draw.rectangle((8 + 30 * n, high + 5, 30 + 30 * n, high + 27), between(paper, bright(rng), 0.6))
        high += 34
    return high


def window(rng: np.random.Generator) -> np.ndarray:
    """Panels with lists, settings and text."""
    shape = width, height = screen(rng)
    paper, ink = colours(rng, 0.4)
    picture, draw = sheet(shape, paper)
    face, top = any_font(rng, int(rng.integers(10, 17))), frame(draw, rng, shape, paper, ink)
    side = int(width * rng.uniform(0.15, 0.35))
    draw.rectangle((0, top, side, height), between(paper, ink, rng.uniform(0.02, 0.15)))
    for y in range(top + 8, height - 10, int(face.size * 1.9)):
        draw.text((12 + 12 * int(rng.integers(3)), y), words(rng, 2)[:22], ink, face)
    x, y = side + 15, top + 15
    while y < height - 70:
        kind = rng.integers(4)
        if kind == 0:
            for n in range(3):
                at = x + n * (width - x) // 3
                button(draw, rng, (at, y, at + 90, y + 28), face, between(paper, bright(rng), 0.4), ink)
        elif kind == 1:
            lines(draw, rng, (x, y, width - 15, y + 65), face, ink)
        elif kind == 2:
            draw.text((x, y), words(rng, 2), ink, face)
            draw.rectangle((x + 150, y, width - 20, y + 26), outline=between(paper, ink, 0.5))
        else:
            share = rng.random()
            draw.rectangle((x, y + 8, width - 30, y + 18), between(paper, ink, 0.2))
            draw.rectangle((x, y + 8, x + (width - 30 - x) * share, y + 18), bright(rng))
        y += int(rng.integers(40, 90))
    return np.asarray(picture)


def dialog(rng: np.random.Generator) -> np.ndarray:
    """A message with buttons before a desktop."""
    shape = width, height = screen(rng)
    paper, ink = colours(rng, 0.3)
    picture, draw = sheet(shape, bright(rng) if rng.random() < 0.6 else between(paper, ink, 0.3))
    for _ in range(int(rng.integers(0, 12))):
        x, y = float(rng.integers(0, width)), float(rng.integers(0, height))
        draw.rectangle((x, y, x + 40, y + 40), bright(rng))
        draw.text((x, y + 44), word(rng), ink, font("DejaVuSans", 11))
    w, h = width * rng.uniform(0.35, 0.8), height * rng.uniform(0.25, 0.7)
    x, y = (width - w) * rng.random(), (height - h) * rng.random()
    face = any_font(rng, int(rng.integers(11, 19)))
    draw.rounded_rectangle((x, y, x + w, y + h), 6, paper, between(paper, ink, 0.4))
    draw.text((x + 12, y + 8), words(rng, 3), ink, any_font(rng, face.size + 4))
    lines(draw, rng, (x + 12, y + 2.5 * face.size, x + w - 12, y + h - 50), face, ink)
    for n in range(2):
        at = x + w - 110 * (n + 1)
        button(draw, rng, (at, y + h - 40, at + 95, y + h - 12), face, between(paper, bright(rng), 0.5), ink)
    return np.asarray(picture)


def chat(rng: np.random.Generator) -> np.ndarray:
    """Bubbles of messages on both sides."""
    width, height = int(rng.integers(320, 900)), int(rng.integers(450, 1000))
    paper, ink = colours(rng, 0.4)
    picture, draw = sheet((width, height), paper)
    face, mine = any_font(rng, int(rng.integers(12, 20))), between(paper, bright(rng), 0.4)
    draw.rectangle((0, 0, width, 44), between(paper, bright(rng), 0.3))
    draw.text((16, 12), words(rng, 2), ink, face)
    y = 60
    while y < height - 60:
        long, high = width * rng.uniform(0.3, 0.75), int(face.size * 1.5 * rng.integers(1, 5)) + 14
        own = rng.random() < 0.5
        x = width - long - 14 if own else 14
        draw.rounded_rectangle((x, y, x + long, y + high), 12, mine if own else between(paper, ink, 0.12))
        lines(draw, rng, (x + 10, y + 6, x + long - 8, y + high - 2), face, ink)
        y += high + int(rng.integers(6, 26))
    draw.rounded_rectangle((12, height - 44, width - 12, height - 8), 14, outline=between(paper, ink, 0.4))
    return np.asarray(picture)


def terminal(rng: np.random.Generator) -> np.ndarray:
    """Even letters, mostly on black."""
    width, height = screen(rng)
    paper, ink = colours(rng, 0.85)
    picture, draw = sheet((width, height), paper)
    face = font("DejaVuSansMono", int(rng.integers(9, 19)))
    across = int(width / face.size / 0.62)
    for y in range(6, int(height * (1 if rng.random() < 0.6 else rng.uniform(0.2, 1))), int(face.size * 1.35)):
        kind, text = rng.integers(4), words(rng, max(1, across // 7))
        text = ("$ " + text[:30], f"{rng.integers(10**8):x}  {text}", text, text[: across // 3])[kind]
        draw.text((8, y), text[:across], ink if rng.random() < 0.8 else between(bright(rng), ink, 0.5), face)
    return np.asarray(picture)


def spreadsheet(rng: np.random.Generator) -> np.ndarray:
    """Lettered columns, numbered rows, cells of numbers, now and then a chart over them."""
    shape = width, height = screen(rng)
    paper, ink = colours(rng, 0.15)
    picture, draw = sheet(shape, paper)
    top, face = frame(draw, rng, shape, paper, ink), font("DejaVuSans", int(rng.integers(9, 14)))
    room, step = int(rng.integers(55, 110)), int(face.size) + int(rng.integers(6, 13))
    shade, rule = between(paper, ink, 0.1), between(paper, ink, 0.25)
    draw.rectangle((0, top, width, top + step), shade)
    draw.rectangle((0, top, 34, height), shade)
    for column, x in enumerate(range(34, width, room)):
        draw.line((x, top, x, height), rule)
        draw.text((x + room // 2, top + 3), chr(65 + column % 26), ink, face)
        kind = rng.integers(3)
        for y in range(top + step, height, step):
            if rng.random() < 0.85 and kind:
                draw.text((x + 4, y + 3), f"{rng.normal(100, 60):.2f}" if kind == 1 else words(rng, 1), ink, face)
    for row, y in enumerate(range(top + step, height, step), start=1):
        draw.line((0, y, width, y), rule)
        draw.text((6, y + 3), str(row), ink, face)
    if rng.random() < 0.35:
        inset = inset_plot(rng, int(width * rng.uniform(0.3, 0.5)), int(height * rng.uniform(0.3, 0.5)))
        picture.paste(inset, (int(width * rng.uniform(0.2, 0.5)), int(height * rng.uniform(0.25, 0.5))))
    return np.asarray(picture)


def dashboard(rng: np.random.Generator) -> np.ndarray:
    """Tiles with big numbers and charts."""
    width, height = screen(rng)
    paper, ink = colours(rng, 0.5)
    picture, draw = sheet((width, height), paper)
    columns, rows = int(rng.integers(2, 4)), int(rng.integers(2, 4))
    w, h = width // columns, (height - 40) // rows
    draw.text((14, 8), words(rng, 3), ink, any_font(rng, 18))
    for n in range(columns * rows):
        x, y = n % columns * w + 6, n // columns * h + 44
        draw.rounded_rectangle((x, y, x + w - 10, y + h - 10), 6, between(paper, ink, 0.07), between(paper, ink, 0.2))
        draw.text((x + 8, y + 6), words(rng, 2), ink, any_font(rng, 12))
        if rng.random() < 0.6:
            picture.paste(inset_plot(rng, w - 30, h - 50), (x + 8, y + 28))
        else:
            draw.text(
                (x + 14, y + h // 3), f"{rng.uniform(0, 10000):,.0f}", bright(rng), any_font(rng, max(14, h // 4))
            )
    return np.asarray(picture)


def phone(rng: np.random.Generator) -> np.ndarray:
    """A list, or icons, on a phone."""
    width, height = int(rng.integers(320, 520)), int(rng.integers(620, 1000))
    paper, ink = colours(rng, 0.4)
    picture, draw = sheet((width, height), paper)
    face = any_font(rng, int(rng.integers(12, 18)))
    draw.text((12, 6), "12:30", ink, font("DejaVuSans", 12))
    if rng.random() < 0.5:
        for y in range(50, height - 60, int(rng.integers(56, 90))):
            draw.ellipse((14, y, 54, y + 40), bright(rng))
            draw.text((68, y), words(rng, 3)[:28], ink, face)
            draw.text((68, y + face.size + 6), words(rng, 5)[:36], between(paper, ink, 0.5), font("DejaVuSans", 11))
    else:
        for n in range(24):
            x, y = 20 + n % 4 * (width - 20) // 4, 60 + n // 4 * (height - 80) // 6
            draw.rounded_rectangle((x, y, x + 52, y + 52), 12, bright(rng))
            draw.text((x, y + 58), word(rng)[:8], ink, font("DejaVuSans", 10))
    return np.asarray(picture)


SCREENS = {
    "window": window,
    "dialog": dialog,
    "chat": chat,
    "terminal": terminal,
    "spreadsheet": spreadsheet,
    "dashboard": dashboard,
    "phone": phone,
}
