"""What a reader needs beside a picture: which sides of the patient its edges show, how large its pixels are, its values."""

from __future__ import annotations

from typing import Any

import numpy as np

from medvlm.perception.planes import Cut, planes_of
from medvlm.perception.volume import lattice_of
from medvlm.types import Study

from .windows import windowed
from .words import WORDS

OPPOSITE = str.maketrans("LRPAHF", "RLAPFH")
PLANES = {
    "axial": ("L", "P"),
    "coronal": ("L", "F"),
    "sagittal": ("P", "F"),
}  # to the right and the bottom, as they are cut


def reading(study: Study, image: int, plane: str = "", index: int = 0) -> dict[str, Any]:
    """Of a picture that is shown: an image of a study, or where `plane` is another than the slices' own the one of number `index`."""
    cut = planes_of(study).get(plane) if plane else None
    if cut is None or cut.across == 0:
        name = study.images[image].name if len(study.images) > 1 else ""
        return {
            "name": name,
            "letters": letters(study),
            "spacing": study.images[image].spacing_mm,
            **windowed(study, image),
        }
    name = WORDS["planes.place"].format(plane=plane, number=index + 1, count=cut.count)
    side = pixel_mm(study, cut)
    return {
        "name": name,
        "letters": edges(*PLANES[plane]),
        "spacing": side and (side, side),
        **windowed(study, image, cut, index),
    }


def letters(study: Study) -> dict[str, str] | None:
    """The patient's sides at the edges of a study's images; `None` where its files do not state them."""
    towards = study.metadata.get("orientation")
    if not study.sides_known or not towards or len(towards) != 2:
        return None
    return edges(*towards)


def edges(right: str, bottom: str) -> dict[str, str]:
    """The letters at all four edges, by those of two: R or L, A or P, H or F, or several of these for an oblique one."""
    return {"right": right, "left": right.translate(OPPOSITE), "bottom": bottom, "top": bottom.translate(OPPOSITE)}


def pixel_mm(study: Study, cut: Cut) -> float | None:
    """The side of a pixel of a cut in mm: a voxel's shortest side."""
    axes = lattice_of(study).axes
    return None if axes is None else round(float(np.linalg.norm(axes, axis=0).min()), 6)
