"""One data set for the tests of the evaluation: bright rectangles, of which one outline shows half."""

from __future__ import annotations

import json
from pathlib import Path

import PIL.Image

from .fakes import square


def write_data_set(folder: Path) -> Path:
    """Two training and three validation images of one set, each of one bright rectangle."""
    rows = []
    for i, split in enumerate(["train", "train", "val", "val", "val"]):
        box = [16, 16, 48, 40]
        truth = square(box=box, value=1)
        if i == 4:
            truth = square(box=[16, 16, 32, 40], value=1)  # half of what the image shows: Dice 2/3
        for kind, pixels in (("images", square(box=box)), ("masks", truth)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(pixels).save(folder / kind / f"{i}.png")
        rows.append(
            {
                "id": f"image{i}", "set": "own", "split": split, "patient": f"p{i}",
                "file_name": f"images/{i}.png",
                "modality": "ultrasound", "body_part": "fetal head" if i < 4 else "breast",
                "regions": [{"label": "fetal head", "mask": f"masks/{i}.png", "boxes": [box]}],
                "absent": ["absent blob", "liver"],
                "labels": {"fracture": "no" if i == 3 else "yes", "grade": "none of these", "age": 40},
                "qa": [
                    {"question": "Is it bright?", "answer": "Yes" if i != 3 else "No", "type": "closed", "lang": "en"},
                    {"question": "亮吗?", "answer": "是", "type": "closed", "lang": "zh"},
                ],
            }
        )  # fmt: skip
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder
