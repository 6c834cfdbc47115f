"""The tools that measure what was outlined, and compare it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ..report.agreement import RATIO
from ..report.measurements import head_circumference, measure
from ..types import Measurement, Region
from ..vocabulary import LABELS, is_finding
from .grammar import ANYTHING, IT, Call
from .meanings import all_of_it
from .places import AREA
from .results import CONFLICT, Result, Scene
from .units import in_unit, quantity, shown, wished
from .values import NORMAL

if TYPE_CHECKING:
    from .tools import Tools

RATIOS = {
    "heart": RATIO,
    "cardiomegaly": RATIO,
    "optic cup": "vertical cup-to-disc ratio",
    "optic disc": "vertical cup-to-disc ratio",
}
RATIO_OF = {"cardiomegaly": "heart", "optic disc": "optic cup"}  # what is measured for the ratio of another
BESIDE = {"heart": ("left lung", "right lung"), "optic cup": ("optic disc",)}  # what a ratio is taken with
CROSSING = "perpendicular diameter"
NAMES = {"length": "longest diameter", "diameter": "longest diameter"}
VOLUMES = ("size", "area")  # words that a volume is an answer to as well
OPPOSITE = {"smaller": "larger", "fewer": "more", "lower": "higher"}
VOLUME = re.compile(r"\b(?:volumes?|ml|millilit\w+|cc|cm³|lit(?:er|re)s?)\b", re.IGNORECASE)
WHETHER = re.compile(r"(?:so |and |but )?(?:is|are|was|were|do|does|did|has|have|can)\b|\b(?:than|as)\b", re.IGNORECASE)
AXIS = re.compile(r"\b(?:axis|axes|perpendicular|orthogonal|long|length)\b", re.IGNORECASE)  # a width is across this
WHICH = re.compile(r"\b(?:which|what|who|or)\b", re.IGNORECASE)
CLEAR = 0.05  # share by which two sizes have to differ for one to be called the larger


class Sizes:
    """Measurements over what the other tools find."""

    def __init__(self, tools: Tools):
        self.tools = tools

    def measure(self, call: Call, scene: Scene) -> Result:
        if call.word == "ratio":
            call = self.of_ratio(call, scene)
        if call.word == "share" and call.things == (call.get("of"),):  # "how much of it is affected?"
            call = replace(call, things=(ANYTHING,))
        if all_of_it(call.things[0], self.tools.kind_of(scene)) and self.tools.labels(call.things[0], scene):
            parts = ", ".join(self.tools.labels(call.things[0], scene))
            why_not = f"I outline parts of the {call.things[0]} alone ({parts}): name the one that I should measure."
            return Result(call, why_not=why_not)
        result = self.tools.find(call, scene)
        if not result.answered or not result.regions:
            return result
        found = self.values(call, scene, result.regions, result.things)
        if not found:
            return Result(call, things=result.things, regions=result.regions, why_not=self.unmeasured(call, result))
        if call.word in VOLUMES and len(result.things) == 1 and (body := scene.bodies.get(result.things[0])):
            volume = [m for m in body.measurements if m.name == "volume"]
            found = volume if volume and VOLUME.search(scene.question) else [*found, *volume]
        result.measurements, result.value = found, None
        if call.word != "share":
            result.regions = [max(result.regions, key=AREA)]
        if found[0].name == "width" and call.word == "width":
            result.remarks.append("From side to side of the image, not across its longest diameter.")
        limit = self.limit(found[0])
        if call.word == "ratio" and limit is not None:
            result.remarks.append(f"Above {limit:.2f} it counts as enlarged.")
        if call.word == "size" and result.things == ("heart",) and self.tools.modality(scene) == "x-ray":
            ratio = self.values(replace(call, word="ratio"), scene, result.regions, result.things)
            result.remarks += [f"The cardiothoracic ratio is {m.value:.2f}." for m in ratio]
        if scene.spacing is None and any(m.unit.startswith("px") for m in found):
            result.remarks.append("The pixel spacing is unknown, so sizes are in pixels.")
        return self.judged(result, scene) if call.get("is") else self.against(result)

    def limit(self, ratio: Measurement) -> float | None:
        """Above which value a ratio counts as enlarged; `None` for other measurements."""
        policy = self.tools.finder.policy
        return {RATIOS["heart"]: policy.enlarged_heart, RATIOS["optic cup"]: policy.large_cup}.get(ratio.name)

    def judged(self, result: Result, scene: Scene) -> Result:
        """Yes or no to "is the liver enlarged?", by the short answers where they are sure: there is no table of normal sizes."""
        if result.call.things == (IT,) or self.limit(result.measurements[0]) is not None:
            return self.against_the_normal(result, scene)
        state = self.tools.facts.state(result.call, scene)
        if state is None:
            result.remarks.append(f"I have no normal size to tell by whether it is {result.call.get('is')}.")
            return result
        return replace(result, value=state.value, likelihood=state.likelihood, source=state.source)

    def against_the_normal(self, result: Result, scene: Scene) -> Result:
        """Yes or no to "is that normal?" of a size, where a ratio with a limit can be measured of it; else why there is none."""
        call, name = result.call, next(iter(result.things), "thing")
        ratios = self.values(replace(call, word="ratio"), scene, result.regions, result.things)
        if ratios and (limit := self.limit(ratios[0])) is not None:
            enlarged = ratios[0].value > limit
            remark = f"The {ratios[0].name} is {ratios[0].value:.2f}; above {limit:.2f} it counts as enlarged."
            value = (enlarged != (call.get("is") in NORMAL)) != call.denied
            return replace(result, value=value, measurements=[], remarks=[remark])
        what = "number" if call.tool == "count" else call.word or "size"
        why_not = f"I have no normal range for the {what} of the {name}, so I cannot tell."
        if is_finding(name) and call.get("is") in ("abnormal", *NORMAL):
            remark = f"What is shown as {name} is abnormal itself, whatever its {what}."
            value = (call.get("is") == "abnormal") != call.denied
            return replace(result, source="present", value=value, measurements=[], remarks=[remark])
        if is_finding(name):
            why_not = f"What is shown as {name} is abnormal itself, so it has no normal {what} to compare with."
        return Result(call, things=result.things, regions=result.regions, why_not=why_not)

    def against(self, result: Result) -> Result:
        """Yes or no where a question names a number to be above or below, of the first measurement or of the count."""
        call = result.call
        bound = next((call.get(word) for word in ("over", "under") if call.get(word)), "")
        limit = quantity(bound) if result.answered and result.regions else None
        if limit is None:
            return result
        counted = result.value if isinstance(result.value, int) else len(result.regions)
        several = result.measurements or [Measurement("count", counted, "count")]
        found = next((m for m in several if in_unit(m, limit[1]) is not None), several[0])
        value = in_unit(found, limit[1])
        unscaled = ": the pixel spacing is unknown" if found.unit.startswith("px") else ""
        if value is None:
            return replace(
                result, why_not=f"I measure {shown(found)}, which cannot be compared with {bound}{unscaled}."
            )
        right = value > limit[0] if call.get("over") else value < limit[0]
        what = "It" if found.unit in ("ratio", "count") else f"The {found.name}"
        remark = f"{what} is {shown(found, wished(bound))}."
        return replace(result, value=right != call.denied, remarks=[remark, *result.remarks])

    def of_ratio(self, call: Call, scene: Scene) -> Call:
        """The call of the thing that a ratio is measured of."""
        named = self.tools.labels(call.things[0], scene)[:1] or [call.things[0]]
        return replace(call, things=(RATIO_OF.get(named[0], named[0]),))

    def unmeasured(self, call: Call, result: Result) -> str:
        name = " and ".join(result.things)
        if call.word == "ratio" and name in BESIDE:
            return f"For a ratio of the {name} I would need the {' and the '.join(BESIDE[name])} as well, which I do not find."
        if call.word == "share" and call.get("of"):
            return f"I cannot measure the share of the {call.get('of')}, as I do not find its outline here."
        boxed = ", which I mark with a box and not with an outline" if result.regions[0].mask is None else ""
        return f"I cannot measure the {call.word} of the {name}{boxed}."

    def values(self, call: Call, scene: Scene, regions: Sequence[Region], things: Sequence[str]) -> list[Measurement]:
        """What a word asks to be measured of the largest of some regions; of the share, of all."""
        largest, name = max(regions, key=AREA), things[0] if things else ""
        if call.word == "area" and not call.get("which") and name in LABELS and LABELS[name].kind == "anatomy":
            return [replace(self.amount("larger", regions, scene), name="area")]
        if call.word == "share":
            return self.share(call, scene, regions)
        if call.word == "circumference":
            return [replace(m, name="circumference") for m in [_around(largest, scene.spacing)] if m]
        beside = {r.label: r.mask for r in self.beside(name, scene) if r.mask is not None}
        every = {m.name: m for m in measure(largest, beside, scene.spacing, self.tools.modality(scene))}
        if call.word == "ratio":
            return [every[RATIOS[name]]] if RATIOS.get(name) in every else []
        if call.word == "area":
            return [every["area"]] if "area" in every else []
        if call.word == "width" and "myocardium" in name and largest.mask is not None:
            return [thickness(largest.mask, scene.spacing)]
        if call.word == "width" and CROSSING in every and AXIS.search(scene.question):
            return [every[CROSSING]]
        if call.word in ("width", "height"):
            return [across(largest, call.word, scene.spacing)]
        if call.word in NAMES:
            other = {"length": "height", "diameter": "width"}[call.word]  # of a box without a mask
            return [every.get(NAMES[call.word]) or every[other]]
        return [m for n, m in every.items() if n in (*NAMES.values(), CROSSING, "width", "height", "area")]

    def share(self, call: Call, scene: Scene, regions: Sequence[Region]) -> list[Measurement]:
        """The per cent of the image, or of another thing, that some regions cover."""
        whole = float(scene.size[0] * scene.size[1])
        covered = sum(map(AREA, regions))
        if (organ := call.get("of")) and organ != IT:
            labels = self.tools.labels(organ, scene)
            holders = self.tools.detect(labels, scene)[0] if labels else []
            whole, covered = sum(map(AREA, holders)), shared(regions, holders)
        return [Measurement("share", 100 * covered / whole, "percent")] if whole else []

    def beside(self, label: str, scene: Scene) -> list[Region]:
        names = BESIDE.get(label, ())
        return self.tools.detect(names, scene)[0] if names else []

    def compare(self, call: Call, scene: Scene) -> Result:
        names = list(call.things)
        if len(names) == 1:
            names = self.tools.labels(names[0], scene)
        if volumes := self.volumes(call, names, scene):
            return self.compared(call, scene, volumes, [])
        found: dict[str, list[Region]] = {}
        for name in names:
            labels = self.tools.labels(name, scene)
            regions = (
                scene.focus if name == IT and scene.focus else self.tools.detect(labels, scene)[0] if labels else []
            )
            found[labels[0] if len(labels) == 1 else name] = list(regions)
        shown = [region for regions in found.values() for region in regions]
        missing = [name for name, regions in found.items() if not regions]
        if len(found) < 2:
            return Result(call, regions=shown, why_not="Name two things that I should compare.")
        if missing and not (call.word in ("more", "fewer") and shown):
            what = " and ".join(missing)
            return Result(call, regions=shown, why_not=f"I do not find {what} here, so there is nothing to compare.")
        sizes = {name: self.amount(call.word, regions, scene) for name, regions in found.items()}
        return self.compared(call, scene, sizes, shown)

    def volumes(self, call: Call, names: Sequence[str], scene: Scene) -> dict[str, Measurement]:
        """The volumes of things that are to be compared by size, if all of them are known, else nothing."""
        labels = [(self.tools.labels(name, scene) or [name])[0] for name in names]
        bodies = {label: scene.bodies[label] for label in labels if label in scene.bodies}
        if call.word not in ("larger", "smaller") or len(bodies) < max(2, len(labels)):
            return {}
        sizes = {label: m for label, body in bodies.items() for m in body.measurements if m.name == "volume"}
        return sizes if len(sizes) == len(bodies) else {}

    def compared(self, call: Call, scene: Scene, sizes: dict[str, Measurement], shown: list[Region]) -> Result:
        """Which of things with sizes it is that a comparison asks for."""
        best = (min if call.word in OPPOSITE else max)(sizes, key=lambda name: sizes[name].value)
        values = sorted(m.value for m in sizes.values())
        low, high = abs(values[-2]), abs(values[-1])
        share = max(low, high) / max(low + high, 1e-9)
        remarks = [] if abs(high - low) > CLEAR * max(high, low) else ["They differ by less than 5 %."]
        measurements = (
            [replace(m, name=name) for name, m in sizes.items()] if call.word not in ("higher", "lower") else []
        )
        value: bool | str = best
        if call.word in ("more", "fewer") and low == high:
            value, remarks = "the same number", []
        if asks_whether(scene.question):  # "is the left kidney larger than the right?"
            value, remarks = (
                (best == next(iter(sizes))) != call.denied,
                [f"The {best} {_is(best)} {call.word}.", *remarks],
            )
        return Result(call, share, "", value, shown, measurements, tuple(sizes), remarks)

    def amount(self, word: str, regions: Sequence[Region], scene: Scene) -> Measurement:
        """What things are compared by: their area, their number, or how high up they are."""
        word = OPPOSITE.get(word, word)
        if word == "more":
            return Measurement("count", len(regions), "count")
        if word == "higher":
            return Measurement(
                "height", scene.size[0] - sum((r.box[1] + r.box[3]) / 2 for r in regions) / len(regions), "px"
            )
        scale = scene.spacing or (1.0, 1.0)
        unit = "mm2" if scene.spacing else "px2"
        return Measurement("area", sum(map(AREA, regions)) * scale[0] * scale[1], unit)

    def weighed(self, result: Result, scene: Scene) -> Result:
        """An enlarged heart against the measured ratio: where the two disagree, the answer gives both and is sure of neither."""
        if result.things != ("cardiomegaly",) or self.tools.modality(scene) != "x-ray":
            return result
        ratio = self.measure(Call("measure", ("heart",), "ratio"), scene)
        if not ratio.measurements:
            return result
        value, limit = ratio.measurements[0].value, self.tools.finder.policy.enlarged_heart
        enlarged = value > limit
        side = "above" if enlarged else "not above"
        result.remarks.append(f"The cardiothoracic ratio is {value:.2f}, {side} {limit:.2f}.")
        result.regions = result.regions or ratio.regions
        if enlarged == (result.value != result.call.denied):
            return result
        result.remarks.append("By its look it would be the other way round, so this is uncertain.")
        return replace(result, value=enlarged != result.call.denied, likelihood=0.5, source=CONFLICT)


def shared(regions: Sequence[Region], holders: Sequence[Region]) -> float:
    """The area in px² of some regions that lies in others; all of theirs where one has no mask."""
    masks = [[region.mask for region in some if region.mask is not None] for some in (regions, holders)]
    if len(masks[0]) < len(regions) or len(masks[1]) < len(holders) or not holders:
        return sum(map(AREA, regions))
    return float((np.logical_or.reduce(masks[0]) & np.logical_or.reduce(masks[1])).sum())


def asks_whether(question: str) -> bool:
    """Whether a comparison is to be affirmed or denied: one that asks "is it larger" or says "than", and not which."""
    match = WHETHER.search(question)
    begins = match is not None and (match.start() == 0 or match[0].lower() in ("than", "as"))
    return begins and WHICH.search(question) is None


def thickness(mask: np.ndarray, spacing: tuple[float, float] | None) -> Measurement:
    """Of a wall `(H, W)`, bool: twice the largest distance from a pixel in it to its edge, in mm or px."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)
    return Measurement("thickness", 2 * float(depth.max()), "mm" if spacing else "px")


def across(region: Region, word: str, spacing: tuple[float, float] | None) -> Measurement:
    """The "width" or "height" of a region in the image, in mm or px."""
    axis = 1 if word == "width" else 0
    x0, y0, x1, y1 = region.box
    return Measurement(word, (y1 - y0, x1 - x0)[axis] * (spacing or (1.0, 1.0))[axis], "mm" if spacing else "px")


def _is(label: str) -> str:
    several = label in LABELS and LABELS[label].multiplicity != "one" and label.endswith("s")
    return "are" if several else "is"


def _around(region: Region, spacing: tuple[float, float] | None) -> Measurement | None:
    return None if region.mask is None else head_circumference(region.mask, spacing)
