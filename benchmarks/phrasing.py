"""Do other words find the same thing, and do a question and its negation agree?

    python benchmarks/phrasing.py DATA_SET… [--split report] [--limit 10] [--model nano]

1. The ways of `phrasings.yaml` to say a label, which neither the vocabulary nor training knows, against the label's own
   name on the same images: Dice of the union of regions with the truth (filled boxes where the truth is boxes alone).
2. Presence asked plainly and negated, in the pairs of `negations.yaml`, of a thing that is in the image and of one that is
   not: two answers are consistent where one is yes and the other no, or where neither question is answered; how often it is
   the latter stands beside. Always "Yes" reaches 0, a coin 0.5. Pairs that are known (looked at while such questions were
   learned, or with a form that training asks) stand apart from new ones.

Without images, first: for how many of the phrases the right label is the likeliest, how many phrases for things that no
label names (`outside_phrases.yaml`) are named all the same, and how many pairs the reader takes for presence and its denial.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
import yaml
from answer_text import yes_no
from common import arguments, bar, chosen, interval, mean_of_means, overlap, patient, table, write_rows
from dialogues import converse

from medvlm.assistant import Assistant
from medvlm.conversation.grammar import Call
from medvlm.conversation.reader import Reader
from medvlm.mentions import mentioned
from medvlm.records import Record
from medvlm.types import Answer
from medvlm.vocabulary import LABELS, SPELLINGS, surely_absent
from training.reading import FOLDER, SLOT, read_wordings
from training.tasks import FREE_OF, PHRASE_FORMS, PRESENT, free_wordings

LEAST = 5  # phrases a label
PRESENCE = (("there", True), ("not there", False))


def plain(text: str) -> str:
    """Lower case without the last punctuation and any article, so that trivial changes do not pass for other words."""
    return " ".join(w for w in text.lower().rstrip(" .?!").split() if w not in ("a", "an", "the"))


def trained(forms: tuple[str, ...], names: list[str]) -> set[str]:
    """What training's forms make of names, in `plain` form."""
    return {plain(form.format(x=name, a="a")) for form in forms for name in names}


def read_phrasings(path: Path) -> dict[str, list[str]]:
    """Label → ways to say it. Raises `ValueError` where a label or a phrase is not new or not enough of them are."""
    phrasings = yaml.safe_load(path.read_text(encoding="utf-8"))
    names = [*LABELS, *SPELLINGS, *(synonym for label in LABELS.values() for synonym in label.synonyms)]
    known = trained(PHRASE_FORMS, names) | {plain(p) for phrases in free_wordings().values() for p in phrases}
    seen: set[str] = set()
    for label, phrases in phrasings.items():
        if label not in LABELS:
            raise ValueError(f"{label!r} is no label of the vocabulary.")
        if len(phrases) < LEAST:
            raise ValueError(f"{label!r} needs {LEAST} phrases.")
        for phrase in phrases:
            if plain(phrase) in known:
                raise ValueError(f"{phrase!r} ({label}) is known from the vocabulary or from training.")
            if plain(phrase) in seen:
                raise ValueError(f"{phrase!r} ({label}) stands twice.")
            seen.add(plain(phrase))
    return phrasings


@dataclass(frozen=True)
class Pair:
    plain: str
    negated: str
    known: bool  # looked at while such questions were learned, or with a form that training asks

    @property
    def forms(self) -> tuple[str, str]:
        return self.plain, self.negated


def trained_forms() -> set[str]:
    """The forms of question that training asks, in `plain` form, with {x} for what they ask of."""
    asked = [SLOT.sub("{x}", wording.question) for path in FOLDER.glob("*.txt") for wording in read_wordings(path)]
    return {*map(plain, asked), *trained((*PRESENT, *FREE_OF), ["{x}"])}


def read_pairs(path: Path, asked: set[str]) -> list[Pair]:
    """The pairs of a file that has them under `known` and `new`; one with a form that is `asked` in training is known."""
    kinds = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [
        Pair(*forms, known=kind == "known" or not asked.isdisjoint(map(plain, forms)))
        for kind in ("known", "new")
        for forms in kinds[kind]
    ]


# Phrases


def outlined(record: Record) -> dict:
    """The regions of a record that hold anything, by label."""
    return {r.label: r for r in record.regions if r.boxes or ((mask := r.mask) is not None and mask.any())}


def phrase_rows(assistant: Assistant, record: Record, phrasings: dict[str, list[str]]) -> list[dict]:
    """The Dice of each label by its name and by each phrase."""
    truths = outlined(record)
    study, size = record.study(), record.image.shape[:2]
    found = assistant.ground(study, [p for label in truths for p in (label, *phrasings[label])])
    rows = []
    for label, truth in truths.items():
        dices = {p: overlap(truth, found.of(p), size) for p in (label, *phrasings[label])}
        about = {"set": record.set, "id": record.id, "patient": patient(record), "label": label, "name": dices[label]}
        rows += [
            {**about, "phrase": p, "named": label in mentioned(p), "dice": dices[p], "loss": dices[label] - dices[p]}
            for p in phrasings[label]
        ]
    return rows


def loss(rows: list[dict]) -> str:
    """The mean loss over labels, with its interval."""
    return interval([(row["label"], row["loss"]) for row in rows], [row["patient"] for row in rows], mean_of_means)


def images(rows: list[dict]) -> int:
    return len({(row["set"], row["id"]) for row in rows})


def phrase_table(rows: list[dict]) -> str:
    lines = []

    def line(title: str, some: list[dict], worst: str = "") -> None:
        name, said = (mean_of_means([(r["label"], r[key]) for r in some]) for key in ("name", "dice"))
        phrases = len({r["phrase"] for r in some})
        lines.append([title, images(some), phrases, len(some), f"{name:.3f}", f"{said:.3f}", loss(some), worst])

    for label in sorted({row["label"] for row in rows}, key=list(LABELS).index):
        mine = [row for row in rows if row["label"] == label]
        dices = {p: np.mean([r["dice"] for r in mine if r["phrase"] == p]) for p in {r["phrase"]: 0 for r in mine}}
        worst = min(dices, key=dices.__getitem__)
        line(label, mine, f"{worst} ({dices[worst]:.3f})")
    for title, some in (
        ("all, mean of labels", rows),
        ("… a known name in a new sentence", [row for row in rows if row["named"]]),
        ("… no known name", [row for row in rows if not row["named"]]),
    ):
        if some:
            line(title, some)
    head = ["label", "images", "phrases", "n", "Dice by name", "Dice by phrase", "loss", "worst phrase"]
    return table(head, lines)


def reading_table(assistant: Assistant, phrasings: dict[str, list[str]], pairs: list[Pair]) -> str:
    """The share of phrases whose label is the likeliest, and of pairs that are read as presence and its denial."""
    numbers, labels = assistant.finder.numbers, assistant.finder.config.labels
    said = [(label, phrase) for label, phrases in phrasings.items() for phrase in phrases if label in numbers]
    with torch.inference_mode():
        meant = assistant.finder.read_phrases([phrase for _, phrase in said])
    alike = {
        k: torch.tensor([not LABELS[k].places.isdisjoint(LABELS[x].places) for x in labels] + [True]) for k in phrasings
    }
    right = {
        "phrases, image not known": [int(meant[p].argmax()) == numbers[k] for k, p in said],
        "phrases, kind of image known": [
            int((meant[p] * (alike[k] + assistant.policy.elsewhere)).argmax()) == numbers[k] for k, p in said
        ],
    }
    for known in (True, False):
        right[f"{'known' if known else 'new'} pairs"] = [
            is_read(assistant.conversation.reader, pair, label)
            for pair in pairs
            if pair.known == known
            for label in ("polyp", "left lung")
        ]
    lines = [
        [title, len(some), interval(list(map(float, some)), list(range(len(some))))] for title, some in right.items()
    ]
    return table(["text alone", "n", "read right"], lines)


# Negation


def is_read(reader: Reader, pair: Pair, label: str) -> bool:
    """Whether a pair is read as the presence of a label and its denial."""
    read = [reader.read(form.format(x=label)).calls for form in pair.forms]
    return read == [(Call("present", (label,), denied=denied),) for denied in (False, True)]


def asked_labels(record: Record) -> list[tuple[str, bool]]:
    """One label that is there and one that is not, drawn by the record's key alone."""
    rng = np.random.default_rng(crc32(record.key.encode()))
    present = [region.label for region in record.regions]
    absent = [label for label in record.absent if label in LABELS and label not in present]
    absent = absent or [a for a in LABELS if surely_absent(a, record.modality or "", record.body_part or "")]
    return [(str(rng.choice(names)), there) for names, there in ((present, True), (absent, False)) if names]


def said(answer: Answer) -> bool | None:
    """Yes or no; `None` for any other answer, and for none."""
    return None if answer.abstained or answer.declined else yes_no(answer.text)


def consistent(answers: Sequence[Answer]) -> bool:
    """Whether the answers to a question and to its negation go together: yes and no, or no answer to either."""
    return {said(answer) for answer in answers} == {True, False} or unanswered(answers)


def unanswered(answers: Sequence[Answer]) -> bool:
    return all(answer.abstained or answer.declined for answer in answers)


def pair_rows(assistant: Assistant, record: Record, turn: Iterator[Pair]) -> list[dict]:
    """A pair of answers for each asked label; the forms take turns over the run."""
    study, rows = record.study(), []
    for label, there in asked_labels(record):
        pair = next(turn)
        answers = [converse(assistant, study, form.format(x=label), [], None) for form in pair.forms]
        rows.append({
            "set": record.set, "id": record.id, "patient": patient(record), "label": label, "present": there,
            "form": " / ".join(pair.forms), "known": pair.known, "answers": [answer.text for answer in answers],
            "consistent": consistent(answers), "unanswered": unanswered(answers),
            "right": [said(answer) for answer in answers] == [there, not there],
            "yes": consistent([Answer("Yes", 1.0)] * 2),
        })  # fmt: skip
    return rows


def pair_table(rows: list[dict]) -> str:
    lines = []
    for title, some in (
        ("known forms", [row for row in rows if row["known"]]),
        ("new forms", [row for row in rows if not row["known"]]),
        ("all forms", rows),
    ):
        there = [(f"{title}, {word}", [r for r in some if r["present"] == t]) for word, t in PRESENCE]
        for name, kind in (*there, (title, some)):
            patients = [row["patient"] for row in kind]
            scores = [interval([r[key] for r in kind], patients) for key in ("consistent", "unanswered", "right")]
            lines.append([name, len(kind), *scores, f"{np.mean([r['yes'] for r in kind]):.3f}" if kind else ""])
    head = ["question / negation", "n", "consistent", "neither answered", "both right", 'always "Yes", consistent']
    return table(head, lines)


@torch.inference_mode()
def outside_table(assistant: Assistant, path: Path) -> str:
    """Of phrases for things that no label names, the share that is taken for a label; naming none would reach 0."""
    rows = []
    for part, phrases in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        chances = assistant.finder.read_phrases(phrases)
        taken = [float(float(chances[p][:-1].max()) >= assistant.policy.named) for p in phrases]
        rows.append((part, interval(taken, phrases), len(taken)))
    return table(["phrases for other things", "taken for a label", "n"], rows)


def main() -> None:
    parser = arguments(__doc__, "a .jsonl for the single results", limit=10)
    parser.set_defaults(split="report")
    args = parser.parse_args()
    phrasings = read_phrasings(Path(__file__).with_name("phrasings.yaml"))
    forms = read_pairs(Path(__file__).with_name("negations.yaml"), trained_forms())
    assistant, turn, phrases, pairs = Assistant.load(args.model), cycle(forms), [], []
    print(f"{reading_table(assistant, phrasings, forms)}\n")
    print(f"{outside_table(assistant, Path(__file__).with_name('outside_phrases.yaml'))}\n")
    for records in chosen(args.data, args.split, args.limit, lambda r: r.regions or r.absent):
        for record in bar(records):
            phrases += phrase_rows(assistant, record, phrasings)
            pairs += pair_rows(assistant, record, turn)
    write_rows(args.output, phrases + pairs)
    if phrases:
        print(f"95 % intervals by patient; n counts a phrase on an image.\n\n{phrase_table(phrases)}\n")
    print(pair_table(pairs) if pairs else "Nothing is marked in these data sets.")


if __name__ == "__main__":
    main()
