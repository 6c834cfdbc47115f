"""The supervisor over small servers of the standard library: they end, hang, get stuck or never come up."""

from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from medvlm.errors import ModelError, RequestError
from serving.folder import PREFIX, private_folder
from serving.supervisor import Patience, listen, supervise

ROOT = Path(__file__).parent.parent
START = "from tests.test_supervisor import *; supervise(work, '127.0.0.1', {}, QUICK)"
PATIENCE = 60  # seconds; a training may run beside the tests
QUICK = Patience(look=0.1, answer=1.0, stop=5.0, workers=2)


def work(host, port, bound):
    """Serves its process's id; a POST makes its health be that from then on, or hang, or not count."""
    health = {"status": 200, "text": b"{}", "after": 0.0}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/v1/health":
                time.sleep(health["after"])
                self.answer(health["status"], health["text"])
            else:
                self.answer(200, b"%d" % os.getpid())

        def do_POST(self):
            length = int(self.headers["content-length"])
            health.update(eval(self.rfile.read(length)))
            self.answer(200, b"")

        def answer(self, status, text):
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    with private_folder() as folder, http.server.ThreadingHTTPServer((host, port), Handler, False) as web:
        (folder / "a.dcm").write_text("secret")
        web.socket.close()
        web.socket = bound
        web.serve_forever()


def refuse(host, port, bound):
    raise RequestError("Name another file.")


def fail(host, port, bound):
    raise ZeroDivisionError("DOE^JANE")


def die(host, port, bound):
    os.kill(os.getpid(), signal.SIGKILL)


def once(host, port, bound):
    """Answers one question of the supervisor, and ends."""
    line, _ = bound.accept()
    line.recv(4096)
    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
    line.close()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where temporary files lie, also those of workers."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def started(place):
    """A supervisor in a process of its own, and its port."""
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", START.format(port)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    ask(port)
    yield process, port
    process.kill()
    process.communicate()


def ask(port: int, path: str = "", change: dict | None = None) -> str:
    """What the worker says, as soon as there is a supervisor."""
    end = time.monotonic() + PATIENCE
    body = None if change is None else repr(change).encode()
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", body, PATIENCE) as reply:
                return reply.read().decode()
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.05)


def until(true) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_killed_worker_is_replaced_and_nobody_is_refused_meanwhile(started, place):
    process, port = started
    first = int(ask(port))
    assert [path.name for path in place.glob(f"{PREFIX}*/*")] == ["a.dcm"]
    left = next(place.glob(f"{PREFIX}*"))
    began = time.monotonic()
    os.kill(first, signal.SIGKILL)
    with ThreadPoolExecutor(20) as pool:  # each asks once: a refused connection would fail
        replies = list(
            pool.map(lambda _: urllib.request.urlopen(f"http://127.0.0.1:{port}/", None, 60).read(), range(20))
        )
    assert len(set(replies)) == 1 and int(replies[0]) != first
    assert time.monotonic() - began < 10
    assert not left.exists()
    process.send_signal(signal.SIGINT)
    assert "started anew, since it was ended by SIGKILL" in process.communicate(timeout=PATIENCE)[1]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_the_supervisor_ends_no_worker_stays(started, place, how):
    process, port = started
    worker = int(ask(port))
    process.send_signal(how)
    process.wait(PATIENCE)
    until(lambda: not lives(worker))
    until(lambda: not list(place.glob(f"{PREFIX}*")))
    with listen("127.0.0.1", port):  # the address is free
        pass


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"after": 60}, "it did not answer"),
        ({"status": 503, "text": b'{"error": {"type": "Stuck"}}'}, "its model did not come back from its work"),
    ],
)
def test_a_worker_that_hangs_or_is_stuck_is_replaced(started, fault, said):
    process, port = started
    first = ask(port)
    ask(port, "v1/health")
    ask(port, change={"status": 503, "text": b"Service Unavailable"})  # too many are connected: no fault of the worker
    time.sleep(1.5)
    assert ask(port) == first
    ask(port, change=fault)
    until(lambda: ask(port) != first)
    process.send_signal(signal.SIGINT)
    assert f"started anew, since {said}." in process.communicate(timeout=PATIENCE)[1]


def test_what_the_user_has_to_mend_is_said_once(place, capfd):
    with pytest.raises(RequestError, match=r"^Name another file\.$"):
        supervise(refuse, "127.0.0.1", 0)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("never", "why"), [(die, "ended by SIGKILL"), (fail, "ended with code 1")])
def test_a_worker_that_never_comes_up_is_not_started_for_ever(place, capfd, never, why):
    with pytest.raises(ModelError, match=f"2 times in a row .* it (was )?{why}"):
        supervise(never, "127.0.0.1", 0, QUICK)
    said = capfd.readouterr().err
    assert said.count("started anew") == 1 and "JANE" not in said and "Traceback" not in said


def test_a_worker_that_ends_again_and_again_is_started_less_and_less_often(place, monkeypatch):
    paused = []

    def sleep(seconds):
        paused.append(seconds)
        if len(paused) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr("serving.supervisor.time.sleep", sleep)
    supervise(once, "127.0.0.1", 0, replace(QUICK, pause=3.0, look=10.0))  # no second look while it ends
    assert paused == [0.0, 0.5, 1.0, 2.0, 3.0]


def test_an_address_that_is_taken_is_told_before_anything_is_loaded_and_leftovers_are_gone(place):
    """A worker's imports would come before it swept them."""
    left = place / f"{PREFIX}old"
    left.mkdir()
    with listen("127.0.0.1", 0) as taken, pytest.raises(RequestError, match="choose another address"):
        taken.listen()
        supervise(work, "127.0.0.1", taken.getsockname()[1])
    assert not left.exists()
