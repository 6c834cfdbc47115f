"""The one door to the model: an `Assistant` answers, grounds, segments and reports over a `Study`. It has no rules of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import numpy as np

from .conversation import choices
from .conversation.backends import check_uses, make_reader
from .conversation.dialogue import NO_IMAGE_CAN, Conversation, History
from .conversation.phrasing import Phraser
from .conversation.reader import Reader
from .conversation.recall import Onlooker
from .model.loading import model_folder
from .notices import add_notices
from .perception import Finder
from .perception.carry import carry
from .policy import DecisionPolicy
from .report.claims import Claim, check_claims, read_claims
from .report.draft import draft_report, examined_images
from .report.prior import report_with_prior
from .sampling import batches
from .types import Answer, Box, Grounding, ImageFacts, Region, Report, Study
from .validation import check_image, check_options, check_question
from .vocabulary import expected_labels


class Assistant:
    """A loaded model with what a front end asks of it. Holds no user's data.

    Every method takes the study and, where one image is meant, its index (`None`: the study's default). Raises
    `RequestError` for unusable questions, phrases and prompts.
    """

    def __init__(
        self, finder: Finder, reader: Reader, phraser: Phraser | None = None, onlooker: Onlooker | None = None
    ):
        self.finder, self.conversation = finder, Conversation(finder, reader, phraser, onlooker)
        self.name, self.fingerprint, self.device = finder.name, finder.fingerprint, finder.device

    @classmethod
    def load(
        cls,
        model: str | None = None,
        device: str = "cpu",
        language: str | None = None,
        phrase: bool = False,
        send_images: bool = False,
    ) -> Self:
        """Load `nano`, a folder or whatever MEDVLM_MODEL names, with the reader of questions that comes with it or that
        `language` names (see `make_reader`).

        With `phrase` the named language model says the answers too, checked against the results. With `send_images` a named
        server is sent the image of a question that no tool can answer. Raises `ModelError` and `LanguageError`.
        """
        check_uses(language, phrase, send_images)
        reader = make_reader(language, model_folder(model), device)
        phraser, onlooker = Phraser(reader) if phrase else None, Onlooker(reader) if send_images else None
        return cls(Finder.load(model, device), reader, phraser, onlooker)

    @property
    def policy(self) -> DecisionPolicy:
        return self.finder.policy

    @policy.setter
    def policy(self, policy: DecisionPolicy) -> None:
        self.finder.policy = policy

    def ask(
        self,
        study: Study,
        question: str,
        image: int | None = None,
        history: History = (),
        region: Region | None = None,
        sensitivity: float | None = None,
    ) -> Answer:
        """The answer to a question, after the turns of `history` and over a drawn `region` if there is one."""
        return self.conversation.ask(study, question, history, region, image, sensitivity=sensitivity)

    def ask_many(self, requests: Sequence[tuple[Study, str]], abstain: bool = True) -> list[Answer]:
        """Answers to questions about the default images of studies; requests on the same image share its encoding.

        Without `abstain` the text of an answer that would be withheld is kept, as an evaluation needs it.
        """
        asked = [(study, check_question(question)) for study, question in requests]
        out = []
        for batch in batches(asked, self.finder.at_once):
            self.finder.look([study.images[study.default] for study, _ in batch])
            out += [self.conversation.ask(s, question, image=s.default, abstain=abstain) for s, question in batch]
        return out

    def choose(self, study: Study, question: str, options: Sequence[str], image: int | None = None) -> Answer:
        """Rank options by likelihood; `Answer.scores` holds a probability each, all alike for a question that is declined."""
        began, question, options = time.perf_counter(), check_question(question), check_options(options)
        study = replace(study, images=[study.images[check_image(image, study)]], default=0)
        chances = choices.chances(self.conversation, study, question, options)
        if chances is None:
            even = dict.fromkeys(options, 1 / len(options))
            answer = Answer(choices.DECLINED, 0.0, abstained=True, declined=True, reason=NO_IMAGE_CAN, scores=even)
        else:
            best = int(np.argmax(chances))
            answer = Answer(options[best], chances[best], scores=dict(zip(options, chances, strict=True)))
        return replace(answer, model=self.name, seconds=time.perf_counter() - began)

    def ground(self, study: Study, phrases: Sequence[str], image: int | None = None) -> Grounding:
        """Every instance of each phrase in one image, or in all of a study (every slice of a volume, else a few
        evenly spread ones of many)."""
        return self.finder.ground(study, phrases, image)

    def ground_many(self, requests: Sequence[tuple[Study, Sequence[str]]]) -> list[Grounding]:
        """`ground` of many studies' default images."""
        return self.finder.ground_many(requests)

    def segment(
        self,
        study: Study,
        image: int | None = None,
        box: Box | None = None,
        points: Sequence[tuple[float, float, int]] | None = None,
        scribble: np.ndarray | None = None,
    ) -> list[Region]:
        """The region under one kind of prompt, as `Finder.segment` gives it."""
        return self.finder.segment(study, image, box, points, scribble)

    def carry(self, study: Study, drawn: Sequence[Region]) -> list[Region]:
        """What is `drawn` on slices of a volume in its neighbours too, as `perception.carry` gives it."""
        return carry(study, drawn, self.finder.segment)

    def recall(self, study: Study, question: str) -> tuple[str, float]:
        """The likeliest of the learned short answers and its probability; nothing where images of this kind have none."""
        return self.conversation.recall.shortest(study, question)

    def labels_many(self, studies: Sequence[Study]) -> list[dict[str, dict[str, float]]]:
        """The probability of every value of every image-level fact, for the default image of each study."""
        return self.finder.labels_many(studies)

    def typed_presence(self, study: Study, label: str) -> tuple[float, float]:
        """`Finder.typed_presence`, of which a policy is chosen."""
        return self.finder.typed_presence(study, label)

    def facts(self, study: Study, image: int | None = None) -> ImageFacts:
        """What an image is taken for."""
        return self.finder.facts(study, image)

    def check_report(self, study: Study, text: str) -> list[Claim]:
        """What an existing report claims, each claim with a verdict and the regions that it rests on."""
        return check_claims(study, read_claims(text, self.conversation.reader), self.conversation)

    def report(self, study: Study, prior: Study | None = None, remarks: Sequence[str] = ()) -> Report:
        """A report draft over the study's images, compared with an earlier study if there is one; `remarks` are said of the
        two. Raises `RequestError` where they are not of one kind."""
        if prior is not None:
            return report_with_prior(study, prior, self.report, self.facts, remarks)
        facts = self.facts(study)
        looked_for = expected_labels(study.modality or facts.modality, study.body_part or facts.body_part)
        groundings, whole = [], None
        if facts.medical >= self.policy.medical and study.is_volume:
            looked_for = self.finder.volumes.expected(study)
            whole = self.ground(study, looked_for)
            groundings = self.finder.volumes.slices(study, looked_for)
        elif facts.medical >= self.policy.medical and looked_for:
            groundings = [self.ground(study, looked_for, i) for i in examined_images(study)]
        draft = draft_report(study, facts, groundings, looked_for, self.name, self.policy, whole)
        draft.fingerprint = self.fingerprint
        return add_notices(draft, study)
