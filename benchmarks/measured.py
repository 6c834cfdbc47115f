"""Counts, sizes, places and comparisons in answers against the masks, over whole data sets.

    python benchmarks/measured.py ../shared/data [--limit 30] [--model nano] [--show]

Each image of the report half of val is asked in plain words; benchmarks/judges.py judges as in conversations. Prints the share
of answers that are right, by kind and by set, with n and a 95 % interval by patient, beside what the commonest true answer
(of a place "upper left", of a comparison the first thing named) would get.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common import bar, interval, records_of, table
from dialogues import converse
from judges import Turn, judge

from medvlm.records import Record
from medvlm.sampling import evenly_spaced
from medvlm.types import Answer

COUNTED = {
    "dsb2018": ["nucleus"],
    "bccd": ["red blood cell", "white blood cell", "platelet"],
    "panoramic_teeth": ["tooth"],
}
COUNTED |= {"kvasir_seg": ["polyp"]}
SIZED = {"ddti": ["thyroid nodule"], "busi": ["benign tumour", "malignant tumour"], "ph2": ["skin lesion"]}
SIZED |= {"cardiac_mri": ["left ventricle", "right ventricle"]}
PLACED = {
    "kvasir_seg": ["polyp"],
    "ddti": ["thyroid nodule"],
    "lgg_mri": ["brain tumour"],
    "drishti_gs": ["optic disc"],
}
COMPARED = {
    "ct_organs": [("liver", "spleen"), ("left kidney", "right kidney")],
    "jsrt": [("left lung", "right lung"), ("heart", "right lung")],
    "cardiac_mri": [("left ventricle", "right ventricle")],
    "slake": [("liver", "spleen"), ("left lung", "right lung"), ("left kidney", "spleen")],
    "drishti_gs": [("optic disc", "optic cup")],
}
PLURALS = {"nucleus": "nuclei", "tooth": "teeth"}


@dataclass(frozen=True)
class Asked:
    """A question of one kind, what is expected of its answer, and a trivial answer to it."""

    kind: str
    turn: Turn
    trivial: str


def questions(record: Record) -> Iterator[Asked]:
    """What is asked of an image, where its record can tell the truth."""
    there = {region.label for region in record.regions}
    for label in COUNTED.get(record.set, []):
        if label in there:
            turn = Turn(f"How many {PLURALS.get(label, label + 's')} are there?", "count", {"count": label})
            yield Asked("count", turn, "1")
    for label in SIZED.get(record.set, []):
        if label in there:
            yield Asked("size", Turn(f"How long is the {label}?", "number", {"length": label}), "")
            yield Asked("size", Turn(f"What is the area of the {label}?", "number", {"area": label}), "")
    if record.set == "hc18":
        turn = Turn("What is the head circumference?", "number", {"circumference": "fetal head"})
        yield Asked("size", turn, "")
    if record.set == "jsrt":
        yield Asked("size", Turn("What is the cardiothoracic ratio?", "number", {"ratio": "heart"}), "0.45")
    for label in PLACED.get(record.set, []):
        if label in there:
            yield Asked(
                "place", Turn(f"Where is the {label}?", "place", {"place": label}), "In the upper left of the image."
            )
    for first, second in COMPARED.get(record.set, []):
        if {first, second} <= there:
            turn = Turn(f"Which is larger, the {first} or the {second}?", "comparison", {"larger": [first, second]})
            yield Asked("comparison", turn, first)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder of the data sets")
    parser.add_argument("--part", default="report", help="tune or report")
    parser.add_argument("--limit", type=int, default=30, help="images of each set, evenly spaced")
    parser.add_argument("--show", action="store_true", help="print what went wrong as well")
    parser.add_argument("--model")
    args = parser.parse_args()
    from medvlm.assistant import Assistant

    assistant, rows = Assistant.load(args.model), []
    for name in sorted({*COUNTED, *SIZED, *PLACED, *COMPARED, "hc18"}):
        for record in bar(evenly_spaced(records_of(args.data / name, args.part), args.limit)):
            for asked in questions(record):
                try:
                    trivial = judge(record, asked.turn, Answer(asked.trivial, 1.0)).right
                except (
                    ValueError
                ):  # two things too alike in size, or a place too near the middle: no truth to hold it to
                    continue
                answer = converse(assistant, record.study(), asked.turn.ask, [], None)
                verdict = judge(record, asked.turn, answer)
                rows.append((asked.kind, name, record.patient, verdict.right, trivial))
                if args.show and not verdict.right:
                    print(f"{record.key}: {asked.turn.ask} {answer.text!r}, expected {verdict.expected}")
    lines = []
    for kind in ("count", "size", "place", "comparison"):
        for name in ("all", *sorted({row[1] for row in rows if row[0] == kind})):
            of = [row for row in rows if row[0] == kind and name in ("all", row[1])]
            right = interval([float(row[3]) for row in of], [row[2] for row in of])
            lines.append([kind, name, len(of), right, f"{sum(row[4] for row in of) / len(of):.3f}"])
    print(table(["asked for", "set", "n", "right", "trivial"], lines))


if __name__ == "__main__":
    main()
