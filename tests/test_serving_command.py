"""`medvlm serve`: which names it hands to the page."""

from __future__ import annotations

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")

import serving.supervisor
from medvlm.cli import main


def test_allowed_names_reach_the_page(monkeypatch):
    seen = {}
    monkeypatch.setattr(serving.supervisor, "supervise", lambda _, **given: seen.update(given))
    assert main(["serve", "--host", "0.0.0.0", "--allow-host", "a.example", "--allow-host", "192.168.1.5"]) == 0
    assert (seen["host"], seen["allowed"]) == ("0.0.0.0", ["a.example", "192.168.1.5"])
    assert main(["serve"]) == 0
    assert seen["allowed"] == []


def test_what_is_no_name_gets_a_sentence(capsys):
    assert main(["serve", "--port", "0", "--allow-host", "http://a.example"]) == 2
    assert "is not a host's name" in capsys.readouterr().err
