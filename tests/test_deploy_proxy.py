"""deploy/Caddyfile as Caddy runs it, before two small servers that come and go: all but TLS, which needs a certificate."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

FILE = Path(__file__).parents[1] / "deploy" / "Caddyfile"
TLS = "\ttls /run/secrets/certificate /run/secrets/certificate_key\n"
CADDY = shutil.which("caddy")
pytestmark = pytest.mark.skipif(not CADDY, reason="caddy is not installed: apt-get install caddy")


class Replica(ThreadingHTTPServer):
    """Says its name; hangs up on whoever posts, as one whose worker is killed."""

    daemon_threads = True

    def __init__(self, name: str):
        super().__init__(("127.0.0.1", 0), Answers)
        self.name, self.address = name, f"127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def end(self) -> None:
        self.shutdown()
        self.server_close()


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        said = self.server.name.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def do_POST(self) -> None:
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def replicas() -> Iterator[dict[str, Replica]]:
    both = {name: Replica(name) for name in "ab"}
    yield both
    for replica in both.values():
        replica.end()


@pytest.fixture
def browser(replicas, tmp_path) -> Iterator[Session]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    text = FILE.read_text()
    assert TLS in text
    (tmp_path / "Caddyfile").write_text(text.replace(TLS, ""))
    places = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), str(tmp_path))
    names = {"MEDVLM_REPLICAS": " ".join(r.address for r in replicas.values()), "MEDVLM_COOKIE_SECRET": "x"}
    command = [CADDY, "run", "--config", str(tmp_path / "Caddyfile"), "--adapter", "caddyfile"]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, env=os.environ | places | names | {"MEDVLM_NAME": address}, stderr=log) as process,
    ):
        session = Session(address)
        try:
            session.wait(process)
            yield session
        finally:
            process.terminate()


class Session(requests.Session):
    """Keeps the proxy's cookie by hand: it is for https alone, and there is none here."""

    def __init__(self, address: str):
        super().__init__()
        self.address, self.trust_env = address, False

    def wait(self, process: subprocess.Popen) -> None:
        end = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < end:
            try:
                self.name()
                return
            except requests.ConnectionError:
                time.sleep(0.1)
        pytest.fail("Caddy did not start.")

    def name(self) -> str:
        reply = self.get(self.address, timeout=60)
        if "set-cookie" in reply.headers:
            self.headers["cookie"] = reply.headers["set-cookie"].partition(";")[0]
        return reply.text


def test_a_browser_comes_back_to_its_replica_and_to_another_where_that_is_gone(browser, replicas):
    own = browser.name()
    assert {browser.name() for _ in range(8)} == {own}
    replicas.pop(own).end()
    (other,) = replicas
    assert {browser.name() for _ in range(3)} == {other}


def test_what_breaks_off_is_told_to_come_again(browser, replicas):
    told = [browser.post(browser.address, timeout=60)]
    assert browser.name() in replicas
    for replica in (replicas.pop("a"), replicas.pop("b")):
        replica.end()
    told.append(browser.get(browser.address, timeout=60))
    for reply in told:
        assert reply.status_code == 503 and reply.headers["retry-after"] == "5"
        assert reply.json()["error"].keys() == {"type", "message"}


def test_its_cookie_is_for_no_script_and_https_is_kept_to(browser):
    del browser.headers["cookie"]
    said = browser.get(browser.address, timeout=60).headers
    cookie = said["set-cookie"]
    assert cookie.startswith("medvlm-replica=") and cookie.endswith("; Path=/; Secure; HttpOnly; SameSite=Lax")
    assert said["strict-transport-security"] == "max-age=31536000" and "server" not in said
