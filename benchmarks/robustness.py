"""How much overlap is lost on worse images: Dice of present labels, clean against corrupted at three strengths.

python benchmarks/robustness.py DATA_SET… [--split val] [--limit 20] [--model nano]

`corruptions.py` says what is done to the images. An image counts the mean Dice over its outlined labels (nothing found
is 0), a set the mean over its images, the table the mean over sets.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np
from common import arguments, bar, chosen, interval, mean_of_means, patient, table, union, write_rows
from corruptions import CORRUPTIONS, rotate

from medvlm.assistant import Assistant
from medvlm.evaluation.metrics import dice
from medvlm.records import Record
from medvlm.types import Image, Study

STRENGTHS = ("weak", "middle", "strong")
VARIANTS = [(name, number) for name in CORRUPTIONS for number in range(len(STRENGTHS))]


def outlines(record: Record) -> dict[str, np.ndarray]:
    """The mask `(H, W)` of every label that has one."""
    masks = {region.label: region.mask for region in record.regions}
    return {label: mask > 0 for label, mask in masks.items() if mask is not None and mask.any()}


def dices(assistant: Assistant, pictures: list[tuple[np.ndarray, dict[str, np.ndarray]]]) -> list[float]:
    """The mean Dice over the labels of each picture with its masks."""
    found = assistant.ground_many([(Study([Image(pixels)]), list(masks)) for pixels, masks in pictures])
    values = []
    for result, (pixels, masks) in zip(found, pictures, strict=True):
        here = {label: result.of(label) for label in masks}
        values.append(float(np.mean([dice(union(here[k], pixels.shape[:2]), masks[k]) for k in masks])))
    return values


def rows_of(assistant: Assistant, record: Record) -> list[dict]:
    """The clean Dice of an image beside that of its every corruption; the seed is of the record's key alone."""
    image, masks, seed = record.image, outlines(record), crc32(record.key.encode())
    pictures = [(image, masks)]
    for name, number in VARIANTS:
        change, strengths = CORRUPTIONS[name]
        truth = masks
        if change is rotate:
            turned = {k: rotate(m.astype(np.uint8) * 255, strengths[number], seed) >= 128 for k, m in masks.items()}
            truth = {label: mask for label, mask in turned.items() if mask.any()} or masks
        pictures.append((change(image, strengths[number], seed), truth))
    clean, *rest = dices(assistant, pictures)
    about = {"set": record.set, "id": record.id, "patient": patient(record), "clean": clean}
    return [
        {**about, "corruption": name, "strength": STRENGTHS[number], "dice": value}
        for (name, number), value in zip(VARIANTS, rest, strict=True)
    ]


def loss(rows: list[dict]) -> str:
    """The mean loss over sets, with its interval."""
    pairs = [(row["set"], row["clean"] - row["dice"]) for row in rows]
    return interval(pairs, [row["patient"] for row in rows], mean_of_means)


def report(rows: list[dict]) -> str:
    lines = []
    for name in CORRUPTIONS:
        mine = [[r for r in rows if r["corruption"] == name and r["strength"] == s] for s in STRENGTHS]
        strengths = ", ".join(f"{s:g}" for s in CORRUPTIONS[name][1])
        reached = [f"{mean_of_means([(r['set'], r['dice']) for r in some]):.3f}" for some in mine]
        lines.append([name, strengths, len(mine[0]), *reached, *map(loss, mine)])
    first = [row for row in rows if (row["corruption"], row["strength"]) == (VARIANTS[0][0], STRENGTHS[0])]
    clean = interval([(row["set"], row["clean"]) for row in first], [row["patient"] for row in first], mean_of_means)
    head = ["corruption", "strengths", "n", *(f"Dice, {s}" for s in STRENGTHS), *(f"loss, {s}" for s in STRENGTHS)]
    middle = [row for row in rows if row["strength"] == "middle"]
    sets = len({row["set"] for row in rows})
    return "\n\n".join([
        f"Clean images: Dice {clean}, {len(first)} images of {sets} sets; means over sets, 95 % intervals by patient.",
        table(head, lines),
        f"Mean loss at the middle strength over all corruptions: {loss(middle)}, n = {len(middle)} corrupted images.",
    ])  # fmt: skip


def main() -> None:
    args = arguments(__doc__, "a .jsonl for the single results", limit=20).parse_args()
    assistant, rows = Assistant.load(args.model), []
    for records in chosen(args.data, args.split, args.limit, outlines):
        for record in bar(records):
            rows += rows_of(assistant, record)
    write_rows(args.output, rows)
    print(report(rows) if rows else "No label with a mask in these data sets.")


if __name__ == "__main__":
    main()
