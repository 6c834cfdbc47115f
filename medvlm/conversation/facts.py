"""The tools that tell what kind of image it is and what was learned of it as a whole, with words recalled as the last resort."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ..operating import USUAL
from ..perception.finder import Finder
from ..types import Operating, Region
from ..vocabulary import LABELS
from .grammar import ANYTHING, DISEASES, FACTS, Call, alike, split
from .meanings import leaves_open, named_in, only_points, options_in, out_of_sight
from .recall import Recall
from .results import CONFLICT, Result, Scene
from .values import HEALTHY, NAMES, NORMAL, chance_of, in_brackets, listed, means, named, others, shown_kind

ALIKE = {"axial": "transverse plane", "coronal": "coronal plane", "sagittal": "sagittal plane"}
SIBLINGS = {"severity": ("breast finding",), "breast finding": ("severity",)}  # the same, learned on other images
SCALES = {
    "breast finding": "ti-rads",
    "severity": "ti-rads",
}  # what grades how suspicious a thing is where its kind was not learned
SIGNS = {"diabetic retinopathy": ("microaneurysms", "haemorrhages", "hard exudates", "soft exudates")}
LOOK = ("consolidation", "ground glass opacity", "lung infiltrate")
LOOKS_LIKE = {"pneumonia": LOOK, "covid-19": LOOK}  # the outlined signs of a label that is a fact of the whole image
KINDS_OF = ("modality", "body_part")  # facts of every image
WITHHELD = "I cannot tell from this image."


class Facts:
    """Answers from the probabilities of a view's facts."""

    def __init__(self, finder: Finder, recall: Recall):
        self.finder, self.recall = finder, recall

    def known(self, scene: Scene) -> dict[str, dict[str, float]]:
        """The facts that were learned on images of this kind, with the probability of each value."""
        view = self.finder.view(scene.study, scene.index)
        learned_on = self.finder.config.fact_kinds
        return {fact: values for fact, values in view.facts.items() if list(view.kind) in learned_on.get(fact, ())}

    def chances(self, word: str, scene: Scene) -> dict[str, float]:
        """The probability of each value of a fact; nothing where it was not learned on images of this kind."""
        return self.finder.view(scene.study, scene.index).facts.get(self.learned(word, scene), {})

    def learned(self, word: str, scene: Scene) -> str:
        """The fact that a word of a call stands for in images of this kind; "" where none was learned on such."""
        view = self.finder.view(scene.study, scene.index)
        facts = [named(name, view.facts) for name in (word, *SIBLINGS.get(word, ()))]
        return next((fact for fact in facts if list(view.kind) in self.finder.config.fact_kinds.get(fact, ())), "")

    def kind(self, call: Call, scene: Scene) -> Result:
        """Modality, body part, plane, sequence or view; yes or no where the question names one value."""
        result = self.likeliest_kind(call, scene)
        wanted = call.get("is")
        if not wanted or not result.answered or result.who == "generated" or isinstance(result.value, bool):
            return result
        value = str(result.value)
        right = means(value, wanted) or ALIKE.get(wanted, wanted) == ALIKE.get(value.lower(), value.lower())
        return replace(result, value=right != call.denied, things=(), remarks=[f"It is {shown_kind(value)}."])

    def choice(self, call: Call, scene: Scene) -> Result | None:
        """The likeliest of the values that a question offers, such as "solid or cystic?", of a fact that was learned on
        images of this kind; `None` where it offers none, or those of another fact than the call's."""
        view = self.finder.view(scene.study, scene.index)
        learned = [*KINDS_OF, *self.known(scene)]
        open_to = {f: some for f in learned if (some := options_in(scene.question, list(view.facts[f])))}
        own = named(call.word.replace("body part", "body_part"), view.facts)
        if own not in open_to:
            own = next(iter(open_to)) if call.tool in ("recall", "grade") and len(open_to) == 1 else ""
        if not own or (own in KINDS_OF and getattr(scene.study, own)):  # what the file says comes first
            return None
        chances = view.facts[own]
        value, likeliest = (max(some, key=chances.__getitem__) for some in (open_to[own], chances))
        if likeliest in NORMAL:  # "benign or malignant?" of an image that shows neither
            return Result(call, chances[likeliest], "grade", likeliest, remarks=others(chances, likeliest))
        likelihood = chances[value] / max(sum(chances[one] for one in open_to[own]), 1e-9)
        remarks = others(chances, value)
        if value != likeliest:
            remarks = [
                f"Of all that I know it looks most like {shown_kind(likeliest)}{in_brackets(chances[likeliest])}."
            ]
        return Result(call, likelihood, "grade", shown_kind(value), remarks=remarks)

    def gradable(self, scene: Scene) -> list[str]:
        """The words of `grade` that were learned on images of this kind."""
        words = [word for word in FACTS if word != "abnormal" and self.learned(word, scene)]
        once = list({self.learned(word, scene): word for word in reversed(words)}.values())[::-1]
        kind = self.finder.view(scene.study, scene.index).kind
        return [word for word in once if word not in LABELS or kind not in LABELS[word].places]

    def likeliest_kind(self, call: Call, scene: Scene) -> Result:
        study, view = scene.study, self.finder.view(scene.study, scene.index)
        modality, body_part = view.likeliest("modality"), view.likeliest("body_part")
        if call.word in ("modality", "image"):
            value, chance = (study.modality, 1.0) if study.modality else modality
            part = study.body_part or body_part[0]
            return Result(call, chance, value=value, things=(part,) if call.word == "image" else ())
        if call.word == "body part":
            value, chance = (study.body_part, 1.0) if study.body_part else body_part
            return Result(call, chance, value=value)
        if stated := study.metadata.get(call.word):
            return Result(call, 1.0, value=str(stated))
        if chances := self.chances(call.word, scene):
            value = max(chances, key=chances.__getitem__)
            return Result(call, chances[value], value=value)
        why_not = self.untold(call.word)
        return self.words(call, scene, why_not) if call.word == "plane" else Result(call, why_not=why_not)

    def untold(self, word: str) -> str:
        return f"Neither the file nor the image tells me the {word}."

    def grade(self, call: Call, scene: Scene) -> Result:
        chances = self.chances(call.word, scene)
        if not chances:
            return self.words(call, scene, self.not_learned(call, scene))
        value = max(chances, key=chances.__getitem__)
        wanted = call.get("is")
        if not wanted and leaves_open(scene.question) and not self.asked_for(call.word, value, scene):
            return Result(call, why_not=f"I have not learned to tell which of these it is.{self.scale(call, scene)}")
        if not wanted:
            remarks, signs = others(chances, value), SIGNS.get(call.word, ())
            regions = self.finder.ground(scene.study, signs, scene.index).regions if signs else []
            if regions and value in NORMAL:
                remarks.append(f"But I find {listed(regions)}, so this is uncertain.")
            return Result(call, chances[value], value=value, regions=regions, remarks=remarks)
        if call.word in SIGNS and wanted in ("yes", "present", *NORMAL):  # what is found has a say
            sign = Call("present", (call.word,), denied=call.denied != (wanted in NORMAL))
            present = self.presence(sign, scene)
            return replace(present, call=call) if present else Result(call, why_not=self.untold(call.word))
        if wanted not in ("yes", "present", *NORMAL) and not any(means(name, wanted) for name in chances):
            what = shown_kind(call.word)
            why_not = f"I have not learned to tell whether it is {wanted}; its {what} is most likely {value}."
            return Result(call, why_not=why_not)
        share = chance_of(chances, wanted)
        least, worth, operating = self.point(call.word, scene, wanted)
        there = share >= least
        likelihood = share if there else 1 - share
        if leaves_open(scene.question) and not {"yes", "no"} & chances.keys():  # "symmetric or not?"
            ours = {name: chance for name, chance in chances.items() if (chance_of({name: 1.0}, wanted) > 0.5) == there}
            value = max(ours, key=ours.__getitem__)
            other = max(chances.keys() - ours.keys(), key=chances.__getitem__, default="")
            near = others({value: likelihood, other: 1 - likelihood}, value) if other else []
            return Result(call, likelihood, value=value, remarks=[*near, *worth], operating=operating)
        remarks = [f"Most likely {value}{in_brackets(chances[value])}.", *worth]
        return Result(call, likelihood, value=there != call.denied, remarks=remarks, operating=operating)

    def asked_for(self, word: str, value: str, scene: Scene) -> bool:
        """Whether a question that names alternatives speaks of a fact, or has all of its value among them."""
        asked = set(split(scene.question))
        names = re.split(r"[-_ ]", f"{word} {self.learned(word, scene)}")
        return bool(asked & {*names, "not"}) or ({*split(value)} <= asked and len(self.having(value, scene)) == 1)

    def having(self, value: str, scene: Scene) -> list[str]:
        """The facts learned on images of this kind that have a value."""
        return [fact for fact, values in self.known(scene).items() if value in values]

    def not_learned(self, call: Call, scene: Scene) -> str:
        """That a fact was not learned on images of this kind, in the words of the question, and what was instead."""
        values = self.finder.view(scene.study, scene.index).facts.get(NAMES.get(call.word, call.word), {})
        offered = sorted(options_in(scene.question, list(values)), key=scene.question.lower().find)
        what = " from ".join(offered[:2]) if offered else call.word
        spoken_of = offered or set(split(call.word)) & set(split(scene.question))
        why_not = unlearned(what) if spoken_of else WITHHELD
        return f"{why_not}{self.scale(call, scene)}"

    def scale(self, call: Call, scene: Scene) -> str:
        """A sentence on the scale that grades how suspicious a thing is, where that was learned for its kind."""
        chances = self.chances(SCALES.get(call.word, ""), scene)
        if not chances:
            return ""
        value = max(chances, key=chances.__getitem__)
        name = shown_kind(SCALES[call.word])
        return (
            f" By {name}, which grades how suspicious it looks, it is most likely {value}{in_brackets(chances[value])}."
        )

    def point(self, word: str, scene: Scene, wanted: str = "") -> tuple[float, list[str], Operating | None]:
        """The probability from which a fact is given, and what that was worth on images kept aside, where it was measured:
        in a sentence, and among the other points."""
        scores = self.finder.operating.get(self.learned(word, scene))
        if scores is None or (wanted and not means(scores.value, wanted)):
            return USUAL, [], None
        least = scores.least(scene.sensitivity)
        worth, fact = scores.quoted(least), word if wanted in ("", "yes", "present") else wanted
        return least, [worth] if worth else [], scores.operating(fact, scene.sensitivity)

    def presence(self, call: Call, scene: Scene) -> Result | None:
        """Yes or no to a thing that is a fact learned as a whole, such as a fracture or pneumonia; `None` for other things."""
        if call.modifiers or call.things[0] not in ("fracture", "pneumonia", *DISEASES):
            return None
        chances = self.chances(call.things[0], scene)
        if not chances:
            return Result(call, why_not=unlearned(call.things[0])) if call.things[0] in DISEASES else None
        share = 1 - sum(chance for name, chance in chances.items() if name in NORMAL)
        least, worth, operating = self.point(call.things[0], scene)
        there = share >= least
        name = shown_kind(call.things[0])  # which may be less than was asked for, as a sign of a disease is
        remarks = [f"By the whole image the probability of {name} is {min(share, 0.99):.2f}.", *worth]
        names = SIGNS.get(call.things[0], self.looks(call.things[0], scene) if there else ())
        regions = self.finder.ground(scene.study, names, scene.index).regions if names else []
        if regions and not there:
            remarks.append(f"But I find {listed(regions)}, which are signs of it, so this is uncertain.")
            result = Result(call, 0.5, CONFLICT, not call.denied, regions, remarks=remarks)
        else:
            likelihood = share if there else 1 - share
            result = Result(call, likelihood, "grade", there != call.denied, regions, remarks=remarks)
        return replace(result, things=call.things, operating=operating)

    def is_there(self, disease: str, scene: Scene) -> bool:
        """Whether the image as a whole speaks for a disease, if that was learned on images of this kind."""
        told = self.presence(Call("present", (disease,)), scene)
        return told is not None and told.value is True

    def sign(self, call: Call, names: Sequence[str], scene: Scene) -> Result | None:
        """Yes or no to a thing that such an image has as a fact, not as an outline, such as the calcifications of a thyroid
        nodule; `None` for other things."""
        known = self.known(scene)
        fact = next((f for f in known for name in names if alike(f, name) and {*known[f]} & {*NORMAL}), "")
        if not fact or call.modifiers:
            return None
        result = self.grade(Call("grade", word=fact, modifiers=(("is", "yes"),), denied=call.denied), scene)
        return replace(result, call=call, source="grade", things=call.things)

    def looks(self, thing: str, scene: Scene) -> list[str]:
        """The labels to outline for a thing that such an image shows as a whole."""
        view = self.finder.view(scene.study, scene.index)
        names = [name for name in (thing, *LOOKS_LIKE.get(thing, ())) if name in LABELS]
        return [name for name in names if view.kind in LABELS[name].places]

    def values(self, scene: Scene) -> list[str]:
        """The likeliest value of each fact that was learned on images of this kind, where it is likelier than not."""
        return [value for values in self.known(scene).values() for value, chance in values.items() if chance >= USUAL]

    def suspected(self, scene: Scene) -> tuple[str, float]:
        """What the image as a whole speaks for, by a fact that tells the healthy from the diseased, such as "malignant", and
        how likely it is not healthy; "" where no such fact was learned, or it calls the image healthy."""
        found, known = ("", 0.0), self.known(scene)
        for fact, values in {"abnormal": known["abnormal"]}.items() if "abnormal" in known else known.items():
            healthy = sum(chance for value, chance in values.items() if value in HEALTHY)
            if {*values} & {*HEALTHY} and 1 - healthy >= max(self.point(fact, scene)[0], found[1]):
                value = max((v for v in values if v not in HEALTHY), key=values.__getitem__)
                found = (fact if value == "yes" else value, 1 - healthy)
        return found

    def by_the_whole(self, call: Call, labels: Sequence[str], scene: Scene) -> Result | None:
        """What is shown of a thing that is not outlined itself though the image as a whole speaks for it, or why nothing is;
        `None` where it does not."""
        if not labels or call.modifiers:
            return None
        if call.things == (ANYTHING,):
            what, _ = self.suspected(scene)
            look = "abnormal" if what == "abnormal" else f"abnormal ({what})"
            why_not = f"The image as a whole looks {look}, but I cannot show where."
            return Result(call, things=tuple(labels), why_not=why_not) if what else None
        result = self.presence(Call("present", tuple(labels[:1])), scene)
        if (result is None and labels[0] in self.values(scene)) or (
            result and result.value is True and not result.regions
        ):
            why_not = f"The image as a whole speaks for {labels[0]}, but I cannot show where."
            return Result(call, things=tuple(labels), why_not=why_not)
        if result is None or result.value is not True:
            return None
        remarks = [f"Shown is {listed(result.regions)}, which can be how {labels[0]} looks."]
        return replace(result, call=call, value=len(result.regions), things=tuple(labels), remarks=remarks)

    def abnormal(
        self, call: Call, scene: Scene, regions: Sequence[Region], labels: Sequence[str], presence: float
    ) -> Result:
        """Whether anything is abnormal: the fact that was learned where there is one, else what is found."""
        wanted_no = (call.get("is") == "no") != call.denied
        open_to = call.tool == "grade" and not call.get("is")
        chances, what = self.chances("abnormal", scene), ""
        if chances:
            yes, source = chances.get("yes", 0.0), "grade"
        elif not regions and (what := self.suspected(scene)[0]):
            yes, source = self.suspected(scene)[1], "grade"
        elif labels:
            yes, source = (presence if regions else min(presence, 0.49)), "present"
        else:
            return Result(call, why_not="I know no abnormality to look for in this kind of image.")
        abnormal, shown = yes >= 0.5, list(regions)
        remarks = []
        if shown and not abnormal:
            remarks = [f"By its look as a whole it is normal, but I find {listed(shown)}."]
        if not abnormal and not shown and presence >= self.finder.policy.certain:
            likely = self.finder.ground(scene.study, labels, scene.index).presence
            name = max(likely, key=likely.__getitem__)
            there = f"{name} is likely there ({min(likely[name], 0.99):.2f}), though I cannot show where"
            remarks = [
                f"By its look as a whole it is normal, but {there}." if chances else f"{there[:1].upper()}{there[1:]}."
            ]
            abnormal, yes, source = presence > 1 - yes, 0.5, CONFLICT
        elif abnormal and not shown:  # the two ways of looking disagree
            look = f"abnormal ({what})" if what else "abnormal"
            remarks = [f"By its look as a whole it is {look}, but I find none of the abnormalities that I look for."]
            yes = (yes + presence) / 2
        value = ("abnormal" if abnormal else "normal") if open_to else abnormal != wanted_no
        return Result(call, max(yes, 1 - yes), source, value, shown, things=tuple(labels), remarks=remarks)

    def yes_or_no(self, call: Call, scene: Scene) -> Result | None:
        """What the short answers say of the presence of a thing that cannot be outlined here; `None` where they are unsure."""
        chances = self.recall.short_answers(scene.study, f"Is there a {call.things[0]}?", scene.index)
        yes, no = chances.get("Yes", 0.0), chances.get("No", 0.0)
        if yes + no < 0.5:
            return None
        share = yes / (yes + no)
        remark = (
            f"This is said by the look of the image as a whole: “{call.things[0]}” is nothing that I outline in it."
        )
        value = (share >= 0.5) != call.denied
        return Result(call, max(share, 1 - share), "short", value, things=call.things, remarks=[remark])

    def state(self, call: Call, scene: Scene) -> Result | None:
        """Yes or no to how a thing is, such as "is the liver healthy?", by the short answers; `None` where none is likely."""
        chances = self.recall.short_answers(scene.study, scene.question, scene.index)
        yes, no = chances.get("Yes", 0.0), chances.get("No", 0.0)
        return Result(call, max(yes, no), "short", yes > no) if max(yes, no) >= self.finder.policy.answer else None

    def missing(self, scene: Scene) -> str:
        """The one structure that a question names, if the image could show it and does not; else nothing."""
        kind = self.finder.view(scene.study, scene.index).kind
        asked = [name for name in named_in(scene.question) if kind in LABELS[name].places]
        if len(asked) != 1 or LABELS[asked[0]].kind != "anatomy":
            return ""
        presence = self.finder.ground(scene.study, asked, scene.index).presence[asked[0]]
        return asked[0] if presence < self.finder.policy.ruled_out else ""

    def looks_healthy(self, thing: str, scene: Scene) -> bool:
        """Whether the short answers call a thing healthy, however it was asked for."""
        chances = self.recall.short_answers(scene.study, f"Is the {thing} healthy?", scene.index)
        return chances.get("Yes", 0.0) > chances.get("No", 0.0)

    def words(self, call: Call, scene: Scene, otherwise: str = "") -> Result:
        """A learned short answer, or the language model's own words; `otherwise`, why there is none, in place of these."""
        kind = self.finder.view(scene.study, scene.index).kind
        if call.tool == "recall" and (hidden := out_of_sight(scene.question, kind)):
            why_not = f"In such an image ({shown_kind(kind[0])}, {kind[1]}) I do not look for {hidden}."
            return Result(call, why_not=why_not)
        if call.tool == "recall" and (missing := self.missing(scene)):
            return Result(call, why_not=f"I find no {missing} here, so I cannot tell.")
        text, likelihood = self.recall.shortest(scene.study, scene.question, scene.index)
        value: bool | str = {"Yes": True, "No": False}.get(text, text)
        of_it = isinstance(value, bool) and scene.things and only_points(scene.question)  # and not of the image
        if text and likelihood >= self.finder.policy.short_answer and not of_it:
            remarks = ["This is said by the look of the image as a whole; no outline shows it."]
            return Result(call, likelihood, "short", value, remarks=remarks if isinstance(value, bool) else [])
        if otherwise:
            return Result(call, why_not=otherwise)
        text, likelihood = self.recall.generate(scene.study, scene.question, scene.index)
        if not text:
            return Result(call, why_not="None of my tools can answer this.")
        remark = "These are the language model's own words: no tool shows it."
        return Result(call, likelihood, "generated", text, remarks=[remark])


def unlearned(word: str) -> str:
    return f"I have not learned to tell {word} in such an image."
