"""The comparison with a prior, made anew for a report that a person corrected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..sampling import examined_images
from ..types import Report, Section, Sentence, Study
from .changes import TITLE, section
from .comparison import Side, compare
from .corrections import BEFORE, PROVENANCE
from .edits import AddSentence, Corrections, EditSentence, RejectSentence

ANEW = "The comparison with the earlier study was made anew after that."


def recompared(report: Report, study: Study, prior: Study, kept: Sequence[str] = ()) -> Report:
    """A corrected report with what its findings show beside those of the prior. Sentences of the section that a person wrote,
    `kept`, stay behind it. Raises `ValueError` for a report that was not compared."""
    if report.comparison is None:
        raise ValueError("a report that was not compared with a prior")
    sides = Side(study, report, examined_images(study)), Side(prior, report.comparison.prior, examined_images(prior))
    comparison = replace(report.comparison, changes=compare(*sides, report.comparison.alignment))
    told = section(comparison, study)
    told.sentences += [sentence for one in _named(report, TITLE) for sentence in one.sentences if sentence.text in kept]
    sections = [told if one.title == TITLE else _noted(one) for one in report.sections]
    return replace(report, comparison=comparison, sections=sections)


def outdated(report: Report, corrections: Corrections) -> bool:
    """Whether the comparison in a report is of what it was before `corrections`: more than sentences was corrected."""
    words = (AddSentence, EditSentence, RejectSentence)
    return report.comparison is not None and not all(isinstance(one, words) for one in corrections.made)


def recompared_after(report: Report, corrections: Corrections, study: Study, prior: Study | None) -> Report:
    """What `corrections` made of a draft, compared anew where it was compared and more than sentences was corrected."""
    if prior is None or not outdated(report, corrections):
        return report
    wrote = [one for one in corrections.made if isinstance(one, AddSentence | EditSentence)]
    return recompared(report, study, prior, [one.text for one in wrote if one.section == TITLE])


def _named(report: Report, title: str) -> list[Section]:
    return [one for one in report.sections if one.title == title]


def _noted(one: Section) -> Section:
    if one.title != PROVENANCE:
        return one
    return Section(one.title, [Sentence(ANEW) if said.text == BEFORE else said for said in one.sentences])
