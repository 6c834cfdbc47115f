"""What several commands print and write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import RequestError


def region_lines(regions: list[Any]) -> list[str]:
    lines = []
    for region in regions:
        box = ", ".join(f"{v:.0f}" for v in region.box)
        place = f"image {region.image + 1}, " if region.image else ""
        lines.append(f"{region.label}: {place}box {box} px, score {region.score:.2f}")
    return lines


def write_overlay(path: Path, study: Any, regions: list[Any]) -> None:
    import PIL.Image

    from ..report.overlay import draw_overlay

    index = regions[0].image if regions else study.default
    shown = [region for region in regions if region.image == index]
    make_parent(path)
    try:
        PIL.Image.fromarray(draw_overlay(study.images[index].pixels, shown)).save(path, format="PNG")
    except OSError as error:
        raise RequestError(f"The overlay cannot be written to {str(path)!r}: {error.strerror}.") from error


def make_parent(path: Path | None) -> None:
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"The folder of {str(path)!r} cannot be made: {error.strerror}.") from error
