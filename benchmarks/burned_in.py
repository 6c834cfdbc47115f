"""Is text found that is burned into images? Names, ids and dates drawn on them, and what is taken for text without.

    python benchmarks/burned_in.py ../shared/data [--split report] [--limit 4]

On each image three texts at random places, in sizes from 2 to 4.5 % of the shorter side (9 px at least) and contrasts from 90
of 255 levels: how many have 95 % of their ink under the boxes. On the image as it is: how many boxes there are, most of
them on the set's own writing.
"""

from __future__ import annotations

import time
from zlib import crc32

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from common import arguments, bar, chosen, table

from medvlm.records import data_sets
from medvlm.studies.burned_in import Spot, find_text

TEXTS = (
    "DOE^JANE",
    "Mustermann, Erika",
    "ID 4711-0815",
    "12.03.1957",
    "St. Mary Hosp",
    "MRN:8841237",
    "Dr. Szymborska",
)
SIZES, LEAST = (0.02, 0.03, 0.045), 9
WEAK, STRONG = 90, 255  # levels by which ink differs from what is under it
WHOLE = 0.95


def drawn(image: np.ndarray, chance: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """The image `(H, W, 3)` with up to three texts, and where the ink of each is, bool `(H, W)`."""
    height, width = image.shape[:2]
    out, inks = image.copy(), []
    for _ in range(3):
        font = PIL.ImageFont.load_default(int(max(LEAST, min(height, width) * chance.choice(SIZES))))
        text = str(chance.choice(TEXTS))
        _, _, right, low = PIL.ImageDraw.Draw(PIL.Image.new("L", (1, 1))).textbbox((0, 0), text, font=font)
        if right > width - 4 or low > height - 4:
            continue
        corner = int(chance.integers(2, width - right - 1)), int(chance.integers(2, height - low - 1))
        layer = PIL.Image.new("L", (width, height))
        PIL.ImageDraw.Draw(layer).text(corner, text, font=font, fill=255)
        ink = np.asarray(layer)
        if any((ink[other] > 0).any() for other in inks):
            continue
        under = image[ink > 100].mean()
        by = chance.choice((WEAK, STRONG)) * (1 if under < 128 else -1)
        share = ink[..., None] / 255
        out = np.rint(out * (1 - share) + np.clip(under + by, 0, 255) * share).astype(np.uint8)
        inks.append(ink > 100)
    return out, inks


def covered(ink: np.ndarray, boxes: list[Spot]) -> bool:
    under = np.zeros(ink.shape, bool)
    for x0, y0, x1, y1 in boxes:
        under[y0:y1, x0:x1] = True
    return under[ink].mean() >= WHOLE


def main() -> None:
    args = arguments(__doc__, "unused", limit=4).parse_args()
    rows, every, boxes, seconds = [], [], 0, []
    for records in chosen(data_sets(args.data), args.split, args.limit, lambda record: True):
        hits, plain = [], 0
        for record in bar(records):
            image = record.image
            start = time.perf_counter()
            plain += len(find_text(image))
            seconds.append(time.perf_counter() - start)
            written, inks = drawn(image, np.random.default_rng([1, crc32(record.key.encode())]))
            found = find_text(written)
            hits += [covered(ink, found) for ink in inks]
        every, boxes = every + hits, boxes + plain
        rows.append([records[0].set, str(len(records)), f"{sum(hits)} of {len(hits)}", str(plain)])
    rows.append(["all", str(len(seconds)), f"{sum(every)} of {len(every)}", str(boxes)])
    print(table(["set", "images", "texts covered", "boxes without"], rows))
    print(f"{np.median(seconds):.2f} s an image (median), {max(seconds):.2f} s at most")


if __name__ == "__main__":
    main()
