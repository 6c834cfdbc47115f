"""Results → the words of an answer. Every number and every place in them comes from a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..types import Region
from ..vocabulary import LABELS, is_finding
from .grammar import ANYTHING, IT
from .meanings import named
from .places import AREA, SIDED, phrase, words_for
from .results import Result, Scene
from .units import shown as number
from .units import wished
from .values import shown_kind

ABNORMALITY = "abnormality"  # whatever is abnormal
PLURALS = {"nucleus": "nuclei", "tooth": "teeth"}
MOST = 3  # kinds of things that are listed one by one
DECLINED = {
    "treatment": "I cannot tell what to do about it: that needs a clinician who knows the patient.",
    "medicine": "I cannot say anything about medicines: please ask a clinician or a pharmacist who knows the patient.",
    "outlook": "No image tells how it will go on or how serious it is: please ask a clinician who knows the patient.",
    "cause": "No image tells where it comes from: please ask a clinician who knows the patient.",
    "person": "An image does not tell who a person is or how they live, and I do not guess.",
    "prior": "I have no earlier image to compare with, so I cannot tell what has changed.",
    "elsewhere": "I can only answer about the images that are open.",
}
HELP = (
    "I outline, count and measure what I find in the open image, tell its kind and what I have learned to grade, and "
    "draft a report. Ask, for example, “Is there a polyp?”, “Where is it?”, “How large is it?” or “Describe the image.” "
    "For research, not a medical device."
)


def answer_text(result: Result, scene: Scene) -> str:
    """The text of one result's answer, as short as the question allows: "Yes", "2 polyps" or "34.2 mm"."""
    call = result.call
    if call.tool == "decline":
        return DECLINED[call.word]
    if call.tool == "help":
        return HELP
    if result.why_not:
        return result.why_not
    if isinstance(result.value, bool):
        return ("Yes" if result.value else "No") + (_looked(result) if call.tool == "look" else "")
    if result.who in ("short", "generated"):
        return _value(result, scene)
    return WRITERS.get(call.tool, _value)(result, scene)


def _looked(result: Result) -> str:
    """What a yes or no to "are you sure?" is about."""
    name = result.things[0] if result.things else ""
    return f": looked at again, I {'still' if result.value else 'no longer'} find {name}." if name else ""


def labelled_text(result: Result, scene: Scene) -> str:
    """`answer_text` for one of several answers: it names what a yes or no is about, as in "No: pleural effusion"."""
    text, call = answer_text(result, scene), result.call
    if call.tool == "look":
        return text
    whole = isinstance(result.value, bool) or bool(scene.bodies)
    if result.answered and call.tool == "count" and result.source == "" and not whole:
        return tally(result)
    if result.answered and len(result.measurements) == 1 and call.tool == "measure" and result.value is None:
        name = result.measurements[0].name
        return f"{name[:1].upper()}{name[1:]}: {text}"
    if not (result.answered and isinstance(result.value, bool)):
        return text
    if call.tool == "count" and result.regions:
        return f"{text}: {tally(result)}"
    things = [thing for thing in result.things or call.things if thing not in (IT, ANYTHING)]
    about = things[0] if len(things) == 1 else call.get("is") or " and ".join(things[:2]) or call.word
    return f"{text}: {'no ' if call.denied else ''}{about}" if about else text


def beside(result: Result, scene: Scene) -> list[str]:
    """What belongs to it in sentences: what is shown, where, how large, and what was not found."""
    if not result.answered:
        return []
    lines = list(result.remarks)
    call = result.call
    if (
        call.tool == "count" and result.source in ("", "grade") and not scene.bodies
    ):  # which the remarks count in all slices
        lines.append(f"{tally(result)}.")
    gone = call.tool in ("look", "present") and result.value is call.denied
    if call.tool in ("present", "find", "grade", "look", "describe", "identify") and result.regions and not gone:
        groups = _groups(result.regions)[:MOST]
        lines += [
            where_and_size(name, mine, scene)
            for name, mine in groups
            if call.tool not in ("describe", "find") or not _sided(name)
        ]
    if (
        call.tool == "present"
        and result.value is not call.denied
        and not result.regions
        and not lines
        and result.source == ""
    ):
        lines.append("I cannot show where.")
    if call.tool == "compare" and result.measurements:
        sizes = "; ".join(f"{m.name} {number(m, wished(scene.question))}" for m in result.measurements)
        lines.append(f"{sizes[:1].upper()}{sizes[1:]}.")
    if call.tool == "describe" and result.regions and (missing := [n for n in absent(result) if n not in scene.bodies]):
        lines.append(f"Looked for and not found: {', '.join(missing)}.")
    if call.tool == "measure" and result.regions and result.measurements:
        size = f"It measures {_measure(result, scene)}. " if isinstance(result.value, bool) and call.get("is") else ""
        lines.append(f"{size}Measured on what is shown as {result.regions[0].label}.")
    return lines


def absent(result: Result) -> list[str]:
    shown = {name for region in result.regions for name in (region.label, region.phrase)}
    return [name for name in result.things if not {name, f"left {name}", f"right {name}"} & shown]


def where_and_size(name: str, regions: Sequence[Region], scene: Scene) -> str:
    """Such as "2 polyps, the largest in the upper left of the image.": no place where the name says the side."""
    largest = max(regions, key=AREA)
    place = phrase(words_for(largest, scene.size, _mirrored(scene)), _mirrored(scene))
    what = _of_several(name, regions)
    if _sided(name):
        return f"{what[:1].upper()}{what[1:]} shown." if len(regions) == 1 else f"{what} shown."
    return f"{what[:1].upper()}{what[1:]} {place}."


def _of_several(name: str, regions: Sequence[Region]) -> str:
    count = sum(region.label == name for region in regions)
    return name if count == 1 else f"{counted(count, name)}, the largest"


def _sided(name: str) -> bool:
    """Whether a name says on which side it is."""
    return bool({"left", "right"} & set(name.split()))


def _mirrored(scene: Scene) -> bool:
    study = scene.study
    return (study.modality or scene.modality) in SIDED


def plural(name: str) -> str:
    first, *rest = name.split(", ", 1)
    many = f"{first}es" if first.endswith("ss") else first if first.endswith(("s", "teeth", "nuclei")) else f"{first}s"
    words = PLURALS.get(first, many)
    return ", ".join([words, *rest])


def counted(count: int, name: str) -> str:
    if count == 1 and plural(name) == name:
        return name  # the vessels of a retina are one tree
    return f"{count} {name if count == 1 else plural(name)}"


def _groups(regions: Sequence[Region]) -> list[tuple[str, list[Region]]]:
    names = list(dict.fromkeys(region.label for region in regions))
    return [(name, [r for r in regions if r.label == name]) for name in names]


def _none(result: Result) -> str:
    """That there is nothing of what was looked for, or nothing but what was said."""
    if result.call.get("which") == "other":
        other = "nothing else abnormal" if ANYTHING in result.call.things else f"no other {_named(result)}"
        return f"I find {other} here"
    named = _named(result)
    return f"I find no {named} here" if named != ABNORMALITY else f"I find no {named} here that I can outline"


def _named(result: Result) -> str:
    names = list(dict.fromkeys(r.label for r in result.regions)) or list(result.things)
    findings = len(names) > MOST and all(map(is_finding, names))
    if not result.regions and (findings or ANYTHING in result.call.things):
        return ABNORMALITY
    return " or ".join(names) if len(names) <= MOST else "thing that I look for"


def listed(regions: Sequence[Region]) -> str:
    """Such as "liver, spleen and 2 polyps": what there is one of has a number beside what there are several of alone, and by
    nature none."""
    groups = _groups(regions)
    several = any(len(mine) > 1 for _, mine in groups)

    def told(name: str, mine: Sequence[Region]) -> str:
        bare = len(mine) == 1 and (not several or (name in LABELS and LABELS[name].kind == "anatomy"))
        return name if bare else counted(len(mine), name)

    return _listed([told(*group) for group in groups])


def _found(result: Result, scene: Scene) -> str:
    if not result.regions:
        return f"{_none(result)}."
    text = listed(result.regions)
    return f"{text[:1].upper()}{text[1:]} shown."


def _count(result: Result, scene: Scene) -> str:
    if result.call.denied:  # "is any tooth missing?"
        return f"I count {tally(result)}; whether any is missing I cannot tell."
    return str(result.value)


def tally(result: Result) -> str:
    """A count with what was counted, such as "2 kidneys"."""
    groups = _groups(result.regions)
    if not groups:
        return _none(result)
    if len(groups) == 1:
        text = counted(len(result.regions), groups[0][0])
        return text if text[0].isdigit() else f"1: {text}"
    if len(result.call.things) == 1 and _sides(groups):
        return counted(len(result.regions), groups[0][0].split(" ", 1)[1])
    return f"{len(result.regions)}: " + _listed([counted(len(mine), name) for name, mine in groups])


def _sides(groups: Sequence[tuple[str, list[Region]]]) -> bool:
    """Whether groups are the two sides of one thing."""
    return len({name.removeprefix("left ").removeprefix("right ") for name, _ in groups}) == 1


def _place(result: Result, scene: Scene) -> str:
    if not result.regions:
        return f"{_none(result)}."
    text = phrase(str(result.value), _mirrored(scene))
    largest = max(result.regions, key=AREA)
    if not named(largest.phrase or largest.label, scene.question):  # where "it" is: what that is taken for is said
        text = f"{_of_several(largest.label, result.regions)} {text}"
    return f"{text[:1].upper()}{text[1:]}."


def _measure(result: Result, scene: Scene) -> str:
    if not result.regions:
        return f"{_none(result)}, so there is nothing to measure."
    sizes = {m.name: number(m, wished(scene.question)) for m in result.measurements}
    if len(sizes) == 1:
        return next(iter(sizes.values()))
    long, wide = sizes.pop("longest diameter", ""), sizes.pop("perpendicular diameter", "")
    across = [f"{long} × {wide}"] if long and wide else []
    text = ", ".join([*across, *(f"{name} {value}" for name, value in sizes.items())])
    return f"{text[:1].upper()}{text[1:]}"


def _compare(result: Result, scene: Scene) -> str:
    text = str(result.value)
    return text[:1].upper() + text[1:]


def _kind(result: Result, scene: Scene) -> str:
    value = shown_kind(str(result.value))
    part = result.things[0] if result.things and result.things[0] not in ("", "none") else ""
    text = f"{value}, {part}" if part else value
    return text[:1].upper() + text[1:]


def _describe(result: Result, scene: Scene) -> str:
    if isinstance(result.value, str):
        return _identify(result, scene)
    if not result.regions and result.call.things:
        return f"{_none(result)}."
    if not result.regions:
        return f"I find none of what I look for in this kind of image ({', '.join(result.things)})."
    findings, others = (
        [r for r in result.regions if is_finding(r.phrase or r.label) == wanted] for wanted in (True, False)
    )
    if not (findings and others):
        return f"I find {listed(result.regions)}."
    return f"I find {listed(findings)}. Also shown: {listed(others)}."


def _identify(result: Result, scene: Scene) -> str:
    return f"Most likely: {result.value}."


def _value(result: Result, scene: Scene) -> str:
    text = str(result.value)
    return text[:1].upper() + text[1:]


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts[:-1]) + f" and {parts[-1]}" if len(parts) > 1 else parts[0]


WRITERS: dict[str, Callable[[Result, Scene], str]] = {
    "find": _found,
    "count": _count,
    "place": _place,
    "measure": _measure,
    "compare": _compare,
    "kind": _kind,
    "describe": _describe,
    "identify": _identify,
}


def offers(labels: Sequence[str], gradable: Sequence[str] = ()) -> str:
    """What the tools can do for an image, offered where a question is not answered: what they find and what they grade."""
    anatomy = [name for name in labels if LABELS[name].kind != "finding"]
    findings = [name for name in labels if LABELS[name].kind == "finding"]
    some = [*findings[:MOST], *anatomy[:MOST]]
    more = ", and more" if len(labels) > len(some) else ""
    grades = f"I have learned to tell {_listed([*map(shown_kind, gradable)])}" if gradable else ""
    return "".join(f" {line}." for line in (f"I can look for {_listed(some)}{more}" if some else "", grades) if line)
