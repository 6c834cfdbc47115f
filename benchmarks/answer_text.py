"""What an answer's text says: yes or no, numbers with their units, which of several options, and sides of the image."""

from __future__ import annotations

import re
from collections.abc import Sequence

from medvlm.records import Record

PATIENTS = ("x-ray", "ct", "mri")  # whose left and right are the patient's


def listed(thing: str | Sequence[str]) -> list[str]:
    return [thing] if isinstance(thing, str) else list(thing)


def plain(text: str) -> str:
    """In lower case and one spelling, without what is said of how sure the answer is."""
    text = re.sub(
        r"(?:probability|confidence|certainty|score)(?: of|:)? *[\d.]+ ?%?", "", " ".join(text.lower().split())
    )
    return text.replace("tumor", "tumour").replace("hemorrhage", "haemorrhage").replace("’", "'")


def yes_no(text: str, number: int = 0) -> bool | None:
    """What an answer says to the `number`th of its yes/no questions; one that says it once says it to all of them. It
    begins with it, unless it has several lines, one a question."""
    lines = [plain(line) for line in text.splitlines() if line.strip()]
    clauses = [clause for line in lines for clause in re.split(r"[.;]\s*(?:and |but )?", line)]
    first = len(lines) > 1 or re.match(r"\W*(yes|no)\b", plain(text))
    said = [m[1] == "yes" for m in (re.match(r"\W*(yes|no)\b", clause) for clause in clauses) if m]
    return said[min(number, len(said) - 1)] if first and said else None


SQUARE = r"(?:{0}(?:²|2|\^2)|(?:sq\.?|square) {0})"
LENGTHS = {
    "mm|millimet(?:er|re)s?": 1.0,
    "cm|centimet(?:er|re)s?": 10.0,
    "µm|μm|um|microns?|micromet(?:er|re)s?": 0.001,
}
UNITS = [
    *((SQUARE.format(f"(?:{words})"), "mm2", factor**2) for words, factor in LENGTHS.items()),
    (SQUARE.format("(?:px|pixels?)"), "px2", 1.0),
    *((rf"(?:{words})\b", "mm", factor) for words, factor in LENGTHS.items()),
    (r"(?:px|pixels?)\b", "px", 1.0),
    (r"(?:%|per ?cent\b)", "percent", 0.01),
]
NUMBER = re.compile(
    r"(?<![\w.])(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)\s?-?(?:" + "|".join(f"({u})" for u, *_ in UNITS) + ")?"
)
WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()
COUNTS = {word: n for n, word in enumerate(WORDS)} | {"single": 1, "both": 2, "no": 0, "none": 0}


def numbers(text: str) -> list[tuple[float, str]]:
    """The numbers of an answer with their units: mm, mm2, px, px2, percent (as a share), or nothing."""
    found: list[tuple[float, str]] = []
    text = plain(text)
    later, start = ("", 1.0), len(text)
    for match in reversed(list(NUMBER.finditer(text))):
        unit, factor = next((UNITS[i][1:] for i, words in enumerate(match.groups()[1:]) if words), ("", 1.0))
        if not unit and text[match.end() : start].strip() in ("×", "x", "by"):  # such as 34 × 21 px
            unit, factor = later
        later, start = (unit, factor), match.start()
        found.append((float(match[1].replace(",", "")) * factor, unit))
    return found[::-1]


def number_said(text: str) -> int | None:
    """The first whole number without a unit; else the first that is written as a word."""
    whole = [int(value) for value, unit in numbers(text) if not unit and value == int(value)]
    words = [COUNTS[word] for word in re.findall(r"[a-z]+", plain(text)) if word in COUNTS]
    return next(iter([*whole, *sorted(words, key=bool, reverse=True)]), None)  # "No, three": the no comes last


def named(text: str, options: dict[str, list[str]]) -> set[str]:
    """Which options an answer names by any of their words, longer words first; what it names to deny it is left out."""
    text = re.sub(r"\b(?:not|rather than|instead of|than) (?:an? |the )?\w+", " ", plain(text))
    found = set()
    words = [(plain(word), option) for option, words in options.items() for word in (option, *words)]
    for word, option in sorted(words, key=lambda pair: -len(pair[0])):
        text, hits = re.subn(rf"(?<!\w){re.escape(word)}(?:s|es)?(?!\w)", " ", text)
        found |= {option} if hits else set()
    return found


MORE, LESS = r"larger|bigger|greater|more|wider|longer|exceed", r"smaller|less|fewer|shorter|narrower|tinier"


def first_named(text: str, options: Sequence[str], less: bool) -> str | None:
    """The option that an answer gives: the first that it names by a word of its own, or the other where it says of that
    one the contrary of what was asked ("the spleen is smaller than the liver")."""
    text, at = plain(text), {}
    for option in options:
        own = set(option.split()) - {word for other in options if other != option for word in other.split()}
        hits = [m.start() for word in own for m in re.finditer(rf"\b{re.escape(word.rstrip('s'))}(?:s|es)?\b", text)]
        at |= {option: min(hits)} if hits else {}
    order = sorted(at, key=at.__getitem__)
    if len(order) < 2:
        return order[0] if order else None
    clause = re.split(r"[;,]|\.\s", text[at[order[0]] :])[0]
    direction = re.search(rf"({MORE})|({LESS})", clause)
    return order[1] if direction and bool(direction[2]) != less else order[0]


UP, DOWN = r"upper(?:most)?|top|superior(?:ly)?", r"lower(?:most)?|bottom|inferior(?:ly)?"
FRONT, BACK = r"anterior(?:ly)?|front(?:al)?", r"posterior(?:ly)?|back|dorsal"
CENTRE = r"cent(?:re|er|ral|rally)|middle|mid|midline"
SEEN = r"(?:image|picture|scan|photo|frame|film|radiograph|x-ray|screen|slice)"


def sides_said(text: str, record: Record, thing: str | Sequence[str]) -> tuple[set[str], set[str], bool]:
    """The sides in an answer, in the image's sense: of the width, of the height, and whether "middle" is among them.

    The width's are left and right, the height's upper, lower and middle (for "mid-height").
    """
    text = plain(text)
    for label in (*listed(thing), "inferior vena cava"):
        text = re.sub(rf"\b{re.escape(label)}s?\b", " ", text)
    across, down = set(), set()
    for match in re.finditer(r"\b(left|right)(?:most)?\b", text):
        before, after = text[: match.start()], re.split(r"[.;]", text[match.end() :])[0]
        image = re.search(rf"{SEEN}(?:'s)? $", before) or re.match(rf"[\w ,-]{{0,30}}\b(?:of|in) the {SEEN}\b", after)
        patient = re.search(r"patient(?:'s|s')? $", before) or re.match(r"[\w ,-]{0,30}\bof the patient\b", after)
        mirrored = bool(patient) or (record.modality in PATIENTS and not image)
        across.add({"left": "right", "right": "left"}[match[1]] if mirrored else match[1])
    flat = record.modality in PATIENTS and record.view == "axial"
    for side, words in (("upper", f"{UP}|{FRONT}" if flat else UP), ("lower", f"{DOWN}|{BACK}" if flat else DOWN)):
        down |= {side} if re.search(rf"\b(?:{words})\b", text) else set()
    text, halfway = re.subn(r"\bmid-?height\b", " ", text)
    down |= {"middle"} if halfway else set()
    return across, down, bool(re.search(rf"\b(?:{CENTRE})\b", text))
