"""Which of several things among a user's files is the most useful one."""

from __future__ import annotations

Rank = tuple[bool, int, float, bool, int]

_KINDS = {"volume": 2, "video": 1, "series": 1, "picture": 0}


def rank(
    kind: str, images: int, aside: bool = False, weight: float = 1.0, axial: bool = False, detail: int = 16
) -> Rank:
    """Larger for what is more useful: volumes, then clips and sets of views, then pictures; within these, many images.

    Args:
        aside: taken only where nothing else is there, such as localizers and captured screens.
        weight: what an image of it counts, less than 1 where it was derived from others.
        axial: settles draws between volumes.
        detail: settles other draws: bits of a pixel, few of which tell of outlines, or the pixels of a slide.
    """
    return not aside, _KINDS[kind], images * weight, axial, detail
