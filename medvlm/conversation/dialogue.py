"""One turn of a conversation: the question and the turns before become calls, the calls results, the results an answer."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..errors import RequestError
from ..notices import notices, scope
from ..perception.finder import Finder
from ..sampling import examined_images
from ..types import Answer, Region, Study
from ..validation import check_image, check_question, check_sensitivity
from ..vocabulary import LABELS
from ..which import Meant, images_meant
from . import writer
from .facts import WITHHELD
from .grammar import ANYTHING, IT, Call, Program, parse, split
from .meanings import leaves_open, named, only_points
from .phrasing import Phraser
from .places import same_place
from .reader import Reader, Reading
from .recall import Onlooker, Recall
from .results import Result, Scene
from .sizes import RATIO_OF
from .teller import SHOWN
from .tools import Tools
from .values import NORMAL

History = Sequence[tuple[str, Answer]]
MOST_TURNS = 50  # of a history that are read
UNKNOWN_KIND = "This does not look like a medical image of a kind the model knows."
NO_IMAGE_CAN = "no image can answer this question"
UNREAD = "I am not sure what you ask for."
PASTED = "The picture holds several images, so I cannot tell: open them one at a time."
SEEN = ("present", "find", "count", "measure", "place", "compare", "grade", "describe")  # tools that look at one image
GIVEN = ("kind", "grade", "recall", "compare", "count", "measure")  # tools that say more than that a thing is there
DOUBTFUL = ("recall", "present", "grade", "describe", "look")  # as which a question about a size can be misread
ARROW = " → "


@dataclass
class Before:
    """What the turns before leave to speak of: the calls of the last one and the question that they were read from, what "it"
    was called and where it was shown, and what was shown last, which may be something else; and all that was ever shown."""

    calls: Program = ()
    things: tuple[str, ...] = ()
    focus: tuple[Region, ...] = ()
    shown: tuple[Region, ...] = ()
    told: tuple[Region, ...] = ()
    question: str = ""


def before(history: History, study: Study) -> Before:
    """What a history leaves. Calls are taken from the traces of its answers alone, never from their words.

    Raises `RequestError` where a region is not of this study.
    """
    out = Before()
    for question, answer in list(history)[-MOST_TURNS:]:
        calls, values = _traced(answer.thoughts or "")
        if not calls or all(call.tool in ("decline", "help") for call in calls):
            continue
        named = (*(t for call in calls for t in call.things if t not in (IT, ANYTHING)), *values)
        for region in answer.regions:
            _check(region, study)
        things = tuple(dict.fromkeys(region.phrase or region.label for region in answer.regions)) or named[-1:]
        focus = tuple(answer.regions) if things else out.focus
        asked = out.question if calls == out.calls else question  # a doubt has the calls of what it doubts
        out = Before(calls, things or out.things, focus, focus or out.shown, (*out.told, *answer.regions), asked)
    return out


def _traced(thoughts: str) -> tuple[Program, tuple[str, ...]]:
    """The calls of a trace, and the labels that they gave as values, as a type of tumour is."""
    calls: list[Call] = []
    values = []
    for line in thoughts.splitlines():
        call, _, given = line.partition(ARROW)
        try:
            calls += parse(call)
        except ValueError:
            continue
        values.append(given.partition(" (")[0])
    return tuple(calls[:4]), tuple(value for value in values if value in LABELS)


def _check(region: Region, study: Study) -> None:
    if not 0 <= region.image < len(study.images):
        raise RequestError("The history speaks of an image that is not open: leave it out, or open that study.")
    height, width = study.images[region.image].size
    x0, y0, x1, y1 = region.box
    inside = 0 <= x0 < x1 <= width + 1 and 0 <= y0 < y1 <= height + 1
    if not inside or (region.mask is not None and region.mask.shape != (height, width)):
        raise RequestError("The history holds a region of another image: leave it out, or open that image.")


class Conversation:
    """Answers questions about a study over what `finder` sees; in the words of `phraser` where there is one, and in those of
    `onlooker`, which is sent the image, where no tool can show the answer."""

    def __init__(
        self, finder: Finder, reader: Reader, phraser: Phraser | None = None, onlooker: Onlooker | None = None
    ):
        self.finder, self.reader, self.phraser, self.onlooker = finder, reader, phraser, onlooker
        self.recall = Recall(finder)
        self.tools = Tools(finder, self.recall)

    def ask(
        self,
        study: Study,
        question: str,
        history: History = (),
        region: Region | None = None,
        image: int | None = None,
        abstain: bool = True,
        sensitivity: float | None = None,
    ) -> Answer:
        """The answer to a question about the image that it names, else `image`, else that of a drawn `region`, else all of a
        study (all slices of a volume, a few evenly spread ones of many pictures): then about the one that shows most of what it
        speaks of.

        Without `abstain` an answer that would be withheld keeps its text. Facts of the whole image are given so that a share
        of `sensitivity` of the images with them would be found. Raises `RequestError` for what cannot be asked.
        """
        began = time.perf_counter()
        meant = images_meant(check_question(question), study)
        past = before(history, study)
        if region is not None:
            _check(region, study)
        reading = self.reader.read(meant.question, past.calls or None, region is not None)
        if region is None and not meant.shown:
            reading = self.in_context(reading, past, meant.question)
        looked_at, index = self.looked_at(study, meant, reading.calls, past, region, image)
        scene = Scene(study, index, meant.question, modality=self.finder.view(study, index).kind[0])
        scene.focus, scene.things = self.focus(region, past, scene)
        scene.shown = [r for r in past.shown if r.image == scene.index]
        scene.told = [r for r in past.told if r.image == scene.index]
        scene.sensitivity = check_sensitivity(sensitivity)
        doubted = any(map(looks_again, reading.calls)) and past.calls and region is None
        again = doubted and (not (scene.things or scene.focus) or all(map(stands_alone, past.calls)))
        if again:  # "it's an MRI?" "Are you sure?": nothing to look at, so it is said again, as it was asked
            scene.question = images_meant(check_question(past.question), study).question
            reading = replace(reading, calls=past.calls)
        if study.is_volume and not (meant.named or meant.shown or region or image is not None):
            if any(IT in call.things for call in reading.calls):
                self.finder.volumes.search(study, [thing for thing in past.things if thing in self.finder.numbers])
            scene.bodies = self.finder.volumes.bodies(study)
        answer = self.execute(scene, reading, abstain)
        if again and not answer.abstained:
            answer.detail = f"My confidence in this is {min(answer.confidence, 0.99):.2f}. {answer.detail}".strip()
        answer.scope = scope(study, looked_at, index)
        answer.notices = notices(study, [r.label for r in answer.regions])
        answer.model, answer.seconds = self.finder.name, time.perf_counter() - began
        return answer

    def in_context(self, reading: Reading, past: Before, question: str) -> Reading:
        """What is asked of a size or a number that was just told: "is that normal?" and "is that big?", which by themselves
        ask for anything abnormal, or for something enlarged, are about that. After other turns the first is what it is by itself.
        """
        unsure = len(reading.calls) == 1 and reading.calls[0].tool in DOUBTFUL
        if not past.calls or not unsure or not only_points(question):
            return reading
        told, by_itself = past.calls[-1], self.reader.read(question)
        alone = by_itself.calls[0]
        enlarged = alone.tool == "present" and alone.things[0] in RATIO_OF and not named(alone.things[0], question)
        if by_itself.chance < self.finder.policy.read or (alone.word != "abnormal" and not enlarged):
            return reading
        if told.tool not in ("measure", "count"):
            return by_itself if alone.word == "abnormal" and reading.calls[0].tool == "recall" else reading
        wanted = "normal" if alone.get("is") == "no" else "large" if enlarged else "abnormal"
        return Reading((Call(told.tool, (IT,), told.word, (("is", wanted),)),), 1.0)

    def focus(self, region: Region | None, past: Before, scene: Scene) -> tuple[list[Region], tuple[str, ...]]:
        """What "it" is: a drawn region, outlined where that is possible, else what the turns before showed in this image."""
        if region is None:
            return [r for r in past.focus if r.image == scene.index], past.things
        if region.mask is None:
            outlines = self.finder.segment(scene.study, scene.index, box=region.box)
            region = replace(region, mask=outlines[0].mask if outlines else None, label=region.label or "region")
        return [region], past.things if region.label in past.things else (region.label or "region",)

    def looked_at(
        self, study: Study, meant: Meant, calls: Program, past: Before, region: Region | None, image: int | None
    ) -> tuple[list[int], int]:
        """The images that a question is answered from, and the one that shows most of what its calls speak of."""
        if meant.named:
            images = list(meant.named)
        elif region is not None:
            images = [region.image]
        elif image is not None or meant.shown:
            images = [check_image(image, study)]
        elif past.focus and any(IT in call.things for call in calls):
            images = [past.focus[0].image]
        else:
            images = examined_images(study)
        one = study.default if study.default in images else images[0]
        scene = Scene(study, one, meant.question, things=past.things)
        labels = {label for call in calls for thing in call.things for label in self.tools.labels(thing, scene)}
        whole = study.is_volume and len(images) == len(study.images)
        expected = self.finder.volumes.expected(study) if whole else []
        if any(call.tool == "describe" or call.word == "abnormal" for call in calls):
            labels |= set(expected)
        findable = sorted(label for label in labels if label in self.finder.numbers)
        if len(images) == 1 or not findable:
            return [one], one
        if whole:
            self.finder.volumes.search(study, [*findable, *expected])  # in one pass, so that the next question is free
            return images, self.finder.volumes.most(study, findable)
        self.finder.look([study.images[i] for i in images])

        def most(i: int) -> float:
            return max(self.finder.presence(replace(study, default=i), label) for label in findable)

        return images, max(images, key=most)

    def execute(self, scene: Scene, reading: Reading, abstain: bool) -> Answer:
        """Run the calls of a reading and write their results as one answer."""
        policy, calls = self.finder.policy, reading.calls
        plain = all(call.tool in ("decline", "help") for call in calls)
        if abstain and not plain and self.finder.view(scene.study, scene.index).described().medical < policy.medical:
            return unknown_kind(calls)
        least = policy.read_reversed if any(map(reverses, calls)) else policy.read
        doubtful = reading.chance < least and not plain
        if doubtful:
            calls = tuple(call for call in calls if call.tool == "decline") or (Call("recall"),)
        if any(call.tool == "decline" for call in calls):  # recalled words could pass for an answer to what is declined
            calls = tuple(call for call in calls if call.tool != "recall")
        results: list[tuple[Result, float]] = []
        for call in calls:
            if call.things == (IT,) and any(is_absent(r) for r, _ in results):
                continue  # "is there a mass, and where?": there is none, which says both
            result = self.remote_recall(call, scene) or self.tools.run(call, scene)
            if (
                len(calls) == 1 and IT not in call.things and call.word != "image"
            ):  # a short answer is one to the question's words alone
                result = self.preferred(result, scene, policy.answer if abstain else 0.0)
                if call.tool == "compare" and not result.answered and self.tools.can_show(call.things, scene):
                    words = self.tools.facts.words(call, scene, result.why_not)
                    result = words if set(split(str(words.value))) <= set(split(scene.question)) else result
            pasted = abstain and call.tool in SEEN and scene.study.images[scene.index].parts
            if pasted and result.answered and not result.regions:
                result = replace(result, value=None, why_not=PASTED)
            chance = self.chance(result)
            if result.who in ("short", "generated") and chance < policy.answer and abstain:
                result = replace(result, why_not=UNREAD if doubtful else WITHHELD, value=None)
            if self.at_a_loss(result, scene):
                offer = writer.offers(self.tools.expected(scene), self.tools.facts.gradable(scene))
                result = replace(result, why_not=f"{result.why_not}{offer}")
            results.append((result, chance))
            if result.regions and call.tool not in ("compare", "grade"):
                scene.focus = list(result.regions)
            scene.things = result.things or scene.things
        answer = self.answer(scene, results)
        return self.phraser.phrased(answer, results, scene) if self.phraser else answer

    def at_a_loss(self, result: Result, scene: Scene) -> bool:
        """Whether a result has nothing to tell because nothing of the kind was learned, so that it helps to hear what was."""
        if result.answered or result.things or result.regions or result.call.tool in ("decline", "help"):
            return False
        withheld = result.why_not in (UNREAD, WITHHELD) or result.call.tool == "grade"
        return withheld or bool(result.call.things) and not self.tools.labels(result.call.things[0], scene)

    def remote_recall(self, call: Call, scene: Scene) -> Result | None:
        """The answer to what no tool can show, by a server's model that is sent the image, if the user named one."""
        if self.onlooker is None or call.tool != "recall":
            return None
        return self.onlooker.recall(call, scene, self.finder.policy.answer)

    def preferred(self, result: Result, scene: Scene, given: float) -> Result:
        """A tool's result, or the short answer where that was right more often on questions to this tool, is sure, and has a
        chance from which it is `given`."""
        least = self.finder.policy.recalled.get(result.call.tool)
        if least is None or result.who in ("short", "generated", SHOWN):
            return result
        text, likelihood = self.recall.shortest(scene.study, scene.question, scene.index)
        value: bool | str = {"Yes": True, "No": False}.get(text, text)
        asks_which = result.call.tool in ("kind", "place") and not result.call.get("is")
        if not text or likelihood < least or (asks_which and isinstance(value, bool)):
            return result
        if result.answered and leaves_open(scene.question) and not set(split(text)) <= set(split(scene.question)):
            return result  # none of the values that the question names
        short = replace(result, value=value, likelihood=likelihood, source="short", why_not="")
        placed = result.call.tool == "place" and result.answered
        if given and (placed or self.chance(short) < given):
            return result  # what is shown, or looked for and not found, says where it is
        return replace(short, remarks=[], measurements=[], operating=None)

    def chance(self, result: Result) -> float:
        """The chance that what a result says is right."""
        slope, offset = self.finder.policy.calibration.get(result.who, (1.0, 0.0))
        odds = min(max(result.likelihood, 1e-6), 1 - 1e-6)
        chance = 1 / (1 + math.exp(-(slope * math.log(odds / (1 - odds)) + offset)))
        even = isinstance(result.value, bool) and result.who not in ("short", "generated")
        return max(chance, 0.5) if even else chance  # the answer is the likelier of yes and no

    def answer(self, scene: Scene, results: list[tuple[Result, float]]) -> Answer:
        """The answer that results make together; it abstains only if none of them has a value."""
        answered = [(r, c) for r, c in results if r.answered and r.call.tool != "decline"]
        declined = any(r.call.tool == "decline" for r, _ in results)
        regions: list[Region] = []
        for result, _ in results:
            new = [replace(region, image=scene.index) for region in result.regions]
            told = tuple(regions)  # what two results show is shown once; what one tells apart stays apart
            regions += [one for one in new if not any(one.label == r.label and same_place(one, r) for r in told)]
        for label in {region.label for region in regions}:
            for number, one in enumerate([r for r in regions if r.label == label]):
                one.instance = number
        shown = [r for r in regions if r.label != "region"]
        refused_first = sorted((r for r, _ in results), key=lambda r: r.call.tool != "decline")
        say = writer.answer_text if len(results) == 1 else writer.labelled_text
        texts = list(dict.fromkeys(say(r, scene) for r in refused_first))
        texts = texts if len(texts) == 1 else [text if text.endswith(".") else f"{text}." for text in texts]
        details = [line for r, _ in results for line in writer.beside(r, scene) if line not in texts]
        best = min(answered, key=lambda pair: pair[1], default=None)
        reason = None if answered else NO_IMAGE_CAN if declined else texts[0]
        return Answer(
            "\n".join(texts),
            best[1] if best else 0.0,
            shown,
            thoughts="\n".join(line for result, chance in results for line in _trace(result, chance)),
            abstained=not answered,
            declined=declined,
            reason=reason,
            detail=" ".join(dict.fromkeys(details)),
            source=best[0].who if best else "",
            likelihood=best[0].likelihood if best else 0.0,
            operating=next((r.operating for r, _ in results if r.operating), None),
        )


def looks_again(call: Call) -> bool:
    """Whether it doubts what was said before."""
    return call.tool == "look" and call.things == (IT,)


def stands_alone(call: Call) -> bool:
    """Whether it can be asked again as it is, and gives more than that a thing is there."""
    return call.tool in GIVEN and IT not in call.things


def reverses(call: Call) -> bool:
    """Whether yes to it means that the thing is not there."""
    return call.denied or call.get("is") in NORMAL


def is_absent(result: Result) -> bool:
    """Whether it says of a thing that it is not there."""
    there = result.value != result.call.denied
    return result.call.tool == "present" and isinstance(result.value, bool) and not there and not result.regions


def _trace(result: Result, chance: float) -> list[str]:
    """What a call gave, and whose words these are."""
    return [result.trace(chance), *(result.remarks if result.who == SHOWN else [])]


def unknown_kind(calls: Sequence[Call]) -> Answer:
    """The answer about a picture that is no medical image: even then "is this an x-ray?" can be answered."""
    kinds = [call for call in calls if call.tool == "kind" and call.get("is") and call.get("is") != "photograph"]
    if len(kinds) == len(calls):
        text = f"{'Yes' if kinds[0].denied else 'No'}. {UNKNOWN_KIND}"
        return Answer(text, 1.0, thoughts=_lines(calls), source="kind", likelihood=1.0)
    reason = "not a known kind of medical image"
    return Answer(UNKNOWN_KIND, 0.0, abstained=True, reason=reason, thoughts=_lines(calls))


def _lines(calls: Sequence[Call]) -> str:
    return "\n".join(f"{call}{ARROW}not asked" for call in calls)
