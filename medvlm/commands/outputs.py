"""What several commands print and write."""

from __future__ import annotations

import argparse
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


def check_overlay(args: argparse.Namespace, study: Any) -> None:
    """Let the study know whether text may leave with its pixels; what finds it has to be there where `--overlay` is."""
    from ..studies.burned_in import check_installed

    study.keep_text = args.keep_text
    if args.overlay and not study.keep_text:
        check_installed()


def write_overlay(path: Path, study: Any, regions: list[Any]) -> None:
    import PIL.Image

    from ..report.overlay import draw_overlay
    from ..studies.burned_in import leaving_pixels

    index = regions[0].image if regions else study.default
    shown = [region for region in regions if region.image == index]
    make_parent(path)
    try:
        PIL.Image.fromarray(draw_overlay(leaving_pixels(study, index), shown)).save(path, format="PNG")
    except OSError as error:
        raise RequestError(f"The overlay cannot be written to {str(path)!r}: {error.strerror}.") from error


def make_parent(path: Path | None) -> None:
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"The folder of {str(path)!r} cannot be made: {error.strerror}.") from error
