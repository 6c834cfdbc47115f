"""Does ONNX Runtime show and say what torch does, and how much sooner?

    OMP_WAIT_POLICY=passive python benchmarks/runtimes.py ../shared/data [--images 30] [--questions 60]

Both are asked the same of tune images of all sets: for the labels that an image has, for what a box, a click and a scribble
show, and the English questions of the sets that have some. Seconds are medians over one image, on which both take turns, in
processor time as well, since other programs may use the cores. With that policy threads wait for each other as those of the service do;
without it torch's spin, which is as fast as ONNX Runtime where nobody else needs the cores.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import records_of, table
from same import alike, paired, sample

from medvlm.assistant import Assistant
from medvlm.bench import BOX, photograph
from medvlm.evaluation.prompts import chosen_instances, first_click, instance_mask, scribble
from medvlm.records import Record, data_sets
from medvlm.sampling import evenly_spaced
from medvlm.types import Image, Region, Study, mask_box

SAME_DICE, TIMES, LABELS = 0.998, 9, 3


def regions_of(assistant: Assistant, record: Record) -> dict[str, list[Region]]:
    """What is found and drawn of a record's image, by how it was asked."""
    study = Study([Image(record.image)])
    out = {"phrase": assistant.ground(study, [r.label for r in record.regions][:LABELS] or ["lesion"]).regions}
    for instance in chosen_instances(record)[:1]:
        truth = instance_mask(record, *instance)
        for kind, prompt in (
            ("box", {"box": mask_box(truth)}),
            ("click", {"points": [first_click(truth)]}),
            ("scribble", {"scribble": scribble(truth)}),
        ):
            out[kind] = assistant.segment(study, **prompt)
    return out


def overlaps(some: list[Region], others: list[Region]) -> list[float]:
    """Dice of each region with its partner, in whatever order they came; 0 for each that has none."""
    told, told_too = ([region.to_json() for region in regions] for regions in (some, others))
    return [alike(*pair) for pair in paired(told, told_too)]


def seconds(assistant: Assistant, runtimes: dict[str, Any]) -> list[list[str]]:
    """Medians of each runtime for single things, in wall and processor time."""
    finder, study = assistant.finder, Study([Image(photograph())])
    pixels = finder.processor(images=[photograph()])["pixel_values"]
    works = {
        "encoding an image": lambda: finder.eyes.encode(pixels),
        "a phrase, image encoded": lambda: assistant.ground(study, ["optic disc"]),
        "a drawn box, image encoded": lambda: assistant.segment(study, box=BOX),
    }
    rows = []
    for what, work in works.items():
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in runtimes}
        for _ in range(TIMES + 1):
            for name, eyes in runtimes.items():
                finder.eyes, finder.policy = eyes, finder.policy  # setting a policy forgets what was found
                wall, processor = time.perf_counter(), time.process_time()
                with torch.inference_mode():
                    work()
                spent[name].append((time.perf_counter() - wall, time.process_time() - processor))
        for name, each in spent.items():
            rows.append([what, name, *(f"{statistics.median(values):.3f}" for values in zip(*each[1:], strict=True))])
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--images", type=int, default=30)
    parser.add_argument("--questions", type=int, default=60)
    args = parser.parse_args()
    assistant = Assistant.load()
    finder = assistant.finder
    runtimes = {"onnxruntime": finder.eyes, "torch": finder.model.grounder}
    if finder.eyes is finder.model.grounder:
        print("No graph fits this model: write them with python -m training.graphs.", file=sys.stderr)
        return 2
    groups = [records_of(source, "tune") for source in data_sets(args.data)]
    found: dict[str, list[float]] = {}
    for record in sample(groups, args.images):
        replies = []
        for finder.eyes in runtimes.values():
            replies.append(regions_of(assistant, record))
        for kind in replies[0]:
            found.setdefault(kind, []).extend(overlaps(replies[0][kind], replies[1][kind]))
    asked = [(r, qa.question) for group in groups for r in group for qa in r.qa if qa.lang == "en"]
    same = []
    for record, question in evenly_spaced(asked, args.questions):
        said = []
        for finder.eyes in runtimes.values():
            said.append(assistant.ask(Study([Image(record.image)]), question).text)
        same.append(said[0] == said[1])
    rows = [
        [
            kind,
            str(len(values)),
            f"{np.mean(values):.5f}",
            f"{min(values):.4f}",
            str(sum(v < SAME_DICE for v in values)),
        ]
        for kind, values in found.items()
        if values
    ]
    print(table(["asked by", "regions", "mean Dice", "least", f"below {SAME_DICE}"], rows))
    print(f"\n{sum(same)} of {len(same)} answers are the same.\n")
    print(table(["what", "runtime", "seconds", "processor seconds"], seconds(assistant, runtimes)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
