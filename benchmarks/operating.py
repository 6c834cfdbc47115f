"""Write a model's operating points: the probabilities of facts on both halves of val, beside its weights.

    python benchmarks/operating.py ../shared/data --model runs/nano/model

Facts of two values, and malignant against the rest, wherever both halves have images with and without them. Prints of each
the sensitivity and specificity on `report` at a probability of 0.5 and where 0.9 of the images of `tune` with it are found.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

from common import bar, table

from medvlm.evaluation.labels import learned, positive_value, stated
from medvlm.model.loading import model_folder
from medvlm.operating import USUAL, Scores, write_operating
from medvlm.perception.finder import Finder
from medvlm.records import data_sets, read_records

Found = dict[tuple[str, bool], list[float]]  # (part, whether the image has the value) → probabilities


def collected(finder: Finder, sources: list[Path]) -> dict[str, tuple[str, Found]]:
    """Of each fact with a positive value: that value, and its probabilities over all sets that state the fact."""
    out: dict[str, tuple[str, Found]] = {}
    for source in sources:
        records = [record for record in read_records(source, "val") if stated(record)]
        for record in bar(records) if records else []:
            chances = finder.labels_many([record.study()])[0]
            for name, fact in learned(record, chances).items():
                wanted = positive_value(chances[fact])
                if wanted is not None:
                    found = out.setdefault(fact, (wanted, defaultdict(list)))[1]
                    found[record.part, stated(record)[name] == wanted].append(chances[fact][wanted])
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--model")
    args = parser.parse_args()
    finder, scores, lines = Finder.load(args.model), {}, []
    for fact, (value, found) in sorted(collected(finder, data_sets(args.data)).items()):
        one = Scores(value, *(tuple(found[key]) for key in (("tune", True), ("report", True), ("report", False))))
        if not (one.chosen_with and one.quoted_with and one.quoted_without):
            continue
        scores[fact] = one
        for name, probability in (("0.5", USUAL), ("sensitivity 0.9", one.at(0.9))):
            there = sum(score >= probability for score in one.quoted_with) / len(one.quoted_with)
            spared = sum(score < probability for score in one.quoted_without) / len(one.quoted_without)
            counts = f"{len(one.quoted_with)} / {len(one.quoted_without)}"
            lines.append([fact, value, name, f"{probability:.3f}", counts, f"{there:.3f}", f"{spared:.3f}"])
    write_operating(model_folder(args.model), scores)
    print(table(["fact", "value", "chosen by", "from", "with / without", "sensitivity", "specificity"], lines))


if __name__ == "__main__":
    main()
