"""Drawn prompts: what is asked, how clicks follow errors, and that the scores are those of a known assistant."""

import json

import numpy as np
import PIL.Image
import pytest
from scipy import ndimage

from medvlm.cli import build_parser
from medvlm.evaluation import TASKS, evaluate, to_tables
from medvlm.evaluation.prompts import (
    MIN_AREA,
    chosen_instances,
    correction,
    filled_ellipse,
    first_click,
    innermost,
    mean_radii,
    scribble,
)
from medvlm.evaluation.tasks.prompts import ask_prompts, scored
from medvlm.records import read_records
from medvlm.types import Image, Region, Study, mask_box

from .fakes import FakeAssistant, square


def boxes_mask(*boxes, size=(64, 64)) -> np.ndarray:
    mask = np.zeros(size, bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


class Blobs(FakeAssistant):
    """Takes the bright blobs under what is drawn, without those under a negative click."""

    def __init__(self):
        super().__init__()
        self.studies, self.prompts = [], []

    def segment(self, study, image=None, box=None, points=None, scribble=None):
        self.studies.append(study)
        self.prompts.append({"box": box, "points": list(points or []), "scribble": scribble})
        blobs, _ = ndimage.label(study.images[0].rgb[..., 0] > 100)
        if box is not None:
            drawn, but = blobs[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])], []
        elif points is not None:
            drawn, but = ([blobs[int(y), int(x)] for x, y, sign in points if sign is wanted] for wanted in (1, 0))
        else:
            drawn, but = blobs[scribble], []
        mask = np.isin(blobs, np.setdiff1d(drawn, [0, *but]))
        return [Region("region", 0, mask_box(mask), mask, 0.9)] if mask.any() else []


HALVES = ((8, 8, 28, 28), (30, 8, 50, 28))  # one instance that the image shows as two blobs
SPOT = (8, 40, 20, 52)  # another of the same label
IMAGE = boxes_mask(*HALVES, SPOT).astype(np.uint8) * 200
IDS = (boxes_mask(*HALVES) + 2 * boxes_mask(SPOT) + 3 * boxes_mask((60, 60, 63, 63))).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """A training and two validation images with two instances worth asking for and one too small."""
    rows = []
    for i, split in enumerate(["train", "val", "val"]):
        for kind, pixels in (("images", IMAGE), ("masks", IDS)):
            (tmp_path / "own" / kind).mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(pixels).save(tmp_path / "own" / kind / f"{i}.png")
        boxes = [mask_box(n == IDS) for n in (1, 2, 3)]
        regions = [{"label": name, "mask": f"masks/{i}.png", "boxes": boxes} for name in ("gland", "airways")]
        rows.append({"id": f"image{i}", "set": "own", "split": split, "patient": f"p{i}",
                     "file_name": f"images/{i}.png", "regions": regions})  # fmt: skip
    (tmp_path / "own" / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "own"


def test_scores_of_a_known_assistant(folder, tmp_path):
    assistant = Blobs()
    result = evaluate(assistant, [folder], tasks=["prompts"], items=tmp_path / "items.jsonl", progress=False)
    scores = result["metrics"]
    half = 2 * 400 / (400 + 800)  # the first click reaches one of two halves
    for name in ("own", "all"):
        assert scores[f"prompts/{name}/box/dice"]["value"] == 1
        assert scores[f"prompts/{name}/click/dice"]["value"] == pytest.approx((half + 1) / 2, abs=1e-3)
        assert scores[f"prompts/{name}/clicks4/dice"]["value"] == 1
        assert scores[f"prompts/{name}/scribble/dice"]["value"] == pytest.approx((half + 1) / 2, abs=1e-3)
        assert scores[f"prompts/{name}/box/dice"]["n"] == 4
    assert set(scores["prompts/own/box/dice"]["baseline"]) == {"filled box", "filled ellipse"}
    assert scores["prompts/own/box/dice"]["baseline"]["filled box"] == pytest.approx((2 * 800 / 1640 + 1) / 2, abs=1e-3)
    assert 0 < scores["prompts/own/click/dice"]["baseline"]["mean disc"] < 1
    assert result["failed"] == 0 and not [key for key in scores if not key.startswith("prompts/")]
    assert len({id(study) for study in assistant.studies}) == 2  # one object an image, so it is encoded once
    assert "| own | 4" in to_tables(result) and "filled ellipse" in to_tables(result)
    again = Blobs()
    evaluate(again, [folder], tasks=["prompts"], items=tmp_path / "items.jsonl", progress=False)
    assert not again.prompts


def test_only_where_it_is_named(folder, capsys):
    assert "prompts" not in TASKS
    assert not [k for k in evaluate(Blobs(), [folder], progress=False)["metrics"] if k.startswith("prompts")]
    with pytest.raises(SystemExit):
        build_parser().parse_args(["eval", "--help"])
    assert "prompts" in capsys.readouterr().out


def test_what_finds_nothing_or_fails_scores_zero(folder):
    class Blind(Blobs):
        def segment(self, study, **prompt):
            return []

    class Broken(Blobs):
        def segment(self, study, **prompt):
            raise ValueError("no")

    for assistant, failed in ((Blind(), 0), (Broken(), 4)):
        result = evaluate(assistant, [folder], tasks=["prompts"], progress=False)
        assert result["failed"] == failed
        for kind in ("box", "click", "clicks4", "scribble"):
            metric = result["metrics"][f"prompts/own/{kind}/dice"]
            assert metric["value"] == 0 and metric["n"] == 4
        assert metric["baseline"]["mean disc"] > 0


def test_a_few_instances_are_chosen_by_seed(folder):
    record = read_records(folder, "val")[0]
    assert chosen_instances(record) == [("gland", 1), ("gland", 2)]  # no speck, no airways
    many = np.arange(64)[:, None] // 8 + 1 + np.zeros((64, 64), int)
    many[:, 40:] = 0  # eight bars of 320 pixels
    many[56:, MIN_AREA // 8 - 1 :] = 0  # the last one too small
    PIL.Image.fromarray(many.astype(np.uint8)).save(folder / "masks" / "1.png")
    drawn = {tuple(chosen_instances(record, seed)) for seed in range(40)}
    assert all(len(chosen) == 3 and chosen == tuple(sorted(set(chosen))) for chosen in drawn) and len(drawn) > 5
    assert {number for chosen in drawn for _, number in chosen} == set(range(1, 8))
    assert chosen_instances(record) == chosen_instances(record)


def test_the_innermost_point():
    assert innermost(boxes_mask((10, 20, 15, 25))) == (3, 12, 22)
    depth, x, y = innermost(boxes_mask((0, 0, 64, 9)))  # the image's border is an edge too
    assert depth == 5 and y == 4 and 4 <= x < 60
    assert innermost(np.zeros((64, 64), bool))[0] == 0
    assert innermost(np.ones((5, 5), bool)) == (3, 2, 2)
    assert first_click(boxes_mask((10, 20, 15, 25))) == (12.5, 22.5, 1)


def test_corrections_go_to_the_deepest_error():
    truth = boxes_mask((10, 10, 40, 40))
    assert correction(truth, truth) is None
    missed = truth & ~boxes_mask((10, 10, 21, 21))
    assert correction(missed, truth) == (15.5, 15.5, 1)
    extra = truth | boxes_mask((50, 50, 61, 61))
    assert correction(extra, truth) == (55.5, 55.5, 0)
    assert correction(extra & ~boxes_mask((10, 10, 15, 15)), truth) == (55.5, 55.5, 0)
    assert correction(missed | boxes_mask((50, 50, 55, 55)), truth) == (15.5, 15.5, 1)
    assert correction(np.zeros_like(truth), truth)[2] == 1
    again = correction(missed, truth, [(15.5, 15.5, 1)])  # it did not help: try elsewhere in what is missed
    assert again[2] == 1 and missed[int(again[1]), int(again[0])] == 0 and abs(again[0] - 15.5) >= 2
    pixel = truth | boxes_mask((60, 60, 61, 61))
    assert correction(pixel, truth, [(60.5, 60.5, 0)]) is None


def test_clicks_are_added_one_by_one():
    truth, assistant = boxes_mask(*HALVES), Blobs()
    ask_prompts(assistant, Study([Image(IMAGE)]), truth)
    points = [prompt["points"] for prompt in assistant.prompts if prompt["points"]]
    assert [len(p) for p in points] == [1, 2]  # nothing is left to correct after two
    assert points[1][0] == points[0][0] and points[1][1][2] == 1
    joined = boxes_mask((8, 8, 28, 28), (28, 16, 30, 20), HALVES[1])  # shown as one blob, of which a half is meant
    assistant = Blobs()
    scores = ask_prompts(assistant, Study([Image(joined.astype(np.uint8) * 200)]), boxes_mask(HALVES[0]))
    assert [prompt["points"] for prompt in assistant.prompts][-2][-1][2] == 1  # after too much came nothing
    assert scores["click"] == pytest.approx(2 * 400 / (808 + 400))


@pytest.mark.parametrize(
    "mask",
    [
        boxes_mask((5, 30, 60, 34)),
        boxes_mask((10, 10, 14, 50), (10, 46, 50, 50), (46, 10, 50, 50)),
        boxes_mask((3, 3, 4, 4)),
        np.ones((64, 64), bool),
        filled_ellipse((10, 10, 50, 40), (64, 64)) & ~filled_ellipse((20, 18, 40, 32), (64, 64)),
    ],
    ids=["bar", "cup", "pixel", "everything", "ring"],
)
def test_a_scribble_stays_inside_in_one_piece(mask):
    stroke = scribble(mask)
    assert stroke.any() and not (stroke & ~mask).any()
    assert ndimage.label(stroke, np.ones((3, 3)))[1] == 1
    assert (stroke == scribble(mask)).all()
    if mask.sum() > 1:
        assert stroke.sum() < mask.sum()


def test_a_scribble_follows_the_long_side():
    columns = np.flatnonzero(scribble(boxes_mask((5, 30, 60, 37))).any(0))
    assert 0.7 * 55 < len(columns) < 55


def test_guesses(folder):
    round_thing = filled_ellipse((12, 12, 52, 52), (64, 64))
    row = scored("gland", round_thing, {}, {"gland": 20 / 64})
    assert row["guesses"]["box"]["filled ellipse"] == 1
    assert row["guesses"]["box"]["filled box"] == pytest.approx(2 * np.pi / 4 / (1 + np.pi / 4), abs=0.01)
    assert row["guesses"]["click"]["mean disc"] > 0.95 and row["guesses"]["scribble"]["mean disc"] > 0.95
    assert scored("new", round_thing, {}, {"gland": 20 / 64})["guesses"] == row["guesses"]
    assert scored("gland", round_thing, {}, {})["guesses"]["click"] == {}
    radii = mean_radii(read_records(folder, "train"))
    assert radii == {"gland": pytest.approx((np.sqrt(800 / np.pi) + np.sqrt(144 / np.pi)) / 2 / 64)}
    assert row["guesses"]["box"] != scored("gland", square(box=(1, 1, 60, 20)) > 0, {}, radii)["guesses"]["box"]
