"""Fit the confidence of answers on half the patients and measure its error on the other half.

    python benchmarks/calibrate.py DATA_SET… [--presence DATA_SET…] [--split val] [--model nano] [--write FOLDER]

Platt scaling (Platt, 1999) of an answer's likelihood, for each of those who answer (`Assistant.judges`, and the language
model) apart; `--write` puts the lines into the config.json of a model's folder. Few questions of the data sets are on
presence, and those on the few organs of one set; what is known of the labels of the `--presence` sets is asked as well.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from common import chosen, patient
from torch.nn import functional as F

from medvlm.assistant import BATCH, Assistant
from medvlm.evaluation.metrics import bootstrap_interval, ece, exact_match
from medvlm.records import read_records
from training.presence import known_presence

IMAGES = 12  # of each set whose labels are asked after


def platt(likelihood: np.ndarray, right: np.ndarray) -> list[float]:
    """Slope and offset of the logistic line with the least cross-entropy; a weak pull to (1, 0) tames small samples."""
    logit = torch.from_numpy(likelihood).clamp(1e-6, 1 - 1e-6).logit()
    truth = torch.from_numpy(right.astype(float))
    line = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    start = line.detach().clone()
    optimizer = torch.optim.LBFGS([line], max_iter=200)

    def loss():
        optimizer.zero_grad()
        value = (
            F.binary_cross_entropy_with_logits(line[0] * logit + line[1], truth) + 1e-3 * ((line - start) ** 2).sum()
        )
        value.backward()
        return value

    optimizer.step(loss)
    return [round(float(v), 4) for v in line.detach()]


def asked(assistant: Assistant, sources: list[Path], split: str) -> list[tuple[str, str, float, bool]]:
    """(patient, who answers, likelihood, right) of every English question."""
    rows = []
    for source in sources:
        for record in read_records(source, split):
            questions = [qa for qa in record.qa if qa.lang == "en" and qa.question]
            if not questions:
                continue
            study = record.study()
            told = [assistant.judged(study, qa.question) for qa in questions]
            rest = [i for i, known in enumerate(told) if known is None]
            for start in range(0, len(rest), BATCH):
                batch = rest[start : start + BATCH]
                made = assistant.generate([study] * len(batch), [questions[i].question for i in batch])
                for i, text, likelihood in zip(batch, *made, strict=True):
                    told[i] = "generated", text, likelihood
            for qa, (who, text, likelihood) in zip(questions, told, strict=True):
                rows.append((patient(record), who, likelihood, exact_match(text, qa.answer)))
    return rows


def asked_presence(assistant: Assistant, sources: list[Path], split: str) -> list[tuple[str, str, float, bool]]:
    """As `asked`, of each label of which a record tells whether it is there; `IMAGES` of each set."""
    rows = []
    for records in chosen(sources, split, IMAGES, known_presence):
        for record in records:
            study = record.study()
            for label, there in known_presence(record).items():
                text, likelihood = assistant.seen(study, f"Is there a {label}?")
                rows.append((patient(record), "seen", likelihood, text == ("Yes" if there else "No")))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--model")
    parser.add_argument("--presence", nargs="+", type=Path, default=[])
    parser.add_argument("--write", type=Path, help="a model's folder, whose config.json gets the fit")
    args = parser.parse_args()
    assistant = Assistant.load(args.model)
    assistant.model.config.calibration = {}
    rows = asked(assistant, args.data, args.split)
    told = rows + asked_presence(assistant, args.presence, args.split)
    half = set(np.random.default_rng(0).permutation(sorted({group for group, *_ in told}))[::2])
    lines = {}
    for who in sorted({who for _, who, _, _ in told}):
        mine = [(likelihood, right) for group, source, likelihood, right in told if source == who and group in half]
        if mine:
            lines[who] = platt(*(np.array(column) for column in zip(*mine, strict=True)))
    assistant.model.config.calibration = lines
    measured = defaultdict(list)
    for kind, some in (("questions", rows), ("presence of labels", told[len(rows) :])):
        for group, who, likelihood, right in some:
            if group not in half:
                row = group, likelihood, assistant.calibrated(who, likelihood), right
                measured[f"{kind}, {who}"].append(row)
                if kind == "questions":
                    measured["questions, all"].append(row)
    for who, some in measured.items():
        groups, before, after, right = (list(column) for column in zip(*some, strict=True))
        for name, confidence in (("likelihood", before), ("calibrated", after)):
            pairs = list(zip(confidence, right, strict=True))
            low, high = bootstrap_interval(pairs, groups, statistic=lambda v: ece([c for c, _ in v], [r for _, r in v]))
            print(json.dumps({"answers": who, "confidence": name, "n": len(some), "ece": round(ece(confidence, right), 4),
                              "low": round(low, 4), "high": round(high, 4)}))  # fmt: skip
    print(json.dumps(lines))
    if args.write:
        path = args.write / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"calibration": lines}, indent=2) + "\n")


if __name__ == "__main__":
    main()
