"""A finder that sees what it is told, for tests of what is made of it: no weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from medvlm.conversation.dialogue import Conversation
from medvlm.conversation.grammar import parse
from medvlm.conversation.results import Result, Scene
from medvlm.conversation.tools import Tools
from medvlm.operating import Scores
from medvlm.perception.view import Found, ImageView
from medvlm.policy import DecisionPolicy
from medvlm.types import Box, Grounding, Image, Region, Study, mask_box
from medvlm.vocabulary import LABELS

from ..tiny import ScriptedReader

SIZE = (100, 200)  # (H, W)
FILM, CT, MRI = ("x-ray", "chest"), ("ct", "abdomen"), ("mri", "brain")
COLON, CELLS, EYE = ("endoscopy", "colon"), ("microscopy", "cells"), ("fundus", "retina")


def shown(label: str, box: tuple[int, int, int, int], image: int = 0, score: float = 0.9) -> Region:
    """A region whose mask fills its box `[x0, y0, x1, y1]`."""
    mask = np.zeros(SIZE, bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return Region(label, image, mask_box(mask), mask, score, phrase=label)


def study_of(images: int = 1, spacing: tuple[float, float] | None = None, **known: Any) -> Study:
    return Study([Image(np.zeros(SIZE, np.uint8), spacing) for _ in range(images)], **known)


class MadeUpFinder:
    """Finds the given regions in images of one kind; what is shown has a presence of 0.9, anything else of 0.1."""

    name, fingerprint, device = "made up", "0123456789abcdef", "cpu"
    model, processor = SimpleNamespace(answer_head=None), None

    def __init__(
        self,
        *regions: Region,
        kind: tuple[str, str] = FILM,
        facts: Mapping[str, dict[str, float]] | None = None,
        presence: Mapping[str, float] | None = None,
        enlarged: float = 0.5,
        medical: float = 1.0,
        operating: Mapping[str, Scores] | None = None,
    ):
        self.regions, self.presences, self.enlarged = list(regions), presence or {}, enlarged
        chances = {"modality": {kind[0]: 0.9, "photograph": 0.1}, "body_part": {kind[1]: 0.8, "none": 0.2}}
        self.seen = ImageView(None, chances | dict(facts or {}), medical)
        self.policy, self.operating = DecisionPolicy(), dict(operating or {})
        self.numbers = {label: number for number, label in enumerate(LABELS)}
        self.config = SimpleNamespace(fact_kinds={fact: [list(kind)] for fact in facts or {}}, asked_kinds=[list(kind)])
        self.asked: list[tuple[int | None, list[str]]] = []

    def look(self, images: Sequence[Image]) -> list[ImageView]:
        return [self.seen for _ in images]

    def view(self, study: Study, image: int | None = None) -> ImageView:
        return self.seen

    def presence(self, study: Study, label: str) -> float:
        here = any(region.label == label and region.image == study.default for region in self.regions)
        return self.presences.get(label, 0.9 if here else 0.1)

    def ground(self, study: Study, phrases: Sequence[str], image: int | None = None) -> Grounding:
        self.asked.append((image, list(phrases)))
        index = study.default if image is None else image
        view = replace(self.seen, found={})
        for phrase in phrases:
            mine = [r for r in self.regions if r.phrase == phrase and r.image == index]
            chance = self.presences.get(phrase, 0.9 if mine else 0.1)
            if study.images[index].size != SIZE:
                mine, chance = [], self.enlarged
            view.found[phrase] = Found(chance, mine)
        return view.grounding(list(phrases), index)

    def segment(self, study: Study, image: int | None = None, box: Box = (0, 0, 0, 0), **_: Any) -> list[Region]:
        x0, y0, x1, y1 = map(int, box)
        return [shown("region", (x0, y0, x1, y1), image or 0)]


class MadeUpRecall:
    """Short answers and the language model's words as given, whatever is asked; keeps what was."""

    def __init__(self, short: dict[str, float] | None = None, said: tuple[str, float] = ("", 0.0)):
        self.short, self.said = short or {}, said
        self.asked: list[str] = []

    def short_answers(self, study: Study, question: str, image: int | None = None) -> dict[str, float]:
        self.asked.append(question)
        return self.short

    def shortest(self, study: Study, question: str, image: int | None = None) -> tuple[str, float]:
        self.asked.append(question)
        best = max(self.short, key=self.short.__getitem__, default="")
        return best, self.short.get(best, 0.0)

    def generate(self, study: Study, question: str, image: int | None = None) -> tuple[str, float]:
        self.asked.append(question)
        return self.said

    def rank(self, study: Study, question: str, options: Sequence[str]) -> list[float]:
        return [1 / len(options)] * len(options)


def scene_of(
    finder: MadeUpFinder, study: Study | None = None, question: str = "?", focus: Sequence[Region] = ()
) -> Scene:
    """A scene of the first image in which "it" is what `focus` shows."""
    things = tuple(dict.fromkeys(region.label for region in focus))
    return Scene(study or study_of(), 0, question, list(focus), things, finder.seen.kind[0])


def run(call: str, finder: MadeUpFinder, scene: Scene | None = None, recall: MadeUpRecall | None = None) -> Result:
    """What one call gives."""
    (one,) = parse(call)
    return Tools(finder, recall or MadeUpRecall()).run(one, scene or scene_of(finder))


def talk(
    finder: MadeUpFinder,
    calls: str | Mapping[str, str] = "recall()",
    recall: MadeUpRecall | None = None,
    chance: float = 1.0,
) -> Conversation:
    """A conversation in which every question, or each of some, is read as the given calls."""
    reader = ScriptedReader(otherwise=calls) if isinstance(calls, str) else ScriptedReader(calls)
    reader.chance = chance
    made = Conversation(finder, reader)
    if recall:
        made.recall, made.tools = recall, Tools(finder, recall)
    return made
