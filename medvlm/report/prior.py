"""A report that is compared with a prior study: both are of one kind, both are read alike, and what changed is a section."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..errors import RequestError
from ..types import ImageFacts, Report, Study
from .alignment import align
from .changes import section
from .comparison import Comparison, Side, compare
from .draft import MODALITY_WORDS, examined_images

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
    sides = [Side(s, r, _examined(s)) for s, r in ((study, current), (prior, earlier))]
    current.comparison = Comparison(compare(sides[0], sides[1], alignment), earlier, alignment, list(remarks))
    at = next((i for i, s in enumerate(current.sections) if s.title == "Impression"), len(current.sections))
    current.sections.insert(at, section(current.comparison, study))
    current.notices += [text for n in earlier.notices if (text := f"Of the prior: {n}") and n not in current.notices]
    return current


def check_kind(study: Study, prior: Study, facts: ImageFacts, prior_facts: ImageFacts) -> str:
    """The modality of both. Raises `RequestError` in one sentence where modality, body part, plane or view differ."""
    kinds = []
    for s, f in ((study, facts), (prior, prior_facts)):
        modality, part = s.modality or f.modality, s.body_part or f.body_part
        sure = bool(s.modality) or f.modality_confidence >= SURE, bool(s.body_part) or f.body_part_confidence >= SURE
        kinds.append(((modality, sure[0]), (part, sure[1])))
    differs = any(a[0] != b[0] and a[1] and b[1] for a, b in zip(*kinds, strict=True))
    words = [f"{MODALITY_WORDS.get(kind[0][0], kind[0][0])} of the {kind[1][0]}" for kind in kinds]
    if differs:
        raise RequestError(f"The image is {words[0]} and the prior {words[1]}: give a prior of the same kind.")
    for key in ("plane", "view"):
        stated = [s.metadata.get(key) for s in (study, prior)]
        if all(stated) and stated[0] != stated[1]:
            raise RequestError(
                f"The {key} of the image is {stated[0]} and that of the prior {stated[1]}: give a prior of the same {key}."
            )
    return str(kinds[0][0][0])


def _examined(study: Study) -> list[int]:
    return list(range(len(study.images))) if study.is_volume else examined_images(study)
