"""The judges of benchmarks/judges.py on made-up answers and tiny images, and that all dialogues can be judged."""

from __future__ import annotations

import io
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from medvlm.records.record import Record, RecordRegion
from medvlm.types import Answer, Region, mask_box

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
sys.path.insert(0, str(ROOT / "benchmarks"))  # whose scripts import each other by name
import dialogues as benchmark  # noqa: E402
from answer_text import number_said, numbers, yes_no  # noqa: E402
from dialogues import Dialogue, hold, read_dialogues, summary  # noqa: E402
from judges import Turn, judge  # noqa: E402


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, "png")
    return out.getvalue()


def region(label: str, *boxes: tuple[int, int, int, int]) -> RecordRegion:
    """One filled box an instance, in an image of 80 rows and 100 columns."""
    mask = np.zeros((80, 100), np.uint8)
    for number, (x0, y0, x1, y1) in enumerate(boxes, start=1):
        mask[y0:y1, x0:x1] = number
    return RecordRegion(label, [list(map(float, box)) for box in boxes], png(mask))


def record(*regions: RecordRegion, **known) -> Record:
    known = {"modality": "endoscopy", "body_part": "colon", **known}
    return Record("1", "made", "val", "1", png(np.zeros((80, 100), np.uint8)), regions=list(regions), **known)


POLYP = record(region("polyp", (10, 10, 30, 20)))  # upper left: 20 x 10 px
ABDOMEN = record(
    region("liver", (10, 20, 50, 60)),
    region("spleen", (70, 30, 90, 50)),
    region("left kidney", (60, 50, 70, 60)),
    region("right kidney", (30, 50, 45, 65)),
    modality="ct",
    body_part="abdomen",
    view="axial",
    absent=["gallbladder", "stomach"],
)
CELLS = record(
    region("nucleus", *((x, 5, x + 4 + x // 40, 10) for x in range(2, 62, 5))),
    modality="histopathology",
    body_part="tissue",
    labels={"grade": "malignant"},
)
TISSUE = record(CELLS.regions[0], region("gland", (1, 1, 70, 70)))
CHEST = record(
    region("heart", (40, 40, 70, 70)),
    region("right lung", (10, 10, 40, 70)),
    region("left lung", (60, 10, 90, 70)),
    modality="x-ray",
    body_part="chest",
    spacing_mm=(2.0, 2.0),
)
HEAD = record(
    region("fetal head", (20, 20, 60, 60)),
    modality="ultrasound",
    body_part="fetal head",
    spacing_mm=(0.5, 0.5),
    labels={"head_circumference_mm": 180.0},
)


def said(of: Record, text: str, expect: dict, regions=(), box_of: str = "", **more) -> bool:
    return judge(of, Turn("?", "yes_no", expect, box_of), Answer(text, 0.9, list(regions), **more)).right


def outlined(of: Record, label: str, name: str = "") -> Region:
    mask = of.region(label).mask > 0
    return Region(name or label, 0, mask_box(mask), mask, 0.9)


@pytest.mark.parametrize(
    ("of", "expect", "right", "wrong"),
    [
        (POLYP, {"present": "polyp"}, "Yes: a polyp.", "No polyp is seen."),
        (POLYP, {"present": "polyp", "denied": True}, "No, there is a polyp.", "Yes, it is clear."),
        (POLYP, {"present": "fracture"}, "no.", "A fracture? Yes."),
        (ABDOMEN, {"present": ["gallbladder", "stomach"]}, "No", "Yes"),
        (ABDOMEN, {"present": ["gallbladder", "liver"]}, "YES, the liver", "There is a liver."),
        (POLYP, {"lies": {"polyp": "left"}}, "Yes", "No"),
        (ABDOMEN, {"lies": {"liver": "left"}}, "No, on the right", "Yes"),
        (CELLS, {"over": {"count": "nucleus", "number": 20}}, "No, 12.", "Yes, 12."),
        (HEAD, {"over": {"circumference": "fetal head", "number": 100}}, "Yes", "No"),
        (ABDOMEN, {"exceeds": ["liver", "spleen"]}, "Yes, it is", "No"),
        (CELLS, {"holds": {"grade": "malignant"}}, "Yes", "No"),
        (CELLS, {"count": "nucleus"}, "There are 13 nuclei (probability 0.9).", "I see 8."),
        (ABDOMEN, {"count": "stomach"}, "None is seen.", "There is 1."),
        (ABDOMEN, {"count": "liver"}, "Two livers", "Zero"),
        (POLYP, {"count": "polyp"}, "A single polyp", "Yes"),
        (POLYP, {"length": "polyp"}, "It is 21 × 10 px.", "It is 20 mm long."),
        (POLYP, {"width": "polyp"}, "20 px wide", "10 px wide"),
        (POLYP, {"height": "polyp"}, "10 pixels", "5 pixels"),
        (POLYP, {"area": "polyp"}, "Area 205 px².", "The area is 205 mm2."),
        (POLYP, {"share": "polyp"}, "2.5 % of the image", "25%"),
        (CHEST, {"area": "heart"}, "36 cm²", "3600 px²"),
        (CHEST, {"length": "left lung"}, "13.4 cm", "67 px"),
        (CHEST, {"ratio": "heart"}, "The cardiothoracic ratio is 0.38.", "0.6, probability 0.38"),
        (HEAD, {"circumference": "fetal head"}, "18.2 cm", "182 cm"),
        (POLYP, {"place": "polyp"}, "In the upper left of the image.", "In the upper right of the image."),
        (POLYP, {"place": "polyp"}, "Top, on the left-hand side", "It is in the centre of the image."),
        (POLYP, {"place": "polyp", "axis": "height"}, "It is near the top.", "On the left"),
        (ABDOMEN, {"place": "liver", "axis": "width"}, "On the right", "In the middle"),
        (ABDOMEN, {"place": "spleen"}, "On the left", "On the right"),
        (ABDOMEN, {"place": "spleen"}, "On the right side of the image.", "On the left side of the image."),
        (ABDOMEN, {"place": "spleen"}, "On the patient's left, mid-height", "the image's left"),
        (ABDOMEN, {"place": "left kidney"}, "The left kidney is in the lower half.", "The left kidney is there."),
        (CELLS, {"place": "nucleus"}, "At the top, in the middle", "in the middle"),
        (ABDOMEN, {"larger": ["liver", "spleen"]}, "The liver is larger than the spleen.", "The spleen."),
        (ABDOMEN, {"larger": ["liver", "spleen"]}, "The spleen is smaller than the liver", "Spleen, then liver"),
        (ABDOMEN, {"larger": ["left kidney", "right kidney"]}, "The right one, 225 px²", "The left one, 225 px²"),
        (ABDOMEN, {"smaller": ["left kidney", "right kidney"]}, "left", "Both are alike."),
        (TISSUE, {"more": ["nucleus", "gland"]}, "nucleus: 12, gland: 1", "gland"),
        (TISSUE, {"fewer": ["nucleus", "gland"]}, "Glands", "nucleus"),
        (CELLS, {"fact": "grade", "options": ["benign", "malignant"]}, "Malignant, not benign.", "Benign, malignant."),
        (CHEST, {"modality": True}, "A chest radiograph", "A CT of the chest"),
        (replace(CHEST, modality="microscopy"), {"modality": True}, "Microscopy", "Fluorescence microscopy"),
        (ABDOMEN, {"body_part": True}, "Abdominal CT", "the chest"),
        (ABDOMEN, {"identify": "left kidney"}, "This is the left kidney", "This is the right kidney"),
        (ABDOMEN, {"declined": True}, "That cannot be told from an image.", "Yes, take it."),
        (ABDOMEN, {"nothing": "stomach"}, "No stomach was found.", "Here it is."),
        (ABDOMEN, {"all": [{"present": "liver"}, {"place": "liver"}]}, "Yes, on the right.", "Yes."),
        (ABDOMEN, {"all": [{"present": "liver"}, {"present": "stomach"}]}, "Yes, a liver. No stomach.", "Yes, both."),
        (ABDOMEN, {"all": [{"present": "liver"}, {"present": "spleen"}]}, "Yes, both.", "Yes. No."),
    ],
)  # fmt: skip
def test_right_and_wrong(of, expect, right, wrong):
    assert said(of, right, expect)
    assert not said(of, wrong, expect)


def test_regions_are_compared_by_their_union():
    liver, spleen, whole = (outlined(ABDOMEN, "liver"), outlined(ABDOMEN, "spleen"), {"regions": ["liver", "spleen"]})
    assert said(ABDOMEN, "", {"regions": "liver"}, [liver, spleen])  # what was asked for is called so
    assert said(ABDOMEN, "", {"regions": "liver"}, [outlined(ABDOMEN, "liver", "region")])
    assert not said(ABDOMEN, "", {"regions": "liver"}, [spleen])
    assert not said(ABDOMEN, "", {"regions": "liver"})
    assert said(ABDOMEN, "", whole, [liver, spleen])
    assert not said(ABDOMEN, "No stomach", {"nothing": "stomach"}, [liver])


def test_an_instance_is_picked():
    two = record(region("polyp", (10, 10, 20, 20), (60, 40, 90, 70)))
    both, large = (outlined(two, "polyp"), Region("polyp", 0, (60, 40, 90, 70), None, 0.9))
    assert said(two, "", {"regions": "polyp", "which": "largest"}, [large])
    assert not said(two, "", {"regions": "polyp", "which": "left"}, [large])
    assert not said(two, "", {"regions": "polyp", "which": "smallest"}, [both])
    assert said(two, "lower right", {"place": "polyp", "which": "lower"})
    assert said(two, "14 px", {"length": "polyp", "which": "upper"})


def test_boxes_stand_in_for_masks_that_are_not_known():
    broken = record(RecordRegion("fracture", [[10, 10, 30, 30]]), modality="x-ray", body_part="wrist")
    mask = np.zeros((80, 100), bool)
    mask[10:30, 19:21] = mask[19:21, 10:30] = True  # a cross, that fills its box
    assert said(broken, "", {"regions": "fracture"}, [Region("fracture", 0, mask_box(mask), mask, 0.5)])
    assert said(broken, "One", {"count": "fracture"})


def test_a_drawn_box():
    turn = Turn("is that the spleen?", "yes_no", {"boxed": "spleen"}, "spleen")
    assert benchmark.drawn(ABDOMEN, turn).box == (70, 30, 90, 50)
    assert said(ABDOMEN, "Yes", {"boxed": "spleen"}, box_of="spleen")
    assert said(ABDOMEN, "No", {"boxed": "liver"}, box_of="spleen")


def test_silence_is_right_only_where_it_is_wanted():
    for expect, right in (({"present": "liver"}, False), ({"declined": True}, True)):
        assert said(ABDOMEN, "Yes", expect, abstained=True) is right
        assert said(ABDOMEN, "Yes", expect, declined=True) is right


@pytest.mark.parametrize(
    ("of", "expect"),
    [
        (ABDOMEN, {"present": "pancreas"}),
        (ABDOMEN, {"length": "pancreas"}),
        (ABDOMEN, {"larger": ["liver", "liver"]}),
        (record(region("polyp", (45, 35, 55, 45))), {"lies": {"polyp": "left"}}),
        (CELLS, {"holds": {"stage": "2"}}),
    ],
)
def test_what_a_record_does_not_tell_is_not_judged(of, expect):
    with pytest.raises(ValueError):
        said(of, "Yes", expect)


def test_numbers_and_their_units():
    text = "34 × 21 px, area 1,512.5 px²; 2.5 cm (probability 0.93), 3 square millimetres, 40%, T2, 7 nuclei"
    assert numbers(text) == [
        *[(34, "px"), (21, "px"), (1512.5, "px2"), (25, "mm"), (3, "mm2")],
        *[(pytest.approx(0.4), "percent"), (7, "")],
    ]
    assert [number_said(t) for t in ("No, three.", "12 px, 4 cells", "No.", "Perhaps")] == [3, 4, 0, None]
    assert [yes_no(t) for t in ("yes!", "**No**, none", "Not at all", "Nodule: yes")] == [True, False, None, None]


def test_turns_are_checked():
    for kind, expect in (("chat", {"present": "polyp"}), ("yes_no", {"there": "polyp"}), ("two", {"all": [{}]})):
        with pytest.raises(ValueError):
            Turn("polyp?", kind, expect)


class Parrot:
    """Says "Yes, on the left" to everything and keeps what it was asked with."""

    def __init__(self) -> None:
        self.calls: list = []

    def ask(self, study, question, *, history, region):
        self.calls.append((study, question, history, region))
        return Answer("Yes, on the left", 0.5)


def test_a_dialogue_is_held_and_summed_up():
    turns = (
        Turn("polyp?", "yes_no", {"present": "polyp"}),
        Turn("where", "place", {"place": "polyp"}),
        Turn("size", "number", {"length": "polyp"}, "polyp"),
    )
    parrot = Parrot()
    judged = hold(parrot, 0, Dialogue("made", "1", turns), POLYP)
    assert [t.verdict.right for t in judged] == [True, True, False] and [t.yes for t in judged] == [True, False, False]
    studies, questions, histories, regions = zip(*parrot.calls, strict=True)
    assert len(set(map(id, studies))) == 1 and questions == ("polyp?", "where", "size")
    assert [[q for q, _ in history] for history in histories] == [[], ["polyp?"], ["polyp?", "where"]]
    assert regions[:2] == (None, None) and regions[2].box == (10, 10, 30, 20)
    lines = summary(judged).splitlines()
    assert any(line.startswith("| all | 3 | 0.667") and line.endswith("| 0.333 |") for line in lines)
    assert lines[-1].startswith("| dialogues wholly right | 1 | 0.000")
    assert benchmark.row(judged[0])["answer"]["text"] == "Yes, on the left"


def test_the_dialogues_are_many_and_of_all_kinds():
    held = read_dialogues()
    assert len({d.key for d in held}) == len(held) > 100
    kinds = Counter(turn.kind for d in held for turn in d.turns)
    assert set(kinds) == set(benchmark.KINDS) and min(kinds.values()) >= 10
    asks = Counter(turn.ask.lower() for d in held for turn in d.turns)
    assert max(asks.values()) <= 3


@pytest.mark.skipif(not DATA.is_dir(), reason="the data are not here")
def test_the_dialogues_to_find_faults_on_are_on_images_of_tune():
    held = read_dialogues(benchmark.TUNE)
    records = benchmark.records_for(held, DATA)
    assert {records[dialogue.key].part for dialogue in held} == {"tune"}
    for dialogue in held:
        for turn in dialogue.turns:
            judge(records[dialogue.key], turn, Answer("", 1.0))


@pytest.mark.skipif(not DATA.is_dir(), reason="the data are not here")
def test_every_turn_can_be_judged_on_an_image_of_report():
    held = read_dialogues()
    records, answers = benchmark.records_for(held, DATA), Counter()
    for dialogue in held:
        record = records[dialogue.key]
        assert record.part == "report", dialogue.key
        for turn in dialogue.turns:
            expected = judge(record, turn, Answer("", 1.0)).expected
            benchmark.drawn(record, turn)
            if turn.kind == "yes_no":
                answers[expected] += 1
    assert set(answers) == {"yes", "no"} and 0.4 < answers["no"] / answers.total() < 0.6
