"""Comparison with a prior on real pairs: what is called new or larger, and the direction in which what is outlined changed.

    python benchmarks/priors.py ../shared/data/*followup [--split report] [--limit 30] [--model nano]
    python benchmarks/priors.py ../shared/data/lgg_mri ../shared/data/jsrt --split tune --repeat

Of open_ms_followup the regions that are called new or larger are held against the given masks of what is new or enlarged, beside
what plain subtraction of the laid-on prior shows (smoothed, above the difference that fits the train split best) and beside
"no change". Of the other sets: in how many pairs the area of what is outlined becomes more, less or stays (by the share that
counts in a report) as it does by the given outlines, beside "it stays". Pairs whose places cannot be compared are counted
apart. Intervals are 95 % bootstraps by patient, and of one patient by slice. With `--repeat`: how much the same image's
outlines differ when it is noisy, compressed, dimmed or turned, which the share that counts rests on.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import arguments, bar, chosen, interval, patient, records_of, table, union, write_rows
from scipy import ndimage

from medvlm import Assistant
from medvlm.evaluation.corruptions import CORRUPTIONS
from medvlm.records import Record
from medvlm.report.alignment import Alignment, align, moved
from medvlm.report.comparison import INCOMPARABLE, LARGER, NEW, SHARE, Change, Side, compare
from medvlm.report.prior import report_with_prior
from medvlm.sampling import evenly_spaced
from medvlm.types import Finding, Image, Region, Report, Study, mask_box
from medvlm.vocabulary import LABELS, is_finding, whole

CHANGED = "new or enlarged lesion"  # whose outlines are of a change
DIRECTED = ("brain tumour", "left lung", "right lung")
SEVERITIES = np.arange(0.05, 0.6, 0.025)  # differences tried for subtraction
DISGUISES = ("noise", "JPEG", "contrast", "gamma", "rotation")
MORE, LESS, SAME = "more", "less", "same"


@dataclass(frozen=True, eq=False)
class Pair:
    """Two records of one patient, and whom an interval is drawn by."""

    now: Record
    before: Record

    @property
    def studies(self) -> tuple[Study, Study]:
        return self.now.study(), self.before.study()


def pairs_of(records: Sequence[Record]) -> Iterator[Pair]:
    """Slices at one place at two times, or each film with the one before it that shows the patient from the same side."""
    by_place = defaultdict(list)
    for record in records:
        when = record.labels.get("time_point", record.labels.get("offset_days"))
        if when is not None:
            place = record.patient, record.labels.get("slice"), (record.view or "").split(" ")[0]
            by_place[place].append((float(when), record))
    for place in by_place.values():
        place.sort(key=lambda timed: timed[0])
        for (earlier, before), (later, now) in zip(place, place[1:], strict=False):
            if later > earlier:
                yield Pair(now, before)


def units(pairs: Sequence[Pair]) -> list[str]:
    """Whom intervals are drawn by: patients, or slices where there is one patient alone."""
    patients = [patient(pair.now) for pair in pairs]
    return patients if len(set(patients)) > 1 else [pair.now.key for pair in pairs]


def given(record: Record, labels: Sequence[str]) -> Side:
    """A record's own outlines of some labels as a report, over a blank image: the outlines alone tell."""
    report = Report([], [], [])
    for label in labels:
        region, at = record.region(label), len(report.regions)
        numbered = None if region is None else region.mask
        for number in () if numbered is None else range(1, int(numbered.max()) + 1):
            if (mask := numbered == number).any():
                report.regions.append(Region(label, 0, mask_box(mask), mask, 1.0))
        own = list(range(at, len(report.regions)))
        report.findings.append(Finding(label, "present" if own else "absent", 1.0, own))
    return Side(Study([Image(np.zeros_like(record.image), record.spacing_mm)]), report, [0])


def direction(changes: Sequence[Change], label: str) -> str | None:
    """How the area of a thing changed altogether; nothing where it cannot be compared."""
    own = [
        change for change in changes if (whole(change.label) or change.label) == label and change.finding is not None
    ]
    own = [change for change in own if change.measure in ("", "area")]
    if any(change.kind == INCOMPARABLE for change in own):
        return None
    before, now = (sum(m.value for c in own for m in side(c) if m.name == "area") for side in (_before, _now))
    if now - before >= SHARE * max(before, 1):
        return MORE
    return LESS if before - now >= SHARE * max(before, 1) else SAME


def _before(change: Change):
    return change.before


def _now(change: Change):
    return change.now


def subtracted(now: Study, before: Study, alignment: Alignment) -> np.ndarray:
    """How much brighter the image is than the prior that lies on it, as a share of what is bright in each; smoothed.

    Not `medvlm.report.difference`, which overlaps the given changes less: a baseline is as good as it can be made.
    """
    grey = [s.images[0].rgb.mean(axis=2, dtype=np.float32) for s in (now, before)]
    here, there = (g / max(float(np.percentile(g[g > 10], 95)), 1.0) if (g > 10).any() else g for g in grey)
    return ndimage.gaussian_filter(here - moved(there[None], alignment.matrix, (1, *here.shape))[0], 1.0)


def truth_of(record: Record) -> np.ndarray:
    region = record.region(CHANGED)
    return np.zeros(record.image.shape[:2], bool) if region is None else region.mask > 0


def fitted(pairs: Sequence[Pair]) -> float:
    """The difference from which subtraction overlaps the given changes of the train split best, all pixels taken together."""
    hits, found, there = np.zeros(len(SEVERITIES)), np.zeros(len(SEVERITIES)), 0
    for pair in pairs:
        now, before = pair.studies
        by, truth = subtracted(now, before, align(now, before, "mri")), truth_of(pair.now)
        there += int(truth.sum())
        hits += [(truth & (by > least)).sum() for least in SEVERITIES]
        found += [(by > least).sum() for least in SEVERITIES]
    return float(SEVERITIES[(2 * hits / (found + there + 1e-6)).argmax()])


def compared(assistant: Assistant, pair: Pair) -> Report:
    now, before = pair.studies
    return report_with_prior(now, before, assistant.report, assistant.facts)


def changes_of_lesions(assistant: Assistant, pairs: Sequence[Pair], least: float) -> tuple[str, list[dict]]:
    """Overlap with the given change masks: of the regions called new or larger, of subtraction, and of nothing."""
    rows = []
    for pair in pairs:
        truth, (now, before) = truth_of(pair.now), pair.studies
        report = report_with_prior(now, before, assistant.report, assistant.facts)
        told = report.comparison
        called = sorted({r for c in told.changes if c.kind in (NEW, LARGER) and is_finding(c.label) for r in c.regions})
        masks = {
            "called new or larger": union([report.regions[r] for r in called], truth.shape),
            f"subtraction above {least:.2f}": subtracted(now, before, told.alignment) > least,
            "no change": np.zeros(truth.shape, bool),
        }
        for how, mask in masks.items():
            pixels = [int(n) for n in ((mask & truth).sum(), mask.sum(), truth.sum())]
            rows.append({"id": pair.now.key, "how": how, "pixels": pixels, "quality": told.alignment.quality})
    lines = []
    for how in dict.fromkeys(row["how"] for row in rows):
        own = [row["pixels"] for row in rows if row["how"] == how]
        keys = units(pairs)
        changed = [n for n, (_, _, there) in enumerate(own) if there]
        still = [n for n in range(len(own)) if n not in changed]
        lines.append(
            [
                how,
                interval(own, keys, pooled),
                f"{len(changed)}",
                interval([pooled([own[n]]) for n in changed], [keys[n] for n in changed]),
                f"{len(still)}",
                interval([float(own[n][1] > 0) for n in still], [keys[n] for n in still]),
            ]
        )
    head = [
        "",
        "Dice, all pixels",
        "slices with change",
        "Dice of these",
        "slices without",
        "share marked, less is better",
    ]
    return table(head, lines), rows


def pooled(pixels: Sequence[Sequence[int]]) -> float:
    hits, found, there = np.sum(pixels, axis=0)
    return float(2 * hits / (found + there)) if found + there else 1.0


def directions(assistant: Assistant, pairs: Sequence[Pair]) -> tuple[str, list[dict]]:
    """Whether what is outlined became more, less or stayed, as it did by the given outlines."""
    rows = []
    for pair in pairs:
        there = {region.label for record in (pair.now, pair.before) for region in record.regions}
        there |= set(pair.now.absent) & set(pair.before.absent)
        labels = [label for label in DIRECTED if label in there]
        told = compared(assistant, pair).comparison
        true = compare(given(pair.now, labels), given(pair.before, labels), told.alignment)
        for label in labels:
            ours, truth = direction(told.changes, label), direction(true, label)
            rows.append(
                {"id": pair.now.key, "label": label, "told": ours, "truth": truth, "patient": patient(pair.now)}
            )
    lines = []
    for label in dict.fromkeys(row["label"] for row in rows):
        own = [row for row in rows if row["label"] == label]
        judged = [row for row in own if row["told"] and row["truth"]]
        patients = [row["patient"] for row in judged]
        by = patients if len(set(patients)) > 1 else [row["id"] for row in judged]
        right = [float(row["told"] == row["truth"]) for row in judged]
        stays = [float(row["truth"] == SAME) for row in judged]
        opposite = [float({row["told"], row["truth"]} == {MORE, LESS}) for row in judged]
        counts = "/".join(str(sum(row["truth"] == d for row in judged)) for d in (MORE, LESS, SAME))
        cells = [interval(values, by) for values in (right, stays, opposite)]
        lines.append([label, len(own), len(judged), counts, *cells])
    head = [
        "",
        "pairs",
        "of these compared",
        "more/less/same",
        "right",
        "“it stays” is right",
        "opposite, less is better",
    ]
    return table(head, lines), rows


def repeated(assistant: Assistant, records: Sequence[Record]) -> list[dict]:
    """The areas of what is outlined in an image, and in the same image disguised, as logarithms of their ratio."""
    rows = []
    for record in bar(records):
        labels = [r.label for r in record.regions if r.source is not None and r.label in LABELS]
        areas = [areas_of(assistant, record.image, labels)]
        for name in DISGUISES:
            disguise, strengths = CORRUPTIONS[name]
            areas.append(areas_of(assistant, disguise(record.image, strengths[0], 1), labels))
        for label in labels:
            for name, other in zip(DISGUISES, areas[1:], strict=True):
                if areas[0][label] and other[label]:
                    by = math.log(other[label] / areas[0][label])
                    rows.append(
                        {"id": record.key, "label": label, "how": name, "ratio": by, "patient": patient(record)}
                    )
    return rows


def areas_of(assistant: Assistant, pixels: np.ndarray, labels: Sequence[str]) -> dict[str, int]:
    found = assistant.ground(Study([Image(pixels)]), labels, 0)
    return {
        label: int(union([r for r in found.of(label) if r.mask is not None], pixels.shape[:2]).sum())
        for label in labels
    }


def repeatability(rows: Sequence[dict]) -> str:
    lines = []
    for kind, finding in (("abnormalities", True), ("normal structures", False)):
        own = [row for row in rows if is_finding(row["label"]) == finding]
        if own:
            within = [float(abs(row["ratio"]) < math.log(1 + SHARE)) for row in own]
            far = float(np.exp(np.percentile(np.abs([row["ratio"] for row in own]), 90))) - 1
            lines.append([kind, len(own), interval(within, [row["patient"] for row in own]), f"{100 * far:.0f} %"])
    return table(["", "outlines", f"within {100 * SHARE:.0f} %", "9 of 10 are within"], lines)


def main() -> None:
    parser = arguments(__doc__, "write single results, an object a line")
    parser.add_argument("--repeat", action="store_true", help="how much outlines of the same image differ")
    args = parser.parse_args()
    args.split = "report" if args.split == "val" else args.split
    assistant = Assistant.load(args.model)
    rows: list[dict] = []
    if args.repeat:
        outlined = chosen(args.data, args.split, args.limit, lambda r: any(x.source is not None for x in r.regions))
        rows = [row for records in outlined for row in repeated(assistant, records)]
        print(repeatability(rows))
    for source in () if args.repeat else args.data:
        pairs = evenly_spaced(list(pairs_of(records_of(Path(source), args.split))), args.limit)
        if not pairs:
            continue
        of_change = any(CHANGED in (r.label for r in p.now.regions) or CHANGED in p.now.absent for p in pairs)
        if of_change:
            train = evenly_spaced(list(pairs_of(records_of(Path(source), "train"))), args.limit)
            told, single = changes_of_lesions(assistant, pairs, fitted(train))
        else:
            told, single = directions(assistant, pairs)
        rows += single
        print(
            f"## {pairs[0].now.set}: {len(pairs)} pairs of {len({p.now.patient for p in pairs})} patients\n\n{told}\n",
            flush=True,
        )
    write_rows(args.output, rows)


if __name__ == "__main__":
    main()
