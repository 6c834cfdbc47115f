"""Who may come in: the password file, the command that writes it, headers of proxies, and when a login is asked for."""

from __future__ import annotations

import io
import json

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
pytest.importorskip("argon2", reason="argon2-cffi is not installed: pip install -e '.[serving]'")
from argon2 import PasswordHasher
from starlette.datastructures import Headers

from medvlm.cli import main
from medvlm.errors import RequestError
from serving.access.accounts import Accounts, Proxies, TrustedHeader, check_name, password_line
from serving.access.entrance import ANYBODY, Way
from serving.server import check_way

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "passwords"
    path.write_text(f"# ours\n\nalice:{QUICK.hash('correct horse')}\nbob@ward:{QUICK.hash('battery staple')}\n")
    return path


def test_right_and_wrong_passwords(file):
    accounts = Accounts.read(file)
    assert accounts.check("alice", "correct horse") and accounts.check("bob@ward", "battery staple")
    for name, password in [("alice", "battery staple"), ("carol", "correct horse"), ("", ""), ("alice", "x" * 10**6)]:
        assert not accounts.check(name, password)


def test_an_unknown_name_is_checked_as_long_as_a_known_one(file, monkeypatch):
    accounts, checked = Accounts.read(file), []
    verify = accounts._hasher.verify
    monkeypatch.setattr(
        accounts, "_hasher", type("Seen", (), {"verify": lambda _, h, p: checked.append(h) or verify(h, p)})()
    )
    accounts.check("alice", "wrong"), accounts.check("nobody", "wrong")
    assert len(checked) == 2 and checked[0].rpartition("$")[0].count("m=8") == checked[1].count("m=8") == 1


def test_what_was_right_is_remembered_for_that_password_alone(file):
    accounts = Accounts.read(file)
    accounts.remember("alice", "correct horse")
    assert accounts.remembers("alice", "correct horse")
    assert not accounts.remembers("alice", "other") and not accounts.remembers("bob@ward", "correct horse")
    assert "correct horse" not in repr(accounts._known)


@pytest.mark.parametrize("text", ["", "alice", "alice:secret", "a b:$argon2id$", ":x", "\n\n"])
def test_a_file_that_is_none_gets_a_sentence(tmp_path, text):
    path = tmp_path / "passwords"
    path.write_text(text)
    with pytest.raises(RequestError, match="medvlm password NAME"):
        Accounts.read(path)
    with pytest.raises(RequestError, match="cannot be read"):
        Accounts.read(tmp_path / "nowhere")


def test_a_name_twice_is_refused_and_no_hash_is_quoted(file):
    file.write_text(file.read_text() + "alice:" + QUICK.hash("another one"))
    with pytest.raises(RequestError, match="Line 5") as refused:
        Accounts.read(file)
    assert "argon2id" not in str(refused.value)


def test_the_command_prints_a_line_that_is_read(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("a long password\n"))
    assert main(["password", "alice", "--json"]) == 0
    line = json.loads(capsys.readouterr().out)["line"]
    (tmp_path / "passwords").write_text(line)
    assert Accounts.read(tmp_path / "passwords").check("alice", "a long password")
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert main(["password", "alice"]) == 2
    assert main(["password", "al ice"]) == 2
    for wrong in ("", "a:b", "-a", "x" * 65, "a\nb"):
        with pytest.raises(RequestError):
            check_name(wrong)
    assert password_line("a", "x" * 10).startswith("a:$argon2id$")


def test_a_header_is_believed_of_the_proxy_alone():
    header = TrustedHeader("X-Remote-User", Proxies(["10.0.0.2", "fd00::/64"]))
    said = Headers({"x-remote-user": "alice"})
    assert header.account(said, "10.0.0.2") == header.account(said, "fd00::7") == "alice"
    for peer in ("10.0.0.3", "127.0.0.1", "", "10.0.0.2, 1.1.1.1"):
        assert header.account(said, peer) is None
    two = Headers(raw=[(b"x-remote-user", b"alice"), (b"x-remote-user", b"bob")])
    for wrong in (two, Headers({}), Headers({"x-remote-user": ""}), Headers({"x-remote-user": "alice session 1"})):
        assert header.account(wrong, "10.0.0.2") is None
    for name, addresses in (("X Y", ["10.0.0.2"]), ("X-Remote-User", []), ("X-Remote-User", ["page.example.org"])):
        with pytest.raises(RequestError):
            TrustedHeader(name, Proxies(addresses))


def test_only_loopback_goes_without_a_login(file):
    for host in ("127.0.0.1", "localhost", "::1", "[::1]"):
        check_way(ANYBODY, host, [])
    way = Way(Accounts.read(file))
    for host, allowed in (
        ("0.0.0.0", []),
        ("::", []),
        ("10.0.0.1", []),
        ("scanner.lan", []),
        ("127.0.0.1", ["a.example"]),
    ):
        with pytest.raises(RequestError, match="--passwords FILE"):
            check_way(ANYBODY, host, allowed)
        check_way(way, host, allowed)


def test_serving_to_others_without_a_login_does_not_start(file, capsys):
    assert main(["serve", "--host", "0.0.0.0", "--port", "0"]) == 2
    assert "it needs a login" in capsys.readouterr().err
    assert main(["serve", "--passwords", str(file), "--trust-header", "X-User", "--from", "10.0.0.2"]) == 2
    assert main(["serve", "--trust-header", "X-User"]) == 2
    assert "--from ADDRESS" in capsys.readouterr().err
    assert main(["serve", "--idle", "0"]) == 2
