"""Readers, the check of a folder and its contact sheet, on tiny data made here."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow
import pyarrow.parquet
import pytest

from medvlm.errors import RecordError
from medvlm.records import read_records
from medvlm.records.check import box_problem, check_folder
from medvlm.records.record import part_of
from medvlm.records.sheet import contact_sheet

SIZE = (24, 32)  # height, width


def picture(seed: int) -> PIL.Image.Image:
    return PIL.Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*SIZE, 3), dtype=np.uint8))


def instance_map(size: tuple[int, int] = SIZE) -> PIL.Image.Image:
    mask = np.zeros(size, np.uint8)
    mask[2:8, 4:10], mask[12:20, 16:24] = 1, 2
    return PIL.Image.fromarray(mask)


def row(number: int, **changes) -> dict:
    return {
        "id": f"case {number}",
        "set": "tiny",
        "split": "train" if number < 2 else "val",
        "patient": f"p{number}",
        "file_name": f"images/{number}.png",
        "modality": "endoscopy",
        "body_part": "colon",
        "spacing_mm": [0.5, 0.25],
        "labels": {"grade": "low"},
        "regions": [{"label": "polyp", "mask": f"masks/{number}.png", "boxes": [[4, 2, 10, 8], [16, 12, 24, 20]]}],
        "absent": [],
        "qa": [{"question": "Is there a polyp?", "answer": "Yes", "type": "closed"}],
        "report": "Two polyps.",
    } | changes


def write_folder(folder: Path, rows: list[dict]) -> Path:
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(3):
        picture(number).save(folder / "images" / f"{number}.png")
        instance_map().save(folder / "masks" / f"{number}.png")
    (folder / "metadata.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return folder


def embedded(picture: PIL.Image.Image) -> dict:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def write_parquet(folder: Path, rows: list[dict]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for split in dict.fromkeys(r["split"] for r in rows):
        out = []
        for number, values in enumerate(rows):
            if values["split"] == split:
                image = {"image": embedded(picture(number)), "labels": json.dumps(values["labels"])}
                regions = [r | {"mask": embedded(instance_map())} for r in values["regions"]]
                out.append({k: v for k, v in values.items() if k != "file_name"} | image | {"regions": regions})
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(out), folder / f"{split}.parquet")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "own", [row(n) for n in range(3)])


def problems(folder: Path, rows: list[dict]) -> list[str]:
    return [str(problem) for problem in check_folder(write_folder(folder, rows))]


# Readers


def test_parquet_and_folder_give_the_same_records(tmp_path: Path, folder: Path) -> None:
    shards = write_parquet(tmp_path / "shards", [row(n) for n in range(3)])
    for mine, theirs in zip(read_records(folder), read_records(shards), strict=True):
        for name in ("id", "set", "split", "patient", "modality", "body_part", "spacing_mm", "labels", "qa", "report"):
            assert getattr(mine, name) == getattr(theirs, name), name
        assert np.array_equal(mine.image, theirs.image)
        assert [r.boxes for r in mine.regions] == [r.boxes for r in theirs.regions]
        assert np.array_equal(mine.region("polyp").mask, theirs.region("polyp").mask)
        assert set(np.unique(mine.region("polyp").mask)) == {0, 1, 2}


def test_splits_are_read_apart(tmp_path: Path, folder: Path) -> None:
    shards = write_parquet(tmp_path / "shards", [row(n) for n in range(3)])
    for source in (folder, shards):
        assert [r.id for r in read_records(source, "train")] == ["case 0", "case 1"]
        assert [r.id for r in read_records(source, "val")] == ["case 2"]
        assert read_records(source, "test") == []
    assert len(read_records(shards / "val.parquet")) == 1


def test_little_is_needed(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "own", [{"file_name": "images/0.png"}])
    assert check_folder(folder) == []
    (record,) = read_records(folder)
    assert (record.id, record.set, record.split, record.modality) == ("images/0.png", "own", "train", None)
    assert record.study().modality is None


def test_the_folder_form_is_an_image_folder_of_datasets(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", False)  # else it tells its makers of each load
    loaded = datasets.load_dataset(
        "imagefolder", data_dir=str(folder), split="train", cache_dir=str(tmp_path / "cache")
    )
    ours = {record.id: record for record in read_records(folder)}
    seen = {r["id"]: np.asarray(r["image"]) for r in loaded if r["id"]}
    assert seen.keys() == ours.keys()
    assert all(np.array_equal(pixels, ours[name].image) for name, pixels in seen.items())


@pytest.mark.parametrize("text", ["{", "[1]", '{"id": "a"}'])
def test_a_broken_line_is_named(folder: Path, text: str) -> None:
    with (folder / "metadata.jsonl").open("a") as file:
        file.write("\n" + text + "\n")
    with pytest.raises(RecordError, match="line 5"):
        read_records(folder)


def test_no_data_set_is_said(tmp_path: Path) -> None:
    for call in (read_records, check_folder, lambda f: contact_sheet(f, tmp_path / "a.png")):
        with pytest.raises(RecordError, match="Check the path"):
            call(tmp_path)


# The two halves of val

KNOWN = {  # ids of real val patients: a drift would let what was chosen on one half be quoted on it
    "tune": "benign_109 patient003 JPCLN003 JPCLN006 xmlab10 synpic12210 15 MPX1012 IMD002 val_00001 pair004 009",
    "report": "benign_113 patient001 patient002 JPCLN040 xmlab106 xmlab112 160 MPX1053 openmsfu01 btp06 pair012 014",
}


@pytest.mark.parametrize(("part", "patients"), KNOWN.items())
def test_the_halves_of_val_never_drift(part: str, patients: str) -> None:
    assert {patient: part_of(patient) for patient in patients.split()} == dict.fromkeys(patients.split(), part)


def test_a_patient_lies_in_one_part_whatever_the_record(folder: Path) -> None:
    (record,) = read_records(folder, "val")
    assert record.part == part_of(record.patient)
    record.id, record.set = "another", "another"
    assert record.part == part_of(record.patient)
    parts = [part_of(str(number)) for number in range(1000)]
    assert 400 < parts.count("tune") < 600 and set(parts) == {"tune", "report"}


# The check


def test_good_data_has_no_problems(tmp_path: Path, folder: Path) -> None:
    assert check_folder(folder) == []
    assert check_folder(write_parquet(tmp_path / "shards", [row(n) for n in range(3)])) == []


def region(**changes) -> list[dict]:
    return row(1)["regions"][:0] + [row(1)["regions"][0] | changes]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"file_name": "images/none.png"}, "there is no file 'images/none.png'"),
        ({"file_name": None}, "file_name"),
        ({"regions": region(mask="masks/none.png")}, "there is no file the mask of 'polyp', 'masks/none.png'"),
        ({"regions": region(boxes=[[4, 2, 10, 25]])}, "box [4, 2, 10, 25] of 'polyp' leaves the image of 32 x 24 pixels"),
        ({"regions": region(boxes=[[-1, 2, 10, 8]])}, "leaves the image"),
        ({"regions": region(boxes=[[9, 2, 9, 8]])}, "has no area"),
        ({"regions": region(boxes=[[0.1, 0.2, 0.5, 1]])}, "box [0.1, 0.2, 0.5, 1] of 'polyp' looks like fractions of the image"),
        ({"regions": region(boxes=[[1, 2, 3]])}, "is not [x0, y0, x1, y1]"),
        ({"regions": region(boxes=[["1", 2, 3, 4]])}, "is not [x0, y0, x1, y1]"),
        ({"regions": region(boxes=[[float("nan"), 2, 10, 8]])}, "is not [x0, y0, x1, y1]"),
        ({"regions": region(boxes=None)}, "by its mask they are [[4, 2, 10, 8], [16, 12, 24, 20]]"),
        ({"regions": region(boxes=None, mask=None)}, "neither a mask nor a box"),
        ({"regions": region(label="polipp")}, "'polipp' is not in the vocabulary, so it is not learned; the nearest known one is 'polyp'"),
        ({"regions": region(label="mole")}, "the nearest known one is 'skin lesion'"),
        ({"regions": region(label=None)}, "no label"),
        ({"regions": region(bbox=[])}, "unknown key 'bbox' in region 'polyp'; the nearest known one is 'boxes'"),
        ({"regions": "polyp"}, "regions is not a list of objects"),
        ({"modality": "endoscope"}, "unknown modality 'endoscope'; the nearest known one is 'endoscopy'"),
        ({"modality": "MRI"}, "the nearest known one is 'mri'"),
        ({"split": "training"}, "split 'training' is none of train, val, test"),
        ({"spacing_mm": [0.5]}, "spacing_mm [0.5]"),
        ({"labels": "low"}, "labels are not an object"),
        ({"absent": ["polyp"]}, "both among the regions and absent"),
        ({"pacient": "p1"}, "unknown key 'pacient'; the nearest known one is 'patient'"),
        ({"qa": [{"question": "Where?"}]}, "a question and its answer"),
        ({"qa": [{"question": "Where?", "answer": "here", "type": "free"}]}, "question type 'free'"),
        ({"id": "case 0"}, "id 'case 0' stands at metadata.jsonl, line 1 too"),
        ({"patient": "p2"}, "patient 'p2' is in train here and in val"),
        ({"file_name": "images/2.png"}, "the same image is in train here and in val"),
    ],
)  # fmt: skip
def test_one_problem_is_told_with_its_line(tmp_path: Path, changes: dict, words: str) -> None:
    found = problems(tmp_path / "own", [row(0), row(2), row(1, **changes)])
    assert any(p.startswith("metadata.jsonl, line 3: ") and words in p for p in found), found
    assert all(p.startswith("metadata.jsonl, line 3: ") for p in found) and len(found) <= 2


def test_files_that_are_no_good(folder: Path) -> None:
    whole = (folder / "images/0.png").read_bytes()
    (folder / "images/0.png").write_bytes(whole[: len(whole) // 2])
    (folder / "masks/0.png").write_text("not a picture")
    instance_map((10, 10)).save(folder / "masks/1.png")
    PIL.Image.new("L", SIZE[::-1]).save(folder / "masks/2.png")
    PIL.Image.fromarray(np.full(SIZE, 4000, np.uint16)).save(folder / "images/2.png")
    found = [str(problem) for problem in check_folder(folder)]
    assert "line 1: 'images/0.png' cannot be read" in found[0] and "'masks/0.png', cannot be read" in found[1]
    assert "line 2" in found[2] and "has 10 x 10 pixels, the image 32 x 24" in found[2]
    assert "more than 8 bits" in found[3] and "line 3: the mask" in found[4] and "is empty" in found[4]
    assert len(found) == 5


def test_a_jpeg_mask_is_told_of(folder: Path) -> None:
    instance_map().save(folder / "masks/0.png", format="JPEG")
    assert "JPEG" in str(check_folder(folder)[0])


def test_broken_lines_do_not_hide_the_others(folder: Path) -> None:
    lines = (folder / "metadata.jsonl").read_text().splitlines()
    (folder / "metadata.jsonl").write_text("\n".join(["{", *lines, "[]", lines[0].replace("case 0", "case 9")[:-1]]))
    assert [str(p).split(":")[0] for p in check_folder(folder)] == [f"metadata.jsonl, line {n}" for n in (1, 5, 6)]


def test_parquet_rows_are_named(tmp_path: Path) -> None:
    shards = write_parquet(tmp_path / "shards", [row(0), row(1, modality="xray"), row(2, patient="p0")])
    found = [str(p) for p in check_folder(shards)]
    assert found[0].startswith("train.parquet, row 2: unknown modality 'xray'")
    assert found[1].startswith("val.parquet, row 1: patient 'p0' is in val here and in train at train.parquet, row 1")
    (shards / "val.parquet").write_bytes(b"PAR1 cut")
    assert "val.parquet: not a whole parquet file" in str(check_folder(shards)[-1])


def test_a_turned_photograph_is_measured_as_shown(folder: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    picture(0).rotate(90, expand=True).save(folder / "images/0.png", exif=exif)
    assert read_records(folder)[0].image.shape[:2] == SIZE
    assert check_folder(folder) == []


def test_box_problem() -> None:
    assert box_problem([0, 0, 32, 24], SIZE) is None and box_problem([0, 0, 33, 24], SIZE)
    assert box_problem([0, 0, 1e6, 5], None) is None
    assert "fractions" in (box_problem([0, 0, 1, 1], SIZE) or "") and box_problem([0, 0, 1, 2], SIZE) is None


# The contact sheet


def test_contact_sheet(tmp_path: Path, folder: Path) -> None:
    (folder / "images/1.png").write_text("not a picture")
    contact_sheet(folder, tmp_path / "sheet.png")
    with PIL.Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (3 * 264, 300)
    with pytest.raises(RecordError, match="cannot be written"):
        contact_sheet(folder, tmp_path / "missing" / "sheet.png")


def test_contact_sheet_of_many_is_a_choice(tmp_path: Path) -> None:
    rows = [row(n % 3, id=str(n)) for n in range(100)]
    contact_sheet(write_folder(tmp_path / "own", rows), tmp_path / "sheet.png")
    with PIL.Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (6 * 264, 8 * 300)
