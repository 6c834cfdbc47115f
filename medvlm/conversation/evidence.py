"""What a sentence of a language model may consist of: labels that are there or not, numbers, places and words of the results.

A sentence is borne out where every word of it is either plain (`PLAIN`: it claims nothing) or stands in the results, of the same
thing and with the same polarity. What is not listed is refused, so nothing unforeseen gets through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..mentions import around, mentioned, read
from ..report.sentences import HEDGE, TURN, clauses
from ..vocabulary import LABELS, whole
from .grammar import split
from .units import NUMBERS

PLAIN = frozenset(
    """a an the this that these those there here it its they them their and or also too as at by for from in into of on to with
    within between which where i we is are was were be been being has have had can could may might likely probably possibly appears
    appear seems do does did no not without none neither nor nothing cannot absent any but however while whereas although though so then
    image images picture scan slice film view photo study seen visible present found shown shows show showing displayed identified
    detected observed noted located lies lie lying sits situated positioned outlined marked measured measures measure measuring
    counted covers covering occupies spans extends about approximately roughly around area region part portion side sided corner
    quadrant place position location evidence result results total overall together each respectively given thing things object
    objects one ones x find see""".split()
)
NOT = re.compile(r"\b(?:not|cannot|absent|none|nothing)\b|n't\b", re.IGNORECASE)
LEAD = re.compile(r"(yes|no)\b\s*(?:[,.:;!—–-]+\s*|$)", re.IGNORECASE)
EXISTS = re.compile(
    r"\b(?:seen|visible|present|found|shown|displayed|there|identified|detected|observed|noted|find|see)\b"
)
IMAGE_SIDE = re.compile(
    r"\b(?:left|right)\b(?: \w+)? of (?:the|this) (?:image|picture|scan|slice|film|view|photo)|(?:image|picture)'s (?:left|right)"
)
PLACES = {word: word for word in ("left", "right", "upper", "lower", "centre")} | {
    "top": "upper",
    "bottom": "lower",
    "center": "centre",
    "central": "centre",
    "middle": "centre",
}
ONE = r"(?<!the )(?<!this )(?<!that )(?<!er )(?<!est )\bone\b"  # the number, not "the other one"
UNITS = {
    r"%|per ?cent": "%",
    r"mm²|mm\^?2|sq(?:uare)?\.? mm|square millimet(?:re|er)s?": "mm²",
    r"mm|millimet(?:re|er)s?": "mm",
    r"cm²|cm\^?2|sq(?:uare)?\.? cm|square centimet(?:re|er)s?": "cm²",
    r"cm|centimet(?:re|er)s?": "cm",
    r"µm²|µm\^?2": "µm²",
    r"µm|microns?|micromet(?:re|er)s?": "µm",
    r"ml|millilit(?:re|er)s?": "ml",
    r"px²|px\^?2|square (?:px|pixels?)": "px²",
    r"px|pixels?": "px",
}
NUMBER = re.compile(
    rf"(?<![\w.,])(?<![a-z]-)([-−+]?\d+(?:[.,]\d+)*)(?:[\s-]*({'|'.join(UNITS)})(?![\w²³^]))?(?![\w²³])", re.IGNORECASE
)
QUANTITIES = {  # words for what a number is of → the names that such a number has
    **dict.fromkeys(("probability", "chance", "likelihood", "confidence"), "probability"),
    **dict.fromkeys(("long", "longest", "length"), "longest|length|height"),
    **dict.fromkeys(("wide", "width", "perpendicular"), "perpendicular|width"),
    **dict.fromkeys(("high", "tall", "height"), "height"),
    **dict.fromkeys(("thick", "thickness"), "thickness"),
    **dict.fromkeys(("share", "percentage", "proportion"), "share"),
    **dict.fromkeys(("number", "count"), "count"),
    **{word: word for word in ("area", "ratio", "circumference", "sensitivity", "specificity", "volume")},
    "diameter": "diameter|width|height",
    "size": "diameter|width|height|area|length|thickness|circumference",
}
QUANTITY = re.compile(rf"\b({'|'.join(QUANTITIES)})s?\b")
MOST_OF = {"larger": "largest", "smaller": "smallest", "more": "most", "fewer": "fewest"}
MOST_OF |= {"higher": "highest", "lower": "lowest"}
CONTRARY = {"larger": "smaller", "more": "fewer", "higher": "lower"}
CONTRARY |= {low: high for high, low in CONTRARY.items()}


@dataclass(frozen=True)
class Number:
    """A number as it is shown, without commas for the thousands, and its unit. `owners` are the labels that it is of (none:
    whatever is spoken of); `kind` says what of them, such as "longest diameter"."""

    text: str
    unit: str = ""
    kind: str = ""
    owners: frozenset[str] = frozenset()
    denied: bool = False


@dataclass(frozen=True)
class Words:
    """Words of the results about some labels (none: about nothing named), and whether they deny or hedge."""

    words: frozenset[str]
    owners: frozenset[str]
    denied: bool
    hedged: bool = False  # only as what is possible or likely


@dataclass
class Evidence:
    """What a sentence may say. The labels here stand with the things that they are a type or a side of (`kin`)."""

    there: set[str] = field(default_factory=set)
    gone: list[tuple[str, set[str]]] = field(default_factory=list)  # labels, each with where alone it is not
    numbers: list[Number] = field(default_factory=list)
    places: list[tuple[set[str], frozenset[str]]] = field(default_factory=list)  # words of a place, and what lies there
    words: list[Words] = field(default_factory=list)
    leads: set[str] = field(default_factory=set)  # "yes" and "no", where an answer is that
    ranks: list[tuple[str, str, str]] = field(default_factory=list)  # "larger", what is that, and what is not
    mirrored: bool = False  # whether sides are the patient's, which are shown the other way round

    def bears(self, sentence: str) -> bool:
        """Whether the results bear out all that a sentence says."""
        text = normalised(sentence)
        if text.endswith("?") or any(c.isalpha() and not c.isascii() for c in NUMBER.sub(" ", text)):
            return False
        if lead := LEAD.match(text):
            if lead[1] not in self.leads:
                return False
            text = text[lead.end() :]
        if any(c.isnumeric() for c in self._without_numbers(text)):  # such as "T2", "½" or "4th"
            return False
        sayable = self._vocabulary()
        if not all(self._plain(word, text) or stem(word) in sayable for word in _others(text)):
            return False
        parts = list(_said(text))
        return any(denied or self._claims(part) for part, denied in parts) and all(self._borne(*part) for part in parts)

    def _vocabulary(self) -> set[str]:
        return {word for term in self.words for word in term.words}

    def _sayable(self, labels: Sequence[str], denied: bool, hedged: bool) -> set[str]:
        """The words that a sentence may use of some labels."""
        return {
            word
            for term in self.words
            if term.denied == denied and term.hedged <= hedged
            if not labels or not term.owners or term.owners & set(labels)
            for word in term.words
        }

    def _without_numbers(self, text: str) -> str:
        bare = NUMBER.sub(" ", text)
        for word in self._vocabulary():
            if any(c.isdigit() for c in word):
                bare = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", " ", bare)
        return bare

    def _plain(self, word: str, text: str) -> bool:
        """Whether a word claims nothing, or is checked with the numbers and places."""
        return word in PLAIN or word in PLACES or (bool(QUANTITY.fullmatch(word)) and bool(NUMBER.search(text)))

    def _claims(self, text: str) -> bool:
        """Whether it says anything of the results: that "it is found in the image" alone says nothing."""
        own = {word for word in _others(text) if not self._plain(word, text)}
        return bool(own or mentioned(text) or NUMBER.search(text) or _places(text))

    def _borne(self, text: str, denied: bool) -> bool:
        labels, words = mentioned(NUMBER.sub(" ", text)), set(_others(text))
        own = {stem(word) for word in words if not self._plain(word, text)}
        if not own <= self._sayable(labels, denied, bool(HEDGE.search(text))):
            return False
        if not labels and not own and denied and (self.there or not self.gone):
            return False
        if not labels and not denied and EXISTS.search(text) and self.gone and not self.there:
            return False
        return (
            all(self._label(label, denied, set(split(text))) for label in labels)
            and all(self._number(one, denied) for one in _numbers(text))
            and self._place(text, labels, denied)
            and all(self._rank(*rank, labels, words, denied) for rank in self.ranks)
        )

    def _label(self, label: str, denied: bool, words: set[str]) -> bool:
        if denied:
            return any(name == label and where <= words for name, where in self.gone)
        return label in self.there

    def _number(self, claim: tuple[Number, str], denied: bool) -> bool:
        one, quantity = claim
        return any(
            (number.text, number.unit, number.denied) == (one.text, one.unit, denied)
            and (not quantity or re.search(QUANTITIES[quantity], number.kind))
            and (not one.owners or not number.owners or one.owners & number.owners)
            for number in self.numbers
        )

    def _place(self, text: str, labels: Sequence[str], denied: bool) -> bool:
        words = _places(text)
        if not words or denied:  # what is nowhere is in no place either; where it is not, its label tells
            return not (words and denied and not labels)
        if self.mirrored and IMAGE_SIDE.search(text):
            return False
        return any(words <= place and (not labels or owners & set(labels)) for place, owners in self.places)

    def _rank(self, word: str, most: str, least: str, labels: Sequence[str], words: set[str], denied: bool) -> bool:
        """Whether a comparison has the right things in the right order: the first one named is what it speaks of."""
        subject = next(iter(labels), "")
        for adjective, right in ((word, most), (CONTRARY[word], least)):
            if words & {adjective, MOST_OF[adjective]} and (denied or not right or subject not in kin([right])):
                return False
        return True


def normalised(text: str) -> str:
    """A sentence in lower case, with plain apostrophes and dashes, digits for number words, and no commas in numbers."""
    text = " ".join(text.lower().translate({0x2018: "'", 0x2019: "'", 0x2010: "-", 0x2011: "-"}).split()).strip(" .!;")
    for value, word in enumerate(NUMBERS):
        text = re.sub(ONE if word == "one" else rf"\b{word}\b", str(value), text)
    text = re.sub(r"\bsingle\b", "1", text)
    text = re.sub(r"\b(upper|lower|left|right|top|bottom|middle)-(?=[a-z])", r"\1 ", text)
    return re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)


def kin(labels: Iterable[str]) -> frozenset[str]:
    """Labels with the things that they are a type or a side of."""
    out = set(labels)
    for label in labels:
        side = label.removeprefix("left ").removeprefix("right ")
        out |= {name for name in (whole(label), side) if name in LABELS}
    return frozenset(out)


def _said(text: str) -> Iterator[tuple[str, bool]]:
    """The parts of a sentence that say one thing each, and whether they deny it."""
    for part in filter(None, TURN.split(text)):
        if NOT.search(part):  # of what in it is denied one cannot be sure: all is
            yield part, True
        else:
            yield from ((clause.text, clause.denied) for clause in clauses(part))


def _others(text: str) -> list[str]:
    """The words of a text that name no label and are in no number."""
    words = (word.strip("'-").removesuffix("'s").removesuffix("n't") for word in read(NUMBER.sub(" ", text))[1])
    return [word for word in words if word]


def stem(word: str) -> str:
    """A word without a possessive and a plural s."""
    return word.removesuffix("'s").rstrip("s")


def _places(text: str) -> set[str]:
    return {PLACES[word] for word in _others(text) if word in PLACES}


def _numbers(text: str) -> list[tuple[Number, str]]:
    """The numbers of a clause, each with the label that it belongs to, and the nearest word for what it is of ("" for none)."""
    out: list[tuple[Number, str]] = []
    unit = ""
    words = list(QUANTITY.finditer(text))
    for match in reversed(list(NUMBER.finditer(text))):  # "12 x 8 mm": the unit stands behind the last
        unit = unit_of(match[2]) or (unit if re.match(r"\s*(?:x|×|by)\s*\d", text[match.end() :]) else "")
        near = min(words, key=lambda w: max(w.start() - match.end(), match.start() - w.end()), default=None)
        out.append((Number(match[1], unit, owners=_owner(text, match)), near[1] if near else ""))
    return out


def _owner(text: str, match: re.Match[str]) -> frozenset[str]:
    """The label right behind a number, else the last one before it, else the first one after it."""
    before, after = mentioned(NUMBER.sub(" ", text[: match.start()])), text[match.end() :]
    behind = mentioned(after)
    if behind and (not before or not around(after)[0]):
        return frozenset(behind[:1])
    return frozenset(before[-1:])


def unit_of(text: str | None) -> str:
    return next((unit for form, unit in UNITS.items() if text and re.fullmatch(form, text, re.IGNORECASE)), "")
