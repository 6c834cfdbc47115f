"""Does the model know what it does not know? AUROC of 1 - `facts(study).medical` between medical images and others.

python benchmarks/unknown.py DATA_SET… [--split val] [--limit 50] [--model nano]

The medical images are those of the data sets; against them stand the photographs among the data sets, scikit-image's
everyday pictures as far as they are bundled, noise and blank images, each kind apart. Flagged: below `policy.medical`, where
the assistant declines to answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import skimage.data
from common import arguments, bar, chosen, interval, patient, table, write_rows
from scipy import ndimage

from medvlm.assistant import Assistant
from medvlm.evaluation.metrics import auc
from medvlm.types import Image, Study

EVERYDAY = (  # bundled pictures of nothing medical that are not in the set `photographs`
    "brick.png", "chessboard_RGB.png", "clock_motion.png", "coffee.png",
    "coins.png", "grass.png", "gravel.png", "horse.png", "hubble_deep_field.jpg", "logo.png", "moon.png",
    "motorcycle_left.png", "page.png", "text.png",
)  # fmt: skip
SIDE = 384
NOISES = 12  # of each kind
GREYS = 16


def everyday() -> Iterator[tuple[str, np.ndarray]]:
    folder = Path(skimage.data.__file__).parent
    for name in EVERYDAY:
        if (folder / name).is_file():
            yield name, np.asarray(PIL.Image.open(folder / name).convert("RGB"))


def noise() -> Iterator[tuple[str, np.ndarray]]:
    """Even noise in grey and in colour, and clouds: noise blurred and stretched to the full range."""
    for seed in range(NOISES):
        rng = np.random.default_rng(seed)
        colour = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        cloud = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 2.0 ** (seed % 4 + 1))
        yield f"grey {seed}", colour[..., 0]
        yield f"colour {seed}", colour
        yield f"cloud {seed}", (255 * (cloud - cloud.min()) / np.ptp(cloud)).astype(np.uint8)


def blank() -> Iterator[tuple[str, np.ndarray]]:
    for grey in np.linspace(0, 255, GREYS).round().astype(int):
        yield f"grey {grey}", np.full((SIDE, SIDE), grey, np.uint8)


def auroc(pairs: list[tuple[float, bool]]) -> float:
    return auc([score for score, _ in pairs], [other for _, other in pairs])


def report(rows: list[dict], least: float) -> str:
    """A line a kind, the medical images first: their flagged share is the false alarms."""
    medical = [row for row in rows if row["kind"] == "medical"]
    lines = []
    for kind in dict.fromkeys(["medical", *(row["kind"] for row in rows)]):
        some = [row for row in rows if row["kind"] == kind]
        flagged = interval([row["unknown"] > 1 - least for row in some], [row["patient"] for row in some])
        both = [] if kind == "medical" else medical + some
        pairs = [(row["unknown"], row["kind"] != "medical") for row in both]
        lines.append([kind, len(some), interval(pairs, [row["patient"] for row in both], auroc), flagged])
    return table(["images", "n", "AUROC against medical", f"flagged at {least:g}"], lines)


def main() -> None:
    args = arguments(__doc__, "a .jsonl for the single results").parse_args()
    assistant, rows = Assistant.load(args.model), []

    def add(kind: str, about: dict, study: Study) -> None:
        rows.append({"kind": kind, **about, "unknown": 1 - assistant.facts(study).medical})

    for records in chosen(args.data, args.split, args.limit, lambda _: True):
        for record in bar(records):
            kind = "photographs" if record.modality == "photograph" else "medical"
            add(kind, {"set": record.set, "id": record.id, "patient": patient(record)}, record.study())
    for kind, pictures in (("everyday pictures (scikit-image)", everyday()), ("noise", noise()), ("blank", blank())):
        for name, pixels in pictures:
            add(kind, {"set": kind, "id": name, "patient": f"{kind}/{name}"}, Study([Image(pixels)]))
    write_rows(args.output, rows)
    print(f"95 % intervals by patient.\n\n{report(rows, assistant.policy.medical)}")


if __name__ == "__main__":
    main()
