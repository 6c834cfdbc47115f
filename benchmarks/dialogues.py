"""Conversations on held-out images: is each turn right by the masks and facts of its image?

    python benchmarks/dialogues.py ../shared/data [--part report] [--limit N [--rest]] [--json OUT] [--show] [--model nano]

`tests/conversation/dialogues.yaml` holds dialogues written by hand, as people type, without sight of any question of
training, on images that no training saw; with `--part tune` those of `dialogues_tune.yaml`, to find faults on. `judges.py` says what may be expected of a turn, and when it is right. Prints the
share of turns that are right, of each kind and in all, with n and a 95 % interval by dialogue, beside "Yes" to everything,
and how many dialogues are wholly right.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from common import interval, table
from judges import KINDS, Turn, Verdict, judge, mask_of
from tqdm import tqdm

from medvlm.errors import MedVLMError
from medvlm.records import Record, read_records
from medvlm.records.record import PARTS
from medvlm.sampling import evenly_spaced
from medvlm.types import Answer, Region, Study, mask_box

FOLDER = Path(__file__).parents[1] / "tests" / "conversation"
DIALOGUES = FOLDER / "dialogues.yaml"
TUNE = FOLDER / "dialogues_tune.yaml"  # those to find faults on
History = list[tuple[str, Answer]]


@dataclass(frozen=True)
class Dialogue:
    set: str
    id: str
    turns: tuple[Turn, ...]

    @property
    def key(self) -> str:
        return f"{self.set}/{self.id}"


@dataclass(frozen=True)
class Judged:
    """A turn with the answer that it got, whether that is right, and whether "Yes" would have been."""

    dialogue: int
    key: str
    turn: Turn
    answer: Answer
    verdict: Verdict
    yes: bool


def read_dialogues(path: Path = DIALOGUES) -> list[Dialogue]:
    """Raises `ValueError` where a turn is not of the form that `judges` knows."""
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [Dialogue(row["set"], row["id"], tuple(Turn(**turn) for turn in row["turns"])) for row in rows]


def records_for(dialogues: Iterable[Dialogue], data: Path) -> dict[str, Record]:
    """Set and id → record, of the val splits of the sets that are spoken of."""
    sets = dict.fromkeys(dialogue.set for dialogue in dialogues)
    return {f"{name}/{record.id}": record for name in sets for record in read_records(data / name, "val")}


def drawn(record: Record, turn: Turn) -> Region | None:
    """The region that a user draws with a turn: the true box of the largest instance of `box_of`."""
    if not turn.box_of:
        return None
    return Region("region", 0, mask_box(mask_of(record, turn.box_of, "largest")), None, 1.0)


def converse(assistant: Any, study: Study, question: str, history: History, region: Region | None) -> Answer:
    """One turn with the model; what it refuses to take is an abstention."""
    try:
        return assistant.ask(study, question, history=history, region=region)
    except MedVLMError as error:
        return Answer(str(error), 0.0, abstained=True)


def hold(assistant: Any, number: int, dialogue: Dialogue, record: Record) -> list[Judged]:
    """A whole dialogue; the model's own answers, right or wrong, are its history."""
    study, history, judged = record.study(), [], []
    for turn in dialogue.turns:
        answer = converse(assistant, study, turn.ask, list(history), drawn(record, turn))
        history.append((turn.ask, answer))
        yes = judge(record, turn, Answer("Yes", 1.0)).right
        judged.append(Judged(number, dialogue.key, turn, answer, judge(record, turn, answer), yes))
    return judged


def summary(turns: Sequence[Judged]) -> str:
    """The table: of each kind, and of all turns, n, the share that is right and the share that "Yes" gets right."""
    lines = []
    for kind in (*KINDS, "all"):
        of = [t for t in turns if kind in (t.turn.kind, "all")]
        groups = [t.dialogue for t in of]
        yes = f"{np.mean([t.yes for t in of]):.3f}" if of else ""
        lines.append([kind, len(of), interval([float(t.verdict.right) for t in of], groups), yes])
    wholly = [all(t.verdict.right for t in turns if t.dialogue == n) for n in dict.fromkeys(t.dialogue for t in turns)]
    lines.append(["dialogues wholly right", len(wholly), interval([float(w) for w in wholly], range(len(wholly))), ""])
    return table(["turns", "n", "right", 'always "Yes"'], lines)


def row(judged: Judged) -> dict[str, Any]:
    return {
        **{"dialogue": judged.dialogue, "record": judged.key, "kind": judged.turn.kind, "ask": judged.turn.ask},
        **{"expected": judged.verdict.expected, "right": judged.verdict.right, "yes": judged.yes},
        "answer": judged.answer.to_json(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder of the data sets")
    parser.add_argument(
        "--part", choices=PARTS, default="report", help="dialogues on images of this half of val (report)"
    )
    parser.add_argument("--limit", type=int, help="this many dialogues, evenly spaced (all)")
    parser.add_argument("--rest", action="store_true", help="those that --limit leaves out in their place")
    parser.add_argument("--json", type=Path, metavar="OUT", help="every turn, in one JSON list")
    parser.add_argument("--show", action="store_true", help="print the turns that went wrong as well")
    parser.add_argument("--model")
    args = parser.parse_args()
    from medvlm.assistant import Assistant  # here, so that the judges are tested without torch

    assistant = Assistant.load(args.model)
    dialogues = read_dialogues(TUNE if args.part == "tune" else DIALOGUES)
    records = records_for(dialogues, args.data)
    of_part = [d for d in dialogues if records[d.key].part == args.part]
    dialogues = evenly_spaced(of_part, args.limit)
    if args.rest:
        dialogues = [d for d in of_part if d not in dialogues]
    turns: list[Judged] = []
    for number, dialogue in enumerate(tqdm(dialogues, unit="dialogue", file=sys.stderr)):
        turns += hold(assistant, number, dialogue, records[dialogue.key])
    for t in turns:
        if args.show and not t.verdict.right:
            print(f"{t.key}, {t.turn.kind}: {t.turn.ask}\n    {t.answer.text}\n    expected: {t.verdict.expected}")
    if args.json:
        args.json.write_text(json.dumps([row(t) for t in turns], indent=1) + "\n", encoding="utf-8")
    print(summary(turns))


if __name__ == "__main__":
    main()
