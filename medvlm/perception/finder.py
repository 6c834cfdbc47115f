"""What the heads see in a study: its kind, phrases and prompts as regions."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch.nn import functional as F

from ..model.efficientnet import EfficientNetLiteModel
from ..model.fingerprint import fingerprint
from ..model.grounder_session import Sees, on_cpu
from ..model.grounding import GroundingOutput
from ..model.grounding_model import ImageFeatures
from ..model.instances import instances, separate, source_logits, to_source
from ..model.loading import load, model_folder
from ..model.modeling_medvlm import MedVLMForConditionalGeneration
from ..model.processing_medvlm import MedVLMImageProcessor, MedVLMProcessor
from ..model.prompts import Prompt
from ..notices import notices, scope
from ..operating import Scores, read_operating
from ..policy import DecisionPolicy, read_policy
from ..progress import pause
from ..sampling import batches, examined_images
from ..seams import across
from ..types import Box, Grounding, Image, ImageFacts, Region, Study, mask_box
from ..validation import check_box, check_image, check_one_prompt, check_phrase, check_points, check_scribble
from ..vocabulary import FINE, canonical_name, other_types, parts, whole
from ..windows import around, closer_side, crop, hull, inside, tiles
from .search import VolumeSearch
from .view import Found, ImageView, let_go, merged

BATCH = 8  # images in one pass on an accelerator; a CPU takes one, which is as fast and holds less
PHRASES = 32  # phrases in one pass
HELD = {"cpu": 192 * 2**20}  # bytes of features that are kept: nano has 18 MiB an image, and looks at ten at once


@dataclass
class Query:
    """A phrase resolved for one image: the vector that asks the heads `(query_size,)` and the label it means, if any."""

    vector: torch.Tensor
    label: str | None
    possible: float  # chance that the phrase means it and that this kind of image can show it
    named: bool = True  # whether the phrase is the label's own name or a synonym, not one that is read to mean it


def read_as(phrase: str, label: str | None, shown: bool) -> str:
    """The note on a phrase that is no name in the vocabulary: what is shown instead, which may not be what it means."""
    if label is None or not shown:
        return f"“{phrase}” is not among what the model can find."
    return f"“{phrase}” is not among the names of what the model can find; here is the nearest that it can, {label}."


class Finder:
    """A loaded model that shows where things are.

    Holds no user's data: what was computed for an image is kept beside that image and goes with it (features, which are
    large, until others need the room). Threads may use it side by side. Every method takes
    the study and, where one image is meant, its index (`None`: the study's default). Raises `RequestError` for
    unusable phrases and prompts.
    """

    def __init__(
        self,
        model: MedVLMForConditionalGeneration,
        processor: MedVLMProcessor,
        name: str,
        device: str = "cpu",
        policy: DecisionPolicy | None = None,
        fingerprint: str = "in memory",
        operating: Mapping[str, Scores] | None = None,
        eyes: Sees | None = None,
    ):
        self.model = model.to(device).eval()  # type: ignore[arg-type] # transformers' `to` is wrapped without its self
        self.eyes: Sees = eyes or model.grounder
        self.processor, self.name, self.device = processor, name, device
        self.operating = dict(operating or {})
        self.side = self.closer_side = model.config.image_size
        if isinstance(model.grounder.vision, EfficientNetLiteModel):  # which sees images of any side
            self.closer_side = closer_side(self.side)
        self.enlarge = MedVLMImageProcessor(image_size=self.closer_side)
        self.config = model.config.grounding_config
        self.views: weakref.WeakKeyDictionary[Image, ImageView] = weakref.WeakKeyDictionary()
        self.at_once, self.most_held = 1 if device == "cpu" else BATCH, HELD.get(device, 2**32)
        self.looks, self.volumes = 0, VolumeSearch(self)
        self._views = threading.Lock()  # held while views are put beside images or features let go of
        self.numbers = {label: i for i, label in enumerate(self.config.labels)}
        self.policy, self.fingerprint = policy or DecisionPolicy(), fingerprint

    @property
    def policy(self) -> DecisionPolicy:
        return self._policy

    @policy.setter
    def policy(self, policy: DecisionPolicy) -> None:
        """Forgets what was found under another policy; encoded images stay."""
        self._policy = policy
        for view in self.views.values():
            view.found.clear()
        self.volumes.forget()

    @classmethod
    def load(cls, model: str | None = None, device: str = "cpu") -> Self:
        """Load `nano`, a folder or whatever MEDVLM_MODEL names. Raises `ModelError`."""
        folder = model_folder(model)
        loaded, processor, name = load(model, sixteen_bits=device == "cpu")
        if isinstance(loaded.grounder.vision, EfficientNetLiteModel):
            loaded.grounder.vision.fold_norms()
        eyes = on_cpu(loaded.grounder, loaded.config.image_size) if device == "cpu" else None
        how = read_policy(folder), fingerprint(folder), read_operating(folder)
        return cls(loaded, processor, name, device, *how, eyes)

    @torch.inference_mode()
    def look(self, images: Sequence[Image]) -> list[ImageView]:
        """The view of each image, with its features until the next look; those not at hand are encoded, on an accelerator
        `BATCH` at a time."""
        views = {id(image): view for image in images if (view := self.views.get(image)) is not None}
        fresh = {id(i): i for i in images if id(i) not in views or views[id(i)].kept is None}
        pause()
        for batch in batches(list(fresh.values()), self.at_once):
            features = self.encode(batch)
            for n, image in enumerate(batch):
                if id(image) in views:
                    views[id(image)].kept = features[n]
                else:
                    view = self.view_of(features[n], image)
                    with self._views:
                        views[id(image)] = self.views.setdefault(image, view)
            pause()
        with self._views:
            self.looks += 1
            for view in views.values():
                view.used = self.looks
            let_go(self.views.values(), self.most_held, self.looks)
        return [views[id(image)] for image in images]

    @torch.inference_mode()
    def encode(self, images: Sequence[Image]) -> ImageFeatures:
        """The features of images, computed in one pass."""
        pixels = self.processor(images=[image.pixels for image in images])["pixel_values"].to(self.device)
        return self.eyes.encode(pixels)

    def view_of(self, features: ImageFeatures, image: Image) -> ImageView:
        """The view of one encoded image, which it does not keep alive."""
        there = weakref.ref(image)

        def encode() -> ImageFeatures:
            again = there()
            assert again is not None  # a view is used for an image that is there
            return self.encode([again])

        logits, values = self.model.grounder.heads.classify(features.maps), self.config.facts
        facts = {k: dict(zip(values[k], v[0].float().softmax(-1).tolist(), strict=True)) for k, v in logits.items()}
        return ImageView(features, facts, float(self.model.looks_medical(features)), encode=encode)

    def view(self, study: Study, image: int | None = None) -> ImageView:
        """The view of one image of a study, the default one where none is named."""
        return self.look([study.images[check_image(image, study)]])[0]

    def facts(self, study: Study, image: int | None = None) -> ImageFacts:
        """Modality, body part and whether this is a medical image of a kind the model knows."""
        return self.view(study, image).described()

    def labels_many(self, studies: Sequence[Study]) -> list[dict[str, dict[str, float]]]:
        """The probability of every value of each image-level fact that some kind of image has, for each default image."""
        learned = {"modality", "body_part", *(fact for fact, kinds in self.config.fact_kinds.items() if kinds)}
        views = self.look([s.images[s.default] for s in studies])
        return [{fact: values for fact, values in view.facts.items() if fact in learned} for view in views]

    def ground(self, study: Study, phrases: Sequence[str], image: int | None = None) -> Grounding:
        """Find every instance of each phrase in one image, or in all of a study: every slice of a volume, else a few evenly
        spread ones of many."""
        if image is None and study.is_volume:
            return self.volumes.ground(study, phrases)
        looked_at = [check_image(image, study)] if image is not None else examined_images(study)
        found = self.ground_many([(replace(study, default=i), phrases) for i in looked_at])
        out = merged(found)
        out.scope, out.notices = scope(study, looked_at), notices(study, [r.label for r in out.regions])
        return out

    @torch.inference_mode()
    def ground_many(self, requests: Sequence[tuple[Study, Sequence[str]]]) -> list[Grounding]:
        """Ground phrases in many studies' default images; images and phrases are each encoded once."""
        checked = [(study, list(dict.fromkeys(map(check_phrase, phrases)))) for study, phrases in requests]
        meant: dict[str, torch.Tensor] = {}
        out = []
        for batch in batches(checked, self.at_once):
            images = [study.images[study.default] for study, _ in batch]
            views = self.look(images)
            wanted = [
                [p for p in phrases if p not in view.found] for (_, phrases), view in zip(batch, views, strict=True)
            ]
            meant |= self.read_phrases([p for phrases in wanted for p in phrases if p not in meant])
            for (study, phrases), image, view in zip(batch, images, views, strict=True):
                if new := [p for p in phrases if p not in view.found]:
                    self.find(image, view, new, meant)
                out.append(view.grounding(phrases, study.default))
        return out

    def find(self, image: Image, view: ImageView, phrases: list[str], meant: dict[str, torch.Tensor]) -> None:
        """Put what phrases bring in an image into its view."""
        fits = self.fits(view)
        queries = {p: self.resolve(p, meant[p], fits) for p in phrases}
        vectors = torch.stack([queries[p].vector for p in phrases])
        logits = self.eyes.glance(view.features, vectors)[1][0]
        chances = (logits.sigmoid().float().cpu() * torch.tensor([queries[p].possible for p in phrases])).tolist()
        labels = [queries[phrase].label for phrase in phrases]
        typed = [
            self.typed(view, label) if other_types(label or "") else (chance, 1.0)
            for label, chance in zip(labels, chances, strict=True)
        ]
        shown = [at for at in range(len(phrases)) if self.is_shown(labels[at], *typed[at])]
        outlined = [at for at in shown if labels[at] not in FINE]
        output = self.eyes.ground(view.features, vectors[None, outlined]).to_cpu() if outlined else None
        for at, phrase in enumerate(phrases):
            label, named, note, (there, share) = labels[at], queries[phrase].named, "", typed[at]
            name, regions = self.called(phrase if named else label or phrase, label, share), []
            if output is not None and at in outlined:
                regions = self.regions(output, outlined.index(at), label, image, there)
                if regions and share < self.policy.type_sure:
                    note = f"Its type is uncertain: {name}."
            elif at in shown:
                regions = self.fine_regions(image, view, queries[phrase], chances[at])
            elif label is not None and there >= self.policy.least(label):
                note = f"A {whole(label)} is there, but hardly of this type ({share:.2f})."
            if not named:
                note = read_as(phrase, label, bool(regions))
            regions = [region for region in regions if not across(region.box, image.parts)]
            for region in regions:
                region.label, region.phrase, region.turn = name, phrase, image.turn
            view.found[phrase] = Found(chances[at], regions, note)

    def is_shown(self, label: str | None, there: float, share: float) -> bool:
        """Whether a label is shown that is `there` by this chance, and of its type by this `share`."""
        return label is not None and there >= self.policy.least(label) and share >= self.policy.type_least

    @torch.inference_mode()
    def presence(self, study: Study, label: str) -> float:
        """The chance that one of the model's labels is in the default image, as `ground` gives it, without drawing it."""
        view = self.view(study)
        return float(self.glanced(view, [label])[0]) * view.possible(label)

    def glanced(self, view: ImageView, labels: Sequence[str]) -> np.ndarray:
        """The chance that each of some labels is in an image of a kind that can show it."""
        vectors = self.model.grounder.heads.labels.weight[[self.numbers[label] for label in labels]]
        return self.eyes.glance(view.features, vectors)[1][0].sigmoid().float().cpu().numpy()

    def fits(self, view: ImageView) -> torch.Tensor:
        """The chance that this kind of image can show each label `(labels + 1,)`; 1 for the last, which names nothing."""
        return torch.tensor([view.possible(label) for label in self.config.labels] + [1.0], device=self.device)

    def typed_presence(self, study: Study, label: str) -> tuple[float, float]:
        """`typed`, of one of the model's labels in the default image."""
        return self.typed(self.view(study), label)

    @torch.inference_mode()
    def typed(self, view: ImageView, label: str | None) -> tuple[float, float]:
        """The chance that the thing of which a label is a type is there at all, and the type's share of it; of a label that
        is no type its presence, and 1."""
        label = label or ""
        names = [name for name in (label, *other_types(label)) if name in self.numbers]
        if not names:
            return 0.0, 1.0
        chances = np.array([view.possible(name) for name in names]) * self.glanced(view, names)
        share = float(chances[0] / max(chances.sum(), 1e-6)) if len(names) > 1 else 1.0
        return float(1 - (1 - chances).prod()), share

    def called(self, phrase: str, label: str | None, share: float) -> str:
        """What a phrase's regions are called: a type that is not sure bears the name of the thing, and its share."""
        return phrase if share >= self.policy.type_sure else f"{whole(label or '')}, {phrase} {share:.1f}"

    def regions(
        self, output: GroundingOutput, number: int, label: str | None, image: Image, there: float
    ) -> list[Region]:
        """The regions of query `number` that are shown, best first; their scores are chances that they are there, with
        `there` for the thing itself."""
        found = instances(output, 0, number, image.size, self.side, parts(label or ""), self.policy.centre)
        kept = [i for i in sorted(found, key=lambda i: -i.score) if i.score >= self.policy.region]
        return [Region("", 0, i.box, i.mask, there * i.score, n) for n, i in enumerate(kept)]

    def fine_regions(self, image: Image, view: ImageView, query: Query, presence: float) -> list[Region]:
        """The regions of a thin or tiny thing that is there, drawn on enlarged parts of the image."""
        view.windows = view.windows or [(window, crop(image, window)) for window in tiles(image.size)]
        logits, weight, quality = np.zeros(image.size, np.float32), np.zeros(image.size, np.float32), []
        looks = self.look([part for _, part in view.windows])
        for ((x0, y0, x1, y1), part), closer in zip(view.windows, looks, strict=True):
            output = self.eyes.ground(closer.features, query.vector[None, None]).to_cpu()
            logits[y0:y1, x0:x1] += source_logits(output.masks[0, 0], part.size, self.side)
            weight[y0:y1, x0:x1] += 1
            quality.append(float(output.quality[0, 0].sigmoid()))
        mask = logits / weight > self.policy.faint
        score = presence * float(np.mean(quality))
        pieces = [mask] if parts(query.label or "") == "tree" else separate(mask)
        return [Region("", 0, mask_box(m), m, score, n) for n, m in enumerate(pieces) if m.any()]

    def read_phrases(self, phrases: Sequence[str]) -> dict[str, torch.Tensor]:
        """The chance that each label is meant by each phrase `(labels + 1,)`: sure for a known name, else as the language
        model and the words have it. The last one stands for nothing that the model knows."""
        names = {p: name for p in phrases if (name := canonical_name(p)) in self.numbers}
        sure = torch.eye(len(self.numbers) + 1, device=self.device)
        meant = {p: sure[self.numbers[name]] for p, name in names.items()}
        free = [p for p in dict.fromkeys(phrases) if p not in meant]
        for start in range(0, len(free), PHRASES):
            batch = free[start : start + PHRASES]
            chances = self.model.name_phrases(**self.processor.phrases(batch).to(self.device))
            meant |= dict(zip(batch, chances, strict=True))
        return meant

    def resolve(self, phrase: str, chances: torch.Tensor, fits: torch.Tensor) -> Query:
        """The query of a phrase that means labels with `chances`; labels that this kind of image can show come first."""
        vectors = self.model.grounder.heads.labels.weight
        chances = chances * (fits + self.policy.elsewhere)
        chances = chances / chances.sum()
        chance, number = chances.max(0)
        if chance >= self.policy.named and number < len(self.numbers):
            named = canonical_name(phrase) in self.numbers
            return Query(vectors[number], self.config.labels[number], float(chance * fits[number]), named)
        return Query(chances @ vectors, None, float(chances[:-1].max()), named=False)

    @torch.inference_mode()
    def segment(
        self,
        study: Study,
        image: int | None = None,
        box: Box | None = None,
        points: Sequence[tuple[float, float, int]] | None = None,  # x, y, 1 positive or 0 negative
        scribble: np.ndarray | None = None,  # bool (H, W)
    ) -> list[Region]:
        """The region under exactly one kind of prompt, as a list of one; empty where nothing stands out.

        What is small is looked at enlarged too, and a label whose mask looks like the prompt's has a say.
        """
        index = check_image(image, study)
        check_one_prompt(box, points, scribble)
        source = study.images[index]
        if box is not None:
            prompt = Prompt(box=check_box(box, source.size))
        elif points is not None:
            prompt = Prompt(points=check_points(points, source.size))
        else:
            prompt = Prompt(scribble=check_scribble(scribble, source.size))
        view = self.look([source])[0]
        canvas, score = self.prompted(view.features, source, prompt, self.side)
        extent = prompt.extent
        if box is None and (found := to_source(canvas, source.size, self.side)).any():
            extent = hull(extent, mask_box(found))
        logits = source_logits(canvas + self.recognised(view, source, canvas, extent), source.size, self.side)
        if window := around(extent, source.size, self.closer_side / self.side):
            part = crop(source, window)
            pause()
            features = self.eyes.encode(self.enlarge(images=[part.pixels])["pixel_values"].to(self.device))
            canvas, score = self.prompted(features, part, prompt.within(window), self.closer_side)
            closer = source_logits(canvas, part.size, self.closer_side)
            logits -= self.policy.closer * self.policy.alike_most  # outside of the window
            x0, y0, x1, y1 = window
            logits[y0:y1, x0:x1] += self.policy.closer * (closer + self.policy.alike_most)
        mask = (logits > 0) & ~prompt.erased(source.size, self.policy.erased / self.side)
        mask = prompt.touched(mask) if prompt.box is None else mask & inside(prompt.box, source.size)
        return [Region("region", index, mask_box(mask), mask, score, turn=source.turn)] if mask.any() else []

    def prompted(self, features: ImageFeatures, image: Image, prompt: Prompt, side: int) -> tuple[torch.Tensor, float]:
        """The mask's logits `(h, w)` under a prompt on an image that was encoded at `side`, on its canvas, and its expected
        IoU."""
        maps, kind = prompt.maps(image.size, side)
        masks, quality = self.eyes.segment(
            features,
            torch.from_numpy(maps)[None, None].to(self.device),
            torch.tensor([[kind]], device=self.device),
        )
        return masks[0, 0].float().cpu(), float(quality[0, 0].sigmoid())

    def recognised(self, view: ImageView, image: Image, canvas: torch.Tensor, extent: Box) -> torch.Tensor:
        """Mask logits of the label that looks most like a prompt's logits in a box, both `(h, w)` on the canvas; 0 where none
        does."""
        features, vectors = view.features, self.model.grounder.heads.labels.weight
        labels = view.labels  # once, since another thread may let go of them
        if labels is None:
            masks, presence = self.eyes.glance(features, vectors[:-1])
            labels = view.labels = masks[0].sigmoid().cpu(), (presence[0].sigmoid() * self.fits(view)[:-1]).cpu()
        shown, there = labels
        cells = shown.shape[-2], shown.shape[-1]
        maps, kind = Prompt(box=extent).maps(image.size, self.side)
        within = F.adaptive_max_pool2d(torch.from_numpy(maps[kind])[None], cells)
        shown, wanted = shown * within, F.adaptive_avg_pool2d(canvas[None].sigmoid(), cells) * within
        alike = 2 * (shown * wanted).sum((1, 2)) / (shown.sum((1, 2)) + wanted.sum()).clamp(min=1e-6)
        alike[there < self.policy.alike_presence] = 0
        if alike.max() < self.policy.alike:
            return torch.zeros_like(canvas)
        output = self.eyes.ground(features, vectors[None, [int(alike.argmax())]])
        most = self.policy.alike_most
        return output.masks[0, 0].float().cpu().clamp(-most, most)
