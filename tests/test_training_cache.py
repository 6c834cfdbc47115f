"""Decoded images: what is kept, and what happens to files that are cut off, old, missing or broken."""

import json
import pickle

import numpy as np
import pytest

from medvlm.errors import RecordError, RequestError
from medvlm.records import read_records
from training import cache
from training.cache import INDEX, open_cache, shrink
from training.config import Recipe

from .tiny import write_squares


@pytest.fixture
def recipe(tmp_path) -> Recipe:
    write_squares(tmp_path / "sets" / "one", count=20, side=96)
    write_squares(tmp_path / "sets" / "two", count=3)
    return Recipe(data=[str(tmp_path / "sets")], cache=str(tmp_path / "cache"), cache_side=80, workers=0)


def same_images(a, b) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(x.image, y.image) and x.maps == y.maps and all((x.boxes[k] == y.boxes[k]).all() for k in x.boxes)
        for x, y in ((a[i], b[i]) for i in range(len(a)))
    )


def test_what_is_decoded_is_what_the_files_hold(recipe, tmp_path):
    found = open_cache(recipe)
    records = [r for name in ("one", "two") for r in read_records(tmp_path / "sets" / name, "train")]
    assert [r.key for r in found.records] == [r.key for r in records] and len(found) == 23
    for i, record in enumerate(records):
        kept, fresh = found[i], shrink(record, 80)
        assert np.array_equal(kept.image, fresh.image) and max(kept.image.shape) == (80 if record.set == "one" else 64)
        assert kept.maps == fresh.maps and kept.size == record.image.shape[:2]
        np.testing.assert_allclose(kept.boxes["left lung"], fresh.boxes["left lung"])
        assert found.records[i].qa == record.qa and found.records[i].absent == record.absent
        assert found.records[i].source == b"" and found.records[i].regions[0].boxes == record.regions[0].boxes


def test_it_is_decoded_once_by_any_number_of_processes(recipe, monkeypatch):
    recipe.workers = 2
    first = open_cache(recipe)
    monkeypatch.setattr(cache, "shrink", None)
    again = open_cache(recipe)
    assert same_images(first, again)
    assert same_images(first, pickle.loads(pickle.dumps(again)))
    assert len(pickle.dumps(again)) < 100_000  # a worker is not sent the pixels


@pytest.mark.parametrize("damage", ["pixels cut", "pixels gone", "index cut", "index of something else"])
def test_what_was_cut_off_is_decoded_again(recipe, tmp_path, capsys, damage):
    first = open_cache(recipe)
    whole = [first[i].image.copy() for i in range(len(first))]
    pixels, index = tmp_path / "cache" / "one-train.pixels", tmp_path / "cache" / f"one-train{INDEX}"
    if damage == "pixels cut":
        with pixels.open("r+b") as file:
            file.truncate(pixels.stat().st_size // 2)
    elif damage == "pixels gone":
        pixels.unlink()
    else:
        index.write_text(index.read_text()[:1000] if damage == "index cut" else "[]")
    capsys.readouterr()
    again = open_cache(recipe)
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and "one" in said[0] and "cut off: decoding them again" in said[0]
    assert all(np.array_equal(again[i].image, image) for i, image in enumerate(whole))


def test_other_files_another_size_and_other_code_are_decoded_again(recipe, tmp_path, capsys, monkeypatch):
    open_cache(recipe)
    capsys.readouterr()
    open_cache(recipe)
    assert capsys.readouterr().err == ""
    recipe.cache_side = 48
    assert max(open_cache(recipe)[0].image.shape) == 48
    assert capsys.readouterr().err.count("another side: decoding them again") == 2
    write_squares(tmp_path / "sets" / "two", count=4)
    assert len(open_cache(recipe)) == 24
    said = capsys.readouterr().err
    assert "two" in said and "another files" in said and "one" not in said
    other = tmp_path / "other.py"
    other.write_text("")
    monkeypatch.setattr(cache.readers, "__file__", str(other))
    open_cache(recipe)
    assert "another code" in capsys.readouterr().err
    labels = tmp_path / "labels.csv"
    monkeypatch.setattr(cache.vocabulary, "__file__", str(labels.with_name("__init__.py")))
    for text in ("name", "name,kind"):
        labels.write_text(text)
        open_cache(recipe)
        assert "another code" in capsys.readouterr().err


def test_a_kill_while_decoding_leaves_nothing_half(recipe, tmp_path, monkeypatch):
    open_cache(recipe)
    write_squares(tmp_path / "sets" / "two", count=5)
    real, seen = cache.shrink, []

    def killed(record, side):
        seen.append(record)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(record, side)

    monkeypatch.setattr(cache, "shrink", killed)
    with pytest.raises(KeyboardInterrupt):
        open_cache(recipe)
    assert sorted(p.name for p in (tmp_path / "cache").iterdir()) == [
        f"{name}-train{end}" for name in ("one", "two") for end in (INDEX, ".pixels")
    ]
    monkeypatch.setattr(cache, "shrink", real)
    assert len(open_cache(recipe)) == 25


def test_decoded_images_are_a_source_without_their_files(recipe, tmp_path):
    whole = open_cache(recipe)
    (tmp_path / "sets").rename(tmp_path / "away")
    recipe.data = [recipe.cache]
    assert same_images(whole, open_cache(recipe))
    recipe.leave_out = ["one"]
    assert {r.set for r in open_cache(recipe).records} == {"two"}
    recipe.data, recipe.leave_out = [recipe.cache, str(tmp_path / "away" / "two")], []
    assert same_images(whole, open_cache(recipe))
    pixels = tmp_path / "cache" / "one-train.pixels"
    pixels.write_bytes(pixels.read_bytes()[:-1])
    with pytest.raises(
        RequestError, match="^The decoded images of one are cut off: decode them again from their files.$"
    ):
        open_cache(recipe)


def test_bad_sources_are_said_in_one_sentence(recipe, tmp_path, capsys):
    overrides = [f"data=[{tmp_path / 'sets'}]", f"cache={tmp_path / 'cache'}", "workers=0"]
    path = tmp_path / "recipe.yaml"
    path.write_text("limit: 2\n")
    assert cache.main(["--config", str(path), *overrides]) == 0
    assert json.loads(capsys.readouterr().out) == {"cache": str(tmp_path / "cache"), "sets": 2, "images": 4}
    assert cache.main(["--config", str(path), f"data=[{tmp_path / 'nowhere'}]"]) == 2
    assert "'nowhere'" in capsys.readouterr().err
    for change, words in (
        ({"leave_out": ["three"]}, "leave_out names three"),
        ({"data": [*recipe.data, str(tmp_path / "sets" / "one")]}, "one name"),
        ({"leave_out": ["one", "two"]}, "nothing to learn from"),
        ({"data": []}, "nothing to learn from"),
    ):
        with pytest.raises(RequestError, match=words):
            open_cache(Recipe(**vars(recipe) | change))
    (tmp_path / "full").write_text("a file where the folder should be")
    with pytest.raises(RequestError, match="cannot be written to 'full'"):
        open_cache(Recipe(**vars(recipe) | {"cache": str(tmp_path / "full")}))
    image = tmp_path / "sets" / "two" / "images" / "train1.png"
    image.write_bytes(image.read_bytes()[:60])
    with pytest.raises(
        RecordError, match="^two: the image or a mask of train record 2 cannot be read; `medvlm data check`"
    ):
        open_cache(recipe)
