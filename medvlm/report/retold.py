"""The sentences of a corrected report: the draft's, a person's, and new ones where corrections made the draft's untrue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import RequestError
from ..types import Finding, Report, Section, Sentence, Study
from ..vocabulary import is_finding
from .draft import listed, outcome
from .edits import AddSentence, Corrections, EditSentence, RejectSentence

EXAMINATION = "Examination"  # begins each report that was drafted
TOLD_ANEW = ("Findings", "Impression")


@dataclass(frozen=True)
class _Telling:
    draft: Report
    out: Report  # whose findings and regions are the corrected ones
    retold: set[int]  # findings that are told anew
    numbers: Mapping[int, int]  # of the draft's regions that are left
    study: Study

    def by(self, number: int) -> str:
        """Whose word a finding rests on."""
        new = number >= len(self.draft.findings) or not self.draft.findings[number].regions
        return "drawn by the reader" if new and self.out.findings[number].regions else "corrected by a person"


def told(
    draft: Report,
    out: Report,
    corrections: Corrections,
    retold: set[int],
    numbers: Mapping[int, int],
    study: Study,
) -> list[Section]:
    """The sections: what a person wrote stays as it was written, whatever else they corrected.

    Raises `RequestError` where a correction names what there is not.
    """
    telling = _Telling(draft, out, retold, numbers, study)
    written: dict[tuple[str, int], str | None] = {}  # None for a rejected one
    added: dict[str, list[Sentence]] = {}
    for one in corrections.made:
        if isinstance(one, EditSentence | RejectSentence):
            _check_sentence(draft, one.section, one.sentence)
            written[one.section, one.sentence] = one.text if isinstance(one, EditSentence) else None
        elif isinstance(one, AddSentence):
            added.setdefault(one.section, []).append(_added(one, out))
    titles = [section.title for section in draft.sections]
    sections = []
    anew = (
        TOLD_ANEW if EXAMINATION in titles else TOLD_ANEW[:1]
    )  # where nothing was looked for, there is nothing to sum up
    for title in dict.fromkeys([*titles, *(anew if retold else ()), *added]):
        old = next((section.sentences for section in draft.sections if section.title == title), [])
        mine = {number: text for (name, number), text in written.items() if name == title}
        told_of = {one.finding for one in added.get(title, []) if one.finding is not None}
        about, rest = _section(title, old, mine, told_of, telling)
        sections.append(Section(title, [*about, *added.get(title, []), *rest]))
    return [section for section in sections if section.sentences]


def renumbered(regions: Sequence[int], numbers: Mapping[int, int]) -> list[int]:
    return [numbers[i] for i in regions if i in numbers]


def _check_sentence(draft: Report, title: str, number: int) -> None:
    section = next((section for section in draft.sections if section.title == title), None)
    if section is None or number >= len(section.sentences):
        raise RequestError(f"A correction names sentence {number} of {title!r}, which the draft does not have.")


def _added(one: AddSentence, out: Report) -> Sentence:
    if one.finding is None:
        return Sentence(one.text)
    if one.finding >= len(out.findings):
        raise RequestError(f"A correction names finding {one.finding}, which the report does not have.")
    return Sentence(one.text, one.finding, list(out.findings[one.finding].regions))


def _section(
    title: str, old: Sequence[Sentence], written: Mapping[int, str | None], told_of: set[int], telling: _Telling
) -> tuple[list[Sentence], list[Sentence]]:
    """The sentences on single findings, but for those `told_of` in a sentence that a person added, and those that sum up what
    was not found."""
    anew = telling.retold if title in TOLD_ANEW else set()
    summing = _summing_up(telling.draft) if title in TOLD_ANEW else set()
    said: set[int] = set()
    about: list[Sentence] = []
    rest: list[Sentence] = []
    for number, sentence in enumerate(old):
        group = rest if sentence.text in summing else about
        linked = _linked(sentence, telling)
        if number in written:
            text = written[number]
            group += [] if text is None else [Sentence(text, linked.finding, linked.regions)]
        elif sentence.finding in anew:
            group += [] if sentence.finding in said else _anew(title, sentence.finding, telling)
        elif anew and group is rest:
            pass  # summed up anew below
        elif title in TOLD_ANEW or not _is_gone(sentence, telling):
            group.append(linked)
        said |= set() if sentence.finding is None else {sentence.finding}
    for number in sorted(anew - said - told_of):
        about += _anew(title, number, telling)
    wrote = any(old[number].text in summing for number in written)
    return about, rest if wrote or not anew else [*rest, *_summary(title, about, telling.out)]


def _linked(sentence: Sentence, telling: _Telling) -> Sentence:
    return Sentence(sentence.text, sentence.finding, renumbered(sentence.regions, telling.numbers))


def _is_gone(sentence: Sentence, telling: _Telling) -> bool:
    """Whether a sentence speaks of a finding that a person rejected."""
    number = sentence.finding
    return number in telling.retold and number is not None and telling.out.findings[number].presence == "absent"


def _summing_up(report: Report) -> set[str]:
    """What a draft can say of all that was not found."""
    outcomes = [outcome(report, found, remarks) for found in (True, False) for remarks in (True, False)]
    return {sentence.text for sentences in (listed(report), *outcomes) for sentence in sentences}


def _summary(title: str, about: Sequence[Sentence], out: Report) -> list[Sentence]:
    """What is said of all that was looked for."""
    if title == "Findings":
        return listed(out)
    named = [out.findings[one.finding].label for one in about if one.finding is not None]
    found = any(map(is_finding, named))
    return outcome(out, found, bool(named) and not found)


def _anew(title: str, number: int | None, telling: _Telling) -> list[Sentence]:
    """What there is now of a finding, in one sentence; none for what is absent or, if uncertain, nowhere."""
    if number is None:
        return []
    finding, study = telling.out.findings[number], telling.study
    located = bool(finding.regions)
    if finding.presence == "absent" or (finding.presence == "uncertain" and not located):
        return []
    name = f"Possible {finding.label}" if finding.presence == "uncertain" else _capital(finding.label)
    if title == "Impression":
        named = not located or any(
            finding.label in (telling.out.regions[i].label, telling.out.regions[i].phrase) for i in finding.regions
        )  # else its types are spoken of
        text = f"{name} ({telling.by(number)})."
        return [Sentence(text, number, list(finding.regions))] if is_finding(finding.label) and named else []
    text = f"{described(name, finding, telling.out, study)}; {telling.by(number)}."
    return [Sentence(text, number, list(finding.regions))]


def described(name: str, finding: Finding, out: Report, study: Study) -> str:
    """A finding with its place among several images and its sizes: "Liver on slices 2 to 16 of 20, 61 × 40 mm"."""
    from .export.wording import images_of, measured

    if len(study.images) > 1 and finding.regions:
        name += f" on {_where(images_of(finding, out), study)}"
    sizes = measured(finding.measurements) or ("" if finding.regions else "not located")
    return ", ".join(filter(None, [name, sizes]))


def _where(images: Sequence[int], study: Study) -> str:
    """Such as "slices 2 to 16 of 20"."""
    from .export.wording import image_name, references

    if len(images) == 1:
        return image_name(study, images[0])
    if study.is_volume:
        return f"slices {images[0] + 1} to {images[-1] + 1} of {len(study.images)}"
    return f"images {references(images, '')}"


def _capital(label: str) -> str:
    return label[0].upper() + label[1:]
