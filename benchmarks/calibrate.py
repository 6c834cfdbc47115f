"""Fit the confidence of answers on half the patients and measure its error on the other half.

    python benchmarks/calibrate.py DATA_SET… [--split val] [--model nano] [--write FOLDER]

Platt scaling (Platt, 1999) of an answer's likelihood, for each of those who answer (`Assistant.judges`, and the language
model) apart; `--write` puts the lines into the config.json of a model's folder.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from medvlm.assistant import BATCH, Assistant
from medvlm.evaluation.metrics import bootstrap_interval, ece, exact_match
from medvlm.records import read_records


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
                rows.append((f"{record.set}/{record.patient}", who, likelihood, exact_match(text, qa.answer)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--model")
    parser.add_argument("--write", type=Path, help="a model's folder, whose config.json gets the fit")
    args = parser.parse_args()
    assistant = Assistant.load(args.model)
    assistant.model.config.calibration = {}
    rows = asked(assistant, args.data, args.split)
    patients = sorted({patient for patient, *_ in rows})
    half = set(np.random.default_rng(0).permutation(patients)[::2])
    lines = {}
    for who in sorted({who for _, who, _, _ in rows}):
        mine = [(likelihood, right) for patient, source, likelihood, right in rows if source == who and patient in half]
        if mine:
            lines[who] = platt(*(np.array(column) for column in zip(*mine, strict=True)))
    assistant.model.config.calibration = lines
    measured = defaultdict(list)
    for patient, who, likelihood, right in rows:
        if patient not in half:
            measured[who].append((patient, likelihood, assistant.calibrated(who, likelihood), right))
            measured["all"].append(measured[who][-1])
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
