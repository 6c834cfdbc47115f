"""A report draft with what a person corrected in it, and how the page shows both: each thing with a name to change it by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from medvlm.errors import RequestError
from medvlm.report.carried import anchors, carried, origins
from medvlm.report.changes import TITLE as COMPARISON
from medvlm.report.corrections import PROVENANCE, Corrections, apply, places
from medvlm.report.edits import (
    AddFinding,
    AddRegion,
    AddSentence,
    ChangeFinding,
    Correction,
    EditSentence,
    RedrawRegion,
    RejectFinding,
    RejectRegion,
    RejectSentence,
    RenameFinding,
)
from medvlm.report.recompared import outdated, recompared_after
from medvlm.types import Region, Report, Section, Study, mask_box
from medvlm.vocabulary import known_name

from .history import History
from .words import WORDS

GONE = WORDS["corrections.gone"]
Made = tuple[Correction, ...]


@dataclass(frozen=True)
class Item:
    """A sentence as the page shows it. `name` is its number in the draft's section, "+" and the number of an added one, or
    "=" and the number of the finding that was told anew where the draft says nothing of it ("=None" for what sums up)."""

    text: str
    name: str
    mark: str = ""  # edited | added | rejected | told anew
    finding: int | None = None
    regions: Sequence[int] = ()


class Corrected:
    """A draft and a person's corrections of it, which can be undone; `report` is what leaves."""

    def __init__(self, draft: Report, study: Study, prior: Study | None = None, found: bool = False):
        """`prior` is what the draft was compared with; `found` that it is no report, but what a question or a search found."""
        self.draft, self.study, self.prior, self.found = draft, study, prior, found
        self.compared: dict[Made, Report] = {}  # reports that were compared anew, by their corrections
        self.history: History[Made] = History(())
        self.report, self.places = draft, list(range(len(draft.regions)))

    @property
    def corrections(self) -> Corrections:
        return Corrections.of(self.draft, self.history.now)

    def change(self, made: Sequence[Correction]) -> None:
        """Put corrections in the place of those that were made. Raises `RequestError`, and changes nothing then."""
        self._show(tuple(made))
        self.history.push(tuple(made))

    def step(self, by: int) -> None:
        """Undo (-1) or redo (1) one change, if there is one."""
        if self.history.step(by):
            self._show(self.history.now)

    def _show(self, made: Made) -> None:
        typed = [one.to_json() for one in made if not isinstance(one, RedrawRegion | AddRegion)]
        Corrections.from_json({"report": "", "corrections": typed})  # which raises where a text or a label is none
        corrections = Corrections.of(self.draft, made)
        self.report = self.compared.get(made) or apply(self.draft, corrections, self.study)
        self.places = places(self.draft, corrections, self.study)

    @property
    def outdated(self) -> bool:
        """Whether its comparison is of the draft, and findings were corrected since."""
        return outdated(self.draft, self.corrections) and self.history.now not in self.compared

    def compare_anew(self) -> None:
        """Compare what is there now with the prior. Raises `RequestError` where there is none."""
        if self.prior is None or not self.outdated:
            raise RequestError(WORDS["corrections.same"])
        made = self.history.now
        self.compared[made] = recompared_after(self.report, self.corrections, self.study, self.prior)
        self._show(made)

    # Sentences

    def items(self, title: str) -> list[Item]:
        """The sentences of a section, the rejected ones in their places."""
        old = next((section.sentences for section in self.draft.sections if section.title == title), [])
        new = next((section.sentences for section in self.report.sections if section.title == title), [])
        wrote = {one.sentence: one for one in self._of(EditSentence, RejectSentence) if one.section == title}
        added = [(n, one) for n, one in enumerate(self._of(AddSentence)) if one.section == title]
        edited = {n: one.text for n, one in wrote.items() if isinstance(one, EditSentence)}
        rejected = [n for n, one in wrote.items() if isinstance(one, RejectSentence)]
        left = {n: edited.get(n, sentence.text) for n, sentence in enumerate(old) if n not in rejected}
        texts = {sentence.text for sentence in new}
        out: list[Item] = []
        for sentence in new:
            shown = (sentence.finding, sentence.regions)
            mine = next((n for n, one in added if one.text == sentence.text), None)
            same = next((n for n, text in left.items() if text == sentence.text), None)
            if same is None and mine is None:  # in other words than the draft's, since what it rests on was corrected
                same = next(
                    (n for n, text in left.items() if old[n].finding == sentence.finding and text not in texts), None
                )
                name = f"={sentence.finding}" if same is None else str(same)
                left.pop(-1 if same is None else same, None)
                out.append(Item(sentence.text, name, "told anew", *shown))
            elif same is not None:
                del left[same]
                out.append(Item(sentence.text, str(same), "edited" if same in edited else "", *shown))
            else:
                added = [(n, one) for n, one in added if n != mine]
                out.append(Item(sentence.text, f"+{mine}", "added", *shown))
        for number in sorted(rejected):
            after = (i for i, item in enumerate(out) if item.name.isdigit() and int(item.name) > number)
            out.insert(next(after, len(out)), Item(old[number].text, str(number), "rejected"))
        return out

    def sections(self) -> list[tuple[str, list[Item]]]:
        """The sections as they are shown, with those of which nothing is left."""
        titles = dict.fromkeys(section.title for section in [*self.draft.sections, *self.report.sections])
        return [(title, items) for title in titles if (items := self.items(title))]

    def edit(self, title: str, name: str, text: str) -> None:
        """Set the text of a sentence. Raises `RequestError`."""
        item = self._item(title, name)
        if text == item.text:
            return
        if name.startswith("+"):
            mine = self._of(AddSentence)[int(name[1:])]
            self.change([replace(one, text=text) if one is mine else one for one in self.history.now])
        elif name.startswith("="):
            self.change([*self.history.now, AddSentence(title, text, item.finding)])
        else:
            was = self._section(title).sentences[int(name)].text
            rest = self._without_sentence(title, int(name))
            self.change(rest if text == was else [*rest, EditSentence(title, int(name), text)])

    def reject(self, title: str, name: str) -> None:
        """Take a sentence out. Raises `RequestError`."""
        self._item(title, name)
        if name.startswith("+"):
            mine = self._of(AddSentence)[int(name[1:])]
            self.change([one for one in self.history.now if one is not mine])
        elif name.startswith("="):
            raise RequestError(WORDS["corrections.retold"])
        else:
            self.change([*self._without_sentence(title, int(name)), RejectSentence(title, int(name))])

    def restore(self, title: str, name: str) -> None:
        """Put a rejected sentence back, as it is in the draft."""
        if self._item(title, name).mark == "rejected":
            self.change(self._without_sentence(title, int(name)))

    def add(self, title: str, text: str) -> None:
        """Add a sentence to a section. Raises `RequestError`."""
        self.change([*self.history.now, AddSentence(title, text)])

    def _section(self, title: str) -> Section:
        return next(section for section in self.draft.sections if section.title == title)

    def _item(self, title: str, name: str) -> Item:
        item = next((item for item in self.items(title) if item.name == name), None)
        if item is None or title == PROVENANCE:
            raise RequestError(GONE)
        return item

    def _without_sentence(self, title: str, number: int) -> list[Correction]:
        return self._without(
            lambda one: (
                isinstance(one, EditSentence | RejectSentence) and (one.section, one.sentence) == (title, number)
            )
        )

    # Findings

    def mark(self, number: int) -> str:
        """What a person did to a finding: added, rejected, changed, or nothing."""
        own = [one for one in self._of(ChangeFinding, RejectFinding) if one.finding == number]
        if own:
            return "rejected" if self.report.findings[number].presence == "absent" else "changed"
        if any(one.finding == number for one in self._of(RenameFinding)):
            return "renamed"
        label = self.report.findings[number].label
        return "added" if any(one.label == label for one in self._of(AddFinding, AddRegion)) else ""

    def judge(self, number: int, presence: str) -> None:
        """Say whether a finding is there (present), not there (absent), or as the draft has it (""). Raises `RequestError`."""
        if not 0 <= number < len(self.report.findings):
            raise RequestError(GONE)
        rest = self._without(lambda one: isinstance(one, ChangeFinding | RejectFinding) and one.finding == number)
        said = {"": [], "absent": [RejectFinding(number)]}.get(presence, [ChangeFinding(number, presence)])
        self.change([*rest, *said])

    def add_finding(self, label: str) -> None:
        """Add a finding. Raises `RequestError` for a label that the vocabulary does not have."""
        self.change([*self.history.now, AddFinding(label)])

    def rename(self, number: int, text: str) -> None:
        """Say that a finding is something else. Raises `RequestError` for a label that the vocabulary does not have."""
        if not 0 <= number < len(self.report.findings):
            raise RequestError(GONE)
        label, old = known_name(text), self.report.findings[number].label
        if label is None:
            raise RequestError(WORDS["corrections.unknown"].format(label=repr(text)))
        added = [
            replace(one, label=label)
            if isinstance(one, AddRegion | AddFinding) and known_name(one.label) == old
            else one
            for one in self.history.now
            if not (isinstance(one, RenameFinding) and one.finding == number)
        ]
        drafted = number < len(self.draft.findings) and self.draft.findings[number].label != label
        self.change([RenameFinding(number, label), *added] if drafted else added)

    # Regions, by their numbers in the report as it is shown

    @property
    def origins(self) -> list[str]:
        """Whether each region is drawn by a person, carried from one that is, or (empty) the draft's."""
        known = origins(self.draft, self.history.now)
        return [known.get(place, "") for place in self.places]

    def anchors(self, finding: int) -> list[Region]:
        """What a person drew of a finding, to be carried. Raises `RequestError`."""
        return anchors(self.draft, self.history.now, self.study, finding)

    def carry(self, finding: int, found: Sequence[Region]) -> None:
        """Show what was carried of a finding from slice to slice. Raises `RequestError`."""
        self.change(carried(self.draft, self.history.now, self.study, finding, found))

    def redraw(self, number: int, mask: np.ndarray) -> int | None:
        """Give a region another mask; the number that it has now, `None` where nothing is left of it. Raises `RequestError`."""
        place = self.places[number]
        rest = self._without(lambda one: isinstance(one, RedrawRegion) and one.region == place)
        if not mask.any():
            self.change([*rest, RejectRegion(place)])
            return None
        self.change([*rest, RedrawRegion(place, mask_box(mask), mask)])
        return self.places.index(place) if place in self.places else None

    def reject_region(self, number: int) -> None:
        if not 0 <= number < len(self.places):
            raise RequestError(GONE)
        self.redraw(number, np.zeros((1, 1), bool))

    def add_region(self, label: str, image: int, mask: np.ndarray) -> int | None:
        """Draw a region of a finding; its number. Raises `RequestError`."""
        if known_name(label) is None and label not in [finding.label for finding in self.report.findings]:
            raise RequestError(GONE)
        if not mask.any():
            return None
        self.change([*self.history.now, AddRegion(label, image, mask_box(mask), mask)])
        return len(self.places) - 1

    def region(self, number: int) -> Region:
        if not 0 <= number < len(self.report.regions):
            raise RequestError(GONE)
        return self.report.regions[number]

    def _of(self, *kinds: type) -> list[Any]:
        return [one for one in self.history.now if isinstance(one, kinds)]

    def _without(self, which: Callable[[Correction], bool]) -> list[Correction]:
        return [one for one in self.history.now if not which(one)]


def shown(work: Corrected) -> dict[str, Any]:
    """What the page shows of a report and its corrections, beside the regions."""
    sections = [
        {
            "title": title,
            "fixed": title == PROVENANCE,
            "sentences": [{**vars(item), "regions": list(item.regions)} for item in items],
        }
        for title, items in work.sections()
    ]
    findings = [
        {"number": number, "label": finding.label, "presence": finding.presence, "mark": work.mark(number), "regions": finding.regions}
        for number, finding in enumerate(work.report.findings)
        if finding.presence != "absent" or work.mark(number)
    ]  # fmt: skip
    return {"sections": sections, "findings": findings, "outdated": work.outdated and COMPARISON}
