"""The one door to the model: an `Assistant` answers, grounds, segments and reports over a `Study`."""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.nn import functional as F
from transformers import TextIteratorStreamer

from .mentions import mentioned
from .model.grounding_model import ImageFeatures
from .model.instances import instances, to_source
from .model.loading import load
from .model.modeling_medvlm import MedVLMForConditionalGeneration
from .model.processing_medvlm import MedVLMProcessor, letterbox_frame
from .model.prompts import BOX, POINTS, SCRIBBLE, paint_box, paint_point, shrink_any
from .records.vocabulary import LABELS, expected_labels, known_name, other_types, parts
from .report.draft import draft_report, examined_images
from .types import Answer, Box, Grounding, Image, ImageFacts, Region, Report, Study, mask_box
from .validation import (
    check_box,
    check_image,
    check_one_prompt,
    check_options,
    check_phrase,
    check_points,
    check_question,
    check_scribble,
)

BATCH = 8  # images or questions in one pass
PHRASES = 32  # phrases in one pass
ANSWER_TOKENS = 48
TYPE_SHARE = 0.2  # of a thing's probability: a type below it is ruled out
MEDICAL = 0.5  # an image below this probability of a known medical kind is not answered
UNKNOWN_KIND = "This does not look like a medical image of a kind the model knows."


def merge_features(parts: Sequence[ImageFeatures]) -> ImageFeatures:
    """Features of single images as one batch."""
    return ImageFeatures(
        [torch.cat(m) for m in zip(*(p.maps for p in parts), strict=True)],
        [torch.cat(m) for m in zip(*(p.pyramid for p in parts), strict=True)],
    )


class Assistant:
    """A loaded model with what a front end asks of it.

    Holds no user's data: what was computed for an image is kept beside that image and goes with it. Every method takes
    the study and, where one image is meant, its index (`None`: the study's default). Raises `RequestError` for
    unusable questions, phrases and prompts.
    """

    def __init__(
        self, model: MedVLMForConditionalGeneration, processor: MedVLMProcessor, name: str, device: str = "cpu"
    ):
        self.model, self.processor, self.name, self.device = model.to(device).eval(), processor, name, device
        self.side = model.config.image_size
        self.present, self.threshold = model.config.grounding_config.presence, model.config.grounding_config.threshold
        self.features: weakref.WeakKeyDictionary[Image, ImageFeatures] = weakref.WeakKeyDictionary()
        self.numbers = {label: i for i, label in enumerate(model.config.grounding_config.labels)}

    @classmethod
    def load(cls, model: str | None = None, device: str = "cpu") -> Assistant:
        """Load `nano`, a folder or whatever MEDVLM_MODEL names. Raises `ModelError`."""
        return cls(*load(model), device)

    @torch.inference_mode()
    def encode(self, images: Sequence[Image]) -> list[ImageFeatures]:
        """The features of each image; those not seen before are encoded together, `BATCH` at a time."""
        fresh = list({id(i): i for i in images if i not in self.features}.values())
        held: dict[int, ImageFeatures] = {}
        for start in range(0, len(fresh), BATCH):
            batch = fresh[start : start + BATCH]
            pixels = self.processor(images=[i.pixels for i in batch])["pixel_values"].to(self.device)
            features = self.model.encode_images(pixels)
            for n, image in enumerate(batch):
                held[id(image)] = self.features[image] = features[n]
        return [held.get(id(i)) or self.features[i] for i in images]

    def image(self, study: Study, index: int | None) -> Image:
        return study.images[check_image(index, study)]

    @torch.inference_mode()
    def facts(self, study: Study, image: int | None = None) -> ImageFacts:
        """Modality, body part and whether this is a medical image of a kind the model knows."""
        features = self.encode([self.image(study, image)])[0]
        chances = self.chances(features)
        photograph = chances["modality"].pop("photograph", 0.0)
        modality = max(chances["modality"], key=chances["modality"].get)
        chances["body_part"].pop("none", None)
        body_part = max(chances["body_part"], key=chances["body_part"].get)
        return ImageFacts(
            modality=modality,
            modality_confidence=chances["modality"][modality],
            body_part=body_part,
            body_part_confidence=chances["body_part"][body_part],
            medical=1 - photograph,
        )

    def chances(self, features: ImageFeatures) -> dict[str, dict[str, float]]:
        """The probability of every value of every image-level fact that the heads learned."""
        logits = self.model.grounder.heads.classify(features.maps)
        values = self.model.config.grounding_config.facts
        return {k: dict(zip(values[k], v[0].float().softmax(-1).tolist(), strict=True)) for k, v in logits.items()}

    @torch.inference_mode()
    def labels_many(self, studies: Sequence[Study]) -> list[dict[str, dict[str, float]]]:
        """The probability of every value of every image-level fact, for the default image of each study."""
        return [self.chances(f) for f in self.encode([s.images[s.default] for s in studies])]

    def ask(self, study: Study, question: str, image: int | None = None) -> Answer:
        """Answer a question about one image."""
        return self.ask_many([(self.only(study, image), question)])[0].moved(check_image(image, study))

    def only(self, study: Study, image: int | None) -> Study:
        """A study of the one image meant."""
        return Study([self.image(study, image)], study.modality, study.body_part)

    @torch.inference_mode()
    def ask_many(self, requests: Sequence[tuple[Study, str]]) -> list[Answer]:
        """Answer many questions in batches; requests on the same `Study` object share its encoding."""
        asked = [(study, check_question(question)) for study, question in requests]
        answers: list[Answer] = []
        for start in range(0, len(asked), BATCH):
            began = time.perf_counter()
            batch = asked[start : start + BATCH]
            told = {i: known for i, b in enumerate(batch) if (known := self.learned(*b))}
            rest = [i for i in range(len(batch)) if i not in told]
            if rest:
                texts, confidences = self.generate([batch[i][0] for i in rest], [batch[i][1] for i in rest])
                told |= dict(zip(rest, zip(texts, confidences, strict=True), strict=True))
            made = [self.finish(*b, *told[i]) for i, b in enumerate(batch)]
            seconds = (time.perf_counter() - began) / len(batch)
            for answer in made:
                answer.seconds = seconds
            answers += made
        return answers

    @torch.inference_mode()
    def learned(self, study: Study, question: str) -> tuple[str, float] | None:
        """The heads' own answer, with its probability, to a question that training asked of many images; else `None`.

        They learned it as a fact of the image, and answer such questions better than the language model does.
        """
        config = self.model.config.grounding_config
        if question.lower() not in config.facts:
            return None
        chances = self.chances(self.encode([study.images[study.default]])[0])
        kind = [max(chances[fact], key=chances[fact].get) for fact in ("modality", "body_part")]
        if config.asked_kinds and kind not in config.asked_kinds:
            return None
        answers = chances[question.lower()]
        best = max(answers, key=answers.get)
        return best.capitalize(), self.calibrated("learned", answers[best])

    def calibrated(self, source: str, likelihood: float) -> float:
        """The chance that an answer of such likelihood is right."""
        slope, offset = self.model.config.calibration.get(source, (1.0, 0.0))
        logit = math.log(max(likelihood, 1e-6) / max(1 - likelihood, 1e-6))
        return 1 / (1 + math.exp(-slope * logit - offset))

    def generate(
        self, studies: Sequence[Study], questions: Sequence[str], streamer=None
    ) -> tuple[list[str], list[float]]:
        """Greedy answers and, from the mean probability of their tokens (geometric), the chance that each is right."""
        features = merge_features(self.encode([s.images[s.default] for s in studies]))
        text = self.processor(text=[self.processor.question(q) for q in questions], return_tensors="pt").to(self.device)
        out = self.model.generate(
            **text,
            image_features=features,
            max_new_tokens=ANSWER_TOKENS,
            do_sample=False,
            return_dict_in_generate=True,
            output_logits=True,
            pad_token_id=self.processor.tokenizer.pad_token_id,
            streamer=streamer,
        )
        told = out.sequences[:, text["input_ids"].shape[1] :]
        logits = torch.stack(out.logits, dim=1).float()  # (B, T, vocabulary)
        log_chance = logits.log_softmax(-1).gather(-1, told[..., None])[..., 0]
        ended = (told == self.processor.tokenizer.eos_token_id).cumsum(1)
        counted = (ended == 0) | ((ended == 1) & (told == self.processor.tokenizer.eos_token_id))
        mean = (log_chance * counted).sum(1) / counted.sum(1).clamp(min=1)
        texts = self.processor.tokenizer.batch_decode(told, skip_special_tokens=True)
        return [t.strip() for t in texts], [self.calibrated("generated", c) for c in mean.exp().tolist()]

    def finish(self, study: Study, question: str, text: str, confidence: float) -> Answer:
        """An answer with the regions of what question and answer speak of, or an abstention."""
        if self.facts(study).medical < MEDICAL:
            return Answer(
                UNKNOWN_KIND, 0.0, abstained=True, reason="not a known kind of medical image", model=self.name
            )
        if not text:
            return Answer(
                "I cannot answer that.", 0.0, abstained=True, reason="no answer was generated", model=self.name
            )
        phrases = mentioned(f"{question} {text}")
        regions = self.ground(study, phrases).regions if phrases else []
        return Answer(text, confidence, regions, model=self.name)

    def stream(self, study: Study, question: str, image: int | None = None) -> Iterator[str | Answer]:
        """Yield the answer's text as it grows (each `str` is the whole text so far), then the `Answer`."""
        question, study, index = check_question(question), self.only(study, image), check_image(image, study)
        began = time.perf_counter()
        if self.facts(study).medical < MEDICAL:
            yield self.finish(study, question, "", 0.0)
            return
        if known := self.learned(study, question):
            yield known[0]
            answer = self.finish(study, question, *known)
            answer.seconds = time.perf_counter() - began
            yield answer.moved(index)
            return
        streamer = TextIteratorStreamer(self.processor.tokenizer, skip_prompt=True, skip_special_tokens=True)
        result: list = []

        def work():
            try:
                with torch.inference_mode():
                    result.append(self.generate([study], [question], streamer))
            finally:
                streamer.end()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        text = ""
        for piece in streamer:
            text += piece
            yield text.strip()
        thread.join()
        if not result:
            raise RuntimeError("generation failed")
        texts, confidences = result[0]
        answer = self.finish(study, question, texts[0], confidences[0])
        answer.seconds = time.perf_counter() - began
        yield answer.moved(index)

    @torch.inference_mode()
    def choose(self, study: Study, question: str, options: Sequence[str], image: int | None = None) -> Answer:
        """Rank options by likelihood; `Answer.scores` holds a probability each."""
        began = time.perf_counter()
        question, options, study = check_question(question), check_options(options), self.only(study, image)
        features = self.encode(study.images)[0]
        tokenizer = self.processor.tokenizer
        start = self.processor(text=self.processor.question(question))["input_ids"][0]
        tails = [tokenizer(o, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id] for o in options]
        width = max(map(len, tails))
        rows = torch.tensor([start + t + [tokenizer.pad_token_id] * (width - len(t)) for t in tails]).to(self.device)
        mean = []
        for i in range(0, len(rows), BATCH):
            batch = rows[i : i + BATCH]
            logits = self.model(input_ids=batch, image_features=merge_features([features] * len(batch))).logits
            log_chance = logits[:, len(start) - 1 : -1].float().log_softmax(-1)
            for row, tail in enumerate(tails[i : i + BATCH]):
                mean.append(float(log_chance[row, range(len(tail)), tail].mean()))
        chances = torch.tensor(mean).softmax(0).tolist()
        best = int(np.argmax(chances))
        return Answer(
            options[best],
            chances[best],
            model=self.name,
            scores=dict(zip(options, chances, strict=True)),
            seconds=time.perf_counter() - began,
        )

    def ground(self, study: Study, phrases: Sequence[str], image: int | None = None) -> Grounding:
        """Find every instance of each phrase in one image."""
        index = check_image(image, study)
        found = self.ground_many([(self.only(study, image), phrases)])[0]
        for region in found.regions:
            region.image = index
        return found

    @torch.inference_mode()
    def ground_many(self, requests: Sequence[tuple[Study, Sequence[str]]]) -> list[Grounding]:
        """Ground phrases in many studies' default images; images and phrases are each encoded once."""
        asked = [(study, [check_phrase(p) for p in phrases]) for study, phrases in requests]
        queries = self.phrase_queries([p for _, phrases in asked for p in phrases])
        images = [study.images[study.default] for study, _ in asked]
        out = []
        for (study, phrases), image, features in zip(asked, images, self.encode(images), strict=True):
            result = Grounding([], {}, [])
            if phrases:
                asked_for = torch.stack([queries[p] for p in phrases])[None]
                output = self.model.ground(features, asked_for).to_cpu()
                kind = self.model.grounder.heads.classify(features.maps)
                possible = torch.tensor([self.possible(kind, p) for p in phrases])
                output.presence = (output.presence.sigmoid() * possible).logit(eps=1e-6)
                for number, phrase in enumerate(phrases):
                    presence = result.presence[phrase] = float(output.presence[0, number].sigmoid())
                    shown = self.present <= self.of_any_type(features, phrase, presence)
                    regions = self.regions(output, number, phrase, image, study.default) if shown else []
                    result.regions += regions
                    if not regions:
                        result.absent.append(phrase)
            out.append(result)
        return out

    def possible(self, kind: dict[str, torch.Tensor], phrase: str) -> float:
        """The chance that this kind of image can show what a phrase names: no polyp in a chest X-ray. 1 for free wording."""
        label = LABELS.get(known_name(phrase) or "")
        if label is None or not {"modality", "body_part"} <= kind.keys():
            return 1.0
        misses = []
        for fact, places in zip(("modality", "body_part"), zip(*label.places, strict=True), strict=True):
            values = self.model.config.grounding_config.facts[fact]
            chances = kind[fact][0].float().softmax(-1)
            misses.append(1 - sum(float(chances[values.index(p)]) for p in set(places) if p in values))
        return 1 - misses[0] * misses[1]

    def of_any_type(self, features: ImageFeatures, phrase: str, presence: float) -> float:
        """The chance that the thing is there, whatever its type, unless this type is ruled out.

        For a tumour that is certainly there, benign or malignant, neither of two uncertain types is hidden.
        """
        others = [self.numbers[o] for o in other_types(known_name(phrase) or "") if o in self.numbers]
        if not others:
            return presence
        rest = self.model.grounder.heads.presence(features.pyramid, torch.tensor([others], device=self.device))[0]
        if presence < TYPE_SHARE * (presence + float(rest.sum())):
            return presence
        return 1 - (1 - presence) * float((1 - rest).prod())

    def regions(self, output, number: int, phrase: str, image: Image, index: int) -> list[Region]:
        """The regions of query `number` above the threshold, best first."""
        kind = parts(known_name(phrase) or "")
        found = sorted(instances(output, 0, number, image.size, self.side, kind), key=lambda i: -i.score)
        kept = [i for i in found if i.score >= self.threshold]
        return [Region(phrase, index, i.box, i.mask, i.score, n) for n, i in enumerate(kept)]

    def phrase_queries(self, phrases: Sequence[str]) -> dict[str, torch.Tensor]:
        """The query vector of each phrase, `(query_size,)`: a known name's own, any other wording's from the language model."""
        numbers = {p: self.numbers[name] for p in phrases if (name := known_name(p)) in self.numbers}
        made = {p: self.model.grounder.heads.labels.weight[number] for p, number in numbers.items()}
        free = [p for p in dict.fromkeys(phrases) if p not in made]
        for start in range(0, len(free), PHRASES):
            batch = free[start : start + PHRASES]
            text = self.processor.phrases(batch).to(self.device)
            made |= dict(zip(batch, self.model.encode_phrases(text["input_ids"], text["attention_mask"]), strict=True))
        return made

    @torch.inference_mode()
    def segment(
        self,
        study: Study,
        image: int | None = None,
        box: Box | None = None,
        points: Sequence[tuple[float, float, int]] | None = None,  # x, y, 1 positive or 0 negative
        scribble: np.ndarray | None = None,  # bool (H, W)
    ) -> list[Region]:
        """The region under exactly one kind of prompt, as a list of one; empty where nothing stands out."""
        index = check_image(image, study)
        check_one_prompt(box, points, scribble)
        source = study.images[index]
        x0, y0, width, height = letterbox_frame(*source.size, self.side)
        scale = np.array([width / source.size[1], height / source.size[0]])
        prompt = np.zeros((4, self.side // 4, self.side // 4), np.float32)
        if box is not None:
            box = check_box(box, source.size)
            paint_box(prompt, np.asarray(box) * np.tile(scale, 2) + [x0, y0, x0, y0], self.side)
            kind = BOX
        elif points is not None:
            for x, y, positive in check_points(points, source.size):
                paint_point(prompt, x * scale[0] + x0, y * scale[1] + y0, bool(positive), self.side)
            kind = POINTS
        else:
            drawn = torch.from_numpy(check_scribble(scribble, source.size).astype(np.float32))
            canvas = np.zeros((self.side, self.side), bool)
            canvas[y0 : y0 + height, x0 : x0 + width] = (
                F.adaptive_max_pool2d(drawn[None], (height, width))[0].numpy() > 0
            )
            prompt[SCRIBBLE], kind = shrink_any(canvas, self.side // 4), SCRIBBLE
        maps = torch.from_numpy(prompt)[None].to(self.device)
        output = self.model.segment(self.encode([source])[0], maps, torch.tensor([kind], device=self.device)).to_cpu()
        mask = to_source(output.masks[0, 0], source.size, self.side)
        if box is not None:
            mask &= inside(box, source.size)
        score = float(output.quality[0, 0].sigmoid())
        return [Region("region", index, mask_box(mask), mask, score)] if mask.any() else []

    def report(self, study: Study) -> Report:
        """A report draft over the study's images."""
        facts = self.facts(study)
        looked_for = expected_labels(study.modality or facts.modality, study.body_part or facts.body_part)
        groundings = []
        if facts.medical >= MEDICAL and looked_for:
            groundings = [self.ground(study, looked_for, i) for i in examined_images(study)]
        return draft_report(study, facts, groundings, looked_for, self.name)


def inside(box: Box, size: tuple[int, int], slack: float = 0.08) -> np.ndarray:
    """Bool `(H, W)`: a box widened by a share of its sides."""
    x0, y0, x1, y1 = box
    dx, dy = (x1 - x0) * slack, (y1 - y0) * slack
    out = np.zeros(size, bool)
    out[max(0, int(y0 - dy)) : int(np.ceil(y1 + dy)), max(0, int(x0 - dx)) : int(np.ceil(x1 + dx))] = True
    return out
