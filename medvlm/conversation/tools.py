"""The tools that a question calls: typed, over one image of a study. What they do not see, they do not say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..perception.finder import Finder
from ..report.volumes import sentence, summary
from ..types import Body, Image, Region, Study
from ..vocabulary import ANYWHERE, LABELS, LUMP_WORDS, is_finding, whole
from ..windows import around, crop, hull
from .facts import Facts
from .grammar import ANYTHING, DISEASES, IT, Call, split
from .meanings import all_of_it, leaves_open, named, pointed
from .places import (
    AREA,
    SIDED,
    likeliest_types,
    nth,
    once,
    overlap,
    same_place,
    within,
    words_for,
)
from .recall import WHETHER, Recall
from .results import Result, Scene
from .sight import Sight
from .sizes import RATIO_OF, WHICH, Sizes, asks_whether
from .values import HEALTHY, NORMAL, listed, shown_kind

CHOOSING = ("grade", "kind", "recall")  # tools that give one of the values that a question offers, where it does
ACROSS = ("present", "find", "place", "count", "measure", "describe")  # tools that speak of all slices of a volume too
SAME = 0.2  # IoU from which a drawn region and a found one count as the same thing


NOWHERE = ("colon", "retina", "skin", "cells", "blood", "tissue")  # parts that have no bones and no breast tissue


def unknown(thing: str, spoken_of: Sequence[str] = ()) -> str:
    if thing == ANYTHING:
        return "I know no abnormality to look for in this kind of image."
    name = thing if thing != IT else next(iter(spoken_of), IT)
    return "It is nothing that I can show in the image." if name == IT else f"“{name}” is not among what I can find."


class Tools(Sight):
    """Runs calls over what `finder` sees; `recall` answers where nothing can be shown."""

    def __init__(self, finder: Finder, recall: Recall):
        super().__init__(finder)
        self.facts, self.sizes = Facts(finder, recall), Sizes(self)

    def run(self, call: Call, scene: Scene) -> Result:
        """What a call gives; one that has nothing to tell says why."""
        if call.things:
            labels = self.labels(call.things[0], scene)
            call = pointed(call, labels, self.kind_of(scene), self.expected(scene), scene.things, scene.question)
        if call.tool in CHOOSING and not call.get("is") and (choice := self.facts.choice(call, scene)):
            return self.untyped(call, scene) or self.unshown(choice, scene)
        tool: Callable[[Call, Scene], Result] = getattr(self, call.tool)
        return over_slices(tool(call, scene), scene)

    def present(self, call: Call, scene: Scene) -> Result:
        thing = call.things[0]
        if thing == ANYTHING and call.get("which") == "other":  # "what else?" is not answered by yes or no
            return self.find(replace(call, tool="find"), scene)
        if thing == ANYTHING and not call.modifiers:
            return self.facts.abnormal(call, scene, *self.detect_abnormal(scene))
        if thing == IT and not scene.things:
            return self.facts.words(call, scene, "There is nothing yet that “it” could stand for: name it.")
        if fact := self.facts.presence(call, scene):
            return fact
        kind = self.kind_of(scene)
        if (organ := RATIO_OF.get(thing)) and kind not in LABELS[
            thing
        ].places:  # "is that big?" of what has no ratio here
            all_of_organ = all_of_it(organ, kind)
            if all_of_organ or not named(thing, scene.question):
                size = Call("measure", (organ if all_of_organ else IT,), "size", (("is", "large"),), call.denied)
                return self.run(size, scene)
        if {"left", "right"} & {*split(call.get("in"))} and split(call.get("in"))[1:] == [kind[1]]:
            return Result(call, why_not=f"Whether this is the left or the right {kind[1]} the image does not tell.")
        organs = [
            name for name in self.labels(call.get("in"), scene) if kind in LABELS[name].places and call.get("in") != IT
        ]
        if organs and self.detect(organs, scene)[1] < self.finder.policy.ruled_out:
            return Result(call, why_not=f"I find no {call.get('in')} here, so I cannot tell.")
        regions, labels, presence = self.picked(call, scene, thing)
        names = [name for name in (labels or [thing]) if name not in LABELS or kind not in LABELS[name].places]
        if sign := self.facts.sign(call, names, scene):
            return sign
        if not labels and thing != IT:
            return self.facts.yes_or_no(call, scene) or Result(call, why_not=unknown(thing))
        if thing.removesuffix("s") in LUMP_WORDS and len(names) == len(
            labels
        ):  # such an image shows no lump that I know
            why_not = f"I have not learned to find {thing} in this kind of image ({shown_kind(kind[0])}, {kind[1]})."
            return Result(call, why_not=why_not)
        label = labels[0] if labels else ""
        if label in ANYWHERE and kind not in LABELS[label].places and kind[1] not in NOWHERE:
            reply = self.facts.yes_or_no(replace(call, things=(label,), modifiers=()), scene)
            why_not = f"I have not learned to find {label} in this kind of image ({shown_kind(kind[0])}, {kind[1]})."
            return replace(reply, call=call) if reply else Result(call, why_not=why_not)
        least = min((self.finder.policy.least(name) for name in labels), default=0.5)
        if call.denied and regions and len(labels) == 1 and is_one_of_many(label):
            return self.count(replace(call, tool="count"), scene)
        there = bool(regions) or (presence >= least and not call.modifiers)
        likelihood = sure_of(presence, least)
        result = Result(call, likelihood, "", there != call.denied, regions, things=tuple(labels))
        return self.sizes.weighed(result, scene)

    def find(self, call: Call, scene: Scene) -> Result:
        thing = call.things[0]
        if thing == IT and not scene.things:
            return self.facts.words(
                call, scene, "There is nothing yet that “it” could stand for: name it, or draw a box."
            )
        if disease := judged_whole(thing, scene):
            return self.disease(call, disease, scene)
        regions, labels, presence = self.picked(call, scene, thing)
        if not labels and not regions and call.tool in ("find", "measure"):
            return Result(call, why_not=unknown(thing, scene.things))
        if not labels and not regions:
            return self.facts.words(call, scene, unknown(thing, scene.things))
        if not regions and (reply := self.facts.by_the_whole(call, labels, scene)):
            return reply
        if thing == ANYTHING and call.get("which") == "other":
            return self.others(call, regions, labels, scene)
        least = min((self.finder.policy.least(name) for name in labels), default=0.5)
        return Result(call, sure_of(presence, least), "", len(regions), regions, things=tuple(labels) or (thing,))

    def others(self, call: Call, findings: list[Region], labels: list[str], scene: Scene) -> Result:
        """What no turn before has shown: abnormalities, and beside them what is normal."""
        told = [*scene.told, *scene.focus]
        new = [
            r
            for r in (*likeliest_types(findings), *once(self.detect(self.anatomy(scene), scene)[0]))
            if not any(r.label == other.label and same_place(r, other) for other in told)
        ]
        found = [r for r in new if is_finding(r.phrase or r.label)]
        normal = list(dict.fromkeys(r.label for r in new if r not in found))
        remarks = [f"Normal structures that I can outline too: {', '.join(normal)}."] if normal else []
        diseases = [name for name in DISEASES if self.facts.is_there(name, scene)]
        if found and diseases:  # what was outlined may be taken for something else
            remarks.append(f"It may be part of the {shown_kind(diseases[0])} that the image as a whole speaks for.")
        return Result(call, 1.0, "", len(found), found, things=tuple(labels), remarks=remarks)

    def disease(self, call: Call, name: str, scene: Scene) -> Result:
        """What is shown of a disease that the image is judged by as a whole: its signs."""
        if reply := self.facts.by_the_whole(replace(call, modifiers=()), [name], scene):
            if reply.regions and call.modifiers:
                some = self.picked(call, replace(scene, focus=reply.regions), IT)[0]
                reply = replace(reply, value=len(some), regions=some)
            return replace(reply, call=call)
        judged = self.facts.presence(Call("present", (name,)), scene)
        if judged is None or not judged.answered:
            return Result(call, why_not=judged.why_not if judged else unknown(name))
        return Result(call, judged.likelihood, judged.source, 0, things=(name,))

    def count(self, call: Call, scene: Scene) -> Result:
        if call.things[0] == IT and call.get("which") == "" and scene.focus and self.labels(IT, scene):
            call = replace(call, things=(self.labels(IT, scene)[0],))  # how many there are, not how many were shown
        if call.get("which") in ("largest", "smallest"):  # "how many are there?" "And the largest?"
            return self.measure(replace(call, tool="measure", word="size"), scene)
        result = self.find(call, scene)
        if call.get("is") and result.regions:
            return self.sizes.against_the_normal(result, scene)
        bodies = bodies_of(result, scene) if result.regions else {}
        if len(bodies) == 1:  # of several things that may overlap there is no one number
            result.value = next(iter(bodies.values())).count
        return self.sizes.against(result)

    def place(self, call: Call, scene: Scene) -> Result:
        result = self.find(call, scene)
        if result.regions:
            findings = [r for r in result.regions if is_finding(r.phrase or r.label)]
            result.regions = findings or result.regions  # of what was told: what is wrong comes first
            largest = max(result.regions, key=AREA)
            result.value = words_for(largest, scene.size, self.modality(scene) in SIDED, scene.question)
            if organ := self.organ(largest, scene):
                result.remarks.append(f"It lies within the {organ}.")
            else:
                result.remarks += self.unnamed(scene)
            if all_of_it(call.things[0], self.kind_of(scene)):
                result.remarks.append(f"Of the {call.things[0]} I outline parts alone.")
        return result

    def unnamed(self, scene: Scene) -> list[str]:
        """A sentence for "which bone is it in?" where no normal structure is outlined that could be named."""
        which = WHICH.search(scene.question) and not leaves_open(scene.question)
        if not which or self.anatomy(scene) or self.modality(scene) not in SIDED:
            return []
        part = self.kind_of(scene)[1]
        return [
            f"It is an image of the {part}, in which I outline no normal structures, so I cannot name the one it is in."
        ]

    def measure(self, call: Call, scene: Scene) -> Result:
        return self.sizes.measure(call, scene)

    def compare(self, call: Call, scene: Scene) -> Result:
        return self.sizes.compare(call, scene)

    def kind(self, call: Call, scene: Scene) -> Result:
        return self.facts.kind(call, scene)

    def grade(self, call: Call, scene: Scene) -> Result:
        if call.word == "abnormal":
            return self.facts.abnormal(call, scene, *self.detect_abnormal(scene))
        return self.untyped(call, scene) or self.unshown(self.facts.grade(call, scene), scene)

    def unshown(self, result: Result, scene: Scene) -> Result:
        """The result with a remark where a fact calls the image diseased, such as malignant, and nothing is found in it."""
        values = self.facts.chances(result.call.word, scene)
        labels = self.labels(ANYTHING, scene)
        diseased = {*values} & {*HEALTHY} and isinstance(result.value, str) and result.value not in NORMAL
        if diseased and labels and not self.detect_abnormal(scene)[0]:
            remark = "I find no abnormality that I can outline: this is said by the look of the image as a whole."
            return replace(result, remarks=[*result.remarks, remark])
        return result

    def untyped(self, call: Call, scene: Scene) -> Result | None:
        """Why no type of a thing is given: the thing is not there. `None` where it is, or where no types are asked for."""
        chances = self.facts.chances(call.word, scene)
        things = {whole(value) for value in chances}
        thing = things.pop() if len(things) == 1 else None
        if thing is None or self.present(Call("present", (thing,)), scene).value is not False:
            return None
        best = max(chances, key=chances.__getitem__)
        why_not = f"I find no {thing} here, so there is no type to tell. Were there one, it would most likely be {best} ({chances[best]:.2f})."
        return Result(call, things=(thing,), why_not=why_not)

    def describe(self, call: Call, scene: Scene) -> Result:
        thing = call.things[0] if call.things else ""
        if thing == IT and scene.things == ("region",):
            return replace(self.identify(Call("identify", (IT,)), scene), call=call)
        if thing == IT and scene.focus:
            regions = nth(scene.focus, call.get("which"))
            names = scene.things if regions == scene.focus else tuple({r.phrase or r.label for r in regions})
            return unjudged(Result(call, 1.0, "", len(regions), regions, things=names), scene)
        if (disease := judged_whole(thing, scene)) and (
            fact := self.facts.presence(Call("present", (disease,)), scene)
        ):
            return replace(fact, call=call)
        if all_of_it(thing, self.kind_of(scene)):
            thing = ""  # the thyroid of an image of the thyroid
            if WHETHER.search(scene.question):
                return self.grade(Call("grade", word="abnormal"), scene)
        labels = self.labels(thing, scene) if thing else self.expected(scene)
        regions, presence = self.detect(labels, scene) if labels else ([], 0.0)
        if thing and not regions and (reply := self.facts.by_the_whole(call, labels, scene)):
            return reply
        judged = thing and WHETHER.search(scene.question) and (regions or not labels)
        if judged and (state := self.facts.state(call, scene)):
            found = [region for region in self.detect_abnormal(scene)[0] if within(region, regions)]
            what = f"I find {listed(found)} in it" if found else "I find no abnormality in it"
            if found and self.facts.looks_healthy(thing, scene):
                why_not = f"I cannot tell: by its look as a whole it is healthy, but {what}."
                return Result(call, regions=found, things=tuple(labels), why_not=why_not)
            remarks = [f"This is said by the look of the image as a whole; {what}."]
            return replace(state, regions=regions, things=tuple(labels), remarks=remarks)
        if not labels:
            why_not = unknown(thing, scene.things) if thing else "I know nothing to look for in this kind of image."
            return self.facts.words(call, scene, why_not)
        shown = sorted(once(likeliest_types(regions)), key=lambda region: not is_finding(region.phrase or region.label))
        result = Result(call, max(presence, 0.5), "", len(regions), shown, things=tuple(labels))
        return unjudged(result, scene) if thing else result

    def identify(self, call: Call, scene: Scene) -> Result:
        if not scene.focus:  # nothing is pointed at, so "this" is the image
            return self.facts.kind(Call("kind", word="image"), scene)
        pointed, labels = scene.focus[0], self.expected(scene)
        found = self.detect(labels, scene)[0] if labels else []
        best = max(found, key=lambda region: overlap(region, pointed), default=None)
        if best is None or overlap(best, pointed) < SAME:
            return Result(call, regions=scene.focus, why_not="It is nothing that I can name in this kind of image.")
        name = best.phrase or best.label
        if WHICH.search(scene.question) and name in scene.things and (remarks := self.unnamed(scene)):
            return Result(call, best.score, "present", best.label, [best], things=(name,), remarks=remarks)
        wanted = [label for label in LABELS if named(label, scene.question)]
        if wanted and asks_whether(scene.question):  # "is this the spleen?"
            right = name in wanted or whole(name) in wanted
            return Result(
                call, best.score, "present", right, [best], things=(name,), remarks=[f"Most likely: {best.label}."]
            )
        return Result(call, best.score, "present", best.label, [best], things=(name,))

    def look(self, call: Call, scene: Scene) -> Result:
        """The same thing asked again of an enlarged part around where it was found, or around a drawn region."""
        regions, labels, presence = self.picked(call, scene, call.things[0])
        labels = labels or self.labels(ANYTHING, scene)
        if len(labels) > 1 and regions:
            chances = self.finder.ground(scene.study, labels, scene.index).presence
            surest = max((r.phrase or r.label for r in regions), key=lambda name: chances.get(name, 0.0))
            regions = [r for r in regions if (r.phrase or r.label) == surest]
            labels, presence = [surest], chances.get(surest, presence)
        if not labels or not regions:
            return self.describe(replace(call, tool="describe"), scene)
        window = around(_around(regions), scene.size)
        if window is None:  # the image is as close a look as there is
            least = self.finder.policy.least(labels[0])
            remark = f"In the image as a whole its probability is {min(presence, 0.99):.2f}."
            likelihood = sure_of(presence, least)
            return Result(call, likelihood, "present", True, regions, things=tuple(labels), remarks=[remark])
        closer = crop(scene.study.images[scene.index], window)
        again = self.finder.ground(_alone(scene.study, closer), labels, 0)
        chance = max(again.presence.values())
        least = min(self.finder.policy.least(name) for name in labels)
        there = chance >= least
        remark = f"Looked at enlarged, its probability is {min(chance, 0.99):.2f}; in the whole image {min(presence, 0.99):.2f}."
        result = Result(call, sure_of(chance, least), "present", there, regions, things=tuple(labels), remarks=[remark])
        return result

    def recall(self, call: Call, scene: Scene) -> Result:
        return self.facts.words(call, scene)

    def decline(self, call: Call, scene: Scene) -> Result:
        return Result(call, 1.0, value=call.word)

    def help(self, call: Call, scene: Scene) -> Result:
        return Result(call, 1.0)


def bodies_of(result: Result, scene: Scene) -> dict[str, Body]:
    """What the slices of a volume show together of the things that a result shows, or describes; nothing where a call picks
    some of them."""
    call = result.call
    if call.tool != "describe" and any(call.get(picks) for picks in ("which", "where", "in", "near")):
        return {}
    names = [region.phrase or region.label for region in result.regions]
    names = [*result.things, *names] if call.tool == "describe" else names
    return {name: scene.bodies[name] for name in names if name in scene.bodies}


def judged_whole(thing: str, scene: Scene) -> str:
    """The disease that a thing is, or that "it" is where nothing was shown of it; nothing for other things."""
    names = () if thing == IT and scene.focus else scene.things if thing == IT else (thing,)
    return next((name for name in names if name in DISEASES), "")


def unjudged(result: Result, scene: Scene) -> Result:
    """What is told of a normal structure, with a remark where it was asked whether it is as it should be."""
    shown = [region.phrase or region.label for region in result.regions]
    if shown and asks_whether(scene.question) and not any(map(is_finding, shown)):
        result.remarks.append("Whether that is as it should be I have not learned to tell.")
    return result


def over_slices(result: Result, scene: Scene) -> Result:
    """The result with a remark on how much of what it shows all slices of a volume have together."""
    if result.answered and result.call.tool in ACROSS and (bodies := bodies_of(result, scene)):
        single = [sentence(label, body, scene.study) for label, body in bodies.items()]
        result.remarks += single if len(single) == 1 else [summary(bodies)]
    return result


def is_one_of_many(label: str) -> bool:
    """Whether a label is of the body's parts of which there are many, so that one can be missing while others are there."""
    return label in LABELS and LABELS[label].multiplicity == "many" and LABELS[label].kind == "anatomy"


def sure_of(presence: float, least: float) -> float:
    """How likely a yes or no on a presence is, from its distance to the threshold `least`."""
    odds = [min(max(chance, 1e-6), 1 - 1e-6) for chance in (presence, least)]
    margin = abs(np.log(odds[0] / (1 - odds[0])) - np.log(odds[1] / (1 - odds[1])))
    return float(1 / (1 + np.exp(-margin)))


def _around(regions: Sequence[Region]) -> tuple[float, float, float, float]:
    box = regions[0].box
    for region in regions[1:]:
        box = hull(box, region.box)
    return box


def _alone(study: Study, image: Image) -> Study:
    return replace(study, images=[image], default=0)
