"""The folder of uploads goes with its server, however that ends. Real processes, over the fake assistant."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")

from serving.folder import PREFIX, private_folder

ROOT = Path(__file__).parent.parent
START = "from serving.server import run; from tests.fakes import FakeAssistant; run(FakeAssistant, '127.0.0.1', {})"
UPLOAD = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.dcm"\r\n\r\nsecret\r\n--b--\r\n'
PATIENCE = 120  # seconds; a training may run beside the tests


@pytest.fixture
def start(tmp_path):
    """Starts a server that puts temporary files into `tmp_path` and holds one upload; gives its process and port."""
    running = []

    def new() -> subprocess.Popen:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        process = subprocess.Popen([sys.executable, "-c", START.format(port)], cwd=ROOT, env=environment)
        running.append(process)
        upload(port)
        return process

    yield new
    for process in running:
        process.kill()
        process.wait()


def upload(port: int) -> None:
    headers = {"x-medvlm": "1", "content-type": "multipart/form-data; boundary=b"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/uploads", UPLOAD, headers)
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE):
                return
        except OSError:
            assert time.monotonic() < end, "the server did not come up"
            time.sleep(0.2)


def inboxes(place: Path) -> set[Path]:
    """Folders that hold an upload."""
    return {file.relative_to(place).parts[0] for file in place.rglob("a.dcm")}


def test_a_stopped_server_leaves_nothing(start, tmp_path):
    process = start()
    assert len(inboxes(tmp_path)) == 1
    stop(process, tmp_path, signal.SIGINT)


def test_what_a_killed_server_left_is_swept_by_the_next(start, tmp_path):
    killed = start()
    left = inboxes(tmp_path)
    killed.kill()
    killed.wait()
    assert inboxes(tmp_path) == left  # so there is something to sweep
    process = start()
    first = inboxes(tmp_path)
    assert len(first) == 1 and not first & left
    stop(process, tmp_path, signal.SIGTERM)


def stop(process: subprocess.Popen, place: Path, how: signal.Signals) -> None:
    process.send_signal(how)
    assert process.wait(PATIENCE) == 0
    assert not list(place.glob(f"{PREFIX}*"))


def test_only_leftovers_are_swept(tmp_path):
    beside, elsewhere = tmp_path / "medvlm-other", tmp_path / "elsewhere"
    for folder in (beside, elsewhere, tmp_path / f"{PREFIX}old"):
        folder.mkdir()
        (folder / "a.dcm").write_text("secret")
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    (tmp_path / f"{PREFIX}file").write_text("no folder")
    with private_folder(tmp_path) as first, private_folder(tmp_path) as second:
        assert first.is_dir() and second.is_dir() and first != second
        assert first.stat().st_mode & 0o077 == 0
        assert not (tmp_path / f"{PREFIX}old").exists()
        assert (beside / "a.dcm").exists() and (elsewhere / "a.dcm").exists()
    assert not first.exists() and not second.exists()


def test_the_folder_goes_when_serving_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), private_folder(tmp_path) as folder:
        (folder / "a.dcm").write_text("secret")
        raise ZeroDivisionError
    assert not folder.exists()
