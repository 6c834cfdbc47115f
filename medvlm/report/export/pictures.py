"""Images of a report as PNG: with its regions drawn over them, or with COCO's annotations beside. Text in their pixels is
blacked out unless the study says otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import PIL.Image

from ...progress import tracked
from ...sampling import examined_images
from ...studies.burned_in import leaving_pixels
from ...types import Region, Report, Study, encode_mask
from ..overlay import draw_overlay, label_colours
from .wording import shown_images


def write_png(report: Report, study: Study, folder: Path) -> list[Path]:
    """An overlay at its own size for every image with regions, or for the first one where nothing was found."""
    (folder / "overlays").mkdir(exist_ok=True)
    colours, paths = label_colours(region.label for region in report.regions), []
    for image in shown_images(report, study):
        regions = [region for region in report.regions if region.image == image]
        paths.append(folder / "overlays" / _file(image))
        PIL.Image.fromarray(draw_overlay(leaving_pixels(study, image), regions, colours=colours)).save(paths[-1])
    return paths


def write_coco(report: Report, study: Study, folder: Path) -> list[Path]:
    """`coco/annotations.json` and the images that it is of: those examined and those with regions."""
    images = sorted({*examined_images(study), *shown_images(report, study)})
    (folder / "coco" / "images").mkdir(parents=True, exist_ok=True)
    paths = [folder / "coco" / "annotations.json"]
    paths[0].write_text(json.dumps(to_coco(report, study, images), indent=1) + "\n", encoding="utf-8")
    for image in tracked(images):
        paths.append(folder / "coco" / "images" / _file(image))
        PIL.Image.fromarray(leaving_pixels(study, image)).save(paths[-1])
    return paths


def to_coco(report: Report, study: Study, images: list[int]) -> dict[str, Any]:
    """What pycocotools reads: masks as compressed run lengths, regions without a mask by their box alone.

    Ids of images, categories and annotations count from 1; a category is a label.
    """
    labels = {label: i for i, label in enumerate(dict.fromkeys(region.label for region in report.regions), 1)}
    return {
        "info": {"description": report.disclaimer, "contributor": report.model},
        "images": [
            {
                "id": image + 1,
                "file_name": f"images/{_file(image)}",
                "height": study.images[image].size[0],
                "width": study.images[image].size[1],
            }
            for image in images
        ],
        "categories": [{"id": i, "name": label} for label, i in labels.items()],
        "annotations": [
            {"id": i, "category_id": labels[region.label], **_annotation(region)}
            for i, region in enumerate(report.regions, 1)
        ],
    }


def _annotation(region: Region) -> dict[str, Any]:
    x0, y0, x1, y1 = map(float, region.box)
    area = (x1 - x0) * (y1 - y0) if region.mask is None else float(region.mask.sum())
    return {
        "image_id": region.image + 1,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": area,
        "iscrowd": 0,
        "score": round(float(region.score), 4),
        "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]] if region.mask is None else encode_mask(region.mask),
    }


def _file(image: int) -> str:
    return f"image_{image + 1:03d}.png"
