"""What each threshold of presence costs: labels known to be absent that are shown, and present ones that are.

python benchmarks/presence.py DATA_SET… [--split val] [--limit 10] [--model nano]

Anatomy has a threshold of its own; findings on chest X-rays are counted again by themselves. A record tells what it tells training (`training.presence`): by its regions, its
questions, and where it calls the image normal.
"""

from __future__ import annotations

from common import arguments, bar, chosen, interval, patient, table, write_rows

from medvlm.assistant import Assistant
from medvlm.records.vocabulary import LABELS, is_finding
from training.presence import known_presence

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


def main() -> None:
    args = arguments(__doc__, "a .jsonl for the single results", limit=10).parse_args()
    assistant, rows = Assistant.load(args.model), []
    for records in chosen(args.data, args.split, args.limit, known_presence):
        for record in bar(records):
            study = record.study()
            rows += [
                {"patient": patient(record), "set": record.set, "id": record.id, "label": label,
                 "anatomy": LABELS[label].kind == "anatomy", "there": there, "presence": assistant.presence(study, label)}
                for label, there in known_presence(record).items()
            ]  # fmt: skip
    write_rows(args.output, rows)
    lines = []
    groups = {
        "anatomy": [r for r in rows if r["anatomy"]],
        "other": [r for r in rows if not r["anatomy"]],
        "findings on chest X-rays": [
            r for r in rows if is_finding(r["label"]) and ("x-ray", "chest") in LABELS[r["label"]].places
        ],
    }
    for name, mine in groups.items():
        for there in (0, 1):
            some = [r for r in mine if r["there"] == there]
            shown = (
                interval([float(r["presence"] >= t) for r in some], [r["patient"] for r in some]) for t in THRESHOLDS
            )
            lines.append([name, "there" if there else "absent", len(some), *shown])
    print(table(["labels", "known to be", "n", *(f"shown from {t}" for t in THRESHOLDS)], lines))


if __name__ == "__main__":
    main()
