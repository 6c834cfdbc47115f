"""What is counted and logged of requests: enough to run a service by, and nothing of a user, a study or a patient."""

from __future__ import annotations

import json
import logging
import re

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
pytest.importorskip("prometheus_client", reason="prometheus-client is not installed: pip install -e '.[serving]'")
from argon2 import PasswordHasher
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from serving import observed
from serving.access.accounts import Accounts
from serving.access.entrance import Way
from serving.metrics import RESTARTS
from serving.server import make_app

from .apis import png
from .fakes import FakeAssistant

HOME, LAN = "http://127.0.0.1:7860", "http://scanner.lan:7860"
PLANTED = ("doe", "jane", "19610412", "alice")


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    return make_app(FakeAssistant, tmp_path_factory.mktemp("inbox"))


@pytest.fixture
def client(app):
    return TestClient(app, base_url=HOME, client=("127.0.0.1", 50000))


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """On a LAN name, with an account."""
    accounts = Accounts({"alice": PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("correct horse")})
    return make_app(FakeAssistant, tmp_path_factory.mktemp("inbox"), ["scanner.lan"], way=Way(accounts))


@pytest.fixture
def lines(caplog):
    """The lines of JSON that requests leave."""
    caplog.set_level("INFO", "medvlm.requests")
    caplog.set_level("INFO", "medvlm.audit")

    def told(name: str) -> list[dict]:
        return [json.loads(record.message) for record in caplog.records if record.name == name]

    return told


def samples(client: TestClient, **options) -> dict[tuple, float]:
    """Every sample by its name and its labels' values."""
    reply = client.get("/v1/metrics", **options)
    assert reply.status_code == 200 and reply.headers["content-type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(reply.text)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def use(client: TestClient) -> str:
    """Requests with names wherever a request can have one; the study's id."""
    study = client.post("/v1/studies", files={"files": ("DOE^JANE.png", png())}).json()["id"]
    client.post(f"/v1/studies/{study}/find", json={"phrases": ["head of Jane Doe"]})
    client.post(f"/v1/studies/{study}/ask", json={"question": "Is Jane Doe, born 19610412, well?"})
    client.get(f"/v1/studies/{study}/images/0?name=Jane")
    for path in ("/DOE^JANE", "/v1/studies/doe-jane-19610412", "/v1/studies/x/doe", "/gradio_api/file=/doe", "/v1/doe"):
        client.get(path, headers={"x-request-id": "doe", "user-agent": "jane", "referer": f"{HOME}/doe"})
    client.request("DOE", "/v1/studies")
    return study


def test_requests_are_counted_by_route_and_status(client):
    before, study = samples(client), use(client)
    after = samples(client)

    def more(*key: str) -> float:
        return after.get(key, 0) - before.get(key, 0)

    assert more("medvlm_requests_total", "POST", "/v1/studies", "201") == 1
    assert more("medvlm_requests_total", "POST", "/v1/studies/{id}/find", "200") == 1
    assert more("medvlm_requests_total", "GET", "/v1/studies/{id}", "404") == 1
    assert more("medvlm_requests_total", "GET", "/v1/studies/{id}/images/{number}", "200") == 1
    assert more("medvlm_requests_total", "GET", "other", "404") == 4
    assert more("medvlm_requests_total", "other", "/v1/studies", "405") == 1
    assert more("medvlm_request_seconds_count", "/v1/studies/{id}/find") == 1
    assert more("medvlm_model_seconds_count", "ground") == more("medvlm_model_seconds_count", "ask") == 1
    assert more("medvlm_queue_wait_seconds_count") == 2 and after[("medvlm_queue_length",)] == 0
    assert more("medvlm_held_studies") == 1 and more("medvlm_held_bytes") == 64 * 64
    client.delete(f"/v1/studies/{study}")
    assert samples(client)[("medvlm_held_studies",)] == before[("medvlm_held_studies",)]


def test_labels_have_nothing_that_a_request_brought(client):
    study = use(client)
    text = client.get("/v1/metrics").text
    assert study not in text and not [name for name in PLANTED if name in text.lower()]
    assert "127.0.0.1" not in text and text.count("\n") < 2000


def test_restarts_are_those_that_the_supervisor_counted(client, monkeypatch):
    monkeypatch.delenv(RESTARTS, raising=False)
    assert samples(client)[("medvlm_restarts",)] == 0
    monkeypatch.setenv(RESTARTS, "3")
    assert samples(client)[("medvlm_restarts",)] == 3


def test_with_a_login_metrics_need_it(locked):
    client = TestClient(locked, base_url=LAN, client=("10.0.0.1", 50000))
    assert client.get("/v1/metrics").status_code == 401
    assert TestClient(locked, base_url=LAN, client=("127.0.0.1", 1)).get("/v1/metrics").status_code == 401  # a proxy's
    found = samples(client, auth=("alice", "correct horse"))
    assert found[("medvlm_requests_total", "GET", "/v1/metrics", "401")] == 2
    assert not [key for key in found if "alice" in key]


def test_each_request_has_an_id_of_ours_in_its_answer_and_its_lines(locked, lines):
    client = TestClient(locked, base_url=LAN, client=("10.0.0.1", 50000))
    given = {"x-request-id": "doe-jane"}
    seen = [
        client.get(path, headers=given).headers["x-request-id"]
        for path in ("/theme.css", "/v1/models", "/doe", "/login")
    ]
    assert len(set(seen)) == 4 and all(re.fullmatch("[0-9a-f]{16}", id) for id in seen)
    assert [line["request"] for line in lines("medvlm.requests")] == seen
    options = {"auth": ("alice", "correct horse"), "files": {"files": ("DOE^JANE.png", png())}}
    id = client.post("/v1/studies", **options).headers["x-request-id"]
    (audited,) = lines("medvlm.audit")
    assert (audited["request"], audited["user"], audited["action"]) == (id, "alice", "open")


def test_lines_tell_routes_and_no_names(client, lines, caplog):
    study = use(client)
    told = lines("medvlm.requests")
    assert len(told) == 10 and {tuple(line) for line in told} == {
        ("time", "level", "request", "method", "route", "status", "seconds")
    }
    assert told[1]["route"] == "/v1/studies/{id}/find" and told[1]["status"] == "200" and told[1]["seconds"] > 0
    said = "".join(map(json.dumps, told)).lower()
    assert study.lower() not in said and not [name for name in PLANTED if name in said]


def test_json_on_stderr(client, capsys):
    root, kept = logging.getLogger(), logging.getLogger().handlers[:]
    root.handlers[:] = [logging.StreamHandler()]
    try:
        observed.log_json()
        client.get("/v1/health"), client.get("/v1/models")
        logging.getLogger("medvlm.serving").error("%s at %s", "ValueError", "somewhere.py:3")
    finally:
        root.handlers[:] = kept
        observed.lines.handlers[:], observed.lines.propagate = [], True
        observed.lines.setLevel(logging.NOTSET)
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["route"] == "/v1/models" and first["level"] == "info"  # a probe that succeeds is no news
    assert (second["level"], second["message"]) == ("error", "ValueError at somewhere.py:3")


def test_without_that_no_line_is_made(client, capsys):
    assert not observed.lines.isEnabledFor(logging.INFO)
    client.get("/v1/models")
    assert capsys.readouterr().err == ""
