"""The server under faults: its worker is killed in the middle, the disk is full or cannot be written, the clock jumps."""

from __future__ import annotations

import errno
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
import psutil

from medvlm.report.export import FORMATS
from serving.access.sessions import Sessions
from serving.folder import PREFIX
from serving.server import run
from serving.uploads import UNCLAIMED, Upload
from tests.apis import app_over, client_over, opened, png, refused, service_of
from tests.fakes import FakeAssistant
from tests.planted import HIDDEN, RECORD, leaks, planted

ROOT = Path(__file__).parent.parent
START = "from serving.supervisor import supervise; from tests.test_faults import work; supervise(work, '127.0.0.1', {})"
PATIENCE = 120  # seconds; a training may run beside the tests
ASKERS = 6


class Deliberate(FakeAssistant):
    """Takes a moment for each phrase."""

    def ground(self, study, phrases, image=None):
        time.sleep(0.1)
        return super().ground(study, phrases, image)


def work(host, port, bound):
    run(Deliberate, host, port, bound=bound)


@pytest.fixture
def port(tmp_path):
    """Of a supervised server that puts temporary files into `disk` and says what it says into `log`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "disk").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "disk")}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", START.format(port)], cwd=ROOT, env=environment, stderr=log)
    yield port
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert not list((tmp_path / "disk").glob("medvlm*"))


def send(port: int, path: str, body: bytes = b"", kind: str = "application/json") -> tuple[int, dict]:
    """Status and JSON of a reply; a connection that breaks raises `OSError` or `HTTPException`."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    line.request("POST" if body else "GET", path, body or None, {"content-type": kind})
    reply = line.getresponse()
    given = reply.status, json.loads(reply.read())
    line.close()
    return given


def first_answer(port: int) -> float:
    """Seconds until the server answers."""
    began = time.monotonic()
    while True:
        try:
            if send(port, "/v1/ready")[0] == 200:
                return time.monotonic() - began
        except (OSError, http.client.HTTPException):
            assert time.monotonic() < began + PATIENCE
        time.sleep(0.05)


def form(folder: Path) -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n'
    return b"".join(head % f.name.encode() + f.read_bytes() + b"\r\n" for f in sorted(folder.iterdir())) + b"--b--\r\n"


def worker() -> psutil.Process:
    return next(one for one in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(one.cmdline()))


def test_a_worker_that_is_killed_in_the_middle_comes_back_and_leaves_nothing_of_a_patient(port, tmp_path):
    took = first_answer(port)
    status, study = send(port, "/v1/studies", form(planted(tmp_path)), "multipart/form-data; boundary=b")
    assert status == 201
    place, log, seen = tmp_path / "disk", tmp_path / "log", []
    left = [path for path in place.glob(f"{PREFIX}*/**/*.dcm") if leaks(path.read_bytes(), RECORD)]
    assert left  # so there is something to be removed

    def ask(number: int) -> None:
        while (number, "gone") not in seen:
            phrase = f"thing {number} of {len(seen)}"
            try:
                status, reply = send(
                    port, f"/v1/studies/{study['id']}/find", json.dumps({"phrases": [phrase]}).encode()
                )
            except (OSError, http.client.HTTPException):
                seen.append((number, "broken off"))
                continue
            if status == 200:
                assert list(reply["presence"]) == [phrase]  # nobody gets what another asked for
            told = {200: "answered", 404: "gone", 503: "again"}[status]
            seen.append((number, told))
            assert told != "gone" or "send it again" in reply["error"]["message"]

    askers = [threading.Thread(target=ask, args=(number,)) for number in range(ASKERS)]
    for one in askers:
        one.start()
    while sum(told == "answered" for _, told in seen) < 2 * ASKERS:
        time.sleep(0.01)
    worker().kill()
    assert first_answer(port) < max(10.0, 2 * took)
    for one in askers:
        one.join(PATIENCE)
    assert {number for number, told in seen if told == "gone"} == set(range(ASKERS))
    assert not any(path.exists() for path in left)
    said = log.read_bytes()
    assert b"started anew, since it was ended by SIGKILL" in said and b"Traceback" not in said
    assert not leaks(said, RECORD + HIDDEN)
    for path in filter(Path.is_file, place.rglob("*")):
        assert not leaks(path.read_bytes() + path.name.encode(), RECORD + HIDDEN)


@pytest.fixture
def client(tmp_path):
    return client_over(app_over(FakeAssistant(), tmp_path / "inbox"))


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device", "/tmp/DOE^JANE")


def read_only(*_, **__):
    raise OSError(errno.EROFS, "Read-only file system", "/tmp/DOE^JANE")


@pytest.mark.parametrize(
    ("where", "fault"),
    [
        ("serving.multipart.open", full),
        ("serving.multipart.open", lambda *_: open("/dev/full", "wb")),  # noqa: SIM115 -- takes bytes, and fails when it is closed
        ("serving.uploads.tempfile.mkdtemp", full),
        ("serving.uploads.tempfile.mkdtemp", read_only),
    ],
)
def test_a_disk_that_takes_nothing_is_told_and_the_next_request_works(
    client, tmp_path, monkeypatch, where, fault, caplog
):
    study = opened(client)
    with monkeypatch.context() as patch:
        patch.setattr(where, fault, raising=False)
        said = refused(client.post("/v1/studies", files=[("files", ("a.png", png()))]), 507)
        assert "make room there, then send it again" in said
        assert client.post(f"/v1/studies/{study}/ask", json={"question": "Is it?"}).status_code == 200
    assert not list((tmp_path / "inbox").iterdir()) and "JANE" not in caplog.text
    opened(client)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (OSError(errno.ENOSPC, "full"), 507),
        (FileNotFoundError(errno.ENOENT, "/tmp/DOE^JANE"), 404),
        (OSError("DOE^JANE"), 500),
    ],
)
def test_why_a_report_could_not_be_written_is_told(client, monkeypatch, fault, status):
    """The disk is full, the study was closed meanwhile, or it is a fault of ours."""

    def failing(*_):
        raise fault

    study = opened(client)
    monkeypatch.setitem(FORMATS, "md", failing)
    assert "JANE" not in refused(client.post(f"/v1/studies/{study}/report?format=md"), status)


@pytest.mark.parametrize("jump", [10 * 365 * 86400.0, -10 * 365 * 86400.0])
def test_a_clock_that_jumps_ends_nothing(client, monkeypatch, jump):
    service, sessions, plain = service_of(client.app), Sessions(), time.time
    study, (cookie, browser) = opened(client), sessions.start("alice")
    coming = service.inbox.new()  # an upload that is on its way
    service.inbox.sent[coming.name] = Upload("loopback")
    monkeypatch.setattr(time, "time", lambda: plain() + jump)
    opened(client)
    assert client.post(f"/v1/studies/{study}/ask", json={"question": "Is it?"}).status_code == 200
    assert coming.exists() and sessions.find(cookie) is browser
    service.inbox.sent[coming.name].since -= 2 * UNCLAIMED  # that much time has really gone
    service.inbox.sweep()
    assert not coming.exists()
