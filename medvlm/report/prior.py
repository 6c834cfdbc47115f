"""A report that is compared with a prior study: both are of one kind, both are read alike, and what changed is a section."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..errors import RequestError
from ..sampling import examined_images
from ..types import Image, ImageFacts, Report, Study
from .alignment import Alignment, align, moved
from .changes import section
from .comparison import INCOMPARABLE, UNCHANGED, Change, Comparison, Side, compare
from .draft import MODALITY_WORDS

SURE = 0.6  # probability of what an image is taken for, from which it decides whether two are of one kind


def report_with_prior(
    study: Study,
    prior: Study,
    report: Callable[[Study], Report],
    facts: Callable[[Study], ImageFacts],
    remarks: Sequence[str] = (),
) -> Report:
    """The report of a study with a section "Comparison with the prior" behind its findings.

    `report` and `facts` are the assistant's, `remarks` what is known of the order of the two and whose they are. Raises
    `RequestError` where they are not of one kind.
    """
    modality = check_kind(study, prior, facts(study), facts(prior))
    alignment = align(study, prior, modality)
    current, earlier = report(study), report(prior)
    sides = [Side(s, r, examined_images(s)) for s, r in ((study, current), (prior, earlier))]
    current.comparison = Comparison(compare(sides[0], sides[1], alignment), earlier, alignment, list(remarks))
    at = next((i for i, s in enumerate(current.sections) if s.title == "Impression"), len(current.sections))
    current.sections.insert(at, section(current.comparison, study))
    current.notices += [text for n in earlier.notices if (text := f"Of the prior: {n}") and n not in current.notices]
    return current


def check_kind(study: Study, prior: Study, facts: ImageFacts, prior_facts: ImageFacts) -> str:
    """The modality of both. Raises `RequestError` in one sentence where modality, body part, plane, view or sequence differ."""
    kinds = []
    for s, f in ((study, facts), (prior, prior_facts)):
        modality, part = s.modality or f.modality, s.body_part or f.body_part
        sure = bool(s.modality) or f.modality_confidence >= SURE, bool(s.body_part) or f.body_part_confidence >= SURE
        kinds.append(((modality, sure[0]), (part, sure[1])))
    differs = any(a[0] != b[0] and a[1] and b[1] for a, b in zip(*kinds, strict=True))
    words = [f"{MODALITY_WORDS.get(kind[0][0], kind[0][0])} of the {kind[1][0]}" for kind in kinds]
    if differs:
        raise RequestError(f"The image is {words[0]} and the prior {words[1]}: give a prior of the same kind.")
    for key in ("plane", "view", "sequence"):
        stated = [s.metadata.get(key) for s in (study, prior)]
        if all(stated) and stated[0] != stated[1]:
            raise RequestError(
                f"The {key} of the image is {stated[0]} and that of the prior {stated[1]}: give a prior of the same {key}."
            )
    return str(kinds[0][0][0])


def told(comparison: Comparison, study: Study) -> dict[str, list[Change]]:
    """The changes that each sentence of the section "Comparison with the prior" tells, by its text."""
    groups: dict[tuple[str, str | int], list[Change]] = {}
    for number, change in enumerate(comparison.changes):
        apart = number if change.kind not in (UNCHANGED, INCOMPARABLE) else change.reason
        groups.setdefault((change.kind, apart), []).append(change)
    out: dict[str, list[Change]] = {}
    for changes in groups.values():
        text = section(replace(comparison, changes=changes), study).sentences[-1].text
        out.setdefault(text, []).extend(changes)
    return out


def laid(prior: Study, alignment: Alignment, image: int, most: int) -> np.ndarray | None:
    """The prior where it lies on an image of the current study: uint8 `(H, W)` or `(H, W, 3)`, black outside of it.

    As fine as the prior is, and as large as the image at least, as long as no side is longer than `most` pixels. None where
    that image is not compared.
    """
    place = _place(prior, alignment, image, most)
    if place is None:
        return None
    slices, matrix, shape = place
    if not slices:
        return np.zeros(shape[1:], np.uint8)
    colour = any(slice_.pixels.ndim == 3 for slice_ in slices)
    pixels = np.stack([slice_.rgb if colour else slice_.pixels[..., None] for slice_ in slices])
    planes = [moved(channel.astype(np.float32), matrix, shape)[0] for channel in np.moveaxis(pixels, -1, 0)]
    picture = np.clip(np.rint(np.stack(planes, axis=-1)), 0, 255).astype(np.uint8)
    return picture if colour else picture[..., 0]


def laid_values(prior: Study, alignment: Alignment, image: int, most: int) -> np.ndarray | None:
    """The values behind `laid`'s picture, before any window: `(H, W)` of the prior's own kind of numbers, the least of them
    outside of it. None where that image is not compared, or no values were kept."""
    place = _place(prior, alignment, image, most)
    if place is None:
        return None
    slices, matrix, shape = place
    numbers = [slice_.values.numbers for slice_ in slices if slice_.values]
    if not numbers or len(numbers) < len(slices):
        return None
    stack = np.stack(numbers)
    least = stack.min()
    out = moved((stack - np.float32(least)).astype(np.float32), matrix, shape)[0] + least
    return np.rint(out).astype(stack.dtype) if stack.dtype.kind == "i" else out.astype(stack.dtype)


def _place(
    prior: Study, alignment: Alignment, image: int, most: int
) -> tuple[list[Image], np.ndarray, tuple[int, int, int]] | None:
    """The slices of the prior that an image of the current study goes through, the map from that image's pixels, made as fine
    as the prior is, to theirs, and the shape of what it gives."""
    if image not in alignment.images:
        return None
    height, width = alignment.current[1:]
    fine = max(1.0, float(abs(np.linalg.det(alignment.matrix[1:3, 1:3]))) ** 0.5)
    fine = min(fine, most / max(height, width))
    matrix = alignment.matrix.copy()
    matrix[:3, 3] += matrix[:3, 0] * alignment.images.index(image) + matrix[:3, 1:3] @ np.full(2, 0.5 / fine - 0.5)
    matrix[:3, 1:3] /= fine
    shape = 1, max(1, round(height * fine)), max(1, round(width * fine))
    at = [matrix[0] @ (0, row, column, 1) for row in (0, shape[1]) for column in (0, shape[2])]
    first, last = max(0, int(np.floor(min(at)))), min(alignment.prior[0] - 1, int(np.ceil(max(at))))
    matrix[0, 3] -= first
    return [prior.images[i] for i in alignment.prior_images[first : last + 1]], matrix, shape


def middle_on_middle(alignment: Alignment) -> Alignment:
    """Another map, for a prior that could not be laid on the image: all of it in view, its middle on the image's."""
    sizes = np.array([alignment.prior, alignment.current], float)
    scale = sizes[0] / sizes[1]
    scale[1:] = scale[1:].max()
    matrix = np.diag([*scale, 1.0])
    matrix[:3, 3] = (sizes[0] - 1) / 2 - scale * (sizes[1] - 1) / 2
    return replace(alignment, matrix=matrix)
