"""A report's text → sentences → clauses that say one thing each. Words alone: no model, no torch."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import RequestError
from ..languages import surely_foreign
from ..mentions import mentioned
from ..vocabulary import ASKING, LABELS

MOST_CHARACTERS = 20_000
MOST_SENTENCES = 200

TOLD = "findings impression conclusion conclusions summary opinion diagnosis addendum report"
ASIDE = (  # sections that tell why and how an image was made and what to do next: nothing that it shows
    "indication indications history technique comparison procedure reason recommendation recommendations "
    "recommended plan examination exam medication medications consent"
)
HEADING = re.compile(
    rf"[\W\d_]*(?:clinical |medical |final |the )*({'|'.join([*TOLD.split(), *ASIDE.split(), 'information'])})"
    r"(?: [^:.,\n]{0,40})?(?::|$)\s*",
    re.IGNORECASE,
)
BULLET = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,2}[.)])\s+")
ENDED = re.compile(r"(?<=[.!?;])\s+")
ABBREVIATED = re.compile(r"\b(?:dr|mr|mrs|ms|vs|approx|ca|cf|fig|e\.g|i\.e)\.$", re.IGNORECASE)

TURN = re.compile(
    r"\s*[,;]?\s+(?:but|however|although|though|while|whereas|yet)\s+|\s*;\s*|,\s+with\s+(?!no\b)", re.IGNORECASE
)
DENIAL = re.compile(
    r",?\b(?:and |with )?(?:no|without|neither|nor|negative for|free (?:of|from)|absence of|lack of)\b"
    r"(?!\.|[- ]?longer| (?:significant |interval |relevant )*change)"
    r"(?: (?:evidence|signs?|suggestion|indication)(?: of| for)?)?(?: (?:any|an?|the))?\s+",
    re.IGNORECASE,
)
LISTED = re.compile(r"(\s*,\s*(?:(?:and|or|nor)\s+)?|\s+(?:and|or|nor)\s+)", re.IGNORECASE)
SHOWN = "seen|identified|noted|present|visible|evident|detected|demonstrated|found|appreciated|visuali[sz]ed"
VERB = re.compile(rf"\S.*\b(?:is|are|was|were|has|have|shows?|measures?|appears?)\b(?! (?:{SHOWN}))", re.IGNORECASE)
BESIDE = re.compile(r"(?:in|on|at|of|with|within|near|over|under|above|below|to|from|measuring)\b|\d", re.IGNORECASE)
HEDGE = re.compile(
    r"\b(?:possibl[ey]|probabl[ey]|likely|may|might|could|suspect(?:ed)?|suspicious|suspicion|suggest\w*|questionable"
    r"|equivocal|concern(?:ing)?|presumed|query|versus|vs|favou?r(?:s|ed|ing)?"
    r"|(?:can ?not|not)(?: be)?(?: \w+ly)? (?:excluded?|ruled? out))\b",
    re.IGNORECASE,
)
RESOLVED = re.compile(r"(?<=\w)(?: (?:has|have)(?: now)?)? (?:resolved|cleared|disappeared)\b", re.IGNORECASE)
INTRODUCING = ASKING | set("was were has have with shows demonstrates chest and again study examination".split())


@dataclass(frozen=True)
class Clause:
    """A part of a sentence that says one thing: `denied` where it says that it is not there (the denial itself is not in
    `text`), `hedged` where it leaves open whether it is."""

    text: str
    denied: bool = False
    hedged: bool = False


def check_report_text(text: Any) -> str:
    """The text of a report. Raises `RequestError` for one that is no text, empty, longer than 20,000 characters, binary or
    surely not English."""
    if not isinstance(text, str):
        raise RequestError("The report must be text.")
    if len(text) > MOST_CHARACTERS:
        raise RequestError(f"The report has {len(text):,} characters; shorten it to {MOST_CHARACTERS:,} or fewer.")
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\r\t\f\v" for c in text):
        raise RequestError("The report holds characters that no text has: save it as plain text (UTF-8).")
    if not any(c.isalpha() for c in text):
        raise RequestError("The report is empty; write what is seen, for example “No pleural effusion.”.")
    foreign = sum(c.isalpha() and not unicodedata.name(c, "").startswith(("LATIN", "GREEK", "MICRO")) for c in text)
    if foreign > len(text) / 10 or surely_foreign(text):
        raise RequestError("The report is not in English, the only language that the model was trained on.")
    return text


def sentences(text: str) -> list[str]:
    """The sentences of a report in order, without headings, bullets and the sections that say nothing of the image.

    Raises `RequestError` where there are more than 200.
    """
    out = [sentence for paragraph in _paragraphs(text) for sentence in _split(paragraph)]
    if len(out) > MOST_SENTENCES:
        raise RequestError(f"The report has {len(out)} sentences; shorten it to {MOST_SENTENCES} or fewer.")
    return out


def _paragraphs(text: str) -> list[str]:
    """Lines that belong together: one that goes on in lower case is the rest of the line before."""
    out: list[str] = []
    aside = goes_on = False
    for line in text.splitlines():
        bare = BULLET.sub("", line, count=1)
        if heading := HEADING.match(bare):
            aside, bare, goes_on = heading[1].lower() not in TOLD.split(), bare[heading.end() :], False
        bare = " ".join(bare.split())
        if not bare or aside:
            goes_on = False
        elif goes_on and bare[0].islower():
            out[-1] += f" {bare}"
        else:
            out.append(bare)
            goes_on = True
    return out


def _split(paragraph: str) -> list[str]:
    out: list[str] = []
    for piece in ENDED.split(paragraph):
        if out and ABBREVIATED.search(out[-1]):
            out[-1] += f" {piece}"
        elif any(c.isalpha() for c in piece):
            out.append(piece)
    return out


def clauses(sentence: str) -> list[Clause]:
    """What a sentence says, one thing a clause: "no effusion or pneumothorax" is two denied ones."""
    hedged = bool(re.search(r"(?:exclude|rule)d? ?(?:out)?\W*$", sentence)) and bool(HEDGE.search(sentence))
    return [clause for part in TURN.split(sentence.strip(" .!?;")) for clause in _part(part, hedged)]


def _part(part: str, hedged: bool) -> list[Clause]:
    denial = DENIAL.search(part)
    if denial is None:
        return _affirmed(part, hedged)
    before, listed = part[: denial.start()].strip(" ,"), part[denial.end() :]
    told = set(re.findall(r"[a-z'-]+", before.lower())) - INTRODUCING
    return [*(_affirmed(before, hedged) if told else []), *_denied(listed)]


def _affirmed(part: str, hedged: bool) -> list[Clause]:
    """The things that a list names; where a piece names none of its own, it belongs to its neighbour."""
    pieces = _glued(part, lambda piece, _: bool(_findings(piece) or VERB.match(piece)))
    out = []
    for number, (piece, joint) in enumerate(pieces):
        if gone := RESOLVED.search(piece):
            out.append(Clause(piece[: gone.start()].strip(), denied=True))
            continue
        hedged = hedged or bool(HEDGE.search(piece))  # which holds for what follows it too
        either = "or" in joint.split() or (number > 0 and "or" in pieces[number - 1][1].split())
        out.append(Clause(piece, hedged=hedged or either))
    return out


def _denied(listed: str) -> list[Clause]:
    """The things that a denial is carried over to; what goes on with a verb of its own is told anew."""
    pieces = [piece for piece, _ in _glued(listed, _denied_alone)]
    out: list[Clause] = []
    for number, piece in enumerate(pieces):
        if number and VERB.match(piece):
            out += [clause for rest in pieces[number:] for clause in _part(rest, hedged=False)]
            break
        out.append(Clause(DENIAL.sub("", piece, count=1).strip() or piece, denied=True))
    return out


def _denied_alone(piece: str, joined: str) -> bool:
    """Whether a piece of a denied list is a thing of its own, not a place, a number, or an adjective of the next one."""
    if VERB.match(piece):
        return True
    names = mentioned(piece)
    place = bool(BESIDE.match(piece)) or bool(names) and all(LABELS[name].kind == "anatomy" for name in names)
    adjective = not names and " " not in piece.strip() and "," not in joined
    return not (place or adjective)


def _glued(text: str, alone: Callable[[str, str], bool]) -> list[tuple[str, str]]:
    """The pieces of a list with what joins each to the next; one that is not `alone(piece, joint)` stays with its neighbour."""
    parts = LISTED.split(text.strip(" ,."))
    out: list[tuple[str, str]] = []
    whole = False  # whether the last of `out` names a thing already
    for piece, joint in zip(parts[::2], [*parts[1::2], ""], strict=True):
        own = alone(piece, joint)
        if out and not (own and whole):
            out[-1] = ("".join([*out[-1], piece]), joint)
            whole = whole or own
        else:
            out.append((piece, joint))
            whole = own
    return [(piece.strip(" ,"), joint.lower()) for piece, joint in out if piece.strip(" ,")]


def _findings(piece: str) -> Sequence[str]:
    return [name for name in mentioned(piece) if LABELS[name].kind != "anatomy"]
