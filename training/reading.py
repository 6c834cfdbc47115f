"""What the reader learns from: written wordings (training/questions/*.txt), filled, combined and spoilt as people type."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path

from medvlm.conversation.grammar import IT, MOST_CALLS, THINGS, Call, Program, parse, split, text_of
from medvlm.conversation.reader import DRAWN
from medvlm.vocabulary import LABELS

FOLDER = Path(__file__).parent / "questions"
PAIRED = sorted({name[5:] for name in LABELS if name.startswith("left ") and f"right {name[5:]}" in LABELS})
COUNTED = [name for name, label in LABELS.items() if label.kind == "object"] + ["tooth"]
ORGANS = [
    *(
        "liver",
        "brain",
        "heart",
        "spleen",
        "pancreas",
        "stomach",
        "colon",
        "bladder",
        "lung",
        "kidney",
        "breast",
        "thyroid",
    ),
    *("retina", "skin", "bowel", "pelvis", "chest", "abdomen", "bone", "mandible", "left lung", "right lung", "jaw"),
]
SLOT = re.compile(r"\{([A-Z])(s?)(2?)(s?)\}")
KEYS = {"a": "sq", "e": "wr", "i": "uo", "o": "ip", "u": "yi", "s": "ad", "t": "ry", "n": "bm", "r": "et", "l": "k"}


@dataclass(frozen=True)
class Wording:
    """A line of a questions file: the turn before ("" for none), the question, its calls."""

    before: str
    question: str
    calls: str


def read_wordings(path: Path) -> list[Wording]:
    """The lines of a file `(before) question => calls`. Raises `ValueError` that names a line that is not of that form."""
    out = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        question, arrow, calls = line.partition(" => ")
        before, question = _before(question.strip())
        if not arrow or not question:
            raise ValueError(f"{path.name}:{number} is not '(before) question => calls'")
        out.append(Wording(before, question, calls.strip()))
    return out


def _before(question: str) -> tuple[str, str]:
    """The brackets in front of a question, if they hold calls, and the rest."""
    depth = 0
    for at, letter in enumerate(question if question.startswith("(") else ""):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            inside = question[1:at]
            return (inside, question[at + 1 :].strip()) if inside == DRAWN or "(" in inside else ("", question)
    return "", question


def names(label: str) -> list[str]:
    return [label, *LABELS[label].synonyms] if label in LABELS else [label]


def plural(words: str) -> str:
    if words.endswith("s"):
        return words
    return words[:-1] + "ies" if words.endswith("y") and words[-2] not in "aeiou" else words + "s"


def fill(wording: Wording, chance: random.Random) -> Wording:
    """The placeholders of a wording as things of their kind: in the question by any of their names, in the calls by the label."""
    labels = {
        "T": list(LABELS),
        "O": COUNTED,
        "P": PAIRED,
        "U": ORGANS,
        **{
            slot: [name for name, label in LABELS.items() if label.kind == kind]
            for slot, kind in (("A", "anatomy"), ("F", "finding"), ("D", "device"))
        },
    }
    filled: dict[str, str] = {}
    for slot, _, second, _ in SLOT.findall(f"{wording.before} {wording.question} {wording.calls}"):
        free = [label for label in labels[slot] if label not in filled.values()]
        filled.setdefault(slot + second, chance.choice(free))

    def wording_of(match: re.Match[str]) -> str:
        words = (
            chance.choice(names(filled[match[1] + match[3]])) if chance.random() < 0.7 else filled[match[1] + match[3]]
        )
        return plural(words) if match[2] or match[4] else words

    def meant(match: re.Match[str]) -> str:
        return filled[match[1] + match[3]]

    return Wording(
        SLOT.sub(meant, wording.before), SLOT.sub(wording_of, wording.question), SLOT.sub(meant, wording.calls)
    )


def typo(word: str, chance: random.Random) -> str:
    """A word as it is mistyped: two letters exchanged, one left out, doubled, or a neighbour of it on the keyboard."""
    if len(word) < 4 or not word.isalpha():
        return word
    at = chance.randrange(1, len(word) - 1)
    how = chance.randrange(4)
    if how == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if how == 1:
        return word[:at] + word[at + 1 :]
    if how == 2:
        return word[:at] + word[at] + word[at:]
    return word[:at] + chance.choice(KEYS.get(word[at].lower(), word[at])) + word[at + 1 :]


def copied(program: Program) -> set[str]:
    """The words that a program copies from its question."""
    things = [thing for call in program for thing in (*call.things, *(value for _, value in call.modifiers))]
    return {word for thing in things if thing not in THINGS for word in split(thing)}


def spoilt(question: str, kept: set[str], chance: random.Random) -> str:
    """A question as it is typed in haste; the words `kept` stay as they are."""
    words = question.split()

    def free(word: str) -> bool:
        return not kept.intersection(split(word)) and not any(
            w.rstrip("s") in {k.rstrip("s") for k in kept} for w in split(word)
        )

    if chance.random() < 0.25:
        for at in chance.sample(range(len(words)), min(len(words), chance.choice((1, 1, 2)))):
            words[at] = typo(words[at], chance) if free(words[at]) else words[at]
    if chance.random() < 0.1:
        words = [w for w in words if w.lower() not in ("the", "a", "an", "is", "are", "of") or not free(w)] or words
    text = " ".join(words)
    return text.rstrip("?.! ") or text if chance.random() < 0.4 else text


class Examples:
    """Endless examples `(before, question, program)` from wordings."""

    def __init__(self, wordings: list[Wording], seed: int):
        self.wordings, self.chance = wordings, random.Random(seed)
        self.opening = [w for w in wordings if not w.before]

    def one(self) -> tuple[str, str, Program]:
        chance = self.chance
        wording = fill(chance.choice(self.wordings), chance)
        program = parse(wording.calls.split("||")[0])
        before, question = wording.before, wording.question
        if not before and chance.random() < 0.08:
            other = fill(chance.choice(self.opening), chance)
            more = parse(other.calls.split("||")[0])
            if len(program) + len(more) <= MOST_CALLS and not _points(more):
                question, program = (
                    f"{question.rstrip('?. ')}{chance.choice((' and ', ', and ', '? ', '. '))}{other.question}",
                    program + more,
                )
        if not before and not _points(program) and chance.random() < 0.35:
            before = text_of(parse(fill(chance.choice(self.opening), chance).calls.split("||")[0]))
        return before, spoilt(question, copied(program), chance), program


def _points(program: Program) -> bool:
    return any(IT in (*call.things, *(value for _, value in call.modifiers)) for call in program[:1])


def known_values(wordings: list[Wording]) -> tuple[str, ...]:
    """The values that "is=" takes in some wordings, those that are no label's name."""
    found = re.findall(r"is=([^,){}]+)", " ".join(w.calls for w in wordings))
    return tuple(sorted({value.strip() for value in found}))


def same(read: Program, right: Program, before: str = "") -> bool:
    """Whether two programs ask for the same: `it` is as good as the thing of the turn before."""
    return resolved(read, before) == resolved(right, before)


def resolved(program: Program, before: str) -> Program:
    """A program with `it` as what it stands for, where the turns before and the calls before it tell."""
    things = [thing for call in (parse(before) if "(" in before else ()) for thing in call.things if thing != IT]
    out = []
    for call in program:
        named = tuple(things[-1] if thing == IT and things else thing for thing in call.things)
        out.append(Call(call.tool, named, call.word, tuple(sorted(call.modifiers)), call.denied))
        things += [thing for thing in named if thing != IT]
    return tuple(out)
