"""The language model that a package carries: converted once into the cache, whoever asks."""

import json
import threading
import time

import pytest

from medvlm.errors import ModelError
from medvlm.model import language


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
