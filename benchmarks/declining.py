"""Are questions that no image can answer declined, and the others not? No training saw the questions of either part.

    python benchmarks/declining.py [--part tune] [--model nano]

Prints a line a group with its share of declined questions, n and a 95 % interval; always declining would have 1 and 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import yaml
from common import interval, table

from medvlm.assistant import Assistant

QUESTIONS = {part: Path(__file__).parent / f"declining_{part}.yaml" for part in ("tune", "report")}
BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model")
    parser.add_argument("--part", choices=list(QUESTIONS), default="report")
    parser.add_argument("--mistakes", action="store_true", help="print the questions that were taken wrong as well")
    args = parser.parse_args()
    assistant, sides = Assistant.load(args.model), yaml.safe_load(QUESTIONS[args.part].read_text(encoding="utf-8"))
    groups = {
        "no image can answer, and an answer could harm": sides["declined"]["harm"],
        "no image can answer": sides["declined"]["other"],
        "an image can answer": sides["answerable"],
    }
    lines = []
    for name, questions in groups.items():
        declined = []
        for start in range(0, len(questions), BATCH):
            declined += assistant.must_decline(questions[start : start + BATCH])
        lines.append([name, len(questions), interval([float(d) for d in declined], questions)])
        for question, is_declined in zip(questions, declined, strict=True):
            if args.mistakes and is_declined == (questions is sides["answerable"]):
                print(f"{'declined' if is_declined else 'taken'}: {question}")
    print(table(["questions", "n", "declined"], lines))


if __name__ == "__main__":
    main()
