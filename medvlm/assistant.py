"""The one door to the model: an `Assistant` answers, grounds, segments and reports over a `Study`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from .comparisons import lets_choose, offered, side_question, size_question
from .finder import Finder
from .mentions import mentioned
from .model.grounding_model import ImageFeatures
from .normalise import normalise_answer
from .notices import add_notices, notices, scope
from .questions import StateQuestion, doubtful, presence_question, state_question
from .records.vocabulary import ANYWHERE, expected_labels, is_finding
from .report.draft import draft_report, examined_images
from .types import Answer, Region, Report, Study
from .validation import check_image, check_options, check_question
from .views import inside
from .which import Meant, images_meant

BATCH = 8  # questions in one pass
ANSWER_TOKENS = 48
SIDED = ("x-ray", "ct", "mri")  # modalities that show the patient's right on the left
STAND_IN = "polyp"  # a label by whose presence the presence of a fact is asked for, so that the same rules read both
SHOWN = ("seen", "drawn")  # who answers from what the heads see, at any confidence
UNKNOWN_KIND = "This does not look like a medical image of a kind the model knows."
WITHHELD = "I cannot tell from this image."
NO_IMAGE_CAN = "no image can answer this question"
DECLINED = (
    "I cannot tell that from this image: no image answers questions of treatment, cause, outlook or a person, and one "
    "alone does not show what has changed. Please ask a clinician who knows the patient."
)


def logit(chance: float) -> float:
    return math.log(max(chance, 1e-6) / max(1 - chance, 1e-6))


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def shares(chances: Sequence[float]) -> list[float]:
    """Chances of which one is true, made to add up to 1."""
    return [chance / max(sum(chances), 1e-9) for chance in chances]


def merge_features(parts: Sequence[ImageFeatures]) -> ImageFeatures:
    """Features of single images as one batch."""
    return ImageFeatures(
        [torch.cat(m) for m in zip(*(p.maps for p in parts), strict=True)],
        [torch.cat(m) for m in zip(*(p.pyramid for p in parts), strict=True)],
    )


class Assistant(Finder):
    """A loaded model with what a front end asks of it. Raises `RequestError` for unusable questions as well."""

    @property
    def judges(self) -> dict[str, Callable[[Study, str], tuple[str, float] | None]]:
        """Who may answer without generation, in the order of asking."""
        return {"seen": self.seen, "drawn": self.drawn, "offered": self.offered, "chosen": self.chosen}

    def ask(self, study: Study, question: str, image: int | None = None) -> Answer:
        """Answer a question about the image that it names, else `image`, else all of a study (a few evenly spread ones of
        many): then about the one that shows most of what it speaks of."""
        meant = images_meant(check_question(question), study)
        looked_at, most = self.looked_at(study, meant, image)
        answer = self.ask_many([(self.only(study, most), meant.question)])[0]
        for region in answer.regions:
            region.image = most
        answer.scope = scope(study, looked_at, most)
        answer.notices = notices(study, [region.label for region in answer.regions])
        return answer

    def looked_at(self, study: Study, meant: Meant, image: int | None = None) -> tuple[list[int], int]:
        """The images that a question is answered from, and the one that shows most of what it speaks of."""
        if meant.named:
            images = list(meant.named)
        elif image is not None or meant.shown:
            images = [check_image(image, study)]
        else:
            images = examined_images(study)
        labels = [label for label in mentioned(meant.question) if label in self.numbers]
        if len(images) == 1 or not labels:
            one = study.default if study.default in images else images[0]
            return [one], one
        self.encode([study.images[i] for i in images])
        return images, max(images, key=lambda i: max(self.presence(self.only(study, i), label) for label in labels))

    @torch.inference_mode()
    def ask_many(self, requests: Sequence[tuple[Study, str]], abstain: bool = True) -> list[Answer]:
        """Answer many questions in batches; requests on the same `Study` object share its encoding.

        Without `abstain` the text of an abstention stays what would have been answered, as an evaluation needs it.
        """
        asked = [(study, check_question(question)) for study, question in requests]
        answers: list[Answer] = []
        for start in range(0, len(asked), BATCH):
            began = time.perf_counter()
            batch = asked[start : start + BATCH]
            asks = self.decline_chances([question for _, question in batch])
            declined = [chance >= self.policy.declined for chance in asks]
            open_to = [i for i in range(len(batch)) if not (abstain and (declined[i] or not self.medical(batch[i][0])))]
            told = {i: known for i in open_to if (known := self.judged(*batch[i]))}
            rest = [i for i in open_to if i not in told and not (abstain and asks[i] >= self.policy.doubtful)]
            if rest:
                texts, likelihoods = self.generate([batch[i][0] for i in rest], [batch[i][1] for i in rest])
                told |= {i: ("generated", *said) for i, *said in zip(rest, texts, likelihoods, strict=True)}
            made = [self.finish(*b, told.get(i), asks[i], abstain) for i, b in enumerate(batch)]
            seconds = (time.perf_counter() - began) / len(batch)
            for answer in made:
                answer.seconds = seconds
            answers += made
        return answers

    @torch.inference_mode()
    def decline_chances(self, questions: Sequence[str]) -> list[float]:
        """Of each question the probability that it asks for what no image can answer."""
        return self.model.must_decline(**self.processor.phrases(list(questions)).to(self.device)).tolist()

    def must_decline(self, questions: Sequence[str]) -> list[bool]:
        """Of each question whether it is declined."""
        return [chance >= self.policy.declined for chance in self.decline_chances(questions)]

    def medical(self, study: Study) -> bool:
        """Whether the default image is a medical one of a kind the model knows."""
        return self.facts(study).medical >= self.policy.medical

    def judged(self, study: Study, question: str) -> tuple[str, str, float] | None:
        """The first of the judges who takes a question, the answer and its likelihood."""
        for who, judge in self.judges.items():
            if told := judge(study, question):
                return who, *told
        return None

    def seen(self, study: Study, question: str) -> tuple[str, float] | None:
        """Yes or no, and its likelihood, to a question on the presence of one label; else `None`.

        The likelihood is how far its presence lies from where a label is shown. What may be in this kind of image too, where
        the heads do not know it, is left to the head for short answers, asked in one form, so that denials agree.
        """
        asked = presence_question(question, self.processor.common)
        if asked is None or asked.label not in self.numbers:
            return None
        told = {}
        if asked.label in ANYWHERE and self.possible(self.labels_many([study])[0], asked.label) < self.policy.named:
            told = self.short_answers(study, f"Is there a {asked.label}?")
        if "Yes" in told and "No" in told:
            margin = logit(told["Yes"] / (told["Yes"] + told["No"]))
        else:
            margin = logit(self.presence(study, asked.label)) - logit(self.policy.least(asked.label))
        return "Yes" if (margin >= 0) != asked.denied else "No", sigmoid(abs(margin))

    def drawn(self, study: Study, question: str) -> tuple[str, float] | None:
        """Which of several things is larger, or which side is abnormal, by the outlines found, and the answer's share of
        them; `None` for other questions and where too little is found."""
        if asked := size_question(question):
            areas = {words: int(self.outline(study, labels).sum()) for words, labels in asked.options.items()}
            first, second, *_ = sorted(areas, key=areas.get, reverse=not asked.smaller)
            share = max(areas[first], areas[second]) / max(areas[first] + areas[second], 1)
            return (first.capitalize(), share) if all(areas.values()) else None
        if side := side_question(question):
            facts = self.facts(study)
            modality, body_part = study.modality or facts.modality, study.body_part or facts.body_part
            mask = self.outline(study, [label for label in expected_labels(modality, body_part) if is_finding(label)])
            if side.organ:
                mask &= self.outline(study, side.organ)
            if modality not in SIDED or not mask.any():
                return None
            right = (
                float(mask[:, : mask.shape[1] // 2].mean() / mask.mean()) / 2
            )  # the image's left is the patient's right
            share = max(right, 1 - right)
            if share >= self.policy.one_sided:
                return "Left" if (right > 0.5) == side.normal else "Right", share
        return None

    def outline(self, study: Study, labels: Sequence[str]) -> np.ndarray:
        """Everything that is found of some labels in the default image, boxes filled: bool `(H, W)`."""
        size = study.images[study.default].size
        mask = np.zeros(size, bool)
        for region in self.ground(study, labels).regions:
            mask |= inside(region.box, size, slack=0) if region.mask is None else region.mask
        return mask

    @torch.inference_mode()
    def short_answers(self, study: Study, question: str) -> dict[str, float]:
        """The probability of each of the model's short answers; empty where images of this kind were never asked about."""
        model = self.model
        if model.answer_head is None:
            return {}
        features = self.encode([study.images[study.default]])[0]
        chances = self.chances(features)
        chances["modality"].pop("photograph", None)
        kind = [max(chances[fact], key=chances[fact].get) for fact in ("modality", "body_part")]
        if kind not in self.config.asked_kinds:
            return {}
        states = model.text_states(**self.processor.phrases([question]).to(self.device))
        answers = model.choose_answers(features, states)[0].float().tolist()
        return dict(zip(model.config.answers, answers, strict=True))

    def offered(self, study: Study, question: str) -> tuple[str, float] | None:
        """The likeliest of the short answers that a question names, and its share of them; `None` where it names none."""
        options = offered(question, self.model.config.answers or ())
        chances = self.short_answers(study, question) if options else {}
        if not chances:
            return None
        if all(option.lower() in self.config.facts.get("modality", ()) for option in options):
            seen = self.chances(self.encode([study.images[study.default]])[0])["modality"]
            chances = {option: seen[option.lower()] for option in options}
        best = max(options, key=chances.__getitem__)
        return best, chances[best] / max(sum(chances[option] for option in options), 1e-9)

    def chosen(self, study: Study, question: str) -> tuple[str, float] | None:
        """The likeliest of the short answers and its probability; `None` where none is likely."""
        if (state := state_question(question)) and (seen := self.abnormal(study, state)):
            return "Yes" if seen[0] == state.abnormal else "No", seen[1]
        chances = self.short_answers(study, question)
        if lets_choose(question):
            chances = {answer: chance for answer, chance in chances.items() if answer.lower() not in ("yes", "no")}
        best = max(chances, key=chances.__getitem__, default="")
        return (best, chances[best]) if chances and chances[best] >= self.policy.short_answer else None

    def calibrated(self, source: str, likelihood: float) -> float:
        """The chance that an answer of such likelihood is right."""
        slope, offset = self.policy.calibration.get(source, (1.0, 0.0))
        return sigmoid(slope * logit(likelihood) + offset)

    def generate(self, studies: Sequence[Study], questions: Sequence[str]) -> tuple[list[str], list[float]]:
        """Greedy answers and the likelihood of each, the mean probability of its tokens (geometric)."""
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
        )
        told = out.sequences[:, text["input_ids"].shape[1] :]
        logits = torch.stack(out.logits, dim=1).float()  # (B, T, vocabulary)
        log_chance = logits.log_softmax(-1).gather(-1, told[..., None])[..., 0]
        ended = (told == self.processor.tokenizer.eos_token_id).cumsum(1)
        counted = (ended == 0) | ((ended == 1) & (told == self.processor.tokenizer.eos_token_id))
        mean = (log_chance * counted).sum(1) / counted.sum(1).clamp(min=1)
        texts = self.processor.tokenizer.batch_decode(told, skip_special_tokens=True)
        return [t.strip() for t in texts], mean.exp().tolist()

    def finish(
        self, study: Study, question: str, told: tuple[str, str, float] | None, asks: float, abstain: bool
    ) -> Answer:
        """An answer with the regions of what question and answer speak of, or an abstention; one that is only unsure shows what
        the question speaks of.

        `told` is who answers, what and how likely, `asks` the chance that no image can answer the question; without `abstain`
        an abstention keeps the text.
        """
        who, text, likelihood = told or ("", "", 0.0)
        confidence, regions = self.calibrated(who, likelihood) if told else 0.0, []
        declined = asks >= self.policy.declined
        if declined:
            refusal, reason = DECLINED, NO_IMAGE_CAN
        elif not self.medical(study):
            refusal, reason = UNKNOWN_KIND, "not a known kind of medical image"
        elif who not in SHOWN and asks >= self.policy.doubtful:
            refusal, reason = WITHHELD, "it is not sure that an image can answer this question"
        elif not text:
            refusal, reason = WITHHELD, "no answer was generated"
        elif who not in SHOWN and (why := self.unclear(study, question)):
            refusal, reason = WITHHELD, why
        elif who not in SHOWN and confidence < self.policy.answer:
            refusal, reason = WITHHELD, f"the best guess has a confidence of {confidence:.2f}, which is too low"
        else:
            return Answer(text, confidence, self.spoken_of(study, f"{question} {text}"), model=self.name)
        if refusal == WITHHELD and (regions := self.spoken_of(study, question)):
            refusal = f"{WITHHELD} What I can show: {', '.join(dict.fromkeys(r.label for r in regions))}."
        answer = Answer(refusal, 0.0, regions, abstained=True, declined=declined, reason=reason, model=self.name)
        return answer if abstain else replace(answer, text=text, confidence=confidence)

    def unclear(self, study: Study, question: str) -> str:
        """Why an answer that no outline shows is not given, where its words may say the opposite of what is meant; else ""."""
        if doubtful(question):
            return "it is not certain what a yes to this wording would mean"
        state = state_question(question)
        return "" if state is None or self.abnormal(study, state) else "it would say the same of normal and of abnormal"

    def abnormal(self, study: Study, state: StateQuestion) -> tuple[bool, float] | None:
        """Whether something is abnormal by the head for short answers, and its likelihood; `None` where it says the same to
        both ways of asking."""
        yes = []
        for form in state.forms:
            chances = self.short_answers(study, form)
            yes.append(shares([chances.get("Yes", 0.0), chances.get("No", 0.0)])[0])
        abnormal, normal = yes
        if (abnormal > 0.5) == (normal > 0.5):
            return None
        return abnormal > 0.5, max(min(abnormal, 1 - normal), min(1 - abnormal, normal))

    def spoken_of(self, study: Study, text: str) -> list[Region]:
        """The regions of every label that a text mentions."""
        phrases = mentioned(text)
        return self.ground(study, phrases).regions if phrases else []

    @torch.inference_mode()
    def choose(self, study: Study, question: str, options: Sequence[str], image: int | None = None) -> Answer:
        """Rank options by likelihood; `Answer.scores` holds a probability each.

        Options that are values of a fact which the heads learned are ranked by it, others by the language model. A
        question that no image can answer is declined, all options alike.
        """
        began = time.perf_counter()
        question, options, study = check_question(question), check_options(options), self.only(study, image)
        answer = Answer("", 0.0, model=self.name)
        if self.must_decline([question])[0]:
            chances = [1 / len(options)] * len(options)
            answer = replace(answer, text=DECLINED, abstained=True, declined=True, reason=NO_IMAGE_CAN)
        else:
            chances = self.known_chances(study, question, options) or self.text_chances(study, question, options)
            best = int(np.argmax(chances))
            answer.text, answer.confidence = options[best], chances[best]
        answer.scores, answer.seconds = dict(zip(options, chances, strict=True)), time.perf_counter() - began
        return answer

    def known_chances(self, study: Study, question: str, options: Sequence[str]) -> list[float] | None:
        """The probability of each option by a fact that has them among its values and was learned on images of this kind; one
        that the question names comes first. Yes or no needs a question on the presence of what the fact is called, and a
        denial turns it. `None` where there is no such fact."""
        chances = self.labels_many([study])[0]
        kind = [max(chances[fact], key=chances[fact].get) for fact in ("modality", "body_part")]
        said, wanted = f" {normalise_answer(question)} ", [normalise_answer(option) for option in options]
        found = {}
        for fact, values in chances.items():
            here = {normalise_answer(value): chance for value, chance in values.items()}
            known = fact in ("modality", "body_part") or kind in self.config.fact_kinds.get(fact, ())
            if known and all(option in here for option in wanted):
                found[fact] = [here[option] for option in wanted]
        named = [fact for fact in sorted(found, key=len, reverse=True) if f" {normalise_answer(fact)} " in said]
        if set(wanted) <= {"yes", "no"}:
            for fact in named:
                asked = presence_question(said.replace(normalise_answer(fact), STAND_IN), self.processor.common)
                if asked:
                    return shares(found[fact][::-1] if asked.denied else found[fact])
            return None
        if not named and len(found) != 1:
            return None
        return shares(found[named[0] if named else next(iter(found))])

    def text_chances(self, study: Study, question: str, options: Sequence[str]) -> list[float]:
        """The probability of each option by the language model: the mean over its tokens, so that length does not count."""
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
        return torch.tensor(mean).softmax(0).tolist()

    def report(self, study: Study) -> Report:
        """A report draft over the study's images."""
        facts = self.facts(study)
        looked_for = expected_labels(study.modality or facts.modality, study.body_part or facts.body_part)
        groundings = []
        if facts.medical >= self.policy.medical and looked_for:
            groundings = [self.ground(study, looked_for, i) for i in examined_images(study)]
        return add_notices(draft_report(study, facts, groundings, looked_for, self.name, self.policy), study)
