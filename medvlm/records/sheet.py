"""A contact sheet of what a data set shows: `medvlm data check --sheet`."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from scipy import ndimage

from ..errors import RecordError
from ..report.overlay import PALETTE, Colour, label_colours
from ..sampling import evenly_spaced
from .check import Row, image_source, raw_rows
from .readers import to_record
from .record import Record

IMAGES, COLUMNS, CELL, CAPTION = 48, 6, 256, 36  # the last two in pixels


def contact_sheet(folder: str | Path, picture: str | Path) -> None:
    """Draw up to 48 evenly spread images with their regions into a PNG; those that cannot be read stay empty.

    Raises `RecordError` where there is no data set, or the PNG cannot be written.
    """
    count = sum(isinstance(row, Row) for row in raw_rows(Path(folder)))
    sampled = set(evenly_spaced(range(count), IMAGES))
    rows = (row for row in raw_rows(Path(folder)) if isinstance(row, Row))
    cells = [_cell(row) for number, row in enumerate(rows) if number in sampled]
    columns = max(1, min(COLUMNS, len(cells)))
    lines = max(1, math.ceil(len(cells) / columns))
    sheet = PIL.Image.new("RGB", (columns * (CELL + 8), lines * (CELL + CAPTION + 8)), (24, 26, 30))
    for number, cell in enumerate(cells):
        sheet.paste(cell, (number % columns * (CELL + 8) + 4, number // columns * (CELL + CAPTION + 8) + 4))
    try:
        sheet.save(picture, format="PNG")
    except OSError as error:
        raise RecordError(f"The contact sheet cannot be written to {str(picture)!r}: {error.strerror}.") from None


def _cell(row: Row) -> PIL.Image.Image:
    """One image with its regions; below it the row's place and kind, and the regions' labels in their colours."""
    cell = PIL.Image.new("RGB", (CELL, CELL + CAPTION), (40, 42, 48))
    draw, font = PIL.ImageDraw.Draw(cell), PIL.ImageFont.load_default(size=11)
    place = row.where.rpartition(" ")[2]
    x = 4.0
    try:
        record = to_record(row.values, image_source(row), row.folder, row.split)
        colours = label_colours(region.label for region in record.regions)
        shown = _drawn(record, colours)
        cell.paste(shown, ((CELL - shown.width) // 2, (CELL - shown.height) // 2))
        for label, colour in colours.items():
            draw.text((x, CELL + 18), label, fill=colour, font=font)
            x += draw.textlength(label + "  ", font=font)
    except Exception:  # whatever it is, check_folder says it in words
        draw.text((8, CELL // 2), "cannot be drawn", fill=PALETTE[2], font=font)
    words = [place, row.values.get("split") or row.split, row.values.get("modality"), row.values.get("body_part")]
    draw.text((4, CELL + 2), "  ".join(str(word) for word in words if word), fill=(200, 204, 210), font=font)
    return cell


def _drawn(record: Record, colours: dict[str, Colour]) -> PIL.Image.Image:
    """A record's image at the size of a cell, with outlines and boxes; tags would hide it at this size."""
    image = PIL.Image.fromarray(record.image)
    scale = CELL / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    pixels = np.array(image.resize(size), np.float32)
    boxes = []
    for region in record.regions:
        mask, colour = region.mask, np.asarray(colours[region.label], np.float32)
        if mask is None:
            boxes += [([v * scale for v in box], colours[region.label]) for box in region.boxes]
            continue
        ids = np.asarray(PIL.Image.fromarray(mask).resize(size, PIL.Image.Resampling.NEAREST))
        pixels[ids > 0] = 0.75 * pixels[ids > 0] + 0.25 * colour
        pixels[(ids > 0) & (ndimage.minimum_filter(ids, 3) != ids)] = colour
    picture = PIL.Image.fromarray(pixels.astype(np.uint8))
    for box, line in boxes:
        PIL.ImageDraw.Draw(picture).rectangle((*box[:2], box[2] - 1, box[3] - 1), outline=line)
    return picture
