"""Who answers better: the heads' judges (`Assistant.judges`) or the language model, each on the questions that it takes?

python benchmarks/who_answers.py DATA_SET… [--split val] [--model nano]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from medvlm.assistant import BATCH, Assistant
from medvlm.evaluation.metrics import bootstrap_interval, exact_match
from medvlm.records import read_records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--model")
    args = parser.parse_args()
    assistant = Assistant.load(args.model)
    rows = []  # patient, and by who answers whether that is right; judges only where they take the question
    for record in (r for source in args.data for r in read_records(source, args.split)):
        study, asked = record.study(), [q for q in record.qa if q.lang == "en" and q.question]
        for start in range(0, len(asked), BATCH):
            batch = asked[start : start + BATCH]
            texts, _ = assistant.generate([study] * len(batch), [q.question for q in batch])
            for qa, text in zip(batch, texts, strict=True):
                said = {who: judge(study, qa.question) for who, judge in assistant.judges.items()}
                said = {who: told[0] for who, told in said.items() if told} | {"generated": text}
                rows.append((record.patient, {who: exact_match(told, qa.answer) for who, told in said.items()}))
    names = [*assistant.judges, "generated"]
    scores = {f"{who}, all questions it takes": [(p, right[who]) for p, right in rows if who in right] for who in names}
    for judge in assistant.judges:
        taken = [(p, right) for p, right in rows if judge in right]
        for who in names:
            if who != judge:
                scores[f"{who}, questions that '{judge}' takes"] = [(p, r[who]) for p, r in taken if who in r]
    scores["first who takes it"] = [(p, next(right[who] for who in names if who in right)) for p, right in rows]
    for name, pairs in scores.items():
        values = [float(right) for _, right in pairs]
        if values:
            low, high = bootstrap_interval(values, [patient for patient, _ in pairs])
            accuracy = sum(values) / len(values)
            print(json.dumps({"who": name, "accuracy": round(accuracy, 3), "n": len(values),
                              "low": round(low, 3), "high": round(high, 3)}))  # fmt: skip


if __name__ == "__main__":
    main()
