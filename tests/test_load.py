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


class Faulty(FakeAssistant):
    """Fails whatever it is asked, so that few requests tell."""

    def fail(self, *_, **__):
        raise ZeroDivisionError

    ask = ground = segment = fail


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


def test_users_get_answers_or_are_told_to_come_again_and_nobody_waits_long(tmp_path):
    """Twenty of them come once the tests are through: `make load`."""
    done = loaded(FakeAssistant(), tmp_path, 6, 3)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"ask", "find", "open", "segment", "memory:"} <= {line.split()[0] for line in done.stdout.splitlines()}
    assert " 200: " in done.stdout and " 500: " not in done.stdout


def test_a_fault_fails_it(tmp_path):
    done = loaded(Faulty(), tmp_path, 3, 3)
    assert done.returncode == 1 and "Other statuses than 200 and 429 came: {500: " in done.stdout


def test_memory_that_grows_fails_it():
    """Its judgement, in a process of its own: Locust changes how sockets wait."""
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from load import Seen, faults
seen = [Seen("a", "ask", 200, 0.1)]
for held in ([900.0] + [1000.0] * 99, [900.0] * 10 + [1000.0] * 80 + [2100.0] * 10, [2900.0] * 50 + [3100.0] + [2900.0] * 49):
    print(*faults(seen, 1, held))
"""
    done = subprocess.run([sys.executable, "-c", code, str(SCRIPT.parent)], capture_output=True, text=True, check=True)
    assert done.stdout == "\nMemory grew from 1000 to 2100 MiB.\n3100 MiB of memory were held, more than 3072.\n"


def test_a_kill_that_is_not_made_good_fails_it():
    """Half of the time is at 100 s; before it nothing may break off."""
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from load import Seen, faults
well = [Seen(user, "ask", 200, 0.1, end) for user in "ab" for end in (99.0, 107.0)]
for more, less in (([Seen("a", "ask", 0, 1.0, 101.0)], []), ([Seen("a", "ask", 0, 1.0, 99.0)], []), ([], well[3:]), ([Seen("a", "ask", 200, 0.1, 111.0), Seen("b", "ask", 200, 0.1, 112.0)], [well[1], well[3]])):
    print(*faults([one for one in well if one not in less] + more, 2, [900.0], 100.0))
"""
    done = subprocess.run([sys.executable, "-c", code, str(SCRIPT.parent)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "",
        "Other statuses than 200 and 429 came: {0: 1}.",
        "After the kill 1 of 2 users got no answer any more.",
        "After the kill the first answer came in 11.0 s, later than 10.",
    ]


def test_it_asks_this_machine_alone():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--address", "http://10.0.0.1:1"], capture_output=True, text=True
    )
    assert done.returncode == 2 and "this machine alone" in done.stderr
