"""A stand-in for the model: fast, deterministic, no torch. It sees whatever is brighter than the background."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import PIL.Image
from scipy import ndimage

from medvlm.errors import StudyError
from medvlm.policy import DecisionPolicy
from medvlm.report import draft_report, examined_images
from medvlm.types import Answer, Grounding, Image, ImageFacts, Region, Study, mask_box
from medvlm.validation import check_box, check_one_prompt, check_options, check_phrase, check_points, check_question


def square(size=(64, 64), box=(16, 16, 48, 40), value=200) -> np.ndarray:
    """uint8 `(H, W)`: a bright rectangle `[x0, y0, x1, y1]` on black."""
    pixels = np.zeros(size, np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = value
    return pixels


@dataclass
class FakeClaim:
    """One thing that a sentence of a report says, and whether the image shows it."""

    sentence: str
    label: str
    presence: str  # present | absent | uncertain
    verdict: str  # supported | contradicted | cannot be shown
    regions: list[Region] = field(default_factory=list)
    note: str = ""

    def to_json(self) -> dict:
        return {**vars(self), "regions": [region.to_json() for region in self.regions]}


class FakeAssistant:
    """Finds bright blobs under every phrase but those with "absent" in them; answers "yes" to what is not blank."""

    name = "fake"
    fingerprint = "0123456789abcdef"
    policy = DecisionPolicy()

    def __init__(self) -> None:
        self.calls: list[str] = []

    def facts(self, study: Study, image: int | None = None) -> ImageFacts:
        self.calls.append("facts")
        return ImageFacts("ultrasound", 0.9, "fetal head", 0.8, 0.95 if study.images[0].pixels.any() else 0.1)

    def labels_many(self, studies) -> list[dict[str, dict[str, float]]]:
        self.calls.append(f"labels_many {len(studies)}")
        return [{"fracture": {"no": 0.3, "yes": 0.7}, "grade": {"low": 0.1, "high": 0.9}} for _ in studies]

    def ask(
        self,
        study: Study,
        question: str,
        image: int | None = None,
        history=(),
        region: Region | None = None,
        sensitivity: float | None = None,
    ) -> Answer:
        """With the regions of a question that names something to "find"; none to one that asks for a "guess".

        Its detail tells what came with the question.
        """
        answer = self.ask_many([(study, question)])[0]
        if "find" in question:
            answer.regions = self.ground(study, [question.split("find", 1)[1].strip() or "thing"], image).regions
        if "guess" in question:
            answer.text, answer.abstained = "I cannot tell from this image.", True
        before = f"After {history[-1][0]!r} and {len(history) - 1} more." if history else ""
        over = f"Over a box of {region.box[2] - region.box[0]:.0f} px." if region else ""
        answer.detail, answer.thoughts = f"{before} {over}".strip(), f"look({question}) → {answer.text}"
        return answer

    def ask_many(self, requests, abstain=True) -> list[Answer]:
        self.calls.append(f"ask_many {len(requests)}")
        answers = []
        for study, question in requests:
            if "explode" in check_question(question):
                raise ZeroDivisionError("boom")
            bright = study.images[study.default].pixels.any()
            answers.append(Answer("yes" if bright else "no", 0.8, model=self.name))
        return answers

    def choose(self, study: Study, question: str, options, image: int | None = None) -> Answer:
        options = check_options(options)
        rest = 0.3 / (len(options) - 1)
        return Answer(options[0], 0.7, scores={o: rest if i else 0.7 for i, o in enumerate(options)})

    def ground(self, study: Study, phrases, image: int | None = None) -> Grounding:
        return self.ground_many([(study, phrases)], image)[0]

    def ground_many(self, requests, image: int | None = None) -> list[Grounding]:
        self.calls.append(f"ground_many {len(requests)}")
        return [self._ground(study, phrases, image) for study, phrases in requests]

    def _ground(self, study: Study, phrases, image: int | None) -> Grounding:
        index = study.default if image is None else image
        blobs, count = ndimage.label(study.images[index].rgb[..., 0] > 100)
        out = Grounding([], {}, [])
        for phrase in map(check_phrase, phrases):
            there = "absent" not in phrase and count > 0
            out.presence[phrase] = 0.9 if there else 0.1
            if not there:
                out.absent.append(phrase)
            for i in range(count if there else 0):
                mask = blobs == i + 1
                out.regions.append(Region(phrase, index, mask_box(mask), mask, 0.9, i))
        return out

    def segment(self, study: Study, image=None, box=None, points=None, scribble=None) -> list[Region]:
        check_one_prompt(box, points, scribble)
        height, width = study.images[0].size
        if box is not None:
            x0, y0, x1, y1 = check_box(box, (height, width))
        elif points is not None:
            x, y, _ = check_points(points, (height, width))[0]
            x0, y0, x1, y1 = x, y, x + 1, y + 1
        else:
            x0, y0, x1, y1 = mask_box(scribble)
        mask = np.zeros((height, width), bool)
        mask[int(y0) : int(y1), int(x0) : int(x1)] = True
        return [Region("prompt", 0, mask_box(mask), mask, 0.9)]

    def check_report(self, study: Study, text: str) -> list[FakeClaim]:
        """One claim a sentence, of what it says after its first word: "maybe" is not shown, "no" contradicted by what is."""
        claims = []
        for sentence in filter(None, text.splitlines()):
            first, _, label = sentence.rstrip(".").partition(" ")
            regions = [] if first == "Maybe" else self.ground(study, [label]).regions
            agrees = "supported" if bool(regions) == (first != "No") else "contradicted"
            verdict = "cannot be shown" if first == "Maybe" else agrees
            presence = {"No": "absent", "Maybe": "uncertain"}.get(first, "present")
            claims.append(FakeClaim(sentence, label, presence, verdict, regions, "Looked at."))
        return claims

    def report(self, study: Study):
        looked_for = ["fetal head", "absent thing"]
        groundings = [self.ground(study, looked_for, i) for i in examined_images(study)]
        return draft_report(study, self.facts(study), groundings, looked_for, self.name)


def fake_study(paths) -> Study:
    """Stands for `load_study`: a PNG becomes a study, anything else is refused."""
    paths = [paths] if isinstance(paths, (str, bytes)) or not isinstance(paths, (list, tuple)) else paths
    images = []
    for path in paths:
        try:
            with PIL.Image.open(path) as picture:
                images.append(Image(np.asarray(picture.convert("RGB"))))
        except OSError as error:
            raise StudyError(f"{path} cannot be read as an image; give a PNG.") from error
    return Study(images)
