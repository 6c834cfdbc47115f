"""Sheets of good, typical and worst cases of every label, and the page that shows them.

python benchmarks/pictures.py DATA_SET… -o docs [--split val] [--limit N] [--model nano] [--all]

-o writes FOLDER/pictures/results/SET.jpg and FOLDER/GALLERY.md; without it, only the table is printed. A case is a label
in an image where it is: the 90th percentile, the median and the worst by Dice of the union of regions with the truth
(filled boxes where the truth is boxes alone; nothing found is 0).

Pictures of patients are shown only from sets with a licence that lets them be passed on, as the data's README states or
reports it (`OPEN`). Left out are sets for which none is stated, or research use alone: `--all` draws these as well, to be
looked at and not published.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import PIL.Image
import PIL.ImageChops
import PIL.ImageDraw
import PIL.ImageFilter
import PIL.ImageFont
from common import arguments, bar, chosen, interval, overlap, patient, table

from medvlm.assistant import Assistant
from medvlm.records import Record
from medvlm.types import Box, Region, mask_box

OPEN = {  # set → source and licence, named under its sheet
    "bccd": "BCCD, MIT",
    "brain_tumor_cheng": "Cheng, figshare 1512427, CC BY 4.0 as reported",
    "brain_tumor_followup": "TCIA Brain-Tumor-Progression, CC BY 3.0",
    "dsb2018": "2018 Data Science Bowl, CC0 1.0",
    "idrid": "IDRiD, CC BY 4.0",
    "open_ms_followup": "open_ms_data, University of Ljubljana, CC BY",
    "retina_vessels": "HRF, FAU Erlangen, CC BY 4.0; DRIVE, STARE and CHASE_DB1 state none and are not shown",
    "slake": "SLAKE 1.0, CC BY 4.0",
}
OPEN_COLLECTIONS = {"retina_vessels": "HRF"}
CASES = {"good": 90, "typical": 50, "worst": 0}  # percentile of Dice
ROWS = 4  # labels a sheet, those of the most images
TILE, GAP, HEAD = 294, 4, 42  # pixels: a tile's longer side, between tiles, for the text above one
LEAST_SHOWN = 0.4  # of the longer side: a small thing is shown with at least so much around it
QUALITY = 80
MOST_BYTES = 2_500_000
TRUE, FOUND, TEXT, GROUND = (60, 220, 90), (255, 176, 0), (230, 230, 230), (24, 24, 24)


def shown(record: Record) -> bool:
    collection = OPEN_COLLECTIONS.get(record.set)
    return record.set in OPEN and collection in (None, record.labels.get("collection"))


def marked(record: Record) -> list[str]:
    """The labels whose masks or boxes hold anything."""
    return [r.label for r in record.regions if r.boxes or ((mask := r.mask) is not None and mask.any())]


def cases(assistant: Assistant, records: list[Record]) -> list[tuple[Record, str, float]]:
    """Every record with each of its labels and the Dice."""
    out = []
    for record in bar(records):
        labels = marked(record)
        found = assistant.ground(record.study(), labels)
        for label in labels:
            out.append((record, label, overlap(record.region(label), found.of(label), record.image.shape[:2])))
    return out


def picks(some: list[tuple[Record, str, float]]) -> list[tuple[str, Record, float]]:
    """(kind, record, Dice) of the `CASES` of one label, best first; of few images fewer."""
    ranked = sorted(some, key=lambda case: (case[2], case[0].key))
    if len(ranked) == 1:
        return [("typical", ranked[0][0], ranked[0][2])]
    kinds = {round(percentile / 100 * (len(ranked) - 1)): kind for kind, percentile in CASES.items()}
    return [(kinds[n], ranked[n][0], ranked[n][2]) for n in sorted(kinds, reverse=True)]


# Drawing


def window(marks: np.ndarray) -> Box:
    """The part of the image that is shown around marks `(H, W)`: a square, but for where the image ends."""
    x0, y0, x1, y1 = mask_box(marks)
    side = max(1.3 * max(x1 - x0, y1 - y0), LEAST_SHOWN * max(marks.shape))
    height, width = (min(side, size) for size in marks.shape)
    left, top = (
        min(max(middle - length / 2, 0), size - length)
        for middle, length, size in (((x0 + x1) / 2, width, marks.shape[1]), ((y0 + y1) / 2, height, marks.shape[0]))
    )
    return (left, top, left + width, top + height)


def scale(view: Box) -> float:
    """Pixels of the tile for one of the image."""
    return TILE / max(view[2] - view[0], view[3] - view[1])


def cut(pixels: np.ndarray, view: Box, smooth: bool) -> PIL.Image.Image:
    """The window of an image as a tile, whose longer side is `TILE`."""
    size = round((view[2] - view[0]) * scale(view)), round((view[3] - view[1]) * scale(view))
    how = PIL.Image.Resampling.BICUBIC if smooth else PIL.Image.Resampling.NEAREST
    return PIL.Image.fromarray(pixels).resize(size, how, box=view)


def contour(tile: PIL.Image.Image, mask: np.ndarray, view: Box, colour: tuple[int, int, int], width: int) -> None:
    """A mask's outline, `width` pixels wide."""
    small = cut(mask.astype(np.uint8) * 255, view, smooth=False)
    edge = PIL.ImageChops.subtract(small, small.filter(PIL.ImageFilter.MinFilter(2 * width + 1)))
    tile.paste(colour, mask=edge)


def frame(tile: PIL.Image.Image, box: Box, view: Box, colour: tuple[int, int, int], width: int) -> None:
    x0, y0, x1, y1 = ((v - o) * scale(view) for v, o in zip(box, (*view[:2], *view[:2]), strict=True))
    PIL.ImageDraw.Draw(tile).rectangle((x0, y0, max(x0, x1), max(y0, y1)), outline=colour, width=width)


def draw(record: Record, label: str, regions: list[Region]) -> PIL.Image.Image:
    """The truth in green under what was found in amber: outlines, or boxes where the truth is boxes alone."""
    image, truth = record.image, record.region(label)
    mask = truth.mask
    marks = np.zeros(image.shape[:2], bool) if mask is None else mask > 0
    for x0, y0, x1, y1 in [*(truth.boxes if mask is None else []), *(r.box for r in regions)]:
        marks[max(0, int(y0)) : int(np.ceil(y1)), max(0, int(x0)) : int(np.ceil(x1))] = True
    view = window(marks)
    tile = cut(image, view, smooth=True)
    if mask is None:
        for box in truth.boxes:
            frame(tile, tuple(box), view, TRUE, 2)
    else:
        for number in np.unique(mask[mask > 0]):
            contour(tile, mask == number, view, TRUE, 2)
    for region in regions:
        if mask is None or region.mask is None:
            frame(tile, region.box, view, FOUND, 1)
        else:
            contour(tile, region.mask, view, FOUND, 1)
    return tile


def sheet(assistant: Assistant, chosen_cases: dict[str, list[tuple[str, Record, float]]]) -> PIL.Image.Image:
    """A row a label: its cases, each under its caption."""
    tiles = []  # a row each: what is written, and the tile
    for label, some in chosen_cases.items():
        tiles.append([])
        for kind, record, value in some:
            regions = assistant.ground(record.study(), [label]).regions
            score = f"score {max(r.score for r in regions):.2f}" if regions else "nothing found"
            tiles[-1].append((f"{label}\n{kind}: Dice {value:.2f}, {score}", draw(record, label, regions)))
    heights = [HEAD + max(tile.height for _, tile in row) + GAP for row in tiles]
    page = PIL.Image.new("RGB", (len(CASES) * (TILE + GAP) - GAP, sum(heights)), GROUND)
    pen, font, y = PIL.ImageDraw.Draw(page), PIL.ImageFont.load_default(size=14), 0
    for row, height in zip(tiles, heights, strict=True):
        for column, (text, tile) in enumerate(row):
            x = column * (TILE + GAP)
            pen.multiline_text((x + 4, y + 2), text, fill=TEXT, font=font)
            page.paste(tile, (x + (TILE - tile.width) // 2, y + HEAD))
        y += height
    return page


# Pages


def gallery(lines: dict[str, str], model: str, split: str) -> str:
    """The page: a picture and a line a set."""
    parts = [
        "# Gallery",
        f"Good (90th percentile by Dice), typical (median) and worst cases of `{model}` on the {split} images, drawn by "
        "`python benchmarks/pictures.py`. Green is the truth, amber what was found; small things are shown enlarged. Of "
        f"a set with more labels, the {ROWS} of the most images. Sets without a licence that lets pictures be passed on "
        "are not shown; each picture stays under its set's licence.",
    ]
    parts += [f"## {name}\n\n{line}\n\n![{name}](pictures/results/{name}.jpg)" for name, line in lines.items()]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = arguments(__doc__, "the folder for GALLERY.md and pictures/results/")
    parser.add_argument("--all", action="store_true", help="sets without an open licence too: not to be published")
    args = parser.parse_args()
    assistant, rows, lines, size = Assistant.load(args.model), [], {}, 0
    for records in chosen(args.data, args.split, args.limit, lambda r: marked(r) and (args.all or shown(r))):
        name, found = records[0].set, cases(assistant, records)
        labels = {}
        for label, _ in Counter(label for _, label, _ in found).most_common():
            mine = [case for case in found if case[1] == label]
            labels[label] = picks(mine)
            reached = {kind: f"{value:.3f}" for kind, _, value in labels[label]}
            mean = interval([value for *_, value in mine], [patient(record) for record, *_ in mine])
            rows.append([name, label, len(mine), mean, *(reached.get(kind, "") for kind in CASES)])
        if args.output:
            top = dict(list(labels.items())[:ROWS])
            path = args.output / "pictures" / "results" / f"{name}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            sheet(assistant, top).save(path, "JPEG", quality=QUALITY, optimize=True)
            size += path.stat().st_size
            licence = OPEN.get(name, "no open licence: not to be published")
            lines[name] = f"{', '.join(top)} ({len(records)} images; {licence})."
    if args.output:
        (args.output / "GALLERY.md").write_text(gallery(lines, assistant.name, args.split), encoding="utf-8")
    print(table(["set", "label", "n", "Dice, mean and 95 % interval by patient", *CASES], rows))
    if size > MOST_BYTES:
        print(f"\nThe pictures weigh {size:,} bytes, more than {MOST_BYTES:,}: lower QUALITY or ROWS.")


if __name__ == "__main__":
    main()
