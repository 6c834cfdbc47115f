"""benchmarks/same.py: what it asks of which images, and what it takes for a difference."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from medvlm.records import Record, read_records
from medvlm.types import Region

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))  # whose scripts import each other by name
import same

from .tiny import write_squares

SIZE = (8, 10)


def region(label: str, box: tuple[int, int, int, int] = (1, 1, 5, 5), masked: bool = True) -> dict:
    mask = np.zeros(SIZE, bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return Region(label, 0, tuple(map(float, box)), mask if masked else None, 0.9).to_json()


def told(old: dict, new: dict) -> list[tuple[str, str]]:
    return list(same.compared(old, new))


def test_images_are_shared_out_evenly_and_small_sets_give_what_they_have() -> None:
    assert same.shares([10, 10, 10], 6) == [2, 2, 2]
    assert same.shares([1, 10, 10], 7) == [1, 3, 3]
    assert same.shares([5] * 4, 2) == [1, 0, 0, 1]
    assert same.shares([2, 1], 100) == [2, 1]


def test_a_sample_is_the_same_every_time_and_from_every_set(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_squares(tmp_path / name)
    groups = [read_records(tmp_path / name, "train") for name in ("one", "two")]
    chosen = same.sample(groups, 4)
    assert [r.set for r in chosen] == ["one", "one", "two", "two"]
    assert [r.id for r in chosen[:2]] == [groups[0][0].id, groups[0][-1].id]
    assert chosen == same.sample(groups, 4)


def test_what_is_there_and_what_is_not_is_asked_of_an_image(tmp_path: Path) -> None:
    write_squares(tmp_path / "one")
    record = next(r for r in read_records(tmp_path / "one", "train") if r.regions)
    asked = same.requests(record, 0)
    assert [task for task, _ in asked] == ["ground", "ground", "segment", "ask", "report"]
    there, missing = asked[0][1], asked[1][1]
    assert record.region(there) and not record.region(missing)
    assert asked[2][1] == record.region(there).boxes[0]


def test_an_image_without_regions_is_asked_too(tmp_path: Path) -> None:
    write_squares(tmp_path / "one")
    source = read_records(tmp_path / "one", "train")[0].source
    asked = same.requests(Record("a", "one", "val", "p", source), 3)
    assert [task for task, _ in asked][-3:] == ["segment", "ask", "report"] and asked[-2][1]


def test_equal_replies_differ_in_nothing_in_whatever_order_regions_come() -> None:
    one, two = region("polyp"), region("polyp", (6, 2, 9, 6))
    old = {"regions": [one, two], "presence": {"polyp": 0.9}, "absent": []}
    new = {"regions": [two, one], "presence": {"polyp": 0.9004}, "absent": []}
    assert told(old, new) == [("masks", ""), ("masks", ""), ("presence", "")]


@pytest.mark.parametrize(
    ("old", "new", "what", "words"),
    [
        ({"regions": [region("polyp")]}, {"regions": []}, "masks", "polyp, Dice 0.0000"),
        ({"regions": []}, {"regions": [region("polyp")]}, "masks", "polyp, Dice 0.0000"),
        ({"regions": [region("polyp")]}, {"regions": [region("polyp", (1, 1, 5, 4))]}, "masks", "polyp, Dice 0.8571"),
        (
            {"regions": [region("polyp", masked=False)]},
            {"regions": [region("polyp", (1, 1, 5, 4), masked=False)]},
            "masks",
            "polyp, Dice 0.8571",
        ),
        ({"regions": [region("polyp")]}, {"regions": [region("polyp", masked=False)]}, "masks", "polyp, Dice 0.0000"),
        ({"presence": {"polyp": 0.9}}, {"presence": {"polyp": 0.89}}, "presence", "0.9 → 0.89"),
        ({"presence": {}, "absent": []}, {"presence": {}, "absent": ["polyp"]}, "words", "'' → 'absent: polyp'"),
        ({"error": "Too small."}, {"error": "Too large."}, "words", "'error: Too small.' → 'error: Too large.'"),
    ],
)
def test_a_difference_is_told(old: dict, new: dict, what: str, words: str) -> None:
    assert (what, words) in told(old, new)


def test_answers_and_reports_are_compared_in_all_that_they_say() -> None:
    answer = {"text": "Yes", "detail": "At the top.", "reason": None, "abstained": False, "regions": []}
    assert told(answer, dict(answer)) == [("words", "")]
    assert told(answer, answer | {"detail": "Below."}) == [("words", "'At the top.' → 'Below.'")]
    assert told(answer, answer | {"abstained": True}) == [("words", "'' → 'abstained'")]
    report = {"sections": [{"sentences": [{"text": "A polyp."}, {"text": "No fluid."}]}], "regions": []}
    assert told(report, {"sections": [{"sentences": [{"text": "A polyp."}]}]}) == [("words", "'No fluid.' → ''")]


def test_the_table_counts_by_what_was_asked() -> None:
    found, nothing = {"regions": [region("polyp")]}, {"regions": []}
    names = [("set/a", "ground polyp"), ("set/a", "segment")]
    text, lines = same.compare(names, [found, found], [found, nothing])
    assert "| masks of ground | 1 | 1 |" in text and "| masks of segment | 0 | 1 |" in text
    assert lines == ["set/a, segment: masks, polyp, Dice 0.0000"]
