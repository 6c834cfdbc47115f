"""A tensor file that changed after it was written is named when a model is loaded, and whoever writes one writes its sum."""

import shutil
import subprocess
from pathlib import Path

import pytest

from medvlm.conversation.reader import NanoReader
from medvlm.errors import ModelError
from medvlm.model.loading import EMBEDDED, load, save_compact
from medvlm.model.sums import FILE, check_sums, write_sums

from .tiny import tiny_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model, _ = tiny_model(tmp_path / "language")
    save_compact(model, tmp_path / "model")
    return tmp_path / "model"


def flip(path: Path) -> None:
    """Change one bit in the middle of a file, which stays one that can be read."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_the_shipped_files_are_those_that_the_sums_were_written_for() -> None:
    check_sums(EMBEDDED["nano"])
    if tool := shutil.which("sha256sum"):
        subprocess.run([tool, "--check", "--quiet", FILE], cwd=EMBEDDED["nano"], check=True)


@pytest.mark.parametrize("name", ["heads.safetensors", "reader.safetensors", "adapter/adapter_model.safetensors"])
def test_a_changed_or_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes((folder / "heads.safetensors").read_bytes())
    write_sums(folder)
    check_sums(folder)
    flip(folder / name)
    with pytest.raises(ModelError, match=f"'model' cannot be read: {name} is missing or not as .* has it. Install"):
        load(str(folder))
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name):
        check_sums(folder)


def test_a_folder_without_sums_is_read_as_before(folder: Path) -> None:
    (folder / FILE).unlink()
    flip(folder / "heads.safetensors")
    assert load(str(folder))


def test_a_reader_that_is_saved_anew_goes_with_its_new_sum(folder: Path, tmp_path: Path) -> None:
    reader = NanoReader.load(EMBEDDED["nano"])
    reader.save(folder)
    check_sums(folder)
    flip(folder / "reader.safetensors")
    with pytest.raises(ModelError, match=r"reader\.safetensors"):
        NanoReader.load(folder)
