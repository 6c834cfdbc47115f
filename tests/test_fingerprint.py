"""What a result depends on: the digits change with every byte that a model or its rules are made of, and with nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from medvlm.errors import ModelError
from medvlm.model.fingerprint import fingerprint
from medvlm.model.loading import EMBEDDED, model_folder, shown_name

FILES = [
    *("heads.safetensors", "config.json", "policy.json", "adapter/adapter_model.safetensors"),
    *("reader.json", "reader.safetensors"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = tmp_path / "model"
    (model / "adapter").mkdir(parents=True)
    for name in FILES:
        (model / name).write_text(name)
    return model


@pytest.fixture
def package(tmp_path: Path) -> Path:
    sources = tmp_path / "package"
    (sources / "vocabulary").mkdir(parents=True)
    (sources / "weights").mkdir()
    for name in ("assistant.py", "vocabulary/labels.csv", "vocabulary/answers.yaml", "weights/training.yaml"):
        (sources / name).write_text(name)
    return sources


def test_sixteen_digits_that_do_not_depend_on_the_place(folder: Path, package: Path, tmp_path: Path) -> None:
    digits = fingerprint(folder, package)
    assert len(digits) == 16 and int(digits, 16) >= 0
    assert fingerprint(folder, package) == digits
    moved = shutil.copytree(folder, tmp_path / "elsewhere"), shutil.copytree(package, tmp_path / "sources")
    assert fingerprint(*moved) == digits


@pytest.mark.parametrize("name", FILES)
def test_every_file_of_a_model_counts(folder: Path, package: Path, name: str) -> None:
    before = fingerprint(folder, package)
    whole = (folder / name).read_text()
    (folder / name).write_text(whole[:-1] + "x")
    changed = fingerprint(folder, package)
    (folder / name).unlink()
    assert len({before, changed, fingerprint(folder, package)}) == 3


@pytest.mark.parametrize("name", ["assistant.py", "vocabulary/labels.csv", "vocabulary/answers.yaml"])
def test_every_source_counts(folder: Path, package: Path, name: str) -> None:
    before = fingerprint(folder, package)
    (package / name).write_text("x")
    changed = fingerprint(folder, package)
    (package / name).rename((package / name).with_stem("renamed"))
    assert len({before, changed, fingerprint(folder, package)}) == 3


def test_what_no_model_reads_does_not_count(folder: Path, package: Path) -> None:
    before = fingerprint(folder, package)
    (folder / "README.md").write_text("a card")
    (folder / "training.yaml").write_text("a recipe")
    (folder / "training.json").write_text("a record")
    (folder / "checkpoint-10").mkdir()
    (folder / "checkpoint-10" / "heads.safetensors").write_text("on the way")
    (package / "weights" / "training.yaml").write_text("x")
    (package / "vocabulary" / "notes.txt").write_text("x")
    assert fingerprint(folder, package) == before


def test_the_shipped_model_has_one() -> None:
    assert len(fingerprint(model_folder("nano"))) == 16


def test_a_models_folder_is_found_as_load_finds_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert model_folder(str(folder)) == folder and model_folder("nano") == EMBEDDED["nano"]
    monkeypatch.delenv("MEDVLM_MODEL", raising=False)
    assert model_folder() == EMBEDDED["nano"]
    monkeypatch.setenv("MEDVLM_MODEL", str(folder))
    assert model_folder() == folder
    with pytest.raises(ModelError, match="nano or a folder"):
        model_folder(str(folder / "adapter"))


def test_a_model_is_called_by_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown_name(tmp_path / "nano_x" / "model") == "nano_x" and shown_name(tmp_path / "mine") == "mine"
    assert shown_name(EMBEDDED["nano"]) == "nano"
    (tmp_path / "nano_x" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "nano_x" / "model")
    assert shown_name(Path(".")) == "nano_x" and shown_name(Path("../model")) == "nano_x"
    monkeypatch.chdir(tmp_path / "nano_x")
    assert shown_name(Path("model")) == "nano_x"
