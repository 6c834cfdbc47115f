"""Write the numbers of an evaluation into README.md, docs/RESULTS.md and the model card, between `<!-- results -->` markers.

    medvlm eval DATA… --part report -o results.json
    python benchmarks/results.py results.json

The card gets the headline rows of `SHOWN`, the README those of `BRIEF`, RESULTS.md every table that `medvlm eval` prints. Only
what was measured on the report half of val is quoted: on the other half thresholds, mixtures and rules were chosen.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medvlm.evaluation import to_tables

ROOT = Path(__file__).resolve().parent.parent
START, END = "<!-- results -->", "<!-- /results -->"

ABSENT = "ground/all/absent_false_positive"  # below it stand the rates of the single sets
QUOTED = "report"  # the part of val

# Outlines that are quoted; "all" is the mean of a set's labels.
OUTLINED = (
    ("hc18", "fetal head"),
    ("jsrt", "left lung"),
    ("jsrt", "right lung"),
    ("jsrt", "heart"),
    ("jsrt", "all"),
    ("covid_cxr_organs", "left lung"),
    ("covid_cxr_organs", "right lung"),
    ("covid_cxr_organs", "cardiomediastinum"),
    ("panoramic_teeth", "mandible"),
    ("panoramic_teeth", "tooth"),
    ("lung_ct", "lung"),
    ("ct_organs", "liver"),
    ("ct_organs", "all"),
    ("cardiac_mri", "left ventricle"),
    ("cardiac_mri", "all"),
    ("lgg_mri", "brain tumour"),
    ("brain_tumor_cheng", "glioma"),
    ("brain_tumor_cheng", "meningioma"),
    ("brain_tumor_cheng", "pituitary tumour"),
    ("brain_tumor_cheng", "all"),
    ("busi", "benign tumour"),
    ("busi", "malignant tumour"),
    ("busi", "all"),
    ("ddti", "thyroid nodule"),
    ("kvasir_seg", "polyp"),
    ("ph2", "skin lesion"),
    ("drishti_gs", "optic disc"),
    ("drishti_gs", "optic cup"),
    ("retina_vessels", "retinal vessels"),
    ("idrid", "hard exudates"),
    ("dsb2018", "nucleus"),
    ("monuseg", "nucleus"),
    ("glas", "gland"),
)
BOXED = (
    ("bccd", "white blood cell"),
    ("bone_fracture", "fracture"),
    ("fracture_boxes", "fracture"),
    ("mini_mias", "mass"),
)

# (what is measured, name of the score, key in `metrics`)
SHOWN = (
    *((f"{'mean of labels' if k == 'all' else k} ({name})", "Dice", f"ground/{name}/{k}/dice") for name, k in OUTLINED),
    *((f"{label} boxes ({name})", "AP at IoU 0.5", f"ground/{name}/{label}/ap50") for name, label in BOXED),
    *(
        (f"{what} (all sets)", "Dice", f"prompts/all/{kind}/dice")
        for what, kind in (
            ("what a drawn box shows", "box"),
            ("what a click shows", "click"),
            ("… after three corrections", "clicks4"),
            ("what a scribble shows", "scribble"),
        )
    ),
    ("head circumference (hc18)", "error in mm", "ground/hc18/head_circumference_mm_error"),
    ("cardiothoracic ratio (jsrt)", "error", "ground/jsrt/cardiothoracic_ratio_error"),
    ("cup-to-disc ratio (drishti_gs)", "error", "ground/drishti_gs/cup_to_disc_ratio_error"),
    ("teeth (panoramic_teeth)", "error of the count", "ground/panoramic_teeth/tooth_count_error"),
    ("nuclei (dsb2018)", "error of the count", "ground/dsb2018/nucleus_count_error"),
    ("phrases that are not there (all sets)", "false positives, less is better", ABSENT),
    ("findings on chest X-rays that are there (all sets)", "share shown", "ground/all/chest_findings_shown"),
    ("… that are known not to be", "share shown, less is better", "ground/all/chest_findings_false"),
    ("tumour's type (brain_tumor_cheng)", "accuracy", "labels/brain_tumor_cheng/tumour_type/accuracy"),
    ("benign, malignant or normal (busi)", "accuracy", "labels/busi/breast_finding/accuracy"),
    ("pneumonia (medmnist_pneumoniamnist)", "AUC", "labels/medmnist_pneumoniamnist/medmnist_pneumoniamnist/auc"),
    ("covid-19 (covid_ct)", "AUC", "labels/covid_ct/covid-19/auc"),
    *(
        row
        for what, key in (
            ("breast malignancy (busi)", "labels/busi/breast_finding"),
            ("covid-19 on CT (covid_ct)", "labels/covid_ct/covid-19"),
            ("fracture (bone_fracture)", "labels/bone_fracture/fracture"),
        )
        for row in (
            (f"{what}, from a probability of 0.5", "sensitivity", f"{key}/sensitivity"),
            (f"{what}, from a probability of 0.5", "specificity", f"{key}/specificity"),
            (f"{what}, where sensitivity is 0.9", "specificity", f"{key}/specificity_at_90_sensitivity"),
        )
    ),
    *(
        (f"{what}{f' ({name})' if part in ('accuracy', 'all_questions') else ''}", score, f"answer/{name}/{part}")
        for name in ("slake", "vqa_rad")
        for what, score, part in (
            ("questions in English that an image can answer", "accuracy", "accuracy"),
            ("… of these, closed", "accuracy", "closed"),
            ("… of these, open", "accuracy", "open"),
            ("… of these, answered and not withheld", "share", "coverage"),
            ("… of the answered", "accuracy", "accuracy_answered"),
            ("… of the surest 80 %", "accuracy", "accuracy_at_80_coverage"),
            ("all questions, a declined one is wrong", "accuracy", "all_questions"),
            ("… of these, declined as no image can answer them", "share", "declined"),
        )
    ),
    ("modality (all sets)", "accuracy", "facts/all/modality"),
    ("body part (all sets)", "accuracy", "facts/all/body_part"),
    ("medical or a photograph (all sets)", "accuracy", "facts/all/medical"),
)
# Of each kind of thing one row or two, the weak ones among them.
BRIEF = frozenset(
    (
        *(
            f"ground/{name}/{label}/dice"
            for name, label in OUTLINED
            if label == "all"
            or name in ("hc18", "lung_ct", "ddti", "kvasir_seg", "ph2", "retina_vessels", "idrid", "dsb2018")
        ),
        *(f"ground/{name}/{label}/ap50" for name, label in BOXED),
        *(f"prompts/all/{kind}/dice" for kind in ("box", "click")),
        "ground/hc18/head_circumference_mm_error",
        "ground/jsrt/cardiothoracic_ratio_error",
        ABSENT,
        "ground/all/chest_findings_shown",
        "ground/all/chest_findings_false",
        "labels/busi/breast_finding/accuracy",
        "labels/covid_ct/covid-19/auc",
        *(
            f"answer/{name}/{part}"
            for name in ("slake", "vqa_rad")
            for part in ("accuracy", "coverage", "all_questions")
        ),
        *(f"facts/all/{fact}" for fact in ("modality", "body_part", "medical")),
    )
)
BASELINES = {
    "training mean": "training mean",
    "mean mask": "mean mask of the label",
    "commonest": "commonest training answer",
    "blank": "blank image",
    "shuffled": "another image",
    "always medical": "always medical",
    "filled box": "the filled box",
    "filled ellipse": "the ellipse in the box",
    "mean disc": "a disc of mean size",
}


def headline(result: dict[str, Any], brief: bool = False) -> str:
    """A Markdown table of the rows of `SHOWN`, or of those in `BRIEF` alone, that a result holds."""
    lines = [
        f"`{result['model']}` on the {result['part']} half of the {result['split']} splits; intervals are 95 % bootstraps "
        "by patient.",
        "",
        "| what | score | n | value | 95 % interval | without looking |",
        "|---|---|---|---|---|---|",
        *_rows(result["metrics"], brief),
    ]
    return "\n".join(lines) + "\n"


def _rows(metrics: dict[str, Any], brief: bool) -> Iterator[str]:
    for what, score, key in SHOWN:
        if key in metrics and (key in BRIEF or not brief):
            yield from _row(what, score, metrics[key])
        if key == ABSENT and not brief:
            for own, found in metrics.items():
                task, name, *rest = own.split("/")
                if [task, *rest] == ["ground", "absent_false_positive"] and name != "all":
                    yield from _row(f"… in {name}", "the same", found)


def _row(what: str, score: str, found: dict[str, Any]) -> Iterator[str]:
    if found["value"] is not None:
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
    path = parser.parse_args(argv).results
    result = json.loads(path.read_text(encoding="utf-8"))
    card = root / "medvlm" / "weights" / result["model"] / "README.md"
    if (result["split"], result.get("part")) != ("val", QUOTED):
        print(
            f"{path.name} was not measured on the {QUOTED} half of val; run medvlm eval --part {QUOTED}.",
            file=sys.stderr,
        )
        return 2
    if not card.is_file():
        print(f"{path.name} is of {result['model']!r}, which no folder of medvlm/weights holds.", file=sys.stderr)
        return 2
    fill(root / "README.md", headline(result, brief=True))
    fill(root / "docs" / "RESULTS.md", to_tables(result))
    fill(card, headline(result) + "\n" + weakest(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
