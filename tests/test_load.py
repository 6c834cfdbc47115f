"""The load of `benchmarks/load.py`, short, over the fake assistant: what it measures, and what it does not let pass."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
import uvicorn

from serving.access.accounts import Accounts, password_line
from serving.access.entrance import Way
from serving.server import listen, make_app
from tests.fakes import FakeAssistant

if importlib.util.find_spec("locust") is None:  # imported, it would change how sockets wait here
    pytest.skip("Locust is not installed: pip install -e '.[dev]'", allow_module_level=True)

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "load.py"
USERS = 20


class Faulty(FakeAssistant):
    """Fails for every box."""

    def segment(self, study, image=None, box=None, points=None, scribble=None):
        raise ZeroDivisionError


def loaded(assistant, folder: Path, seconds: float, users: int) -> subprocess.CompletedProcess:
    """Run the script against a server over an assistant."""
    accounts = [(f"user{number}", f"password {number}".replace(" ", "-")) for number in range(users)]
    (folder / "inbox").mkdir()
    (folder / "passwords").write_text("\n".join(password_line(*account) for account in accounts))
    (folder / "accounts").write_text("\n".join(":".join(account) for account in accounts))
    bound = listen("127.0.0.1", 0)
    app = make_app(lambda: assistant, folder / "inbox", way=Way(Accounts.read(folder / "passwords")))
    web = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=web.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    while not web.started:
        time.sleep(0.05)
    try:
        address = ["--address", f"http://127.0.0.1:{bound.getsockname()[1]}", "--accounts", str(folder / "accounts")]
        command = [sys.executable, str(SCRIPT), *address, "--minutes", str(seconds / 60)]
        return subprocess.run(command, capture_output=True, text=True, timeout=200)
    finally:
        web.should_exit = True
        thread.join(20)


def test_twenty_users_get_answers_or_are_told_to_come_again_and_nobody_waits_long(tmp_path):
    done = loaded(FakeAssistant(), tmp_path, 12, USERS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"ask", "find", "open", "segment", "memory:"} <= {line.split()[0] for line in done.stdout.splitlines()}
    assert " 200: " in done.stdout and " 500: " not in done.stdout


def test_a_fault_fails_it(tmp_path):
    done = loaded(Faulty(), tmp_path, 4, 3)
    assert done.returncode == 1 and "Other statuses than 200 and 429 came: {500: " in done.stdout


def test_it_asks_this_machine_alone():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--address", "http://10.0.0.1:1"], capture_output=True, text=True
    )
    assert done.returncode == 2 and "this machine alone" in done.stderr
