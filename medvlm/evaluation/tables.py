"""Metrics → Markdown tables that also read well as plain text, baselines beside the scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .runner import TOLERANCE_PX

Metrics = dict[str, dict[str, Any]]


def to_tables(result: dict[str, Any]) -> str:
    """The tables of an `evaluate` result, one a task."""
    metrics: Metrics = result["metrics"]
    part = f", the {result['part']} part" if result.get("part") else ""
    parts = [f"Model {result['model']}, split {result['split']}{part}; 95 % bootstrap intervals by patient."]
    if result["failed"]:
        parts.append(f"{result['failed']} items failed and count as wrong.")
    for make in (_ground, _measures, _score_rank, _absent, _chest, _answers, _facts, _labels, _choices, _prompts):
        table = make(metrics)
        if table:
            parts.append(table)
    return "\n\n".join(parts) + "\n"


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"

    return "\n".join([title, "", line(head), "|" + "|".join("-" * (w + 2) for w in widths) + "|", *map(line, rows)])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _interval(metric: dict[str, Any] | None) -> str:
    if not metric or metric["value"] is None:
        return ""
    return f"{metric['value']:.3f} [{_number(metric['low'])}, {_number(metric['high'])}]"


def _names(metrics: Metrics, task: str, depth: int) -> list[tuple[str, ...]]:
    keys = (key.split("/") for key in metrics)
    return list(dict.fromkeys(tuple(k[1:-1]) for k in keys if k[0] == task and len(k) == depth + 2))


def _ground(metrics: Metrics) -> str:
    rows = []
    for name, label in _names(metrics, "ground", 2):
        dice, nsd, ap = (metrics.get(f"ground/{name}/{label}/{m}") for m in ("dice", "nsd", "ap50"))
        guess = _number(dice["baseline"].get("mean mask")) if dice else ""
        rows.append([name, label, str((dice or ap or {})["n"]), _interval(dice), guess, _interval(nsd), _interval(ap)])
    head = ["set", "label", "images", "Dice", "mean mask", f"NSD ({TOLERANCE_PX:g} px)", "AP at IoU 0.5"]
    return _table("Grounding", head, rows)


def _measures(metrics: Metrics) -> str:
    rows = []
    for key, m in metrics.items():
        if key.startswith("ground/") and key.endswith("_error"):
            _, name, measure = key.split("/")
            guess = _number(m["baseline"].get("training mean"))
            what = measure.removesuffix("_error").replace("_", " ")
            rows.append([name, what, str(m["n"]), str(m["unmeasured"]), _interval(m), guess])
    head = ["set", "measure", "images", "not measured", "mean absolute error", "training mean"]
    return _table("Measures (what could not be measured counts as 0)", head, rows)


def _score_rank(metrics: Metrics) -> str:
    found = [(key.split("/")[1], m) for key, m in metrics.items() if key.endswith("/score_rank")]
    rows = [[name, str(m["n"]), _interval(m)] for name, m in found]
    return _table("Scores against overlaps (Spearman; chance is 0)", ["set", "labels", "correlation"], rows)


def _absent(metrics: Metrics) -> str:
    found = [(key.split("/")[1], m) for key, m in metrics.items() if key.endswith("/absent_false_positive")]
    found.sort(key=lambda pair: pair[0] != "all")  # the rate over all sets comes first
    rows = [[name, str(m["n"]), _interval(m)] for name, m in found]
    return _table("Absent phrases", ["set", "phrases", "false positive rate"], rows)


def _chest(metrics: Metrics) -> str:
    keys = {"known to be there": "shown", "known not to be there": "false"}
    found = [(what, metrics.get(f"ground/all/chest_findings_{key}")) for what, key in keys.items()]
    rows = [[what, str(m["n"]), _interval(m)] for what, m in found if m]
    return _table("Findings on chest X-rays, all sets", ["findings", "phrases", "share shown"], rows)


ANSWER_SCORES = (
    "accuracy", "closed", "open", "all_questions", "declined", "coverage", "accuracy_answered",
    "token_recall", "ece", "accuracy_at_80_coverage",
)  # fmt: skip


def _answers(metrics: Metrics) -> str:
    rows = []
    for (name,) in _names(metrics, "answer", 1):
        for part in ANSWER_SCORES:
            m = metrics.get(f"answer/{name}/{part}")
            if m:
                guesses = [_number(m["baseline"].get(b)) for b in ("commonest", "blank", "shuffled")]
                rows.append([name, part.replace("_", " "), str(m["n"]), _interval(m), *guesses])
    return _table(
        "Answers (strict normalised match, of the questions not declined; among all questions a declined one is wrong)",
        ["set", "score", "questions", "value", "commonest answer", "blank image", "shuffled images"],
        rows,
    )


def _facts(metrics: Metrics) -> str:
    rows = []
    for (name,) in _names(metrics, "facts", 1):
        named = [metrics.get(f"facts/{name}/{fact}") for fact in ("modality", "body_part", "medical")]
        guesses = [_number(next(iter(m["baseline"].values()), None)) if m else "" for m in named]
        cells = [cell for m, guess in zip(named, guesses, strict=True) for cell in (_interval(m), guess)]
        rows.append([name, str(next(m["n"] for m in named[::-1] if m)), *cells])
    head = ["set", "images", "modality", "commonest", "body part", "commonest", "medical or not", "always medical"]
    return _table("Facts (share named right)", head, rows)


def _labels(metrics: Metrics) -> str:
    rows, wanted = [], ("auc", "sensitivity", "specificity", "specificity_at_90_sensitivity")
    for name, fact in _names(metrics, "labels", 2):
        right, *rest = (metrics.get(f"labels/{name}/{fact}/{m}") for m in ("accuracy", *wanted))
        if right:
            guess = _number(right["baseline"].get("commonest"))
            rows.append([name, fact, str(right["n"]), _interval(right), guess, *map(_interval, rest)])
    head = ["set", "fact", "images", "accuracy", "commonest", "AUC (chance 0.5)", "sensitivity", "specificity"]
    head.append("specificity at sensitivity 0.9 (chance 0.1)")
    return _table("Labels (sensitivity and specificity at a probability of 0.5)", head, rows)


def _choices(metrics: Metrics) -> str:
    rows = []
    for name, fact in _names(metrics, "choose", 2):
        m = metrics[f"choose/{name}/{fact}/accuracy"]
        rows.append([name, fact, str(m["n"]), _interval(m), _number(m["baseline"].get("commonest"))])
    return _table("Choices among the values of a fact", ["set", "fact", "images", "accuracy", "commonest"], rows)


def _prompts(metrics: Metrics) -> str:
    rows = []
    columns = (("box", "filled box", "filled ellipse"), ("click", "mean disc"), ("clicks4",), ("scribble", "mean disc"))
    for name in dict.fromkeys(name for name, _ in _names(metrics, "prompts", 2)):
        cells = []
        for kind, *guesses in columns:
            m = metrics[f"prompts/{name}/{kind}/dice"]
            cells += [_interval(m), *(_number(m["baseline"].get(guess)) for guess in guesses)]
        rows.append([name, str(m["n"]), *cells])
    head = ["set", "instances", *(title for column in columns for title in column)]
    return _table("Drawn prompts (Dice with the instance)", head, rows)
