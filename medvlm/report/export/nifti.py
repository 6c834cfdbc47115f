"""Masks of a report as NIfTI label maps in the source's own space, with the names of the labels in the header."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import nibabel as nib
import numpy as np

from ...types import Image, Region, Report, Study
from ...vocabulary import LABELS
from ..overlay import label_colours
from .wording import shown_images

COMMENT = 0  # the code that TotalSegmentator gives its label tables, which nibabel reads back


def write(report: Report, study: Study, folder: Path) -> list[Path]:
    """`masks.nii.gz` for a stack whose place in the patient is known, else a file an image: a label map, empty where nothing
    was found. Where labels overlap, the smaller one is on top in it, and a folder beside it has a whole map of each label.

    Regions without a mask are left out.
    """
    regions = [region for region in report.regions if region.mask is not None and region.mask.any()]
    values = {label: i for i, label in enumerate(dict.fromkeys(region.label for region in regions), 1)}
    paths: list[Path] = []
    for name, affine, shape, masks in _files(regions, study, shown_images(report, study)):
        together = np.zeros(shape, np.uint8 if len(values) < 256 else np.uint16)
        for label in sorted(masks, key=lambda label: -masks[label].sum()):
            together[masks[label]] = values[label]
        files = {f"{name}.nii.gz": (together, values)}
        if any((together[mask] != values[label]).any() for label, mask in masks.items()):
            (folder / name).mkdir(exist_ok=True)
            files |= {
                f"{name}/{_slug(label, values)}.nii.gz": (mask.astype(np.uint8), {label: 1})
                for label, mask in masks.items()
            }
        for file, (voxels, names) in files.items():
            paths.append(folder / file)
            _save(paths[-1], voxels, affine, names)
    return paths


def _files(
    regions: Sequence[Region], study: Study, images: Sequence[int]
) -> Iterator[tuple[str, np.ndarray, tuple[int, ...], dict[str, np.ndarray]]]:
    """The name, the affine and the shape of each label map, and the mask of each label as its voxels."""
    space = study.space
    if space is not None:
        masks = {region.label: np.zeros(space.shape, bool) for region in regions}
        for region in regions:
            planes = np.moveaxis(masks[region.label], space.axis, 0)
            planes[space.plane(region.image)] |= _stored(region, study)
        yield "masks", space.affine, space.shape, masks
        return
    for image in images:
        shown = study.images[image]
        rows, columns = shown.turn.stored if shown.turn else shown.size
        masks = {region.label: np.zeros((columns, rows, 1), bool) for region in regions if region.image == image}
        for region in regions:
            if region.image == image:
                masks[region.label][..., 0] |= _stored(region, study).T
        yield f"masks_image_{image + 1:03d}", _flat(shown), (columns, rows, 1), masks


def _slug(label: str, values: dict[str, int]) -> str:
    """Part of a file's name: the label if it is of the vocabulary, since what somebody typed could name a patient."""
    name = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_") if label in LABELS else "label"
    return f"{values[label]:02d}_{name}"


def _save(path: Path, voxels: np.ndarray, affine: np.ndarray, names: dict[str, int]) -> None:
    picture = nib.Nifti1Image(voxels, affine)
    picture.header.set_xyzt_units("mm")
    picture.header.extensions.append(nib.nifti1.Nifti1Extension(COMMENT, _table(names)))
    nib.save(picture, path)


def _stored(region: Region, study: Study) -> np.ndarray:
    """The mask in the file's own rows and columns."""
    assert region.mask is not None
    turn = study.images[region.image].turn
    return turn.to_stored(region.mask) if turn else region.mask


def _flat(image: Image) -> np.ndarray:
    """The affine of a picture: columns, rows and their spacing in mm, 1 where it is unknown."""
    high, wide = image.spacing_mm or (1.0, 1.0)
    if image.turn:
        lengths = (high * image.turn.shown[0], wide * image.turn.shown[1])
        high, wide = lengths[::-1] if image.turn.exchanged else lengths
        high, wide = high / image.turn.stored[0], wide / image.turn.stored[1]
    return np.diag([wide, high, 1.0, 1.0])


def _table(values: dict[str, int]) -> bytes:
    """The label table that Connectome Workbench, TotalSegmentator and others read."""
    colours = label_colours(values)
    rows = [
        f'<Label Key="{value}" Red="{r / 255:.3f}" Green="{g / 255:.3f}" Blue="{b / 255:.3f}" Alpha="1">{escape(label)}</Label>'
        for label, value in values.items()
        for r, g, b in [colours[label]]
    ]
    inside = f'<VolumeInformation Index="0"><LabelTable>{"".join(rows)}</LabelTable></VolumeInformation>'
    return f'<?xml version="1.0" encoding="UTF-8"?><CaretExtension>{inside}</CaretExtension>'.encode()
