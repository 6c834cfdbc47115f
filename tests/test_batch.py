"""The batch over a fake model: order, grouping, errors and resumption."""

import json

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medvlm.batch import run_batch
from medvlm.errors import RequestError
from medvlm.types import Answer, Region, encode_mask, mask_box
from medvlm.validation import check_rle

from .fakes import FakeAssistant, fake_study, square
from .studies import write_series


@pytest.fixture
def files(tmp_path):
    for name in "ab":
        PIL.Image.fromarray(square()).save(tmp_path / f"{name}.png")
    return tmp_path / "requests.jsonl", tmp_path / "responses.jsonl"


def write(path, rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def answer(n, image="a.png", question="Is it bright?"):
    return {"id": n, "image": image, "task": "answer", "question": question}


def run(files, assistant=None):
    return run_batch(assistant or FakeAssistant(), *files, load=fake_study, progress=False)


def test_every_task(files):
    scribble = np.zeros((64, 64), bool)
    scribble[3:5, 10:20] = True
    base = {"image": "a.png"}
    write(
        files[0],
        [
            answer("q"),
            {"id": "several", **base, "image": ["a.png", "b.png"], "task": "answer", "question": "Bright?"},
            {"id": "c", **base, "task": "choose", "question": "Which?", "options": ["yes", "no"]},
            {"id": "g", **base, "task": "ground", "phrase": "polyp"},
            {"id": "none", **base, "task": "ground", "phrase": "absent thing"},
            {"id": "box", **base, "task": "segment", "box": [1, 2, 30, 40]},
            {"id": "points", **base, "task": "segment", "points": [[5, 6, 1], [9, 9, 0]]},
            {"id": "scribble", **base, "task": "segment", "scribble": encode_mask(scribble)},
            {"id": "r", **base, "task": "report"},
        ],
    )
    assert run(files) == {"answered": 9, "failed": 0, "skipped": 0}
    got = {row["id"]: row for row in read(files[1])}
    assert got["q"]["text"] == got["several"]["text"] == "yes"
    assert got["c"]["scores"] == {"yes": 0.7, "no": 0.3}
    assert got["g"]["presence"] == 0.9 and got["g"]["regions"][0]["label"] == "polyp"
    assert got["none"]["regions"] == [] and got["none"]["presence"] == 0.1
    assert got["box"]["regions"][0]["box"] == [1, 2, 30, 40]
    assert got["points"]["regions"][0]["box"] == [5, 6, 6, 7]
    assert got["scribble"]["regions"][0]["box"] == [10, 3, 20, 5]
    assert got["r"]["sections"]


def test_bad_requests_never_stop_the_rest(files):
    base = {"image": "a.png"}
    (files[0].parent / "broken.png").write_text("no picture")
    write(
        files[0],
        [
            answer(0),
            '{"id": 1, "image": "a.png", "task"',
            "[1, 2]",
            {"image": "a.png", "task": "report"},
            {"id": 4, "task": "report"},
            {"id": 5, **base, "task": "dance"},
            answer(6, question=""),
            answer(7, question="x" * 20_000),
            {"id": 8, **base, "task": "ground", "phrase": "опухоль"},
            {"id": 9, **base, "task": "segment", "box": [50, 50, 80, 60]},
            {"id": 10, **base, "task": "segment"},
            {"id": 11, **base, "task": "segment", "scribble": {"size": [64, 64], "counts": "zzzz"}},
            answer(12, image="broken.png"),
            answer(13, image="missing.png"),
            answer(14, question="explode"),
            {"id": 15, **base, "task": "choose", "question": "Which?", "options": ["one"]},
            answer(0),
            answer(17, question={"a": 1}),
            "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
            "",
            answer(20),
            {"id": 21, **base, "task": "segment", "box": [0.5, 0.1, 0.9, 0.6]},
            {"id": 22, **base, "task": "ground", "phrase": "no polyp"},
            answer(23, question="¿Hay derrame pleural?"),
        ],
    )
    assert run(files) == {"answered": 2, "failed": 21, "skipped": 0}
    rows = read(files[1])
    got = {row["id"]: row for row in rows if row["id"] is not None}
    assert got[0]["text"] == got[20]["text"] == "yes"
    assert set(got) == {0, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 20, 21, 22, 23}
    told = {i: got[i]["error"]["message"] for i in (21, 22, 23)}
    assert "fractions of the image" in told[21] and "not what is missing" in told[22] and "in English" in told[23]
    assert got[14]["error"]["type"] == "InternalError" and "boom" not in got[14]["error"]["message"]
    assert all(row["error"]["message"].endswith(".") for row in rows if "error" in row)
    assert got[12]["error"]["type"] == "StudyError"
    assert [r["error"]["message"].split()[1] for r in rows if r["id"] is None] == ["2", "3", "4", "17:", "19"]


def turn(question="Is it bright?", **more):
    return {"question": question, "answer": {**Answer("yes", 0.8).to_json(), **more}}


def test_follow_ups_and_drawn_regions_are_asked_one_by_one(files):
    write(
        files[0],
        [
            {**answer("first"), "history": []},
            {**answer("next", question="Where?"), "history": [turn(), turn("Bright at all?")]},
            {**answer("box", question="What is this?"), "box": [10, 10, 20, 30]},
            {**answer("points", question="What is this?"), "points": [[12, 13, 1]]},
            {**answer("both", question="And this?"), "history": [turn()], "box": [10, 10, 30, 30]},
        ],
    )
    assistant = FakeAssistant()
    assert run(files, assistant)["answered"] == 5
    got = {row["id"]: row["detail"] for row in read(files[1])}
    assert got == {
        "first": "",
        "next": "After 'Bright at all?' and 1 more.",
        "box": "Over a box of 10 px.",
        "points": "Over a box of 1 px.",
        "both": "After 'Is it bright?' and 0 more. Over a box of 20 px.",
    }
    assert assistant.calls.count("ask_many 1") == 5


def test_bad_histories_and_regions_are_refused(files):
    region = shown().to_json()
    bad = {
        "text": {"history": "before"},
        "turns": {"history": ["before"]},
        "question": {"history": [turn(question="")]},
        "answer": {"history": [{"question": "Bright?"}]},
        "regions": {"history": [turn(regions=[{**region, "box": [1, 2]}])]},
        "prompts": {"box": [1, 1, 9, 9], "points": [[1, 1, 1]]},
        "outside": {"box": [50, 50, 80, 60]},
        "point": {"points": [[64, 1, 1]]},
    }
    write(files[0], [answer("good"), *({**answer(name), **body} for name, body in bad.items())])
    assert run(files) == {"answered": 1, "failed": 8, "skipped": 0}
    errors = {row["id"]: row["error"] for row in read(files[1]) if "error" in row}
    assert errors.keys() == bad.keys() and {error["type"] for error in errors.values()} == {"RequestError"}
    assert "The history is a list" in errors["turns"]["message"] and "leaves the image" in errors["outside"]["message"]


# Answers and regions that come back


def shown(mask=True):
    there = np.zeros((64, 64), bool)
    there[3:7, 5:20] = True
    return Region("polyp", 0, mask_box(there), there if mask else None, 0.75, 1, phrase="growth")


def test_an_answer_comes_back_as_it_was_sent():
    answer = Answer(
        *("yes", 0.8, [shown(), shown(mask=False)], "present(polyp) → yes", "One polyp."),
        abstained=True, reason="why", model="nano", seconds=1.5, scores={"yes": 0.7, "no": 0.3}, scope="1 of 2", notices=["n"],
    )  # fmt: skip
    back = Answer.from_json(json.loads(json.dumps(answer.to_json())))
    assert back.to_json() == answer.to_json()
    assert (back.regions[0].mask == answer.regions[0].mask).all() and back.regions[0].box == (5.0, 3.0, 20.0, 7.0)
    assert Answer.from_json({"text": "yes"}).to_json() == Answer("yes", 0.0).to_json()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text": None}, "text of an answer must be text"),
        ({"text": 5}, "text of an answer must be text"),
        ({"confidence": "high"}, "confidence of an answer must be a number"),
        ({"confidence": True}, "confidence of an answer must be a number"),
        ({"confidence": float("nan")}, "confidence of an answer must be a number"),
        ({"confidence": 1.5}, "0..1"),
        ({"thoughts": ["a"]}, "thoughts of an answer must be text"),
        ({"abstained": "no"}, "abstained of an answer must be true or false"),
        ({"notices": [1]}, "notices"),
        ({"scores": [1]}, "must be an object"),
        ({"scores": {"yes": "much"}}, "must be a number"),
        ({"regions": {}}, "regions of an answer must be a list"),
        ({"regions": [5]}, "A region must be an object"),
    ],
)
def test_a_bad_answer_is_refused_in_one_sentence(change, words):
    with pytest.raises(RequestError, match=words) as error:
        Answer.from_json({**Answer("yes", 0.8).to_json(), **change})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": None}, "label of a region must be text"),
        ({"image": -1}, "count from 0"),
        ({"image": 1.5}, "image of a region must be a number"),
        ({"score": 2}, "0..1"),
        ({"box": None}, "box of a region must be a list"),
        ({"box": [1, 2, 3]}, "four numbers"),
        ({"box": [9, 9, 5, 5]}, "exchanged"),
        ({"mask": "rle"}, "must be an object"),
        ({"mask": {"size": [64], "counts": "a"}}, "two whole numbers"),
        ({"mask": {"size": [10**6, 10**6], "counts": "a"}}, "two whole numbers"),
        ({"mask": {"size": [64, 64], "counts": "zzzz"}}, "run-length code"),
    ],
)
def test_a_bad_region_is_refused_in_one_sentence(change, words):
    with pytest.raises(RequestError, match=words):
        Region.from_json({**shown().to_json(), **change})
    for nothing in (None, [], "region"):
        with pytest.raises(RequestError, match="must be an object"):
            Region.from_json(nothing)


def test_one_image_is_loaded_once_and_asked_together(files):
    loaded, assistant = [], FakeAssistant()

    def load(paths):
        loaded.append(paths)
        return fake_study(paths)

    write(files[0], [answer(i, "ab"[i % 2] + ".png") for i in range(40)])
    run_batch(assistant, *files, load=load, progress=False)
    assert len(loaded) == 2
    assert assistant.calls == ["ask_many 40"]


def test_a_sorted_file_keeps_its_order(files):
    write(files[0], [answer(i, "ab"[i // 100] + ".png") for i in range(200)])
    run(files)
    assert [row["id"] for row in read(files[1])] == list(range(200))


def test_a_stopped_batch_goes_on(files):
    write(files[0], [*[answer(i) for i in range(5)], "broken", answer("five")])
    run(files)
    text = files[1].read_text()
    lines = text.splitlines(keepends=True)
    files[1].write_text("".join(lines[:3]) + lines[3][:15])  # killed while it wrote
    assistant = FakeAssistant()
    assert run(files, assistant)["skipped"] == 3
    assert sorted(files[1].read_text().splitlines()) == sorted(text.splitlines())
    assert run(files, assistant) == {"answered": 0, "failed": 0, "skipped": 7}
    assert len(assistant.calls) == 1


# Tables and folders


def as_table(folder, rows, name="requests.parquet", **columns):
    keys = dict.fromkeys(key for row in rows for key in row)
    columns = {key: [row.get(key) for row in rows] for key in keys} | columns
    pq.write_table(pa.table(columns), folder / name)
    return folder / name


ASKED = [
    answer(1),
    {"id": 2, "image": "a.png", "task": "segment", "points": [[5, 6, 1]]},
    {"id": 3, "image": "b.png", "task": "choose", "question": "Which?", "options": ["one", "two"]},
    {"id": 1, "image": "a.png", "task": "report"},
]


def test_a_table_asks_what_lines_ask(files):
    write(files[0], ASKED)
    run(files)
    table = as_table(files[0].parent, ASKED, mine=["kept", "out", "of", "it"])
    assert run((table, files[1].with_name("other.jsonl"))) == {"answered": 3, "failed": 1, "skipped": 0}
    assert read(files[1].with_name("other.jsonl")) == read(files[1])


def test_a_folder_of_tables_is_one_table(files, tmp_path):
    (tmp_path / "tables").mkdir()
    PIL.Image.fromarray(square()).save(tmp_path / "tables" / "a.png")
    for at in (0, 1):
        as_table(tmp_path / "tables", [answer(str(at)), answer("again")], f"{at}.parquet")
    run((tmp_path / "tables", files[1]))
    assert [(row["id"], "error" in row) for row in read(files[1])] == [
        ("0", False), ("again", False), ("1", False), (None, True),
    ]  # fmt: skip


def test_an_entry_of_a_folder_is_a_study_to_report_on(files, tmp_path):
    archive = tmp_path / "archive"
    for name in ("first", "second"):
        (archive / name).mkdir(parents=True)
        write_series(archive / name / "series", 2)
    (archive / ".hidden").touch()
    (archive / "third.txt").write_text("no study")
    assert run_batch(FakeAssistant(), archive, files[1], progress=False) == {"answered": 2, "failed": 1, "skipped": 0}
    got = {row["id"]: row for row in read(files[1])}
    assert got["first"]["sections"] and got["second"]["sections"] and got["third.txt"]["error"]["type"] == "StudyError"


def test_unusable_tables_and_folders(files, tmp_path):
    table = as_table(tmp_path, [{"id": 1, "task": "report", "path": "a.png"}])
    with pytest.raises(RequestError, match="requests.parquet has no column 'image'; it needs id, image, task"):
        run((table, files[1]))
    table.write_text("no table")
    with pytest.raises(RequestError, match="no parquet file that can be read"):
        run((table, files[1]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match="is empty"):
        run((tmp_path / "empty", files[1]))


def test_unusable_files(files):
    with pytest.raises(RequestError, match="overwrite"):
        run((files[0], files[0]))
    with pytest.raises(RequestError, match="No such file"):
        run((files[0], files[1]))
    write(files[0], [answer(1)])
    with pytest.raises(RequestError):
        run((files[0], files[1].parent / "missing" / "out.jsonl"))


def test_run_length_codes_are_read_with_care():
    rng = np.random.default_rng(0)
    for density in (0.0, 0.02, 0.5, 1.0):
        mask = rng.random((37, 53)) < density
        assert (check_rle(encode_mask(mask), (37, 53)) == mask).all()
    good = encode_mask(rng.random((37, 53)) < 0.5)
    for bad in (
        None, [], {}, {"size": [37, 53]}, {**good, "size": [53, 37]}, {**good, "counts": ""}, {**good, "counts": None},
        {**good, "counts": good["counts"][:-2]}, {**good, "counts": good["counts"] * 2}, {**good, "counts": "é\x00"},
        {**good, "counts": "o" * 1000},
    ):  # fmt: skip
        with pytest.raises(RequestError):
            check_rle(bad, (37, 53))
