"""Whole volumes: overlap and volume of what all slices show together, against masks; and how long a CT of 100 slices takes.

    python benchmarks/volumes.py ../shared/data [--part report] [--model nano] [--speed | --carry]

The slices of `ct_organs` (every tenth of a scan) and `cardiac_mri` (every second) of one part of val, put in order by their
number, and `volumes/ct_torso.nii.gz` with TotalSegmentator's result, which is a model's and not a person's. Of each label that is
there: Dice over the whole volume with specks (slices as they are) and without (as they are shown), the mean Dice of the slices that
have it, and the error of its volume in per cent of the true one. Trivial: the mean mask of the label in the training slices of the
same kind in every slice, and the mean area. Intervals are 95 %, bootstrapped by patient; those of the torso, by label.

With --carry the true box on the slice that has most of a label is outlined and carried to its neighbours: Dice over the volume,
beside that outline copied to all slices that truly have the label. How it is carried was chosen on the torso and on `tune`.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import PIL.Image
from common import interval, records_of, table, union
from tqdm import tqdm

from medvlm.evaluation.metrics import dice
from medvlm.perception.carry import carry
from medvlm.perception.finder import Finder
from medvlm.records import Record, read_records
from medvlm.studies import load_study
from medvlm.types import Image, Study, mask_box

SETS = ("ct_organs", "cardiac_mri")
GRID = 128  # pixels of the side of a mean mask
MEAN = 0.5  # of the mean mask's highest value, from which it is the trivial mask
TORSO = {1: "spleen", 2: "right kidney", 3: "left kidney", 4: "gallbladder", 5: "liver", 6: "stomach", 7: "pancreas"}
TORSO |= {8: "right adrenal gland", 9: "left adrenal gland", 15: "oesophagus", 18: "small bowel", 19: "duodenum"}
TORSO |= {20: "colon", 52: "aorta", 63: "inferior vena cava", 64: "portal and splenic veins", 79: "spinal cord"}


@dataclass(frozen=True)
class Case:
    """One volume with the true masks `(slices, H, W)` of labels, and labels that are known not to be in any slice."""

    set: str
    patient: str
    name: str
    study: Study
    truth: dict[str, np.ndarray]
    absent: frozenset[str] = frozenset()


def stacks(source: Path, part: str) -> Iterator[Case]:
    """The slices of one scan, or of one phase of a heart, in their order."""
    scans: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records_of(source, part):
        scans[record.patient, str(record.labels.get("phase", ""))].append(record)
    for (patient, phase), records in scans.items():
        records.sort(key=lambda record: record.labels["slice"])
        if len(records) > 1:
            yield case_of(source.name, patient, f"{patient} {phase}".strip(), records)


def case_of(set_name: str, patient: str, name: str, records: list[Record]) -> Case:
    images = [Image(record.image, record.spacing_mm, f"slice {n}") for n, record in enumerate(records, 1)]
    labels = dict.fromkeys(region.label for record in records for region in record.regions)
    truth = {label: np.stack([mask_of(record, label) for record in records]) for label in labels}
    absent = frozenset.intersection(*(frozenset(record.absent) for record in records))
    return Case(set_name, patient, name, Study(images, kind="volume"), truth, absent)


def mask_of(record: Record, label: str) -> np.ndarray:
    """Bool `(H, W)`: where a record has a label."""
    region = record.region(label)
    mask = None if region is None else region.mask
    return np.zeros(record.image.shape[:2], bool) if mask is None else mask > 0


def torso(folder: Path) -> Case:
    study = load_study(folder / "ct_torso.nii.gz")
    space, values = study.space, np.asarray(nib.load(folder / "ct_torso_seg.nii.gz").dataobj)
    planes = [np.take(values, space.plane(at), space.axis) for at in range(len(study.images))]
    truth = {}
    for number, label in TORSO.items():
        masks = [plane == number for plane in planes]
        truth[label] = np.stack(
            [image.turn.to_shown(mask) if image.turn else mask for image, mask in zip(study.images, masks, strict=True)]
        )
    return Case("ct_torso", "ct_torso", "ct_torso", study, {label: mask for label, mask in truth.items() if mask.any()})


def mean_masks(records: Iterable[Record]) -> dict[str, tuple[np.ndarray, float]]:
    """The trivial mask `(GRID, GRID)` of each label in training slices, and its mean share of a slice that has it, times the
    share of slices that have it."""
    sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros((GRID, GRID)))
    count = 0
    for record in records:
        count += 1
        for region in record.regions:
            if (mask := region.mask) is not None:
                sums[region.label] += resized(mask > 0, (GRID, GRID))
    return {label: (total > MEAN * total.max(), float(total.mean() / count)) for label, total in sums.items()}


def resized(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(PIL.Image.fromarray(mask).resize(size[::-1], PIL.Image.Resampling.NEAREST))


def scored(case: Case, finder: Finder, trivial: dict[str, tuple[np.ndarray, float]]) -> list[dict]:
    """A row a label."""
    study, size = case.study, case.study.images[0].size
    wanted = sorted({*case.truth, *case.absent})
    alone = [finder.ground(study, wanted, at) for at in range(len(study.images))]
    whole = finder.ground(study, wanted)
    rows = []
    for label in wanted:
        slices = np.stack([union(found.of(label), size) for found in alone])
        shown = np.stack([union([r for r in whole.of(label) if r.image == at], size) for at in range(len(slices))])
        row = {
            "set": case.set,
            "patient": case.patient,
            "volume": case.name,
            "label": label,
            "there": label in case.truth,
        }
        row |= {"specks": bool(slices.any()), "shown": bool(shown.any())}
        if label in case.truth:
            truth = case.truth[label]
            flat = [dice(a, b) for a, b in zip(slices, truth, strict=True) if b.any()]
            mean, share = trivial.get(label, (np.zeros((GRID, GRID), bool), 0.0))
            guess = np.stack([resized(mean, size)] * len(truth))
            row |= {"slice": float(np.mean(flat)), "3d specks": dice(slices, truth), "3d": dice(shown, truth)}
            row |= {"trivial": dice(guess, truth), "error": off(shown.sum(), truth.sum())}
            row |= {
                "error specks": off(slices.sum(), truth.sum()),
                "error trivial": off(share * truth.size, truth.sum()),
            }
        rows.append(row)
    return rows


def off(found: float, true: float) -> float:
    """The error of a volume in per cent of the true one."""
    return 100 * abs(float(found) - float(true)) / float(true)


def lines(rows: list[dict]) -> Iterator[list[str]]:
    for name in dict.fromkeys(row["set"] for row in rows):
        there = [row for row in rows if row["set"] == name and row["there"]]
        by = [row["label" if name == "ct_torso" else "patient"] for row in there]
        volumes = len({row["volume"] for row in there})
        overlaps = [interval([row[key] for row in there], by) for key in ("3d", "3d specks", "slice", "trivial")]
        yield [name, "Dice", f"{len(there)} ({volumes})", *overlaps]
        keys = ("error", "error specks", "", "error trivial")
        median = [
            interval([row[key] for row in there], by, lambda v: float(np.median(v))) if key else "" for key in keys
        ]
        yield [name, "volume, median error %", f"{len(there)} ({volumes})", *median]
        gone = [row for row in rows if row["set"] == name and not row["there"]]
        if gone:
            shares = [
                interval([float(row[key]) for row in gone], [r["patient"] for r in gone]) for key in ("shown", "specks")
            ]
            yield [name, "shown though absent", str(len(gone)), *shares, "", "0"]


def carried(case: Case, finder: Finder) -> Iterator[dict]:
    """A row a label: its outline on one slice, carried."""
    for label, truth in case.truth.items():
        at = int(truth.sum((1, 2)).argmax())
        drawn = finder.segment(case.study, at, box=mask_box(truth[at]))
        found = {region.image: region.mask for region in carry(case.study, drawn, finder.segment)} if drawn else {}
        nothing = np.zeros_like(truth[0])
        shown = np.stack([found.get(number, nothing) for number in range(len(truth))])
        copied = truth.any((1, 2))[:, None, None] & (drawn[0].mask if drawn else nothing)
        row = {"set": case.set, "patient": case.patient, "volume": case.name, "label": label}
        yield row | {"carried": dice(shown, truth), "copied": dice(copied, truth)}


def carried_lines(rows: list[dict]) -> Iterator[list[str]]:
    for name in dict.fromkeys(row["set"] for row in rows):
        mine = [row for row in rows if row["set"] == name]
        by = [row["label" if name == "ct_torso" else "patient"] for row in mine]
        yield [name, str(len(mine)), *(interval([row[key] for row in mine], by) for key in ("carried", "copied"))]


def speed(finder: Finder, source: Study, count: int = 100, side: int = 512) -> str:
    """How long all labels of a CT take that has `count` slices of `side` pixels."""
    pixels = [np.asarray(PIL.Image.fromarray(i.pixels).resize((side, side))) for i in source.images]
    images = [Image(pixels[n * len(pixels) // count].copy(), (1.0, 1.0)) for n in range(count)]
    study = Study(images, kind="volume", metadata={"slice_spacing_mm": 1.0})
    wall, computing = time.perf_counter(), time.process_time()
    labels = finder.volumes.expected(study)
    finder.ground(study, labels)
    wall, computing = time.perf_counter() - wall, time.process_time() - computing
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return f"{count} slices, {len(labels)} labels: {wall:.1f} s, {computing:.1f} s of computing, {peak:.2f} GiB at most"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder of the data sets")
    parser.add_argument("--part", default="report", help="tune or report")
    parser.add_argument("--model")
    parser.add_argument("--speed", action="store_true", help="time a CT of 100 slices instead")
    parser.add_argument("--carry", action="store_true", help="carry an outline to neighbouring slices instead")
    args = parser.parse_args()
    finder, scan = Finder.load(args.model), torso(args.data / "volumes")
    if args.speed:
        print(speed(finder, scan.study))
        return
    cases = [case for name in SETS for case in stacks(args.data / name, args.part)]
    if args.carry:
        carried_rows = [row for case in tqdm([scan, *cases], unit="volume") for row in carried(case, finder)]
        print(table(["set", "n", "carried", "copied to the true slices"], carried_lines(carried_rows)))
        return
    trivial = {name: mean_masks(read_records(args.data / name, "train")) for name in SETS}
    rows = scored(scan, finder, trivial["ct_organs"])
    for case in tqdm(cases, unit="volume"):
        rows += scored(case, finder, trivial[case.set])
    head = ["set", "what", "n (volumes)", "all slices together", "with specks", "slice by slice", "trivial"]
    print(table(head, lines(rows)))
    for row in rows:
        if row["set"] == "ct_torso":
            print(f"{row['label']}: 3-D Dice {row['3d']:.2f}, volume error {row['error']:.0f} %")


if __name__ == "__main__":
    main()
