"""One image as the model sees it: encoded and described once, and kept as long as the image is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import torch

from ..model.grounding_model import ImageFeatures
from ..types import Grounding, Image, ImageFacts, Region
from ..vocabulary import LABELS
from ..windows import Window

NOTHING = {"modality": "photograph", "body_part": "none"}  # values that are no kind of medical image


@dataclass
class Found:
    """What one phrase brought in one image."""

    presence: float  # probability that it is there
    regions: list[Region]  # best first
    note: str = ""  # a sentence on what was found in its place


@dataclass
class ImageView:
    """What was computed of one image.

    `facts` holds the probability of each value of each image-level fact, `medical` that of a medical picture, and `found`
    what phrases brought so far: ask, find and report read the same. The features are large, so they may be let go of at any
    time, and whoever asks for them then has them computed anew.
    """

    kept: ImageFeatures | None
    facts: dict[str, dict[str, float]]
    medical: float
    windows: list[tuple[Window, Image]] = field(default_factory=list)  # enlarged looks, made when they are needed
    found: dict[str, Found] = field(default_factory=dict)
    used: int = 0  # when the features were last used
    encode: Callable[[], ImageFeatures] | None = None  # computes the features
    # Of all labels the chance of each place, coarsely `(L, h, w)`, and that they are there `(L,)`, once they were asked for.
    labels: tuple[torch.Tensor, torch.Tensor] | None = None

    @property
    def features(self) -> ImageFeatures:
        features = self.kept  # once, since another thread may let go of them
        if features is None:
            assert self.encode is not None
            features = self.kept = self.encode()
        return features

    @property
    def held(self) -> int:
        """Bytes of what can be computed anew: the features, and what was made of them for all labels."""
        features = self.kept
        maps = (*features.maps, *features.pyramid) if features else ()
        return sum(tensor.nbytes for tensor in (*maps, *(self.labels or ())))

    def likeliest(self, fact: str) -> tuple[str, float]:
        """The likeliest value of a fact and its probability; of modality and body part one of a medical image."""
        chances = {value: chance for value, chance in self.facts[fact].items() if value != NOTHING.get(fact)}
        best = max(chances, key=chances.__getitem__)
        return best, chances[best]

    @property
    def kind(self) -> tuple[str, str]:
        """The likeliest modality and body part."""
        return self.likeliest("modality")[0], self.likeliest("body_part")[0]

    def described(self) -> ImageFacts:
        modality, body_part = self.likeliest("modality"), self.likeliest("body_part")
        photograph = self.facts["modality"].get("photograph", 0.0)
        return ImageFacts(*modality, *body_part, medical=(1 - photograph) * self.medical)

    def possible(self, name: str) -> float:
        """The chance that this kind of image can show a label: no polyp in a chest X-ray."""
        label = LABELS.get(name)
        if label is None or not {"modality", "body_part"} <= self.facts.keys():
            return 1.0
        misses = []
        for fact, places in zip(("modality", "body_part"), zip(*label.places, strict=True), strict=True):
            misses.append(1 - sum(self.facts[fact].get(place, 0.0) for place in set(places)))
        return 1 - misses[0] * misses[1]

    def grounding(self, phrases: list[str], image: int) -> Grounding:
        """What phrases that were looked for brought, as regions of the image of that number."""
        out = Grounding([], {}, [])
        for phrase in phrases:
            found = self.found[phrase]
            out.regions += [replace(region, image=image) for region in found.regions]
            out.presence[phrase] = found.presence
            if not found.regions:
                out.absent.append(phrase)
            if found.note:
                out.notes[phrase] = found.note
        return out


def let_go(views: Iterable[ImageView], most: int, since: int) -> None:
    """Forget features beyond `most` bytes, the least recently used first, but none used from `since` on."""
    left = most
    for view in sorted(views, key=lambda view: -view.used):
        left -= view.held
        if left < 0 and view.used < since:
            view.kept = view.labels = None


def merged(found: Sequence[Grounding]) -> Grounding:
    """What was found for the same phrases in several images as one: a phrase is as present as in the image that shows it
    most, and is absent where no image has it."""
    if len(found) == 1:
        return found[0]
    presence = {phrase: max(one.presence[phrase] for one in found) for phrase in found[0].presence}
    absent = [phrase for phrase in found[0].presence if all(phrase in one.absent for one in found)]
    notes = {phrase: note for one in found for phrase, note in one.notes.items()}
    return Grounding([region for one in found for region in one.regions], presence, absent, notes)
