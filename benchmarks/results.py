"""Write the numbers of an evaluation into README.md, docs/RESULTS.md and the model card, between `<!-- results -->` markers.

    medvlm eval DATA… -o results.json
    python benchmarks/results.py results.json

The README and the card get the headline rows of `SHOWN`, RESULTS.md every table that `medvlm eval` prints.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medvlm.evaluation.tables import to_tables

ROOT = Path(__file__).resolve().parent.parent
START, END = "<!-- results -->", "<!-- /results -->"

# (what is measured, name of the score, key in `metrics`)
SHOWN = (
    *(
        (f"{label} ({name})", "Dice", f"ground/{name}/{label}/dice")
        for name, label in (
            ("hc18", "fetal head"),
            ("jsrt", "left lung"),
            ("jsrt", "right lung"),
            ("jsrt", "heart"),
            ("lung_ct", "lung"),
            ("ph2", "skin lesion"),
            ("kvasir_seg", "polyp"),
            ("cardiac_mri", "left ventricle"),
            ("drishti_gs", "optic disc"),
            ("retina_vessels", "retinal vessels"),
            ("dsb2018", "nucleus"),
            ("busi", "benign tumour"),
            ("busi", "malignant tumour"),
            ("lgg_mri", "brain tumour"),
            ("ddti", "thyroid nodule"),
            ("ct_organs", "liver"),
        )
    ),
    ("white blood cell boxes (bccd)", "AP at IoU 0.5", "ground/bccd/white blood cell/ap50"),
    ("fracture boxes (bone_fracture)", "AP at IoU 0.5", "ground/bone_fracture/fracture/ap50"),
    ("head circumference (hc18)", "error in mm", "ground/hc18/head_circumference_mm_error"),
    ("cardiothoracic ratio (jsrt)", "error", "ground/jsrt/cardiothoracic_ratio_error"),
    ("cup-to-disc ratio (drishti_gs)", "error", "ground/drishti_gs/cup_to_disc_ratio_error"),
    ("teeth (panoramic_teeth)", "error of the count", "ground/panoramic_teeth/tooth_count_error"),
    ("nuclei (dsb2018)", "error of the count", "ground/dsb2018/nucleus_count_error"),
    ("phrases that are not there (all sets)", "false positives, less is better", "ground/all/absent_false_positive"),
    ("… but for busi, brain_tumor_cheng, covid_cxr_organs", "the same", "ground/all/absent_false_positive_rest"),
    ("tumour's type (brain_tumor_cheng)", "accuracy", "labels/brain_tumor_cheng/tumour_type/accuracy"),
    ("benign, malignant or normal (busi)", "accuracy", "labels/busi/breast_finding/accuracy"),
    ("pneumonia (medmnist_pneumoniamnist)", "AUC", "labels/medmnist_pneumoniamnist/medmnist_pneumoniamnist/auc"),
    ("covid-19 (covid_ct)", "AUC", "labels/covid_ct/covid-19/auc"),
    *(
        (f"{what}, from a probability of 0.5", score, f"labels/{key}/{score}")
        for what, key in (
            ("breast malignancy (busi)", "busi/breast_finding"),
            ("covid-19 on CT (covid_ct)", "covid_ct/covid-19"),
            ("fracture (bone_fracture)", "bone_fracture/fracture"),
        )
        for score in ("sensitivity", "specificity")
    ),
    ("questions in English (slake)", "accuracy", "answer/slake/accuracy"),
    ("… of these, closed", "accuracy", "answer/slake/closed"),
    ("… of these, open", "accuracy", "answer/slake/open"),
    ("… of the surest 80 %", "accuracy", "answer/slake/accuracy_at_80_coverage"),
    ("questions (vqa_rad)", "accuracy", "answer/vqa_rad/accuracy"),
    ("… of the surest 80 %", "accuracy", "answer/vqa_rad/accuracy_at_80_coverage"),
    ("modality (all sets)", "accuracy", "facts/all/modality"),
    ("body part (all sets)", "accuracy", "facts/all/body_part"),
    ("medical or a photograph (all sets)", "accuracy", "facts/all/medical"),
)
BASELINES = {
    "training mean": "training mean",
    "mean mask": "mean mask of the label",
    "commonest": "commonest training answer",
    "blank": "blank image",
    "shuffled": "another image",
    "always medical": "always medical",
}


def headline(result: dict[str, Any]) -> str:
    """A Markdown table of the rows of `SHOWN` that a result holds."""
    lines = [
        f"`{result['model']}` on the {result['split']} splits; intervals are 95 % bootstraps by patient.",
        "",
        "| what | score | n | value | 95 % interval | without looking |",
        "|---|---|---|---|---|---|",
        *_rows(result["metrics"]),
    ]
    return "\n".join(lines) + "\n"


def _rows(metrics: dict[str, Any]) -> Iterator[str]:
    for what, score, key in SHOWN:
        found = metrics.get(key)
        if found and found["value"] is not None:
            low, high = (_number(found[end]) for end in ("low", "high"))
            guesses = ", ".join(f"{_number(v)} {BASELINES.get(k, k)}" for k, v in found["baseline"].items())
            yield f"| {what} | {score} | {found['n']} | **{_number(found['value'])}** | {low} to {high} | {guesses} |"


def weakest(result: dict[str, Any], count: int = 12) -> str:
    """The labels that are drawn worst, as one sentence: where not to trust the model."""
    drawn = [
        (m["value"], key.split("/"))
        for key, m in result["metrics"].items()
        if key.startswith("ground/") and key.endswith("/dice") and "/all/" not in key
    ]
    worst = [f"{label} in {name} ({_number(value)})" for value, (_, name, label, _) in sorted(drawn)[:count]]
    return f"Known failures, the lowest Dice: {', '.join(worst)}.\n" if worst else ""


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def fill(path: Path, text: str) -> None:
    """Put `text` between the markers of a file. Raises `ValueError` where it has none."""
    before, start, rest = path.read_text(encoding="utf-8").partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise ValueError(f"{path.name} needs the lines {START} and {END}.")
    path.write_text(f"{before}{START}\n{text.strip()}\n{END}{after}", encoding="utf-8")


def main(argv: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="what `medvlm eval … -o` wrote")
    result = json.loads(parser.parse_args(argv).results.read_text(encoding="utf-8"))
    fill(root / "README.md", headline(result))
    fill(root / "docs" / "RESULTS.md", to_tables(result))
    fill(root / "medvlm" / "weights" / result["model"] / "README.md", headline(result) + "\n" + weakest(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
