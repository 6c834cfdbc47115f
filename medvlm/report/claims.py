"""An existing report against its images: what its sentences claim, and whether the conversation's tools show it.

The reader that turns questions into calls reads sentences too, put to it with a question mark. What a claim says beside a
call (how sure, which side, what size) is told by its words, since a question asks for these and does not state them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from ..conversation.dialogue import UNKNOWN_KIND, Conversation
from ..conversation.grammar import ANYTHING, IT, Call
from ..conversation.places import SIDED, words_for
from ..conversation.reader import Reader
from ..conversation.results import Result, Scene
from ..conversation.tools import unknown
from ..conversation.units import shown as number
from ..conversation.writer import phrase
from ..mentions import label_of
from ..mentions import read as labels_and_words
from ..policy import DecisionPolicy
from ..sampling import examined_images
from ..types import Measurement, Region, Study
from ..vocabulary import ASKING, LABELS, LUMPS
from .sentences import Clause, check_report_text, clauses, sentences

SUPPORTED, CONTRADICTED, UNSHOWN = "supported", "contradicted", "cannot be shown"
STATED = ("present", "find", "place", "count", "measure", "describe")  # tools whose call names a thing that is there
ABNORMALITY = "abnormality"  # what any abnormality is called in a claim
PLAIN = ASKING | set(
    "there present visible identified noted visualised visualized demonstrated found with and measures".split()
)

SIZE = re.compile(
    r"(?<!\bat )(?<![\d.])(\d+(?:[.,]\d+)?)(?:\s*(?:mm|cm)?\s*[x×]\s*(\d+(?:[.,]\d+)?))?\s*(mm|cm)\b(?![²2^])"
    r"(?!\s*(?:above|below|from|proximal|distal|away|deep|beyond|superior|inferior|to the))",
    re.IGNORECASE,
)
OVER = re.compile(
    r"(?:larger|greater|more|bigger|longer|over|above|exceeding|at least|>|≥)(?: than)? *\d", re.IGNORECASE
)
UNDER = re.compile(r"(?:smaller|less|shorter|under|below|up to|at most|<|≤)(?: than)? *\d", re.IGNORECASE)
SIDE = re.compile(r"\b(left|right|bilateral|both)", re.IGNORECASE)
NO_PRIOR = "There is no earlier image to compare with."
UNCHECKED = "This is nothing that can be checked on the image."
NOT_RULED_OUT = "None is found, which does not rule it out."
UNREAD = "It is not sure what this says."
OPPOSITE = {"left": "right", "right": "left", "upper": "lower", "lower": "upper"}
NEAR = 0.2  # share of a claimed size by which the measured one may differ


@dataclass(frozen=True)
class Said:
    """How a claim was read: its call and the chance that this is what the words mean."""

    call: Call
    chance: float
    named: bool  # whether the words name the thing, so that less chance is enough
    places: tuple[str, ...] = ()  # of left, right, upper and lower
    size: float | None = None  # in mm; a ratio where the call asks for one
    words: str = ""


@dataclass
class Claim:
    """One thing that a sentence of a report says, and what the images say to it."""

    sentence: str
    label: str  # of the registry, else the report's own words
    presence: str  # present | absent | uncertain, as the report has it
    verdict: str = UNSHOWN  # supported | contradicted | cannot be shown
    regions: list[Region] = field(default_factory=list)  # what the verdict rests on
    note: str = ""  # why, in a sentence or two
    said: Said | None = None  # `None` where it was read as nothing that could be checked

    def to_json(self) -> dict[str, Any]:
        return {
            "sentence": self.sentence,
            "label": self.label,
            "presence": self.presence,
            "verdict": self.verdict,
            "regions": [region.to_json() for region in self.regions],
            "note": self.note,
        }


# Reading


def read_claims(text: str, reader: Reader) -> list[Claim]:
    """What a report claims, not yet checked; a sentence that says nothing of the image makes no claim.

    Raises `RequestError` for a text that is empty, not English, or longer than 20,000 characters or 200 sentences.
    """
    out: list[Claim] = []
    for sentence in sentences(check_report_text(text)):
        for clause in clauses(sentence):
            spoken_of = next((claim.label for claim in reversed(out) if claim.said), "")
            out += read_clause(sentence, clause, reader, spoken_of)
    return out


def read_clause(sentence: str, clause: Clause, reader: Reader, spoken_of: str = "") -> list[Claim]:
    """The claims of a clause; `spoken_of` is the label that "it" stands for."""
    reading = reader.read(f"{'No ' if clause.denied else ''}{clause.text}?")
    sure = reading.chance >= DecisionPolicy.answer  # enough to leave out what is no claim
    calls = [_stated(call, spoken_of) for call in reading.calls if not (sure and _silent(call))]
    claims = []
    for call in calls:
        claim = Claim(sentence, clause.text, _presence(clause, call))
        if call.tool not in STATED:
            claim.note = NO_PRIOR if call.word == "prior" else UNCHECKED
        else:
            thing = call.things[0]
            claim.label = ABNORMALITY if thing == ANYTHING else label_of(thing) or thing
            claim.note = _unclear(clause, call, claim.label)
            if claim.note:
                claim.label = clause.text
            else:
                claim.said = _said(clause, call, claim.label, reading.chance, alone=len(calls) == 1)
        claims.append(claim)
    return claims


def _silent(call: Call) -> bool:
    """Whether a call says nothing of what the image shows: its kind, or what to do."""
    return call.tool in ("help", "kind") or (call.tool == "decline" and call.word != "prior")


def _stated(call: Call, spoken_of: str) -> Call:
    """A call as the claim that a thing is there: "normal" denies any abnormality, "it" is what was spoken of."""
    if call.tool == "grade" and call.word == "abnormal":
        return Call("present", (ANYTHING,), denied=call.denied != (call.get("is") == "no"))
    if call.things[:1] == (IT,) and spoken_of:
        return replace(call, things=(ANYTHING if spoken_of == ABNORMALITY else spoken_of,))
    if call.tool in STATED and (not call.things or call.things[0] == IT):
        return Call("recall")
    return call


def _presence(clause: Clause, call: Call) -> str:
    if clause.denied:
        return "absent"
    return "uncertain" if clause.hedged else "absent" if call.denied else "present"


def _unclear(clause: Clause, call: Call, label: str) -> str:
    """Why a clause that names a label is not taken as the claim that it is there, or is not; nothing where it is."""
    if label not in LABELS:
        return ""
    if LABELS[label].kind == "anatomy":  # mostly something else is said of it: "the liver is fatty"
        names, others = labels_and_words(clause.text)
        plain = label in names and not set(others) - PLAIN
        return "" if plain or (call.tool == "measure" and _amount(clause.text, call)) else UNCHECKED
    return UNREAD if clause.denied and not names_it(clause.text, label) else ""


def _said(clause: Clause, call: Call, label: str, chance: float, alone: bool) -> Said:
    named = label not in LABELS or names_it(clause.text, label)
    own = {"left", "right"} & set(label.split())
    places = [word for value in (call.get("where"), call.get("in")) for word in value.split() if word in OPPOSITE]
    told = {side.lower() for side in SIDE.findall(clause.text)} if alone else set()
    both = told & {"both", "bilateral"} or told >= {"left", "right"}
    if both or not {"left", "right"} & set(places):
        places += ["left", "right"] if both else sorted(told)
    kept = tuple(dict.fromkeys(place for place in places if not own or place not in ("left", "right")))
    return Said(call, chance, named, kept, _amount(clause.text, call), clause.text)


def _amount(words: str, call: Call) -> float | None:
    """The size that words state, in mm, the largest of "12 x 8 mm"; a ratio where the call asks for one."""
    if call.tool == "measure" and call.word == "ratio":
        found = re.search(r"\b[01]?[.,]\d+", words)
        return float(found[0].replace(",", ".")) if found else None
    sizes = [
        float(text.replace(",", ".")) * (10 if unit.lower() == "cm" else 1)
        for *texts, unit in SIZE.findall(words)
        for text in texts
        if text
    ]
    return max(sizes, default=None)


def names_it(words: str, label: str) -> bool:
    """Whether words have one in common with a label's names that is not just the name of a part of the body."""
    stems = {word.rstrip("s") for word in re.findall(r"[a-z]+", words.lower())}
    return bool(stems & (_stems(label) - (set() if LABELS[label].kind == "anatomy" else _anatomy())))


def _stems(label: str) -> set[str]:
    names = " ".join((label, *LABELS[label].synonyms)).lower()
    return {word.rstrip("s") for word in re.findall(r"[a-z]+", names)} - ASKING


@cache
def _anatomy() -> frozenset[str]:
    return frozenset(word for name, label in LABELS.items() if label.kind == "anatomy" for word in _stems(name))


# Checking


@dataclass
class Seen:
    """What the tools show of a claim in the image that shows most of it."""

    scene: Scene
    labels: tuple[str, ...]
    presence: float  # the probability that the thing is there …
    chance: float  # … and that what the tool says of it, yes or no, is right
    regions: list[Region]  # of the thing itself …
    beside: list[Region]  # … or of what else it was told by, such as the heart's for its size
    mirrored: bool  # whether left and right mean the patient's, which are shown the other way round

    def state(self, policy: DecisionPolicy) -> str:
        """present or absent where that is sure, else uncertain."""
        return policy.verdict(self.presence, bool(self.regions)) if self.chance >= policy.certain else "uncertain"


def check_claims(study: Study, claims: Sequence[Claim], conversation: Conversation) -> list[Claim]:
    """The claims with verdicts: "supported" or "contradicted" where the presence is beyond the policy's `certain` or
    `ruled_out` and the tool itself as sure as `certain`, else "cannot be shown". Of several images the one that shows most of
    a claim decides."""
    return [check_claim(study, claim, conversation) for claim in claims]


def check_claim(study: Study, claim: Claim, talk: Conversation) -> Claim:
    said, policy = claim.said, talk.finder.policy
    if said is None:
        return claim
    if said.chance < (policy.read if said.named else policy.answer):
        return replace(claim, label=said.words, note=UNREAD)
    seen = [see(study, said, talk, index) for index in examined(study, said, talk)]
    best = max((one for one in seen if isinstance(one, Seen)), key=lambda one: one.presence, default=None)
    if best is None:
        return replace(claim, note=next(one for one in seen if isinstance(one, str)))
    if len(best.labels) == 1 and claim.label != ABNORMALITY:
        claim = replace(claim, label=best.labels[0])
    verdict, regions, why = weigh(claim.presence, said, best, talk)
    chance = f"Probability {min(best.presence, 0.99):.2f}."
    return replace(claim, verdict=verdict, regions=regions, note=" ".join(filter(None, (chance, why))))


def examined(study: Study, said: Said, talk: Conversation) -> list[int]:
    """The images that a claim is held against: of a volume, all of which is searched, the slice that shows most of it."""
    if not study.is_volume:
        return examined_images(study)
    volumes, scene = talk.finder.volumes, Scene(study, study.default, said.words)
    known = [label for label in talk.tools.labels(said.call.things[0], scene) if label in talk.finder.numbers]
    if not known:
        return [study.default]
    volumes.search(study, [*known, *volumes.expected(study)])
    return [volumes.most(study, known)]


def see(study: Study, said: Said, talk: Conversation, index: int) -> Seen | str:
    """What the tools show of a claim in one image, or a sentence on why they cannot."""
    tools, view, thing = talk.tools, talk.finder.view(study, index), said.call.things[0]
    if view.described().medical < talk.finder.policy.medical:
        return UNKNOWN_KIND
    scene = Scene(study, index, said.words, modality=view.kind[0])
    labels, expected = tools.labels(thing, scene), tools.expected(scene)
    if not labels:
        return unknown(thing)
    name = label_of(thing)
    other = (
        name in LUMPS and name != "mass" and name not in labels
    )  # a report's polyp is not any lump, as a question's is
    if other or not any(label in expected and label in talk.finder.numbers for label in labels):
        return f"{(name or labels[0]).capitalize()} is not looked for in this kind of image."
    which = tuple(pair for pair in said.call.modifiers if pair[1] in ("second", "third"))
    result = tools.run(Call("present", (thing,), modifiers=which), scene)
    if not result.answered or result.who in ("short", "generated"):
        return UNCHECKED
    own = [region for region in result.regions if {region.label, region.phrase} & set(result.things)]
    beside = [region for region in result.regions if not any(region is other for other in own)]
    presence = presence_of(result, tools.detect(labels, scene)[1])
    return Seen(scene, tuple(labels), presence, talk.chance(result), own, beside, tools.modality(scene) in SIDED)


def presence_of(result: Result, outlined: float) -> float:
    """The probability that a thing is there: as a fact of the whole image where it was told as one, else `outlined`, that of
    the heads."""
    if result.source in ("grade", "present"):
        return result.likelihood if result.value else 1 - result.likelihood
    return outlined


def weigh(presence: str, said: Said, seen: Seen, talk: Conversation) -> tuple[str, list[Region], str]:
    """The verdict on a claim of this presence, the regions that it rests on, and a sentence beside it ("" for none)."""
    policy: DecisionPolicy = talk.finder.policy
    state = seen.state(policy)
    if state == "uncertain":
        return UNSHOWN, seen.regions or seen.beside, ""
    if state == "absent":
        agrees = {"absent": SUPPORTED, "present": CONTRADICTED}.get(presence, UNSHOWN)
        return agrees, seen.beside, NOT_RULED_OUT if agrees == CONTRADICTED else ""
    there, placed = lying(seen, said.places)
    if presence == "absent":
        return _denial(said, seen, there, placed, talk)
    against = CONTRADICTED if presence == "present" else UNSHOWN  # what is only possible cannot be contradicted
    if there is not True:
        return against if there is False else UNSHOWN, seen.regions, _shown(seen)
    fits, why = sized(said, seen, placed, talk)
    return {True: SUPPORTED, False: against, None: UNSHOWN}[fits], placed, why


def _denial(
    said: Said, seen: Seen, there: bool | None, placed: list[Region], talk: Conversation
) -> tuple[str, list[Region], str]:
    """The verdict on a denial of what is shown: one of a side holds for the other, one of a size is left open."""
    if said.size is not None:
        return UNSHOWN, seen.regions, sized(said, seen, seen.regions, talk)[1]
    if there is False:
        return SUPPORTED, seen.regions, _shown(seen)
    return CONTRADICTED if there else UNSHOWN, placed or seen.regions, _shown(seen) if said.places else ""


def _shown(seen: Seen) -> str:
    words = dict.fromkeys(phrase(_place(region, seen), seen.mirrored) for region in seen.regions)
    return f"It is shown {' and '.join(words)}."


def _place(region: Region, seen: Seen) -> str:
    return words_for(region, seen.scene.size, seen.mirrored)


def lying(seen: Seen, places: Sequence[str]) -> tuple[bool | None, list[Region]]:
    """Whether regions lie where a claim has them (`None`: not clear), and those that do.

    Claimed on both sides, there has to be one on each. Upper and lower are of the image, but where the patient's sides are
    meant of an organ, and then not judged.
    """
    rows = [] if seen.mirrored else [place for place in places if place in ("upper", "lower")]
    columns = [place for place in places if place in ("left", "right")]
    found: list[Region] = []
    judged: list[bool | None] = []
    for wanted in [[column, *rows] for column in columns] or [rows]:
        fit = {id(region): _fits(_place(region, seen).split(), wanted) for region in seen.regions}
        held = [region for region in seen.regions if fit[id(region)]]
        found += [region for region in held if not any(region is other for other in found)]
        judged.append(True if held else None if None in fit.values() else False)
    if all(one is True for one in judged):
        return True, found
    return (None if any(one is not False for one in judged) else False), found


def _fits(words: Sequence[str], wanted: Sequence[str]) -> bool | None:
    """Whether a place has all wanted words; `None` where it has neither one of them nor its opposite."""
    if any(OPPOSITE[word] in words for word in wanted):
        return False
    return True if all(word in words for word in wanted) else None


def sized(said: Said, seen: Seen, regions: Sequence[Region], talk: Conversation) -> tuple[bool | None, str]:
    """Whether one of some regions has the claimed size (`None`: it cannot be measured), and what was measured."""
    if said.size is None:
        return True, ""
    call = said.call if said.call.tool == "measure" else Call("measure", said.call.things, "size")
    values = [talk.tools.sizes.values(call, seen.scene, [region], seen.labels)[:1] for region in regions]
    measured = [m for found in values for m in found if m.unit in ("mm", "ratio")]
    if not measured:
        return None, "Its size cannot be measured: the pixel spacing is unknown." if any(values) else ""
    claimed, over, under = said.size, OVER.search(said.words), UNDER.search(said.words)

    def off(m: Measurement) -> float:
        return claimed - m.value if over else m.value - claimed if under else abs(m.value - claimed) - NEAR * claimed

    nearest = min(measured, key=off)
    return off(nearest) <= 0, f"The measured {nearest.name} is {number(nearest)}."
