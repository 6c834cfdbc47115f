"""What the things of a call stand for in an image: labels of the vocabulary. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches

from ..vocabulary import LABELS, LUMP_WORDS, LUMPS, TYPES, is_finding, known_name, names_of
from .grammar import ANYTHING, IT, Call, alike, split

LIKE = 0.85  # similarity from which an unknown word is taken for a misspelt name
POINTING = (
    "present",
    "find",
    "place",
    "count",
    "measure",
)  # tools that take "it" for what the image shows, where nothing else is meant
SHOWING = ("find", "place", "count", "measure", "describe", "look")
SHORT = 4  # letters of a word that is too common to stand for a value
POINTERS = frozenset(("it", "that", "this", "these", "those", "they"))  # words for what the turns before spoke of
TRUNK = {"chest", "abdomen", "pelvis"}
Kind = tuple[str, str]  # modality and body part


def labels_of(thing: str, kind: Kind, expected: Sequence[str], spoken_of: Sequence[str], question: str) -> list[str]:
    """The labels that the name of a thing stands for in an image of a kind, in which `expected` are looked for; none where
    it is not known. `it` is what the turns before have `spoken_of`."""
    if thing == IT:
        names = (labels_of(one, kind, expected, (), question) for one in spoken_of if one != IT)
        return list(dict.fromkeys(name for some in names for name in some))
    if thing == ANYTHING:
        organs = {"organ", "organs"} & set(split(question))  # of "the biggest organ" no finding is one
        return [label for label in expected if (LABELS[label].kind == "anatomy" if organs else is_finding(label))]
    single = thing[:-1] if thing.endswith("s") and thing not in LABELS else thing
    own = known_name(thing) or known_name(single) or ("mass" if single in LUMP_WORDS else None) or misspelt(single)
    sides = [name for name in (f"left {single}", f"right {single}") if name in LABELS]
    types = [name for name in (own or "", *TYPES.get(own or "", ())) if name in LABELS and kind in LABELS[name].places]
    if own in TYPES and (types or named(own, question)):
        return types or [own]
    here = [name for name in (own, *sides) if name and name in LABELS and kind in LABELS[name].places]
    if own in here:
        return [own]
    if not here and own and all_of_it(own, kind):
        return [label for label in expected if LABELS[label].kind == "anatomy"]
    base = (own or "").removeprefix("left ").removeprefix("right ")
    if not here and base in LABELS and kind in LABELS[base].places:
        return [base]
    if not here and own and (own in LUMPS or own in TYPES) and not named(own, question):
        here = [name for name in LUMPS if kind in LABELS[name].places]
    return here or ([own] if own else sides) or parts_called(single, kind, expected)


def all_of_it(thing: str, kind: Kind) -> bool:
    """Whether a thing is the part of the body that an image is of and has no outline of its own in it, as the heart in an MRI
    of it: then it stands for what is outlined there."""
    name = known_name(thing) or thing
    return name == kind[1] and (name not in LABELS or kind not in LABELS[name].places)


def parts_called(word: str, kind: Kind, expected: Sequence[str]) -> list[str]:
    """The labels of many parts in such an image with an unknown word in their names, as cells are in "red blood cell"."""
    many = [name for name in expected if LABELS[name].multiplicity == "many" and not is_finding(name)]
    return [name for name in many if kind in LABELS[name].places and any(word in split(own) for own in names_of(name))]


def other_side(label: str, side: str) -> str:
    """The label of the other one of a pair where a side is asked for that a label is not of, such as the right lung."""
    own, _, thing = label.partition(" ")
    other = f"{side} {thing}"
    return other if {own, side} == {"left", "right"} and other in LABELS else ""


def misspelt(word: str) -> str | None:
    """The label whose name an unknown word is nearly spelt as; `None` where it is like none."""
    near = get_close_matches(word, list(LABELS), 1, LIKE) or get_close_matches(word.rstrip("s"), list(LABELS), 1, LIKE)
    return near[0] if near else None


def named(label: str, question: str) -> bool:
    """Whether a question has one of a label's names in it; a word for any lump names none."""
    words = split(question)
    return any(_within(split(name), words) for name in names_of(label) if name not in LUMP_WORDS)


def _within(name: Sequence[str], words: Sequence[str]) -> bool:
    starts = range(len(words) - len(name) + 1)
    return any(all(map(alike, words[at : at + len(name)], name)) for at in starts)


def pointed(
    call: Call, labels: Iterable[str], kind: Kind, expected: Sequence[str], spoken_of: Sequence[str], question: str
) -> Call:
    """A call about what can be meant in this image: "it" that stands for nothing yet is whatever is abnormal,
    or the one thing that such an image shows, and a label
    that it cannot show, though the question does not name it, is what the turns before spoke of."""
    if len(call.things) != 1:
        return call
    thing, found = call.things[0], list(labels)
    elsewhere = found and not any(kind in LABELS[label].places or named(label, question) for label in found)
    if call.tool in SHOWING and thing in LABELS and elsewhere:
        side = thing.split()[0] if thing.split()[0] in ("left", "right") else ""
        sided = [one for one in spoken_of if side and one.startswith(side)]
        thing = sided[0] if sided else IT
    if thing == IT and len(spoken_of) == 1 and (other := other_side(spoken_of[0], call.get("where"))):
        return replace(call, things=(other,), modifiers=tuple(pair for pair in call.modifiers if pair[0] != "where"))
    if thing == IT and not spoken_of and call.tool in POINTING:
        findings = labels_of(ANYTHING, kind, expected, (), question)
        thing = ANYTHING if findings else expected[0] if len(expected) == 1 else IT
    return replace(call, things=(thing,))


def leaves_open(question: str) -> bool:
    """Whether a question names alternatives, as "symmetric or not?" does, so that yes or no is no answer to it."""
    words = set(split(question))
    return "or" in words and not {"yes", "no"} <= words


def only_points(question: str) -> bool:
    """Whether a question has a word for what was spoken of before, as "is that normal?" has, and names no label."""
    return bool(POINTERS & set(split(question))) and not named_in(question)


def named_in(question: str) -> list[str]:
    """The labels that a question has a name of."""
    return [label for label in LABELS if named(label, question)]


def out_of_sight(question: str, kind: Kind) -> str:
    """A label that a question names and that no image of a kind shows; nothing where it names none, or others too. A side,
    as in "left eye or right eye?", may be that of the image as a whole."""
    names = [label for label in named_in(question) if not LABELS[label].side]
    return names[0] if names and all(_elsewhere(label, kind) for label in names) else ""


def _elsewhere(label: str, kind: Kind) -> bool:
    """Whether a label is of another part of the body: slices of the trunk show organs of the next part too."""
    modalities, parts = ({place[at] for place in LABELS[label].places} for at in (0, 1))
    slices = kind[0] in modalities and kind[1] in TRUNK and parts & TRUNK
    return kind[1] not in parts and not slices and not LABELS[label].elsewhere


def options_in(question: str, values: Sequence[str]) -> list[str]:
    """The values among which a question lets one choose, longer ones before those that are a part of them; none if it names
    fewer than two. Numbers, yes and no are too common to count as options."""
    words, found = split(question), []
    for value in sorted(values, key=lambda value: -len(value)):
        name = split(value)
        for at in range(len(words) - len(name) + 1):
            if (
                name
                and all(map(alike, words[at : at + len(name)], name))
                and not (value.isdigit() or value in ("yes", "no"))
            ):
                words[at : at + len(name)] = [""] * len(name)
                found.append(value)
                break
    if leaves_open(question):  # "thalassemia or spherocytosis?": a word that is of one value alone stands for it
        parts = {value: {word for name in split(value) for word in name.split("-")} for value in values}
        for value in values:
            own = parts[value].difference(*(parts[other] for other in values if other != value))
            if value not in found and any(len(word) > SHORT and word in words for word in own):
                found.append(value)
    return found if len(found) > 1 else []
