"""Which language model reads, phrases and is sent images: nothing is contacted unless it is named."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from medvlm.cli import main
from medvlm.conversation.backends import make_reader
from medvlm.conversation.grammar import parse
from medvlm.conversation.server_reader import ServerReader

from .language_models import NANO, tiny_folder


def test_nothing_is_contacted_unless_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*args: Any) -> None:
        raise AssertionError("contacted")

    folder = tiny_folder(tmp_path)
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    assert make_reader(None, NANO).read("Is there a polyp?").calls == parse("present(polyp)")
    make_reader(str(folder), NANO).read("Is there a polyp?")
    assert isinstance(make_reader("http://127.0.0.1:9/v1", NANO), ServerReader)  # which asks only when it is asked


def test_a_command_says_what_is_wrong_with_the_language(tmp_path: Path, capsys) -> None:
    for language in ("ftp://127.0.0.1", str(tmp_path)):
        assert main(["bench", "--language", language]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("medvlm: ") and "http://127.0.0.1:8080/v1" in err and err.count("\n") == 1


def test_the_page_gets_the_language(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = pytest.importorskip("serving.supervisor", reason="the page's packages are not installed")
    seen: dict[str, Any] = {}
    monkeypatch.setattr(supervisor, "supervise", lambda serve, **given: seen.update(given))
    assert main(["serve", "--language", "http://127.0.0.1:8080/v1"]) == 0
    assert seen["language"] == "http://127.0.0.1:8080/v1"
