"""Pictures of nothing medical of kinds that no training makes: traces, programs, maps, slides, music, puzzles, plans."""

from __future__ import annotations

import numpy as np
import PIL.Image
import PIL.ImageDraw
from scipy import ndimage

from training.made.drawings import clouds, landscape
from training.made.ink import any_font, between, bright, colours, font, lines, sheet, size, word, words


def beats(rng: np.random.Generator, length: int) -> np.ndarray:
    """A lead of a cardiogram: small wave, spike, broad wave, again and again."""
    x, period = np.arange(length), rng.uniform(60, 190)
    phase = (x + rng.uniform(0, period)) % period / period
    high, width = rng.uniform(-1, 1.4, 3) + (0.1, 1, 0.3), rng.uniform(0.01, 0.05, 3)
    waves = zip((0.25, 0.4, 0.65), high * (0.2, 1.4, 0.4), width * (1, 0.3, 1.4), strict=True)
    return sum(h * np.exp(-(((phase - at) / w) ** 2)) for at, h, w in waves) + rng.normal(0, 0.02, length)


def traces(rng: np.random.Generator, wave) -> np.ndarray:
    """Some traces above each other on squared or plain paper, or on a monitor."""
    width, height = size(rng, 500)
    width, height = max(width, height), min(width, height)
    paper, ink = colours(rng, 0.25)
    if sum(paper) > 400 and rng.random() < 0.6:
        paper = (255, int(rng.integers(220, 250)), int(rng.integers(215, 245)))
    picture, draw = sheet((width, height), paper)
    step, rule = int(rng.integers(5, 24)), between(paper, bright(rng) if rng.random() < 0.4 else (230, 60, 60), 0.3)
    for at in range(0, max(width, height), step) if rng.random() < 0.8 else ():
        for line in ((at, 0, at, height), (0, at, width, at)):
            draw.line(line, rule, 2 if at % (5 * step) == 0 else 1)
    rows, columns = int(rng.integers(1, 9)), int(rng.choice([1, 1, 4]))
    room = height / rows
    for n in range(rows * columns):
        left, middle = n % columns * width // columns, (n // columns + 0.55) * room
        y = middle - wave(rng, width // columns) * room * rng.uniform(0.15, 0.35)
        draw.line([(left + x, float(v)) for x, v in enumerate(y)], ink, int(rng.integers(1, 4)))
        if rng.random() < 0.6:
            draw.text((left + 4, middle - room * 0.4), word(rng)[:3].upper(), ink, font("DejaVuSans", 12))
    return np.asarray(picture)


def cardiogram(rng: np.random.Generator) -> np.ndarray:
    return traces(rng, beats)


def brain_waves(rng: np.random.Generator) -> np.ndarray:
    return traces(rng, lambda r, n: ndimage.gaussian_filter1d(r.normal(0, 3, n), r.uniform(1.5, 8)))


def program(rng: np.random.Generator) -> np.ndarray:
    """A code editor: numbered, indented lines in several colours, files at the side."""
    width, height = int(rng.integers(500, 1300)), int(rng.integers(350, 900))
    paper, ink = colours(rng, 0.7)
    picture, draw = sheet((width, height), paper)
    face, inks = font("DejaVuSansMono", int(rng.integers(10, 18))), [between(bright(rng), ink, 0.4) for _ in range(5)]
    side = int(width * rng.choice([0, 0.18, 0.25]))
    draw.rectangle((0, 0, side, height), between(paper, ink, 0.08))
    indent = 0
    for number, y in enumerate(range(8, height - 20, int(face.size * 1.45)), start=1):
        if side:
            draw.text((10 + 12 * (number % 3), y), f"{word(rng)}.py", ink, font("DejaVuSans", 11))
        draw.text((side + 6, y), f"{number:3}", between(ink, paper, 0.5), face)
        indent = max(0, indent + int(rng.integers(-1, 2)))
        x = side + 50 + indent % 6 * face.size * 2.4
        for _ in range(int(rng.integers(0, 8))):
            text = f"{word(rng)}{rng.choice(['', '(', ')', ':', ' =', ',', '.', '[0]'])}"
            draw.text((x, y), text, inks[rng.integers(5)], face)
            x += draw.textlength(text + " ", face)
    return np.asarray(picture)


def street_map(rng: np.random.Generator) -> np.ndarray:
    """Blocks, roads of several widths, water, parks, names."""
    width, height = size(rng, 400)
    field = clouds(rng, width, height, 0.6)
    land, water, park = (between((245, 242, 235), bright(rng), 0.1) for _ in range(3))
    tint = np.where((field < 0.35)[..., None], between(water, (150, 190, 230), 0.8), land)
    pixels = np.where((field > 0.68)[..., None], between(park, (190, 225, 175), 0.8), tint).astype(np.uint8)
    picture = PIL.Image.fromarray(pixels)
    draw, angle = PIL.ImageDraw.Draw(picture), rng.uniform(0, 1.5)
    for n in range(int(rng.integers(8, 45))):
        turn, at = angle + (n % 2) * np.pi / 2 + rng.normal(0, 0.12), rng.uniform(0, 1, 2) * (width, height)
        reach = np.array([np.cos(turn), np.sin(turn)]) * rng.uniform(0.2, 1.2) * width
        points, broad = (
            [tuple(at + reach * s + rng.normal(0, 4, 2)) for s in np.linspace(-1, 1, 9)],
            int(rng.integers(2, 12)),
        )
        draw.line(points, (170, 165, 160), broad + 2)
        draw.line(points, between((255, 255, 255), (250, 200, 90), float(rng.integers(2))), broad)
    for _ in range(int(rng.integers(3, 20))):
        draw.text(tuple(rng.uniform(0, 0.9, 2) * (width, height)), words(rng, 2), (60, 60, 70), any_font(rng, 12))
    return np.asarray(picture)


def slide(rng: np.random.Generator) -> np.ndarray:
    """A large title, points below it, a coloured bar, now and then a picture at the side."""
    width = int(rng.integers(480, 1200))
    height = int(width * rng.choice([9 / 16, 3 / 4]))
    paper, ink = colours(rng, 0.4)
    picture, draw = sheet((width, height), paper)
    draw.rectangle((0, 0, width, height * rng.uniform(0.0, 0.2)), between(paper, bright(rng), rng.uniform(0, 1)))
    draw.text((width * 0.06, height * 0.06), words(rng, 4), ink, any_font(rng, height // 14))
    face, y, beside = any_font(rng, int(height * rng.uniform(0.03, 0.055))), height * 0.28, rng.random() < 0.4
    while y < height * rng.uniform(0.6, 0.9):
        draw.ellipse((width * 0.06, y + 6, width * 0.06 + 8, y + 14), ink)
        lines(draw, rng, (width * 0.1, y, width * (0.5 if beside else 0.92), y + face.size * 1.6), face, ink)
        y += face.size * rng.uniform(1.8, 2.6)
    if beside:
        picture.paste(
            PIL.Image.fromarray(landscape(rng)).resize((int(width * 0.36), int(height * 0.45))),
            (int(width * 0.58), int(height * 0.3)),
        )
    return np.asarray(picture)


def sheet_music(rng: np.random.Generator) -> np.ndarray:
    width, height = size(rng, 450)
    paper, ink = colours(rng, 0.05)
    picture, draw = sheet((width, height), paper)
    gap = int(rng.integers(5, 12))
    for top in range(30, height - 6 * gap, 11 * gap):
        for n in range(5):
            draw.line((20, top + n * gap, width - 20, top + n * gap), ink)
        x = 50
        while x < width - 30:
            y = top + int(rng.integers(-2, 10)) * gap / 2
            draw.ellipse((x, y, x + gap * 1.3, y + gap), ink if rng.random() < 0.7 else paper, ink)
            draw.line((x + gap * 1.3, y + gap / 2, x + gap * 1.3, y - 3 * gap), ink, 2)
            x += int(gap * rng.uniform(2, 6))
    return np.asarray(picture)


def puzzle(rng: np.random.Generator) -> np.ndarray:
    """A board of squares, with letters, numbers or stones."""
    side, count = int(rng.integers(300, 800)), int(rng.integers(5, 16))
    paper, ink = colours(rng, 0.15)
    picture, draw = sheet((side, side), paper)
    cell, kind, dark = side / count, rng.integers(3), between(paper, bright(rng), 0.7)
    for n in range(count**2):
        x, y = n % count * cell, n // count * cell
        full = (n % count + n // count) % 2 if kind == 2 else rng.random() < 0.2
        draw.rectangle((x, y, x + cell, y + cell), (ink if kind == 0 else dark) if full else paper, ink)
        if kind == 2 and rng.random() < 0.3:
            draw.ellipse((x + cell * 0.15, y + cell * 0.15, x + cell * 0.85, y + cell * 0.85), bright(rng), ink)
        elif rng.random() < 0.5 and kind < 2:
            draw.text(
                (x + cell * 0.3, y + cell * 0.2), word(rng)[0].upper(), ink, any_font(rng, max(8, int(cell * 0.5)))
            )
    return np.asarray(picture)


def floor_plan(rng: np.random.Generator) -> np.ndarray:
    """Rooms with thick walls, doors, measures."""
    width, height = size(rng, 400)
    paper, ink = colours(rng, 0.15)
    picture, draw = sheet((width, height), paper)
    wall = int(rng.integers(3, 10))

    def rooms(box, depth: int) -> None:
        x0, y0, x1, y1 = box
        if depth == 0 or min(x1 - x0, y1 - y0) < 90:
            draw.text((x0 + 12, y0 + 12), f"{word(rng)} {rng.uniform(5, 40):.1f}", ink, font("DejaVuSans", 11))
            draw.arc((x0 + 10, y1 - 50, x0 + 60, y1), 270, 360, ink)
            return
        at = rng.uniform(0.35, 0.65)
        if x1 - x0 > y1 - y0:
            x = x0 + at * (x1 - x0)
            draw.line((x, y0, x, y1 - 40), ink, wall)
            rooms((x0, y0, x, y1), depth - 1), rooms((x, y0, x1, y1), depth - 1)
        else:
            y = y0 + at * (y1 - y0)
            draw.line((x0 + 40, y, x1, y), ink, wall)
            rooms((x0, y0, x1, y), depth - 1), rooms((x0, y, x1, y1), depth - 1)

    draw.rectangle((20, 20, width - 20, height - 20), outline=ink, width=wall)
    rooms((20, 20, width - 20, height - 20), 3)
    return np.asarray(picture)


UNSEEN = {
    "cardiogram": cardiogram,
    "brain waves": brain_waves,
    "code editor": program,
    "map": street_map,
    "slide": slide,
    "sheet music": sheet_music,
    "puzzle": puzzle,
    "floor plan": floor_plan,
}
