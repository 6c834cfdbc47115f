"""The tools that tell what kind of image it is and what was learned of it as a whole, with words recalled as the last resort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..normalise import normalise_answer
from ..operating import USUAL
from ..perception.finder import Finder
from ..types import Operating, Region
from ..vocabulary import LABELS
from .grammar import DISEASES, FACTS, Call, alike
from .meanings import leaves_open, named_in, options_in, out_of_sight
from .recall import Recall
from .results import CONFLICT, Result, Scene

NAMES = {  # what a call names → the facts that the heads learned
    "tumour type": "tumour_type",
    "breast finding": "breast_finding",
    "breast tissue": "breast_tissue",
    "macular edema": "diabetic macular edema risk",
    "lesion asymmetry": "asymmetry",
    "thyroid calcifications": "calcifications",
    "red cell disease": "red_cell_disease",
    "red cell type": "main_abnormal_red_cell_type",
}
ALIKE = {"axial": "transverse plane", "coronal": "coronal plane", "sagittal": "sagittal plane"}
DISPLAYED = {"x-ray": "X-ray", "ct": "CT", "mri": "MRI"}
SIBLINGS = {"severity": ("breast finding",), "breast finding": ("severity",)}  # the same, learned on other images
SIGNS = {"diabetic retinopathy": ("microaneurysms", "haemorrhages", "hard exudates", "soft exudates")}
LOOK = ("consolidation", "ground glass opacity", "lung infiltrate")
LOOKS_LIKE = {"pneumonia": LOOK, "covid-19": LOOK}  # the outlined signs of a label that is a fact of the whole image
KINDS_OF = ("modality", "body_part")  # facts of every image
NORMAL = ("no", "normal", "none", "absent", "no finding", "no apparent retinopathy", "no apparent hard exudates")


class Facts:
    """Answers from the probabilities of a view's facts."""

    def __init__(self, finder: Finder, recall: Recall):
        self.finder, self.recall = finder, recall

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
        learned = [
            f for f in view.facts if f in KINDS_OF or list(view.kind) in self.finder.config.fact_kinds.get(f, ())
        ]
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
                f"Of all that I know it looks most like {shown_kind(likeliest)}{_in_brackets(chances[likeliest])}."
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
            result = self.words(call, scene)
            return result if result.answered else Result(call, why_not=unlearned(call.word))
        value = max(chances, key=chances.__getitem__)
        wanted = call.get("is")
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
            why_not = f"I have not learned to tell whether it is {wanted}; most likely it is {value}."
            return Result(call, why_not=why_not)
        share = chance_of(chances, wanted)
        least, worth, operating = self.point(call.word, scene, wanted)
        there = share >= least
        likelihood = share if there else 1 - share
        if leaves_open(scene.question) and not {"yes", "no"} & chances.keys():  # "symmetric or not?"
            ours = {name: chance for name, chance in chances.items() if (chance_of({name: 1.0}, wanted) > 0.5) == there}
            value = max(ours, key=ours.__getitem__)
            return Result(call, likelihood, value=value, remarks=[*others(chances, value), *worth], operating=operating)
        remarks = [f"Most likely {value}{_in_brackets(chances[value])}.", *worth]
        return Result(call, likelihood, value=there != call.denied, remarks=remarks, operating=operating)

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
        remarks = [f"By the whole image the probability is {min(share, 0.99):.2f}.", *worth]
        names = SIGNS.get(call.things[0], self.looks(call.things[0], scene) if there else ())
        regions = self.finder.ground(scene.study, names, scene.index).regions if names else []
        if regions and not there:
            remarks.append(f"But I find {listed(regions)}, which are signs of it, so this is uncertain.")
            result = Result(call, 0.5, CONFLICT, not call.denied, regions, remarks=remarks)
        else:
            likelihood = share if there else 1 - share
            result = Result(call, likelihood, "grade", there != call.denied, regions, remarks=remarks)
        return replace(result, things=call.things, operating=operating)

    def sign(self, call: Call, names: Sequence[str], scene: Scene) -> Result | None:
        """Yes or no to a thing that such an image has as a fact, not as an outline, such as the calcifications of a thyroid
        nodule; `None` for other things."""
        view = self.finder.view(scene.study, scene.index)
        known = [f for f in view.facts if list(view.kind) in self.finder.config.fact_kinds.get(f, ())]
        fact = next((f for f in known for name in names if alike(f, name) and {*view.facts[f]} & {*NORMAL}), "")
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
        view = self.finder.view(scene.study, scene.index)
        known = [f for f in view.facts if list(view.kind) in self.finder.config.fact_kinds.get(f, ())]
        return [value for fact in known for value, chance in view.facts[fact].items() if chance >= USUAL]

    def by_the_whole(self, call: Call, labels: Sequence[str], scene: Scene) -> Result | None:
        """What is shown of a thing that is not outlined itself though the image as a whole speaks for it, or why nothing is;
        `None` where it does not."""
        if not labels or call.modifiers:
            return None
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
        chances = self.chances("abnormal", scene)
        if chances:
            yes, source = chances.get("yes", 0.0), "grade"
        elif labels:
            yes, source = (presence if regions else min(presence, 0.49)), "present"
        else:
            return Result(call, why_not="I know no abnormality to look for in this kind of image.")
        abnormal, shown = yes >= 0.5, list(regions)
        remarks = []
        if shown and not abnormal:
            remarks = [f"By its look as a whole it is normal, but I find {listed(shown)}."]
        if abnormal and not shown:  # the two ways of looking disagree
            remarks = ["By its look as a whole it is abnormal, but I find none of the abnormalities that I look for."]
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
        if text and likelihood >= self.finder.policy.short_answer:
            value: bool | str = {"Yes": True, "No": False}.get(text, text)
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


def named(word: str, facts: Mapping[str, Mapping[str, float]]) -> str:
    """The fact that a word of a call stands for: one of that name, else that of the fewest values which has it as a value."""
    name = NAMES.get(word, word)
    having = [fact for fact, values in facts.items() if word in values]
    return name if name in facts or not having else min(having, key=lambda fact: len(facts[fact]))


def chance_of(chances: Mapping[str, float], wanted: str) -> float:
    """The chance of the value that a call names; "yes" of a fact with stages is any of them but the normal one."""
    normal = sum(chance for name, chance in chances.items() if name in NORMAL)
    if wanted in ("yes", "present"):
        return 1 - normal
    if wanted in NORMAL:
        return normal
    return sum(chance for name, chance in chances.items() if means(name, wanted))


def means(name: str, wanted: str) -> bool:
    """Whether a fact's value is the one that a call names: the same words, or some of its words."""
    words, wanted_words = normalise_answer(name).split(), normalise_answer(wanted).split()
    if {*words} & {"no"} and wanted_words[:1] != ["no"]:
        return wanted_words in (["none"], ["absent"], ["normal"])
    return (
        words == wanted_words
        or set(wanted_words) <= set(words)
        and "non" not in set(words) - set(wanted_words)
        or _stem(words) == _stem(wanted_words)
    )


def _stem(words: Sequence[str]) -> str:
    return " ".join(word.removesuffix("genicity").removesuffix("ic") for word in words)


def others(chances: dict[str, float], best: str) -> list[str]:
    """A sentence on the runner-up where it is near."""
    rest = {name: chance for name, chance in chances.items() if name != best}
    second = max(rest, key=rest.__getitem__, default="")
    near = second and rest[second] >= 0.15
    return [f"It could also be {second} ({rest[second]:.2f} against {chances[best]:.2f})."] if near else []


def _in_brackets(chance: float) -> str:
    return f" ({min(chance, 0.99):.2f})"


def listed(regions: Sequence[Region]) -> str:
    """The labels of some regions as one says them."""
    names = list(dict.fromkeys(region.label for region in regions))
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]


def shown_kind(value: str) -> str:
    """A kind as one writes it, such as "CT"."""
    return DISPLAYED.get(value, value)
