"""That the guard of tests/conftest.py sees what leaves this machine, in this process and in others."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys

import pytest

from . import conftest
from .guard import network

FAR = "192.0.2.1"  # documentation's own network, which nobody has


@pytest.fixture
def noted():
    """What the guard has noted, which would fail the test otherwise."""

    def take() -> str:
        said = conftest._asked.read_text("utf-8")
        conftest._asked.unlink()
        return said

    return take


def refusals():
    yield lambda: socket.create_connection((FAR, 80), 1)
    yield lambda: socket.socket().connect_ex((FAR, 80))
    yield lambda: socket.socket(socket.AF_INET6).connect(("2001:db8::1", 80))
    yield lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (FAR, 53))
    yield lambda: socket.getaddrinfo("page.example.org", 443)
    yield lambda: socket.gethostbyname("page.example.org")
    yield lambda: asyncio.run(asyncio.open_connection(FAR, 80))


@pytest.mark.parametrize("reach", refusals())
def test_what_leaves_this_machine_is_refused_and_noted(reach, noted):
    with pytest.raises(OSError, match="nothing but this machine"):
        reach()
    assert FAR in (said := noted()) or "example.org" in said or "2001:db8" in said


def test_other_processes_are_guarded_too(noted):
    code = f"import socket; socket.create_connection(({FAR!r}, 80), 1)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 1 and "nothing but this machine" in ended.stderr
    assert FAR in noted()


def test_this_machine_is_reached(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        for name in ("127.0.0.1", "localhost"):
            socket.create_connection((name, server.getsockname()[1]), 5).close()
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "s"))
        server.listen()
        client.connect(str(tmp_path / "s"))
    assert network.is_here("::1") and network.is_here(b"127.0.0.2") and network.is_here("rebound.localhost")
    assert not network.is_here("127.0.0.1.example.org") and not network.is_here(FAR)


def test_onnx_runtime_tells_its_makers_nothing(tmp_path):
    """What it sends goes past Python's sockets; where it would, it keeps a number for this machine in the user's cache."""
    pytest.importorskip("onnxruntime")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("CI", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY")
    }
    there = {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    code = "import medvlm, onnxruntime; onnxruntime.SessionOptions()"
    subprocess.run([sys.executable, "-B", "-c", code], env=kept | there, check=True, timeout=120)
    assert not list(tmp_path.rglob("*"))
