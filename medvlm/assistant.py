"""The one door to the model: an `Assistant` answers, grounds, segments and reports over a `Study`. It has no rules of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Self, cast

import numpy as np

from .conversation import choices
from .conversation.backends import check_uses, make_reader
from .conversation.dialogue import NO_IMAGE_CAN, Conversation, History
from .conversation.phrasing import Phraser
from .conversation.reader import Reader
from .conversation.recall import Onlooker
from .conversation.teller import Teller
from .memory import give_back
from .model.loading import model_folder
from .notices import add_notices
from .perception.carry import carry
from .perception.finder import Finder
from .policy import DecisionPolicy
from .report.claims import Claim, check_claims, read_claims
from .report.draft import draft_report
from .report.prior import report_with_prior
from .sampling import batches, examined_images
from .types import Answer, Box, Grounding, ImageFacts, Region, Report, Study
from .validation import check_image, check_options, check_question
from .vocabulary import expected_labels


class Assistant:
    """A loaded model with what a front end asks of it. Holds no user's data.

    Every method takes the study and, where one image is meant, its index in `Study.images`, from 0 (`None`: the study's
    default, or what the method says). Boxes and points are in pixels of that image as shown, from the top left; masks are
    bool `(H, W)` at its size; probabilities lie in 0..1. Raises `RequestError` for an index, a question, a phrase or a
    prompt that is not usable.
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
        `language` names: the address of a server such as "http://127.0.0.1:8080/v1", which is sent the questions, or a
        folder with a causal language model. `device` is torch's name of one.

        With `phrase` the named language model says the answers too, checked against the results. With `send_images` a named
        server is sent the image of a question that no tool can answer. Raises `ModelError` where the model cannot be
        loaded, `LanguageError` where the language model cannot, or `phrase` or `send_images` lack one.
        """
        check_uses(language, phrase, send_images)
        reader = make_reader(language, model_folder(model), device)
        teller = cast(Teller, reader)  # as check_uses has it where one is needed: every named language model tells too
        phraser, onlooker = Phraser(teller) if phrase else None, Onlooker(teller) if send_images else None
        assistant = cls(Finder.load(model, device), reader, phraser, onlooker)
        give_back()  # what was read to make the model
        return assistant

    @property
    def policy(self) -> DecisionPolicy:
        """Every threshold, calibration and weight that decides what is shown and said; another one can be set."""
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
        """The answer to a question, after the turns of `history` (question and answer, the oldest first) and over a drawn
        `region` if there is one, whose mask may be `None`.

        It is about the image that the question names, else `image`, else that of `region`, else all of a study. Facts of the
        whole image are given so that a share `sensitivity`, above 0 and at most 1, of the images with them would be found.
        Raises `RequestError` also where the history or the region is of another study.
        """
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
        """Rank options by likelihood; `Answer.scores` holds a probability each, which sum to 1 and are all alike for a question
        that is declined. Raises `RequestError` for fewer than two options, or two that are alike."""
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
        """Every instance of each phrase in one image, or, where `image` is `None`, in all of a study (every slice of a volume,
        else a few evenly spread ones of many). A phrase is a name such as "liver", or words that mean one."""
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
        """The region under exactly one kind of prompt, as a list of one; empty where nothing stands out.

        A box is `[x0, y0, x1, y1]`, half-open; points are (x, y, 1) on the thing and (x, y, 0) beside it; a scribble is bool
        `(H, W)`. The region's score is the overlap (IoU) that is expected with what is meant. Raises `RequestError` for
        none or several prompts, and for what does not lie in the image.
        """
        return self.finder.segment(study, image, box, points, scribble)

    def carry(self, study: Study, drawn: Sequence[Region]) -> list[Region]:
        """What is `drawn` on some slices of a volume in the others too: a region a slice, in order, the drawn ones as they are.
        One with an empty mask says that the thing is not there. Raises `RequestError` where the study is no volume or no
        drawn region has a mask."""
        return carry(study, drawn, self.finder.segment)

    def recall(self, study: Study, question: str) -> tuple[str, float]:
        """The likeliest of the learned short answers and its probability; nothing where images of this kind have none."""
        return self.conversation.recall.shortest(study, question)

    def labels_many(self, studies: Sequence[Study]) -> list[dict[str, dict[str, float]]]:
        """The probability of every value of every image-level fact, for the default image of each study."""
        return self.finder.labels_many(studies)

    def typed_presence(self, study: Study, label: str) -> tuple[float, float]:
        """In the default image, the probability that the thing of which a label is a type is there at all, and the type's share
        of it; of a label that is no type its presence, and 1. Policies are chosen by it."""
        return self.finder.typed_presence(study, label)

    def facts(self, study: Study, image: int | None = None) -> ImageFacts:
        """What an image is taken for: modality, body part, and whether it is medical at all, with their probabilities."""
        return self.finder.facts(study, image)

    def check_report(self, study: Study, text: str) -> list[Claim]:
        """What an existing report claims, each claim with a verdict and the regions that it rests on. Raises `RequestError` for
        a text that is empty, not English, or longer than 20,000 characters or 200 sentences."""
        return check_claims(study, read_claims(text, self.conversation.reader), self.conversation)

    def report(self, study: Study, prior: Study | None = None, remarks: Sequence[str] = ()) -> Report:
        """A report draft over the study's images, compared with an earlier study if there is one; `remarks` are said of the
        two. Sizes are in mm where the files state their spacing, else in pixels. Raises `RequestError` where the two studies
        are not of one kind."""
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
