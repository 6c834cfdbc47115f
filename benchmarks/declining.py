"""Are questions that no image can answer declined, and the others not? Training saw none of these questions.

    python benchmarks/declining.py [--part tune] [--model nano]

Prints a line a group with its share of declined questions, n and a 95 % interval; always declining would have 1 in all. A
question is declined where all that it is read as asking for is. Of those that no image can answer also how many are answered
all the same, asked of the first image of each set in `tests/sample`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import yaml
from common import interval, table

from medvlm.assistant import Assistant
from medvlm.records import data_sets, read_records

SAMPLE = Path(__file__).parents[1] / "tests" / "sample"
QUESTIONS = {part: Path(__file__).parent / f"declining_{part}.yaml" for part in ("tune", "report")}


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
    studies, lines = [read_records(folder, "val")[0].study() for folder in data_sets([SAMPLE])], []
    for name, questions in groups.items():
        read = [assistant.conversation.reader.read(question).calls for question in questions]
        declined = [all(call.tool == "decline" for call in calls) for calls in read]
        answered = ""
        if questions is not sides["answerable"]:
            told = assistant.ask_many([(study, question) for study in studies for question in questions])
            answered = f"{sum(not answer.abstained for answer in told)} of {len(told)}"
            for answer, question in zip(told, questions * len(studies), strict=True):
                if args.mistakes and not answer.abstained:
                    print(f"answered {answer.text!r}: {question}")
        lines.append([name, len(questions), interval([float(d) for d in declined], questions), answered])
        for question, is_declined in zip(questions, declined, strict=True):
            if args.mistakes and is_declined == (questions is sides["answerable"]):
                print(f"{'declined' if is_declined else 'taken'}: {question}")
    print(table(["questions", "n", "declined", "answered"], lines))


if __name__ == "__main__":
    main()
