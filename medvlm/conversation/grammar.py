"""The calls that a question is read as: their form as text, as values, and as the symbols that a reader chooses among.

    find(polyp, which=largest); measure(it, length)

Torch-free. A program is one to four calls. A thing is a label, `it` (what the turn before spoke of, or a drawn region),
`anything`, or words copied from the question.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..vocabulary import LABELS

MOST_CALLS = 4
IT, ANYTHING = "it", "anything"

MEASURES = "size length width height area circumference diameter ratio share".split()
COMPARED = "larger smaller more fewer higher lower".split()
KINDS = ["modality", "body part", "plane", "sequence", "view", "image"]
FACTS = [
    *(
        "abnormal",
        "diabetic retinopathy",
        "macular edema",
        "tumour type",
        "breast finding",
        "severity",
        "breast tissue",
    ),
    *(
        "covid-19",
        "pneumonia",
        "fracture",
        "ti-rads",
        "composition",
        "echogenicity",
        "margins",
        "thyroid calcifications",
    ),
    *("pigment network", "streaks", "dots and globules", "blue-whitish veil", "regression areas", "lesion asymmetry"),
    *("red cell disease", "red cell type"),
]
REASONS = "treatment medicine outlook cause person prior elsewhere".split()
RANKS = "largest smallest second third first last other all".split()
PLACES = [
    "left",
    "right",
    "upper",
    "lower",
    "middle",
    *(f"{v} {h}" for v in ("upper", "lower") for h in ("left", "right")),
]


@dataclass(frozen=True)
class Tool:
    """What a call takes (how many things, and one of which words after them), what it gives, and a sentence for people."""

    least: int = 0
    most: int = 0
    words: tuple[str, ...] = ()
    gives: str = "words"
    about: str = ""


TOOLS = {
    "present": Tool(1, 1, (), "yes or no", "Tells whether a thing is there."),
    "find": Tool(1, 1, (), "regions", "Outlines a thing wherever it is."),
    "place": Tool(1, 1, (), "a place", "Tells where a thing lies."),
    "count": Tool(1, 1, (), "a number", "Counts the things of a kind."),
    "measure": Tool(1, 1, tuple(MEASURES), "a number with its unit", "Measures a thing on its outline."),
    "compare": Tool(
        1, 4, tuple(COMPARED), "a thing", "Tells which of several things is larger, or of which there are more."
    ),
    "kind": Tool(words=tuple(KINDS), about="Tells what kind of image it is."),
    "grade": Tool(words=tuple(FACTS), about="Gives a grade, type or sign that the model has learned to tell."),
    "describe": Tool(0, 1, (), "things with their places", "Tells what is seen in the image, or in a part of it."),
    "identify": Tool(1, 1, (), "a thing", "Says what the thing at a place, or a drawn one, most likely is."),
    "look": Tool(1, 1, (), "words", "Says how a thing looks."),
    "recall": Tool(about="Answers in a few words where no other tool fits."),
    "decline": Tool(words=tuple(REASONS), gives="a refusal", about="Refuses what no image can answer, and says why."),
    "help": Tool(about="Says what can be asked."),
}
CHOICES = {"which": RANKS, "where": PLACES}  # modifiers with one of some words …
OPEN = ("in", "near", "of", "is", "over", "under")  # … and with a thing, a value, or a number


@dataclass(frozen=True)
class Call:
    """One tool call. `modifiers` are pairs such as `("which", "largest")`; `denied` where "yes" would say that it is not so."""

    tool: str
    things: tuple[str, ...] = ()
    word: str = ""
    modifiers: tuple[tuple[str, str], ...] = ()
    denied: bool = False

    def get(self, name: str) -> str:
        """The value of a modifier, or nothing."""
        return dict(self.modifiers).get(name, "")

    def __str__(self) -> str:
        named = [f"{name}={value}" for name, value in self.modifiers]
        parts = [" | ".join(self.things), self.word, *named, "not" if self.denied else ""]
        return f"{self.tool}({', '.join(part for part in parts if part)})"


Program = tuple[Call, ...]


def tool_list() -> list[dict[str, str]]:
    """The description of every tool for people and language models: `name`, `arguments`, `returns` and a sentence `about` it."""

    def arguments(tool: Tool) -> str:
        things = "thing | thing …" if tool.most > 1 else "thing" if tool.most else ""
        return ", ".join(filter(None, [things if tool.least else things and f"[{things}]", "/".join(tool.words)]))

    return [
        {"name": name, "arguments": arguments(tool), "returns": tool.gives, "about": tool.about}
        for name, tool in TOOLS.items()
    ]


def text_of(program: Iterable[Call]) -> str:
    """Such as "present(polyp); measure(it, size)"."""
    return "; ".join(map(str, program))


def parse(text: str) -> Program:
    """The calls of a text. Raises `ValueError` that says what is not of the grammar."""
    calls = []
    for piece in filter(None, (piece.strip() for piece in text.strip().split(";"))):
        match = re.fullmatch(r"(\w+)\((.*)\)", piece)
        if match is None or match[1] not in TOOLS:
            raise ValueError(f"{piece!r} is no call")
        calls.append(_call(match[1], [part.strip() for part in match[2].split(",") if part.strip()]))
    if not 1 <= len(calls) <= MOST_CALLS:
        raise ValueError(f"{len(calls)} calls")
    return tuple(calls)


def _call(name: str, parts: list[str]) -> Call:
    tool = TOOLS[name]
    things: tuple[str, ...] = ()
    word, denied = "", False
    modifiers: list[tuple[str, str]] = []
    for at, part in enumerate(parts):
        key, _, value = part.partition("=")
        if value and (key in OPEN or value in CHOICES.get(key, ())):
            modifiers.append((key, value))
        elif part == "not":
            denied = True
        elif part in tool.words and (at >= tool.least):
            word = part
        elif at == 0 and tool.most:
            things = tuple(thing.strip() for thing in part.split("|"))
        else:
            raise ValueError(f"{part!r} is no argument of {name}")
    if not tool.least <= len(things) <= tool.most or (tool.words and not word):
        raise ValueError(f"{name} lacks an argument")
    return Call(name, things, word, tuple(modifiers), denied)


# Symbols: what a reader writes, one after the other. A copied word is the symbol COPY with the word's place beside it.

END, CLOSE, AND, NOT, COPY = "<end>", ")", "|", "not", "<copy>"
DISEASES = ["covid-19", "diabetic retinopathy"]  # facts that one asks for as things
THINGS = [IT, ANYTHING, *LABELS, *DISEASES]


@dataclass(frozen=True)
class Symbols:
    """The symbols of a reader, numbered; `values` are those that "is=" may take."""

    values: tuple[str, ...] = ()
    names: tuple[str, ...] = field(init=False)
    number: dict[str, int] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        words = dict.fromkeys(f"{name}:{word}" for name, tool in TOOLS.items() for word in tool.words)
        names = [END, CLOSE, AND, NOT, COPY, *(f"{name}(" for name in TOOLS), *words]
        names += [f"{key}={value}" for key, values in CHOICES.items() for value in values]
        names += [f"{key}=" for key in OPEN] + [f"thing:{thing}" for thing in THINGS]
        names += [f"value:{value}" for value in self.values]
        object.__setattr__(self, "names", tuple(names))
        object.__setattr__(self, "number", {name: at for at, name in enumerate(names)})

    def write(self, program: Program, words: Sequence[str]) -> list[tuple[str, int]]:
        """A program as symbols with the place of each copied word among `words` (else -1). Raises `ValueError` where a thing
        is neither known nor among them."""
        out: list[tuple[str, int]] = []
        for call in program:
            out.append((f"{call.tool}(", -1))
            for at, thing in enumerate(call.things):
                out += [(AND, -1)] * (at > 0) + self._thing(thing, words, "thing")
            out += [(f"{call.tool}:{call.word}", -1)] if call.word else []
            for key, value in call.modifiers:
                if key in CHOICES:
                    out.append((f"{key}={value}", -1))
                else:
                    out += [(f"{key}=", -1), *self._thing(value, words, "value" if key == "is" else "thing")]
            out += [(NOT, -1)] * call.denied + [(CLOSE, -1)]
        return [*out, (END, -1)]

    def _thing(self, thing: str, words: Sequence[str], kind: str) -> list[tuple[str, int]]:
        if f"{kind}:{thing}" in self.number:
            return [(f"{kind}:{thing}", -1)]
        wanted = split(thing)
        for start in range(len(words) - len(wanted) + 1):
            if all(alike(a, b) for a, b in zip(words[start:], wanted, strict=False)):
                return [(COPY, start + n) for n in range(len(wanted))]
        raise ValueError(f"{thing!r} is not in the question")

    def read(self, symbols: Sequence[tuple[str, int]], words: Sequence[str]) -> Program:
        """The program that symbols write."""
        calls: list[Call] = []
        tool, word, denied = "", "", False
        things: list[str] = [""]
        modifiers: list[list[str]] = []
        for name, at in symbols:
            if name in (CLOSE, END):
                if tool:
                    named = tuple(thing for thing in things if thing)
                    calls.append(Call(tool, named, word, tuple((k, v) for k, v in modifiers), denied))
                tool, things, word, modifiers, denied = "", [""], "", [], False
            elif name.endswith("("):
                tool = name[:-1]
            elif name == AND:
                things.append("")
            elif name == NOT:
                denied = True
            elif name.endswith("="):
                modifiers.append([name[:-1], ""])
            elif name.startswith(("thing:", "value:")) or name == COPY:
                text = words[at] if name == COPY else name.partition(":")[2]
                if modifiers and modifiers[-1][0] in OPEN:
                    modifiers[-1][1] = f"{modifiers[-1][1]} {text}".strip()
                else:
                    things[-1] = f"{things[-1]} {text}".strip()
            elif "=" in name:
                modifiers.append(name.split("=", 1))
            else:
                word = name.partition(":")[2]
        return tuple(calls)

    def allowed(self, symbols: Sequence[str]) -> list[str]:
        """The symbols that may follow those written so far: the grammar as a prefix function."""
        start = max((at for at, name in enumerate(symbols) if name == CLOSE), default=-1) + 1
        call = symbols[start:]
        if not call:
            done = sum(name == CLOSE for name in symbols)
            tools = [f"{name}(" for name in TOOLS] if done < MOST_CALLS else []
            return tools + ([END] if done else [])
        name, last = call[0][:-1], call[-1]
        tool = TOOLS[name]
        things = ["thing:" + thing for thing in THINGS]
        if last.endswith("=") or last == AND:
            values = {"is=": [f"value:{value}" for value in self.values], "over=": [], "under=": []}.get(last, things)
            return [*values, COPY]
        open_modifier = next((s for s in reversed(call) if s.endswith("=") or s == AND or s.endswith("(")), "")
        count = sum(s == AND for s in call) + any(s.startswith("thing:") or s == COPY for s in call[1:])
        written = any(s.startswith(f"{name}:") for s in call)
        out: list[str] = []
        if len(call) == 1 and tool.most:
            out += [*things, COPY]
        if last == COPY:
            out.append(COPY)
        if count >= tool.least and not written and tool.words:
            return out + [f"{name}:{word}" for word in tool.words] + ([AND] if 0 < count < tool.most else [])
        if count >= tool.least:
            if 0 < count < tool.most and open_modifier in (AND, f"{name}("):
                out.append(AND)
            keys = {s.partition("=")[0] for s in call if "=" in s}
            free = count or tool.words
            out += [f"{k}={v}" for k, values in CHOICES.items() if k not in keys and free for v in values]
            out += (
                [f"{k}=" for k in OPEN if k not in keys and free] + [NOT] * (NOT not in call and bool(free)) + [CLOSE]
            )
        return [s for s in out if s in self.number]


def split(text: str) -> list[str]:
    """The words of a text, in lower case, without marks but those inside of words."""
    return re.findall(r"[^\W_]+(?:[-'’.][^\W_]+)*", text.lower())


def alike(word: str, other: str) -> bool:
    """The same word, in the singular or a plain plural."""
    return word == other or word.rstrip("s") == other.rstrip("s")
