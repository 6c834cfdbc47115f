"""The batch over a fake model: order, grouping, errors and resumption."""

import json

import numpy as np
import PIL.Image
import pytest

from medvlm.batch import run_batch
from medvlm.errors import RequestError
from medvlm.types import encode_mask
from medvlm.validation import check_rle

from .fakes import FakeAssistant, fake_study, square


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
