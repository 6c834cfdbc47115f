"""Who answers better the questions that training asked of many images: the heads, as facts, or the language model?

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
    rows = []  # patient, right by the language model, right by the heads or None where they do not know the question
    for record in (r for source in args.data for r in read_records(source, args.split)):
        study, asked = record.study(), [q for q in record.qa if q.lang == "en"]
        for start in range(0, len(asked), BATCH):
            batch = asked[start : start + BATCH]
            texts, _ = assistant.generate([study] * len(batch), [q.question for q in batch])
            for qa, text in zip(batch, texts, strict=True):
                known = assistant.learned(study, qa.question)
                heads = exact_match(known[0], qa.answer) if known else None
                rows.append((record.patient, exact_match(text, qa.answer), heads))
    known = [row for row in rows if row[2] is not None]
    scores = {
        "language model, all questions": [(p, language) for p, language, _ in rows],
        "language model, questions the heads know": [(p, language) for p, language, _ in known],
        "heads, questions they know": [(p, heads) for p, _, heads in known],
        "heads where they know, else language model": [(p, lm if heads is None else heads) for p, lm, heads in rows],
    }
    for name, pairs in scores.items():
        values = [float(right) for _, right in pairs]
        low, high = bootstrap_interval(values, [patient for patient, _ in pairs])
        result = {
            "accuracy": round(sum(values) / len(values), 3),
            "n": len(values),
            "low": round(low, 3),
            "high": round(high, 3),
        }
        print(json.dumps({"who": name} | result))


if __name__ == "__main__":
    main()
