"""The one door to the model: an `Assistant` answers, grounds, segments and reports over a `Study`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .types import Answer, Box, Grounding, Image, ImageFacts, Region, Report, Study


class Assistant:
    """A loaded model with what a front end asks of it. Holds no user's data.

    Every method takes the study and, where one image is meant, its index (`None`: the study's default).
    Raises `RequestError` for unusable questions, phrases and prompts.
    """

    name: str  # shown as `model` in answers and reports, e.g. "nano"
    threshold: float  # regions below this score are not returned

    @classmethod
    def load(cls, model: str | None = None, device: str = "cpu") -> Assistant:
        """Load `nano`, a folder or whatever MEDVLM_MODEL names. Raises `ModelError`."""
        raise NotImplementedError

    def facts(self, study: Study, image: int | None = None) -> ImageFacts:
        """Modality, body part and whether this is a medical image of a kind the model knows."""
        raise NotImplementedError

    def ask(self, study: Study, question: str, image: int | None = None) -> Answer:
        """Answer a question about one image."""
        raise NotImplementedError

    def stream(self, study: Study, question: str, image: int | None = None) -> Iterator[str | Answer]:
        """Yield the answer's text as it grows (each `str` is the whole text so far), then the `Answer`."""
        raise NotImplementedError

    def ask_many(self, requests: Sequence[tuple[Study, str]]) -> list[Answer]:
        """Answer many questions in batches; requests on the same `Study` object share its encoding."""
        raise NotImplementedError

    def choose(self, study: Study, question: str, options: Sequence[str], image: int | None = None) -> Answer:
        """Rank options by likelihood; `Answer.scores` holds a probability each."""
        raise NotImplementedError

    def ground(self, study: Study, phrases: Sequence[str], image: int | None = None) -> Grounding:
        """Find every instance of each phrase in one image."""
        raise NotImplementedError

    def segment(
        self,
        study: Study,
        image: int | None = None,
        box: Box | None = None,
        points: Sequence[tuple[float, float, int]] | None = None,  # x, y, 1 positive or 0 negative
        scribble: np.ndarray | None = None,  # bool (H, W)
    ) -> list[Region]:
        """The region under exactly one kind of prompt, as a list of one."""
        raise NotImplementedError

    def report(self, study: Study) -> Report:
        """A report draft over the study's images."""
        raise NotImplementedError
