"""Single results → metrics with intervals and baselines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Any

from ..vocabulary import LABELS, is_finding
from . import metrics
from .labels import positive_value
from .prompts import KINDS

Row = dict[str, Any]
CHEST = ("x-ray", "chest")


def summarise(rows: Sequence[Row], majority: tuple[str | None, str | None] = (None, None)) -> dict[str, Row]:
    """Metrics by "task/set/…/name"; `majority` is the commonest training modality and body part."""
    out: dict[str, Row] = {}
    by_set: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        by_set[row["task"], row["set"]].append(row)
    for (task, name), some in by_set.items():
        if task == "ground":
            _ground(out, name, some)
        elif task == "answer":
            _answers(out, name, some)
        elif task == "labels":
            _labels(out, name, some)
        elif task == "prompts":
            _prompts(out, name, some)
        elif task == "choose":
            _choices(out, name, some)
        else:
            _facts(out, name, some, majority)
    everything = {task: [r for r in rows if r["task"] == task] for task in ("ground", "facts", "prompts")}
    _absent(out, "all", everything["ground"])
    _chest_findings(out, everything["ground"])
    _score_rank(out, "all", everything["ground"])
    _facts(out, "all", everything["facts"], majority)
    _prompts(out, "all", everything["prompts"])
    return out


def metric(
    values: Sequence[Any],
    patients: Sequence[str],
    baseline: dict[str, float] | None = None,
    statistic: Callable[[list[Any]], float] | None = None,
) -> Row:
    """A mean (or `statistic`) with its count, its 95 % interval by patient, and what baselines reach."""
    low, high = metrics.bootstrap_interval(values, patients, statistic=statistic)
    value = statistic(list(values)) if statistic else sum(values) / len(values)
    return {
        "value": _round(value),
        "n": len(values),
        "low": _round(low),
        "high": _round(high),
        "baseline": {name: _round(v) for name, v in (baseline or {}).items()},
    }


def _round(value: float) -> float | None:
    return None if value != value else round(float(value), 4)  # JSON has no NaN


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def _patients(rows: Sequence[Row]) -> list[str]:
    return [f"{row['set']}/{row['patient']}" for row in rows]


def _ground(out: dict[str, Row], name: str, rows: Sequence[Row]) -> None:
    labels = dict.fromkeys(label for row in rows for label in row["labels"])
    for label in labels:
        seen = [row for row in rows if "dice" in row["labels"].get(label, {})]
        if seen:
            cells = [row["labels"][label] for row in seen]
            guess = [c["mean_mask"] for c in cells if "mean_mask" in c]
            baseline = {"mean mask": _mean(guess)} if guess else {}
            out[f"ground/{name}/{label}/dice"] = metric([c["dice"] for c in cells], _patients(seen), baseline)
            out[f"ground/{name}/{label}/nsd"] = metric([c["nsd"] for c in cells], _patients(seen))
        seen = [row for row in rows if label in _boxes(row)]
        images = [_boxes(row)[label] for row in seen]
        if any(n for _, _, n in images):
            out[f"ground/{name}/{label}/ap50"] = metric(images, _patients(seen), statistic=metrics.average_precision)
    if len(labels) > 1:
        asked = [(row, boxes) for row in rows if (boxes := {k: v for k, v in _boxes(row).items() if k in labels})]
        mean_ap = metric(
            [b for _, b in asked], _patients([row for row, _ in asked]), None, metrics.mean_average_precision
        )
        if mean_ap["value"] is not None:
            out[f"ground/{name}/all/ap50"] = mean_ap
        dice = [(row, [c["dice"] for c in row["labels"].values() if "dice" in c]) for row in rows]
        means = [(row, _mean(values)) for row, values in dice if values]
        if means:
            out[f"ground/{name}/all/dice"] = metric([v for _, v in means], _patients([row for row, _ in means]))
    _absent(out, name, rows)
    _measures(out, name, rows)
    _score_rank(out, name, rows)


def _boxes(row: Row) -> dict[str, tuple[list[float], list[bool], int]]:
    """Label → scores, hits and number of true boxes, of what was asked for in one image, there or not."""
    absent = {label: (scores, [False] * len(scores), 0) for label, scores in row["absent"].items()}
    return absent | {label: (cell["scores"], cell["hits"], cell["n"]) for label, cell in row["labels"].items()}


def _absent(out: dict[str, Row], name: str, rows: Sequence[Row]) -> None:
    _shown(out, f"ground/{name}/absent_false_positive", [(row, s) for row in rows for s in row["absent"].values()])


def _shown(out: dict[str, Row], key: str, asked: Sequence[tuple[Row, Sequence[float]]]) -> None:
    """The share of phrases under which any region came back; each is given by the scores of its regions."""
    if asked:
        out[key] = metric([len(scores) > 0 for _, scores in asked], _patients([row for row, _ in asked]))


def _chest_findings(out: dict[str, Row], rows: Sequence[Row]) -> None:
    """Of what chest X-rays may show, the share that is shown where it is there, and where it is known not to be."""
    names = {name for name, label in LABELS.items() if is_finding(name) and CHEST in label.places}
    films = [row for row in rows if tuple(row.get("kind", ())) == CHEST]
    told = [(row, cell) for row in films for label, cell in row["known"].items() if label in names]
    for name, there in (("shown", True), ("false", False)):
        mine = [(row, [1.0] if cell["shown"] else []) for row, cell in told if cell["there"] == there]
        _shown(out, f"ground/all/chest_findings_{name}", mine)


def _measures(out: dict[str, Row], name: str, rows: Sequence[Row]) -> None:
    """Mean absolute errors. What could not be measured, for want of an outline, counts as 0: an error of the full
    true value; `unmeasured` says how many."""
    for measure in dict.fromkeys(m for row in rows for m in row.get("measures", {})):
        seen = [row for row in rows if measure in row.get("measures", {})]
        cells = [row["measures"][measure] for row in seen]
        guess = [abs(c["mean"] - c["true"]) for c in cells if c["mean"] is not None]
        errors = [abs((c["found"] or 0.0) - c["true"]) for c in cells]
        score = metric(errors, _patients(seen), {"training mean": _mean(guess)} if guess else {})
        out[f"ground/{name}/{measure}_error"] = {**score, "unmeasured": sum(c["found"] is None for c in cells)}


def _score_rank(out: dict[str, Row], name: str, rows: Sequence[Row]) -> None:
    """Spearman's correlation, over present labels, of a label's best score with how well it was drawn.

    That is the Dice of its outline or, where only boxes are known, the Dice of two boxes with the best one's IoU.
    Nothing found is 0 for both.
    """
    pairs, patients = [], []
    for row, patient in zip(rows, _patients(rows), strict=True):
        for cell in row["labels"].values():
            if "iou" in cell:
                overlap = cell.get("dice", 2 * cell["iou"] / (1 + cell["iou"]))
                pairs.append((max(cell["scores"], default=0.0), overlap))
                patients.append(patient)
    if pairs:
        out[f"ground/{name}/score_rank"] = metric(pairs, patients, {"chance": 0.0}, _over_pairs(metrics.spearman))


def _answers(out: dict[str, Row], name: str, rows: Sequence[Row]) -> None:
    """English questions under the set's name, those of another language under `set-lang`.

    Scores are over the questions that were not declined, answers that would be withheld among them; `declined` and
    `coverage` say how many are not answered, `accuracy_answered` how good the rest is, and in `all_questions` a declined
    question is a wrong one.
    """
    for lang in dict.fromkeys(row["lang"] for row in rows):
        prefix = f"answer/{name}" if lang == "en" else f"answer/{name}-{lang}"
        mine = [row for row in rows if row["lang"] == lang]
        everything = [row for row in mine if row["variant"] == "image"]
        declined = {_question(row) for row in everything if row["declined"]}
        taken = [row for row in mine if _question(row) not in declined]
        asked = [row for row in everything if not row["declined"]]
        answered = {_question(row) for row in asked if not row["abstained"]}
        _accuracy(out, f"{prefix}/accuracy", taken)
        _accuracy(out, f"{prefix}/closed", [row for row in taken if row["type"] == "closed"])
        _accuracy(out, f"{prefix}/open", [row for row in taken if row["type"] == "open"])
        _accuracy(out, f"{prefix}/accuracy_answered", [row for row in taken if _question(row) in answered])
        _accuracy(out, f"{prefix}/all_questions", mine, declined)
        if everything:
            out[f"{prefix}/declined"] = metric([row["declined"] for row in everything], _patients(everything))
        if not asked:
            continue
        out[f"{prefix}/coverage"] = metric([not row["abstained"] for row in asked], _patients(asked))
        recall = [metrics.token_recall(row["said"], row["true"]) for row in asked]
        by_guess = [metrics.token_recall(row["commonest"], row["true"]) for row in asked]
        out[f"{prefix}/token_recall"] = metric(recall, _patients(asked), {"commonest": _mean(by_guess)})
        pairs = [(row["confidence"], metrics.exact_match(row["said"], row["true"])) for row in asked]
        out[f"{prefix}/ece"] = metric(pairs, _patients(asked), statistic=_over_pairs(metrics.ece))
        at_80 = _over_pairs(metrics.accuracy_at_coverage)
        out[f"{prefix}/accuracy_at_80_coverage"] = metric(pairs, _patients(asked), statistic=at_80)


def _question(row: Row) -> str:
    """What an answer's row shares with those of its controls: "answer/image/set/id/3" → "set/id/3"."""
    return row["key"].split("/", 2)[2]


def _accuracy(out: dict[str, Row], key: str, rows: Sequence[Row], wrong: Collection[str] = ()) -> None:
    """Accuracy beside its controls; of the questions in `wrong` no answer counts, but the commonest one does."""

    def right(variant: str) -> list[bool]:
        mine = [row for row in rows if row["variant"] == variant]
        return [_question(r) not in wrong and metrics.exact_match(r["said"], r["true"]) for r in mine]

    asked = [row for row in rows if row["variant"] == "image"]
    if not asked:
        return
    baseline = {"commonest": _mean([metrics.exact_match(row["commonest"], row["true"]) for row in asked])}
    baseline |= {variant: _mean(values) for variant in ("blank", "shuffled") if (values := right(variant))}
    out[key] = metric(right("image"), _patients(asked), baseline)


def _over_pairs(score: Callable[[Sequence[float], Sequence[Any]], float]) -> Callable[[list[Any]], float]:
    return lambda pairs: score([c for c, _ in pairs], [right for _, right in pairs])


def _labels(out: dict[str, Row], name: str, rows: Sequence[Row]) -> None:
    """Accuracy of every fact, over images whose true value the model learned; where one value is looked for, also
    AUC, sensitivity and specificity at a probability of 0.5, and specificity where sensitivity is 0.9. An item that
    failed is wrong in all of them."""
    learned: dict[str, dict[str, float]] = {}
    for row in rows:
        learned |= {fact: cell["chances"] for fact, cell in row["labels"].items() if cell["chances"]}
    for fact, values in learned.items():
        seen = [row for row in rows if row["labels"].get(fact, {}).get("true") in values]
        cells, patients = [row["labels"][fact] for row in seen], _patients(seen)
        right = [max(c["chances"], key=c["chances"].get, default=None) == c["true"] for c in cells]
        guess = [c["commonest"] for c in cells]
        known = any(guess)
        baseline = {"commonest": _mean([g == c["true"] for g, c in zip(guess, cells, strict=True)])} if known else {}
        out[f"labels/{name}/{fact}/accuracy"] = metric(right, patients, baseline)
        positive = positive_value(values)
        truth = [c["true"] == positive for c in cells]
        if positive is None or len(set(truth)) < 2:
            continue
        chances = [c["chances"].get(positive, float(not true)) for c, true in zip(cells, truth, strict=True)]
        pairs = list(zip(chances, truth, strict=True))
        out[f"labels/{name}/{fact}/auc"] = metric(pairs, patients, {"chance": 0.5}, _over_pairs(metrics.auc))
        at_90 = metric(pairs, patients, {"chance": 0.1}, _over_pairs(metrics.specificity_at_sensitivity))
        out[f"labels/{name}/{fact}/specificity_at_90_sensitivity"] = at_90
        for score, wanted in (("sensitivity", True), ("specificity", False)):
            mine = [i for i, true in enumerate(truth) if true == wanted]
            hits = [(chances[i] >= 0.5) == wanted for i in mine]
            baseline = {"commonest": _mean([(guess[i] == positive) == wanted for i in mine])} if known else {}
            out[f"labels/{name}/{fact}/{score}"] = metric(hits, [patients[i] for i in mine], baseline)


def _choices(out: dict[str, Row], name: str, rows: Sequence[Row]) -> None:
    """How often the true value of a fact is chosen, over images whose value is among the options."""
    options: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for fact, cell in row["choices"].items():
            options[fact] |= set(cell["options"])
    for fact, values in options.items():
        seen = [row for row in rows if row["choices"].get(fact, {}).get("true") in values]
        cells = [row["choices"][fact] for row in seen]
        if cells:
            known = any(c["commonest"] for c in cells)
            baseline = {"commonest": _mean([c["commonest"] == c["true"] for c in cells])} if known else {}
            out[f"choose/{name}/{fact}/accuracy"] = metric([c["right"] for c in cells], _patients(seen), baseline)


def _prompts(out: dict[str, Row], name: str, rows: Sequence[Row]) -> None:
    for kind in KINDS if rows else ():
        guesses = [row["guesses"][kind] for row in rows]
        baseline = {guess: _mean([g[guess] for g in guesses if guess in g]) for g in guesses for guess in g}
        out[f"prompts/{name}/{kind}/dice"] = metric([row["dice"][kind] for row in rows], _patients(rows), baseline)


def _facts(out: dict[str, Row], name: str, rows: Sequence[Row], majority: tuple[str | None, str | None]) -> None:
    for fact, guess in zip(("modality", "body_part"), majority, strict=True):
        known = [row for row in rows if row["true"][fact]]
        if known:
            right = [metrics.exact_match(row["said"][fact], row["true"][fact]) for row in known]
            baseline = {"commonest": _mean([row["true"][fact] == guess for row in known])} if guess else {}
            out[f"facts/{name}/{fact}"] = metric(right, _patients(known), baseline)
    if rows:
        right = [row["said"]["medical"] == row["true"]["medical"] for row in rows]
        baseline = {"always medical": _mean([row["true"]["medical"] for row in rows])}
        out[f"facts/{name}/medical"] = metric(right, _patients(rows), baseline)
