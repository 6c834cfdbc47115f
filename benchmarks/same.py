"""Does this checkout answer as an older commit did?

    python benchmarks/same.py ../shared/data --commit REV [--images 100] [--weights FOLDER]

Both are asked the same of val images of all sets: to find a thing that is in the image and one that is not, what a drawn box
shows, a question (the set's own where it has one) and a report. The commit is unpacked by `git worktree` into a temporary
folder, and each version uses the weights that are committed with it, unless --weights names others for both. Compared are
masks by their Dice, words letter by letter, and presence to the third digit. Exit code 1: something differs; 2: one of the
two could not be asked.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from common import table

from medvlm.evaluation.metrics import dice
from medvlm.records import Record, data_sets, read_records
from medvlm.records.presence import labelled_presence
from medvlm.sampling import evenly_spaced
from medvlm.types import decode_mask
from medvlm.vocabulary import LABELS, surely_absent

ROOT = Path(__file__).resolve().parents[1]
SAME_DICE, SAME_PRESENCE = 0.999, 0.001
OF_A_THING = ("How many {} can be seen?", "Where is the {}?", "How large is the {}?", "Is there a {}?")


# What is asked


def shares(sizes: Sequence[int], count: int) -> list[int]:
    """How many to take of groups of some sizes so that they are `count` in all, as evenly as the groups allow."""
    out = [0] * len(sizes)
    while (missing := min(count, sum(sizes)) - sum(out)) > 0:
        for group in evenly_spaced([i for i, size in enumerate(sizes) if out[i] < size], missing):
            out[group] += 1
    return out


def sample(groups: Sequence[list[Record]], count: int) -> list[Record]:
    """`count` records of some sets, evenly over sets and within each; the same ones every time."""
    taken = shares([len(group) for group in groups], count)
    return [r for group, n in zip(groups, taken, strict=True) if n for r in evenly_spaced(group, n)]


def requests(record: Record, number: int) -> list[tuple[str, Any]]:
    """Tasks, each with its phrase, box or question, for a record; `number` varies which of its labels and questions."""
    shown = [region for region in record.regions if region.boxes]
    region = shown[number % len(shown)] if shown else None
    known = labelled_presence(record)
    kind = record.modality or "", record.body_part or ""
    missing = [label for label, there in known.items() if not there]
    missing = missing or [label for label in LABELS if label not in known and surely_absent(label, *kind)]
    height, width = record.image.shape[:2]
    box = region.boxes[0] if region else [width // 4, height // 4, 3 * width // 4, 3 * height // 4]
    questions = [qa.question for qa in record.qa if qa.lang == "en"]
    questions = questions or ([q.format(region.label) for q in OF_A_THING] if region else ["Is anything abnormal?"])
    asked: list[tuple[str, Any]] = [("ground", region.label)] if region else []
    asked += [("ground", missing[number % len(missing)])] if missing else []
    return [*asked, ("segment", box), ("ask", questions[number % len(questions)]), ("report", None)]


def write_requests(folder: Path, records: Sequence[Record]) -> list[tuple[str, str]]:
    """Write images and requests for `same_replies.py`; returns the image and the words of each request."""
    cases, names = [], []
    for number, record in enumerate(records):
        file = f"{number:04}.png"
        PIL.Image.fromarray(record.image).save(folder / file)
        asked = requests(record, number)
        cases.append({"file": file, "spacing_mm": record.spacing_mm, "requests": asked})
        names += [(record.key, f"{task} {what if isinstance(what, str) else ''}".strip()) for task, what in asked]
    (folder / "requests.json").write_text(json.dumps(cases), encoding="utf-8")
    return names


# Who is asked


@contextmanager
def unpacked(commit: str, folder: Path) -> Iterator[Path]:
    """The tree of a commit in a folder, for as long as it is needed."""
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def replies(tree: Path, folder: Path, weights: str | None) -> list[dict[str, Any]]:
    """What the medvlm of a tree replies. Raises `RuntimeError` where another one was imported."""
    output = folder / "replies.json"
    command = [sys.executable, str(Path(__file__).with_name("same_replies.py")), str(folder), str(output)]
    environment = {key: value for key, value in os.environ.items() if key != "MEDVLM_MODEL"}
    command += [weights] if weights else []
    subprocess.run(command, check=True, cwd=tree, env=environment | {"PYTHONPATH": str(tree)})
    told = json.loads(output.read_text("utf-8"))
    if not Path(told["package"]).resolve().is_relative_to(tree.resolve()):
        raise RuntimeError(f"The medvlm of {told['package']} answered in place of that of {tree}.")
    return told["replies"]


# What differs


def paired(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[tuple[dict | None, dict | None]]:
    """Each region with that of its label whose box is nearest, in whatever order they came; `None` where it has no partner."""
    left = list(new)
    for one in old:
        mine = [other for other in left if other["label"] == one["label"]]
        near = min(mine, key=lambda other: np.abs(np.subtract(other["box"], one["box"])).sum(), default=None)
        left = [other for other in left if other is not near]
        yield one, near
    yield from ((None, other) for other in left)


def alike(one: dict[str, Any] | None, other: dict[str, Any] | None) -> float:
    """Dice of two regions' masks, of their filled boxes where neither has one; 0 beside nothing."""
    if one is None or other is None or (one["mask"] is None) != (other["mask"] is None):
        return 0.0
    if one["mask"] is not None:
        masks = decode_mask(one["mask"]), decode_mask(other["mask"])
        return dice(*masks) if masks[0].shape == masks[1].shape else 0.0
    (a0, b0, a1, b1), (c0, d0, c1, d1) = one["box"], other["box"]
    common = max(0.0, min(a1, c1) - max(a0, c0)) * max(0.0, min(b1, d1) - max(b0, d0))
    return 2 * common / ((a1 - a0) * (b1 - b0) + (c1 - c0) * (d1 - d0))


def words(reply: dict[str, Any]) -> list[str]:
    """All that a reply says."""
    if "error" in reply:
        return [f"error: {reply['error']}"]
    if "sections" in reply:
        return [sentence["text"] for section in reply["sections"] for sentence in section["sentences"]]
    if "text" in reply:
        return [reply["text"], reply.get("detail") or "", reply["reason"] or "", "abstained" * reply["abstained"]]
    return [*(f"absent: {phrase}" for phrase in reply.get("absent", ())), *reply.get("notes", {}).values()]


def compared(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """All that is compared of two replies, "masks", "words" or "presence", each with how it differs; "" where it does not."""
    for pair in paired(old.get("regions", []), new.get("regions", [])):
        overlap, label = alike(*pair), next(region["label"] for region in pair if region)
        yield "masks", "" if overlap >= SAME_DICE else f"{label}, Dice {overlap:.4f}"
    said = list(zip_longest(words(old), words(new), fillvalue=""))
    if said:
        yield "words", "; ".join(f"{was!r} → {now!r}" for was, now in said if was != now)
    for phrase, was in old.get("presence", {}).items():
        now = new.get("presence", {}).get(phrase, -1.0)
        yield "presence", "" if abs(now - was) <= SAME_PRESENCE else f"{was} → {now}"


def compare(names: Sequence[tuple[str, str]], old: list[dict], new: list[dict]) -> tuple[str, list[str]]:
    """A table of how much is the same, by what is compared and what was asked, and the differences, a line each."""
    same, lines = defaultdict[str, list[bool]](list), []
    for (image, asked), was, now in zip(names, old, new, strict=True):
        for what, line in compared(was, now):
            same[f"{what} of {asked.split()[0]}"].append(not line)
            lines += [f"{image}, {asked}: {what}, {line}"] if line else []
    return table(["", "same", "of"], [(what, sum(kept), len(kept)) for what, kept in sorted(same.items())]), lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--commit", required=True, help="what this checkout is compared with")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--weights", type=os.path.abspath, help="a model's folder, for both")
    args = parser.parse_args()
    records = sample([read_records(source, "val") for source in data_sets(args.data)], args.images)
    try:
        with tempfile.TemporaryDirectory() as scratch, unpacked(args.commit, Path(scratch) / "tree") as tree:
            names = write_requests(Path(scratch), records)
            old, new = (replies(version, Path(scratch), args.weights) for version in (tree, ROOT))
    except subprocess.CalledProcessError:  # which has said why
        return 2
    text, lines = compare(names, old, new)
    print(f"{len(records)} images of {len({record.set for record in records})} sets, against {args.commit}\n\n{text}\n")
    print("\n".join(lines) or "Nothing differs.")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
