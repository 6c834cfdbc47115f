"""What each threshold of presence costs: false positives on absent labels, and present labels that are still found.

python benchmarks/presence.py DATA_SET… [--split val] [--limit 10] [--model nano]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from medvlm.assistant import Assistant
from medvlm.records import read_records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int, default=10, help="images of each set, evenly spaced")
    parser.add_argument("--model")
    args = parser.parse_args()
    assistant = Assistant.load(args.model)
    absent, present = [], []
    for source in args.data:
        records = read_records(source, args.split)
        spread = np.linspace(0, len(records) - 1, min(args.limit, len(records))).round().astype(int)
        for record in (records[i] for i in spread):
            there = list(dict.fromkeys(r.label for r in record.regions))
            chance = assistant.ground(record.study(), [*there, *record.absent]).presence
            present += [chance[label] for label in there]
            absent += [chance[label] for label in record.absent if label not in there]
    for threshold in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        wrong, found = (float(np.mean(np.array(values) >= threshold)) for values in (absent, present))
        print(json.dumps({"threshold": threshold, "absent": len(absent), "false positives": round(wrong, 3),
                          "present": len(present), "found": round(found, 3)}))  # fmt: skip


if __name__ == "__main__":
    main()
