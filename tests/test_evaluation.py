"""The evaluation against a model whose answers are known: what it scores, resumes from and survives."""

import io
import json
import math

import numpy as np
import PIL.Image
import pytest

from medvlm.errors import RequestError
from medvlm.evaluation import evaluate, to_tables
from medvlm.evaluation.baselines import CommonestAnswer, mean_masks, scale_mask, shuffled_partners
from medvlm.evaluation.labels import commonest_values, learned, positive_value
from medvlm.evaluation.measures import is_counted, mean_measures, true_measures
from medvlm.evaluation.summary import Metrics, metric
from medvlm.evaluation.task import Run, Task
from medvlm.evaluation.tasks import ground, labels
from medvlm.evaluation.tasks.ground import Ground, Guesses
from medvlm.evaluation.tasks.labels import Labels
from medvlm.records import QA, Record, read_records
from medvlm.records.record import RecordRegion
from medvlm.types import Grounding, Region, mask_box

from .fakes import FakeAssistant, square
from .squares import write_data_set


@pytest.fixture
def folder(tmp_path):
    return write_data_set(tmp_path / "own")


def test_scores(folder):
    result = evaluate(FakeAssistant(), [folder], progress=False)
    scores = result["metrics"]
    dice = scores["ground/own/fetal head/dice"]
    assert dice["value"] == pytest.approx((1 + 1 + 2 / 3) / 3, abs=1e-3)
    assert dice["n"] == 3 and dice["low"] <= dice["value"] <= dice["high"]
    assert dice["baseline"]["mean mask"] == pytest.approx((1 + 1 + 2 / 3) / 3, abs=0.02)
    assert scores["ground/own/fetal head/ap50"]["value"] == 1.0
    assert scores["ground/own/absent_false_positive"]["value"] == 0.5
    assert scores["ground/all/absent_false_positive"]["n"] == 6
    accuracy = scores["answer/own/accuracy"]
    assert accuracy["value"] == pytest.approx(2 / 3, abs=1e-3)
    assert accuracy["n"] == 3  # English alone
    assert accuracy["baseline"] == pytest.approx({"commonest": 2 / 3, "blank": 1 / 3, "shuffled": 2 / 3}, abs=1e-3)
    assert scores["answer/own/ece"]["value"] == pytest.approx((0.2 + 0.2 + 0.8) / 3, abs=1e-3)
    assert "answer/own/open" not in scores
    assert scores["labels/own/fracture/accuracy"]["value"] == pytest.approx(2 / 3, abs=1e-3)
    assert scores["labels/own/fracture/accuracy"]["n"] == 3
    assert scores["facts/own/modality"]["value"] == 1.0
    assert scores["facts/all/body_part"]["value"] == pytest.approx(2 / 3, abs=1e-3)
    assert scores["facts/own/medical"]["value"] == 1.0
    assert result["failed"] == 0
    json.dumps(result, allow_nan=False)
    table = to_tables(result)
    assert table.startswith("Model fake, split val; ") and "shuffled images" in table
    assert "| own | fetal head | 3" in table and "0.889 [" in table


def test_languages_are_counted_apart(folder):
    result = evaluate(FakeAssistant(), [folder], tasks=["answer"], languages=("en", "zh"), progress=False)
    assert result["metrics"]["answer/own/accuracy"]["n"] == 3
    assert result["metrics"]["answer/own-zh/accuracy"]["n"] == 3
    assert result["failed"] == 9  # the fake refuses another script, with each of the three images


def test_a_stopped_run_goes_on(folder, tmp_path):
    items, first, second = tmp_path / "out.items.jsonl", FakeAssistant(), FakeAssistant()
    once = evaluate(first, [folder], items=items, progress=False)
    lines = items.read_text().splitlines(keepends=True)
    items.write_text("".join(lines[:-1]) + lines[-1][:20])  # killed while it wrote
    again = evaluate(second, [folder], items=items, progress=False)
    assert again["metrics"] == once["metrics"]
    assert len(second.calls) == 1
    assert {json.loads(line)["fingerprint"] for line in lines} == {first.fingerprint} == {once["fingerprint"]}


def test_failures_are_recorded_and_count_as_wrong(folder, tmp_path):
    class Shaky(FakeAssistant):
        def ground_many(self, requests, image=None):
            if len(requests) > 1:
                raise MemoryError("too many")
            self.seen = getattr(self, "seen", 0) + 1
            if self.seen == 1:
                raise ValueError("bad image")
            return super().ground_many(requests, image)

    items = tmp_path / "items.jsonl"
    result = evaluate(Shaky(), [folder], tasks=["ground"], items=items, progress=False)
    assert result["failed"] == 1
    assert result["metrics"]["ground/own/fetal head/dice"]["value"] == pytest.approx((0 + 1 + 2 / 3) / 3, abs=1e-3)
    assert "ValueError: bad image" in items.read_text()
    assert "1 items failed" in to_tables(result)
    mended = evaluate(FakeAssistant(), [folder], tasks=["ground"], items=items, progress=False)
    assert mended["failed"] == 0  # what failed is tried again


def test_an_unreadable_image_does_not_stop_the_rest(folder):
    (folder / "images" / "3.png").write_bytes(b"broken")
    result = evaluate(FakeAssistant(), [folder], tasks=["ground", "facts"], progress=False)
    assert result["failed"] == 2
    assert result["metrics"]["facts/own/modality"]["n"] == 3


def test_limit_and_unknown_task(folder):
    assert evaluate(FakeAssistant(), [folder], limit=2, progress=False)["metrics"]["facts/own/modality"]["n"] == 2
    with pytest.raises(RequestError, match="ground, answer, facts"):
        evaluate(FakeAssistant(), [folder], tasks=["guess"])


def test_baselines(folder):
    train, val = read_records(folder, "train"), read_records(folder, "val")
    mean = mean_masks(train)["fetal head"]
    assert mean.shape == (64, 64) and (mean == (square(value=1) > 0)).all()
    assert scale_mask(mean, (128, 32)).sum() == pytest.approx(mean.sum(), rel=0.05)
    guess = CommonestAnswer(train)
    assert guess("is it BRIGHT", "closed") == "yes"
    assert guess("never asked", "closed") == "yes"
    assert guess("never asked", "open") == ""
    train[0].qa = [QA("q", "no", "closed")] * 3
    assert CommonestAnswer(train)("never asked", "closed") == "no"
    partners = shuffled_partners(val)
    assert {r.key for r in val} == set(partners) == {r.key for r in partners.values()}
    assert all(key != partner.key for key, partner in partners.items())
    assert shuffled_partners(val[:1]) == {}


def test_a_metric_has_no_nan():
    assert metric([], [], statistic=lambda _: math.nan)["value"] is None
    assert metric(np.array([1.0, 0.0]), ["a", "b"], {"x": math.nan})["baseline"] == {"x": None}


# Measures


def png(mask: np.ndarray) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(mask.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def made(masks: dict[str, list[np.ndarray]] | None = None, boxes: dict[str, list] | None = None, **known) -> Record:
    """A record of outlined instances by label, and of labels with boxes alone."""
    regions = [
        RecordRegion(label, [list(mask_box(m)) for m in some], png(sum(m * (i + 1) for i, m in enumerate(some))))
        for label, some in (masks or {}).items()
    ]
    regions += [RecordRegion(label, some) for label, some in (boxes or {}).items()]
    return Record(**{"id": "1", "set": "own", "split": "val", "patient": "p", "source": b"", **known}, regions=regions)


def drawn(masks: dict[str, list[np.ndarray]], score: float = 0.9) -> Grounding:
    pairs = [(label, mask) for label, some in masks.items() for mask in some]
    return Grounding([Region(label, 0, mask_box(mask), mask, score) for label, mask in pairs], {}, [])


def area(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    return square((100, 100), (x0, y0, x1, y1), 1) > 0


def summed(task: Task, *items: dict) -> Metrics:
    """The metrics of items of as many patients in one set."""
    return task.summarise([{"set": "own", "patient": str(i), **item} for i, item in enumerate(items)], Run())


def test_the_cardiothoracic_ratio_is_compared_with_the_true_outlines():
    lungs = {"left lung": [area(60, 10, 90, 80)], "right lung": [area(10, 10, 40, 80)]}
    record = made({"heart": [area(30, 40, 70, 80)], **lungs}, modality="x-ray")
    assert true_measures(record) == {"cardiothoracic_ratio": 0.5}  # 40 of 80 pixels
    ct = made({"heart": [area(30, 40, 70, 80)], **lungs}, modality="ct")
    assert true_measures(ct) == {}
    wide = ground.scored(
        record, drawn({"heart": [area(20, 40, 76, 80)], **lungs}), Guesses(measures={"cardiothoracic_ratio": 0.6})
    )
    no_lung = ground.scored(
        record, drawn({"heart": [area(30, 40, 70, 80)]}), Guesses(measures={"cardiothoracic_ratio": 0.6})
    )
    score = summed(Ground(), wide, no_lung)["ground/own/cardiothoracic_ratio_error"]
    assert score["value"] == pytest.approx((0.2 + 0.5) / 2)  # 56 of 80, and what could not be measured as 0
    assert score["n"] == 2 and score["unmeasured"] == 1
    assert score["low"] == pytest.approx(0.2) and score["high"] == pytest.approx(0.5)
    assert score["baseline"] == {"training mean": pytest.approx(0.1)}


def test_the_head_circumference_is_compared_with_the_stated_one():
    y, x = np.mgrid[:100, :100]
    disc = (y - 50) ** 2 + (x - 50) ** 2 <= 40**2
    known = {"modality": "ultrasound", "spacing_mm": (0.5, 0.5), "labels": {"head_circumference_mm": 130.0}}
    record = made({"fetal head": [disc]}, **known)
    assert true_measures(record) == {"head_circumference_mm": 130.0}
    found, nothing = (ground.scored(record, drawn({"fetal head": some}), Guesses()) for some in ([disc], []))
    key = "ground/own/head_circumference_mm_error"
    assert summed(Ground(), found)[key]["value"] == pytest.approx(130 - 2 * np.pi * 20, rel=0.05)
    assert summed(Ground(), nothing)[key]["value"] == 130.0 and summed(Ground(), nothing)[key]["unmeasured"] == 1
    assert summed(Ground(), nothing)[key]["baseline"] == {}
    unstated = made({"fetal head": [disc]}, **{**known, "labels": {}})
    assert true_measures(unstated)["head_circumference_mm"] == pytest.approx(2 * np.pi * 20, rel=0.01)
    assert true_measures(made({"fetal head": [disc]}, **{**known, "spacing_mm": None})) == {}
    assert true_measures(made(boxes={"fetal head": [[0, 0, 9, 9]]}, **known)) == {}


def test_the_cup_to_disc_ratio_is_vertical():
    disc = {"optic disc": [area(20, 20, 80, 80)]}
    record = made({"optic cup": [area(30, 30, 40, 60)], **disc}, modality="fundus")
    assert true_measures(record) == {"cup_to_disc_ratio": 0.5}
    row = ground.scored(record, drawn({"optic cup": [area(30, 30, 70, 72)], **disc}), Guesses())
    assert summed(Ground(), row)["ground/own/cup_to_disc_ratio_error"]["value"] == pytest.approx(0.2)


def test_instances_are_counted():
    assert is_counted("nucleus", "histopathology") and is_counted("tooth", "x-ray")
    assert not is_counted("tooth", "ct") and not is_counted("liver", "ct") and not is_counted("unheard of", None)
    cells = [[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]]
    some = made(boxes={"red blood cell": cells, "fracture": cells}, absent=["platelet", "liver"])
    assert true_measures(some) == {"red_blood_cell_count": 3.0, "platelet_count": 0.0}
    train = [some, made(boxes={"red blood cell": cells[:1]})]
    assert mean_measures(train) == {"red_blood_cell_count": 2.0, "platelet_count": 0.0}
    found = drawn({"red blood cell": [area(0, 0, 9, 9)], "platelet": [area(0, 0, 9, 9)] * 4})
    got = summed(
        Ground(),
        ground.scored(some, found, Guesses(measures=mean_measures(train))),
        ground.scored(some, drawn({}), Guesses()),
    )
    assert got["ground/own/red_blood_cell_count_error"]["value"] == (2 + 3) / 2
    assert got["ground/own/red_blood_cell_count_error"]["baseline"] == {"training mean": 1.0}
    assert got["ground/own/platelet_count_error"]["value"] == (4 + 0) / 2
    assert got["ground/own/platelet_count_error"]["unmeasured"] == 0
    table = to_tables({"model": "m", "split": "val", "failed": 0, "metrics": got})
    assert "| own | red blood cell count | 2      | 0            | 2.500 [" in table


# Scores and overlaps


def test_score_rank_asks_whether_sure_scores_are_good_outlines():
    record, box = made({"polyp": [area(0, 0, 40, 40)]}), made(boxes={"fracture": [[0, 0, 40, 40]]})
    good = ground.scored(record, drawn({"polyp": [area(0, 0, 40, 40)]}, 0.9), Guesses())
    half = ground.scored(record, drawn({"polyp": [area(0, 0, 40, 20)]}, 0.5), Guesses())
    missed = ground.scored(record, drawn({}), Guesses())
    boxed = ground.scored(box, drawn({"fracture": [area(0, 0, 40, 30)]}, 0.7), Guesses())  # IoU 3/4: Dice 6/7
    assert boxed["labels"]["fracture"]["iou"] == 0.75
    got = summed(Ground(), good, half, missed, boxed)
    assert got["ground/own/score_rank"]["value"] == pytest.approx(1.0)
    assert got["ground/own/score_rank"]["n"] == 4
    assert got["ground/own/score_rank"]["baseline"] == {"chance": 0.0}
    timid = ground.scored(record, drawn({"polyp": [area(0, 0, 40, 40)]}, 0.1), Guesses())
    assert summed(Ground(), timid, half)["ground/own/score_rank"]["value"] == pytest.approx(-1.0)
    assert summed(Ground(), good)["ground/own/score_rank"]["value"] is None
    other = [{"id": "1", "patient": "1", "set": name, **row} for name, row in (("a", timid), ("b", half))]
    everything = Ground().summarise(other, Run())
    assert everything["ground/all/score_rank"]["value"] == pytest.approx(-1.0)
    assert everything["ground/a/score_rank"]["value"] is None


def test_score_rank_takes_the_box_that_is_scored_best():
    record = made(boxes={"fracture": [[0, 0, 40, 40]]})
    found = drawn({"fracture": [area(50, 50, 60, 60)]}, 0.9)
    found.regions += drawn({"fracture": [area(0, 0, 40, 40)]}, 0.3).regions
    assert ground.scored(record, found, Guesses())["labels"]["fracture"]["iou"] == 0.0


def test_absent_phrases_of_all_sets_come_first():
    rows = [
        {"task": "ground", "set": name, "id": "1", "patient": "1", "labels": {}, "absent": {"polyp": scores}}
        for name, scores in (("busi", [0.9]), ("brain_tumor_cheng", [0.9]), ("covid_cxr_organs", [0.9]), ("x", []))
    ]
    got = Ground().summarise(rows, Run())
    assert got["ground/all/absent_false_positive"]["value"] == 0.75
    assert got["ground/x/absent_false_positive"]["value"] == 0.0 and got["ground/busi/absent_false_positive"]["n"] == 1
    assert not [key for key in got if "rest" in key]
    table = to_tables({"model": "m", "split": "val", "failed": 0, "metrics": got})
    assert table.index("| all               | 4 ") < table.index("| busi              | 1 ")


def test_what_a_phrase_brought_back_counts_whatever_it_is_called():
    record = made({"glioma": [area(0, 0, 40, 40)]}, absent=["meningioma"])
    found = drawn({"brain tumour": [area(0, 0, 40, 40)] * 2})
    found.regions[0].phrase, found.regions[1].phrase = "glioma", "meningioma"
    got = summed(Ground(), ground.scored(record, found, Guesses()))
    assert got["ground/own/glioma/dice"]["value"] == 1.0 and got["ground/own/absent_false_positive"]["value"] == 1.0
    cells = drawn({"cell": [area(0, 0, 9, 9)]})
    cells.regions[0].phrase = "platelet"
    counted = ground.scored(made(boxes={"platelet": [[0, 0, 9, 9]]}), cells, Guesses())
    assert counted["measures"]["platelet_count"]["found"] == 1.0


def test_the_mean_of_average_precisions_is_over_labels():
    there, boxes = [area(0, 0, 40, 40)], [[0, 0, 40, 40]]
    both = made(boxes={"mass": boxes, "calcification": boxes}, absent=["asymmetry"])
    one = made(boxes={"mass": boxes}, absent=["calcification"])
    got = summed(
        Ground(),
        ground.scored(both, drawn({"mass": there, "asymmetry": there}), Guesses()),
        ground.scored(one, drawn({"mass": there}), Guesses()),
    )
    assert got["ground/own/mass/ap50"]["value"] == 1.0 and got["ground/own/calcification/ap50"]["value"] == 0.0
    mean = got["ground/own/all/ap50"]
    assert mean["value"] == 0.5 and mean["n"] == 2  # two labels, not the three boxes, and none for asymmetry
    assert (
        mean["low"] == 0.5 and mean["high"] == 1.0
    )  # where only the second patient is drawn, no calcification is left
    assert "ground/own/all/ap50" not in summed(Ground(), ground.scored(one, drawn({"mass": there}), Guesses()))


def test_findings_on_chest_films_are_counted_over_all_sets():
    film = {"modality": "x-ray", "body_part": "chest"}
    boxes, there = [[0, 0, 40, 40]], [area(0, 0, 40, 40)]
    found = drawn({"pneumonia": there, "left lung": there, "lung nodule": there, "liver cancer": there})
    records = [
        made(boxes={"pneumonia": boxes, "atelectasis": boxes, "left lung": boxes}, **film),
        made(absent=["lung nodule", "lung mass", "pneumothorax", "heart"], **film),
        made(boxes={"liver cancer": boxes}, absent=["lung nodule"], modality="ct", body_part="abdomen"),
    ]
    rows = [
        {**ground.scored(r, found, Guesses()), "set": f"set{i}", "id": "1", "patient": "1"}
        for i, r in enumerate(records)
    ]
    got = Ground().summarise(rows, Run())
    shown, false = (got[f"ground/all/chest_findings_{key}"] for key in ("shown", "false"))
    assert (shown["value"], shown["n"]) == (0.5, 2) and (false["value"], false["n"]) == (
        pytest.approx(1 / 3, abs=1e-3),
        3,
    )
    table = to_tables({"model": "m", "split": "val", "failed": 0, "metrics": got})
    assert "| known not to be there | 3       | 0.333 [" in table
    assert "ground/all/chest_findings_shown" not in Ground().summarise(rows[2:], Run())


# Labels


def told(true: str | None, usual: str = "benign", **chances: float) -> dict:
    return labels.scored(made(labels={"breast_finding": true}), {"breast_finding": chances}, {"breast_finding": usual})


def test_malignant_is_told_from_the_rest():
    got = summed(
        Labels(),
        told("malignant", malignant=0.6, benign=0.3, normal=0.1),
        told("malignant", malignant=0.2, benign=0.7, normal=0.1),
        told("benign", malignant=0.4, benign=0.5, normal=0.1),
        told("normal", malignant=0.1, benign=0.8, normal=0.1),
        told("normal", malignant=0.1, benign=0.1, normal=0.8),
        told("cyst", malignant=0.9, benign=0.1, normal=0.0),  # a value that was never learned
        told(None, malignant=0.9, benign=0.1, normal=0.0),
    )
    prefix = "labels/own/breast_finding"
    assert got[f"{prefix}/accuracy"]["value"] == 0.6 and got[f"{prefix}/accuracy"]["n"] == 5
    assert got[f"{prefix}/accuracy"]["baseline"] == {"commonest": 0.2}
    assert got[f"{prefix}/auc"]["value"] == pytest.approx(5 / 6, abs=1e-3)
    assert got[f"{prefix}/auc"]["baseline"] == {"chance": 0.5}
    assert got[f"{prefix}/sensitivity"]["value"] == 0.5 and got[f"{prefix}/sensitivity"]["n"] == 2
    assert got[f"{prefix}/sensitivity"]["baseline"] == {"commonest": 0.0}
    assert got[f"{prefix}/specificity"]["value"] == 1.0 and got[f"{prefix}/specificity"]["n"] == 3
    assert got[f"{prefix}/specificity"]["baseline"] == {"commonest": 1.0}
    at_90 = got[
        f"{prefix}/specificity_at_90_sensitivity"
    ]  # both malignant ones from 0.2 on: one of 0.4, 0.1 and 0.1 too
    assert at_90["value"] == pytest.approx(2 / 3, abs=1e-3) and at_90["n"] == 5
    assert at_90["baseline"] == {"chance": 0.1}
    table = to_tables({"model": "m", "split": "val", "failed": 0, "metrics": got})
    assert "| own | breast_finding | 5      | 0.600 [" in table


def test_the_value_that_is_looked_for():
    assert positive_value(["no", "yes"]) == "yes"
    assert positive_value(["normal", "pneumonia"]) == "pneumonia"
    assert positive_value(["benign", "malignant", "normal"]) == "malignant"
    assert positive_value(["glioma", "meningioma", "pituitary tumour"]) is None
    assert positive_value(["low", "high"]) is None
    assert positive_value(["absent", "typical", "atypical"]) is None
    train = [made(labels={"fracture": value}) for value in ("yes", "no", "no", None)]
    assert commonest_values(train) == {"fracture": "no"}


def test_a_fact_that_a_set_calls_like_itself_is_found_by_its_values():
    chances = {
        "finding": {"pneumonia": 0.3, "none": 0.7},
        "breast_finding": {"normal": 0.6, "benign": 0.4},
        "pneumonia film": {"normal": 0.2, "pneumonia": 0.8},
    }
    films = [Record(v, "pneumoniaset", "val", "p", b"", labels={"pneumoniaset": v}) for v in ("normal", "pneumonia")]
    assert [learned(film, chances) for film in films] == [{"pneumoniaset": "pneumonia film"}] * 2
    rows = [labels.scored(film, told, {}) for film, told in zip(films, (chances, {}), strict=True)]
    got = summed(Labels(), *rows)
    assert got["labels/own/pneumoniaset/accuracy"]["value"] == 0.0 and got["labels/own/pneumoniaset/auc"]["n"] == 2
    assert learned(made(labels={"own": "normal", "stage": "normal"}), chances) == {}, (
        "of other names nothing is guessed"
    )
    assert learned(films[0], {**chances, "pneumoniaset": {"normal": 1.0}}) == {"pneumoniaset": "pneumoniaset"}
    assert learned(films[0], {"pneumonia film": {"pneumonia": 1.0}}) == {}, "a value that was never learned"


def test_facts_without_a_value_to_look_for_have_an_accuracy_alone():
    chances = {"sequence": {"T1": 0.3, "T2": 0.7}}
    rows = [labels.scored(made(labels={"sequence": value}), chances, {}) for value in ("T1", "T2", "T2")]
    got = summed(Labels(), *rows)
    assert list(got) == ["labels/own/sequence/accuracy"]
    assert got["labels/own/sequence/accuracy"]["value"] == pytest.approx(2 / 3, abs=1e-3)
    assert got["labels/own/sequence/accuracy"]["baseline"] == {}


def test_labels_are_asked_in_one_call_and_failures_are_wrong(folder):
    fake = FakeAssistant()
    scores = evaluate(fake, [folder], tasks=["labels"], progress=False)["metrics"]
    assert fake.calls == ["labels_many 3"]
    assert {key.split("/")[2] for key in scores} == {"fracture"}  # no age, and no grade of a value never learned
    assert scores["labels/own/fracture/specificity"]["value"] == 0.0
    assert scores["labels/own/fracture/accuracy"]["baseline"]["commonest"] == pytest.approx(2 / 3, abs=1e-3)

    class Shaky(FakeAssistant):
        seen = 0

        def labels_many(self, studies):
            self.seen += 1
            if len(studies) > 1 or self.seen == 2:
                raise ValueError("bad image")
            return [{"fracture": {"no": 0.9, "yes": 0.1}}]

    result = evaluate(Shaky(), [folder], tasks=["labels"], progress=False)
    assert result["failed"] == 1
    assert result["metrics"]["labels/own/fracture/accuracy"]["value"] == pytest.approx(1 / 3, abs=1e-3)
    assert result["metrics"]["labels/own/fracture/accuracy"]["n"] == 3
    assert result["metrics"]["labels/own/fracture/auc"]["value"] == 0.25
