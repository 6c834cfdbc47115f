"""Which of several regions are meant: sides, ranks, inside and near, types. Names and geometry of regions of one image."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import numpy as np

from ..types import Region
from ..vocabulary import other_types, whole
from .meanings import options_in

AREA = attrgetter("area")  # of a region, px²
MIDDLE = (1 / 3, 2 / 3)
BETWEEN = 0.06  # of the width or height: so near to its half, a thing is on neither side
SPANS = 0.6  # a thing of this much of the width or height is on no side of it
DIRECTIONS = {"row": ("upper", "lower", "top", "bottom"), "column": ("left", "right")}
HALF = 0.5  # IoU from which a thing and one of its types are the same
SIDED = ("x-ray", "ct", "mri")  # modalities that show the patient's right on the left


def centre(region: Region) -> tuple[float, float]:
    """The middle of a region's box, `(x, y)` px."""
    x0, y0, x1, y1 = region.box
    return (x0 + x1) / 2, (y0 + y1) / 2


def lies(region: Region, where: str, size: tuple[int, int], mirrored: bool) -> bool:
    """Whether a region's middle is on a side of an image of `size` `(H, W)`; `mirrored` where left means the patient's left,
    which is shown on the right."""
    (x, y), (height, width) = centre(region), size
    x, y = x / width, y / height
    sides = {"left": x > 0.5 if mirrored else x < 0.5, "right": x < 0.5 if mirrored else x > 0.5}
    sides |= {"upper": y < 0.5, "lower": y > 0.5}
    sides["middle"] = MIDDLE[0] <= x <= MIDDLE[1] and MIDDLE[0] <= y <= MIDDLE[1]
    return all(sides[word] for word in where.split())


def words_for(region: Region, size: tuple[int, int], mirrored: bool, question: str = "") -> str:
    """Where a region's middle is, such as "upper right" or "centre"; the patient's side where the display is `mirrored`.
    Nothing of a direction in which it spans most of the image, or that a question such as "top or bottom?" does not ask for.
    """
    (x, y), (height, width), (x0, y0, x1, y1) = centre(region), size, region.box
    x, y = x / width, y / height
    axes = {direction for direction, words in DIRECTIONS.items() if options_in(question, words)}
    across = "column" not in axes if axes else (x1 - x0) / width > SPANS
    down = "row" not in axes if axes else (y1 - y0) / height > SPANS
    near = abs(x - 0.5) <= BETWEEN, abs(y - 0.5) <= BETWEEN
    row = "" if down or near[1] else "upper" if y < 0.5 else "lower"
    column = "" if across or near[0] else "left" if (x < 0.5) != mirrored else "right"
    if row or column:
        return f"{row} {column}".strip()
    return "most" if across and down and not axes else "centre"


def phrase(words: str, mirrored: bool) -> str:
    """A place as part of a sentence, such as "in the upper right of the image" or "in the lower part, on the patient's left"."""
    if words == "most":
        return "across most of the image"
    if words == "centre":
        return "in the centre of the image"
    row, column = (
        next((w for w in words.split() if w in side), "") for side in (("upper", "lower"), ("left", "right"))
    )
    if not column:
        return f"in the {row} part of the image"
    if not mirrored:
        return f"in the {words} of the image" if row else f"on the {column} side of the image"
    return f"in the {row} part, on the patient's {column}" if row else f"on the patient's {column}"


def within(region: Region, organs: Sequence[Region], share: float = 0.5) -> bool:
    """Whether at least a share of a region lies in one of some organs' regions."""
    for organ in organs:
        if organ.mask is None or region.mask is None:
            x, y = centre(region)
            x0, y0, x1, y1 = organ.box
            if x0 <= x < x1 and y0 <= y < y1:
                return True
        elif (organ.mask & region.mask).sum() >= share * max(1, region.mask.sum()):
            return True
    return False


def apart(region: Region, other: Region) -> float:
    """The distance between two regions' middles in px."""
    return float(np.hypot(*np.subtract(centre(region), centre(other))))


def ranked(regions: Sequence[Region], which: str, focus: Sequence[Region]) -> list[Region]:
    """The regions that a rank picks; "other" are those that are not in `focus`."""
    by_size = sorted(regions, key=AREA, reverse=True)
    if which == "other":
        return [r for r in regions if not any(same_place(r, f) for f in focus)]
    if which == "smallest":
        return by_size[-1:]
    if which == "last":
        return list(regions[-1:])
    at = {"largest": 0, "first": 0, "second": 1, "third": 2}.get(which)
    return list(regions) if at is None else by_size[at : at + 1]


def same_place(region: Region, other: Region) -> bool:
    """Whether two regions are the same one: of one image, with boxes that overlap by more than half (IoU)."""
    if region.image != other.image:
        return False
    a, b = np.array(region.box), np.array(other.box)
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    return shared > 0.5 * (float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - shared)


def overlap(region: Region, other: Region) -> float:
    """Intersection over union of two regions' masks, or, where one has none, of their boxes."""
    if region.mask is not None and other.mask is not None:
        return float((region.mask & other.mask).sum() / max(1, (region.mask | other.mask).sum()))
    a, b = np.array(region.box), np.array(other.box)
    shared = float(np.prod(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)))
    return shared / max(1e-6, float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - shared)


def nth(regions: list[Region], which: str) -> list[Region]:
    """Of the kinds of things that were told, the one at a rank, such as the first; else what `ranked` picks."""
    names = list(dict.fromkeys(region.label for region in regions))
    at = {"first": 0, "second": 1, "third": 2, "last": -1}.get(which)
    if at is None or len(names) == 1:
        return ranked(regions, which, ())
    return [region for region in regions if region.label in names[at:][:1]]


def likeliest_types(regions: Sequence[Region]) -> list[Region]:
    """Of the types of one thing, of which an image shows at most one, those of the surest alone."""
    best: dict[str, float] = {}
    for region in regions:
        name = region.phrase or region.label
        best[name] = max(best.get(name, 0.0), region.score)

    def beaten(name: str) -> bool:
        return any(best.get(other, 0.0) > best[name] for other in other_types(name))

    return [region for region in regions if not beaten(region.phrase or region.label)]


def once(regions: Sequence[Region]) -> list[Region]:
    """Regions without those of a thing that are there as one of its types, or as its left or right one, as well."""
    names = {r.phrase or r.label for r in regions}

    def told(r: Region) -> bool:
        name = r.phrase or r.label
        sided = {f"left {name}", f"right {name}"} & names
        return bool(sided) or any(whole(o.phrase or o.label) == name and overlap(o, r) > HALF for o in regions)

    return [r for r in regions if not told(r)]
