"""What is told of who did what: without what was said, and as it turned out."""

from __future__ import annotations

import json
import logging
import threading

from serving.access import audit
from serving.store import digest
from tests.apis import png
from tests.web import results_of

from .conftest import HEADER, OWN, client_of, join, log_in, tab


def test_what_was_done_is_told_without_what_was_said(app, alice, caplog):
    caplog.set_level("INFO", "medvlm.audit")
    study = alice.post("/v1/studies", files={"files": ("DOE^JANE.png", png())}).json()["id"]
    alice.post(f"/v1/studies/{study}/find", json={"phrases": ["Jane Doe"]})
    upload = alice.post("/uploads", files={"files": ("DOE^JANE.png", png())}, headers=HEADER).json()["upload"]
    with alice:
        join(alice, "audited", "open_upload", upload=upload)
        results_of(alice, "audited")
    log_in(client_of(app, address="10.0.7.7"), "my-password-by-mistake", "wrong")
    assert alice.post("/v1/studies/mrn-1234567/Jane-Roe").status_code == 404
    assert join(alice, "audited", "Jane_Roe").status_code == 404
    lines = [json.loads(record.message) for record in caplog.records if record.name == "medvlm.audit"]
    assert {"open", "find", "upload", "open_upload", "login refused"} <= {line["action"] for line in lines}
    done = next(line for line in lines if line["action"] == "find")
    assert (done["user"], done["study"], done["status"]) == ("alice", digest(study)[:8], 200)
    assert (
        study[:8] not in caplog.text
        and "mrn" not in caplog.text
        and "jane" not in caplog.text.lower()
        and "mistake" not in caplog.text
    )
    assert alice.cookies["medvlm-7860"] not in caplog.text and audit.action_of("GET", "/theme.css") == ("", "")


def test_what_goes_on_after_its_answer_is_told_as_it_turns_out(app, caplog):
    caplog.set_level("INFO", "medvlm.audit")
    with client_of(app, **OWN) as client:
        log_in(client)
        for name, content in (("a.png", b"DOE^JANE, but no picture"), ("b.png", png())):
            upload = client.post("/uploads", files={"files": (name, content)}, headers=HEADER).json()["upload"]
            assert join(client, "turned", "open_upload", upload=upload).json()["more"]
            results_of(client, "turned")
        study = tab(app, "turned").key
        join(client, "turned", "ask", text="explode")
        results_of(client, "turned")
        client.post("/v1/studies", files={"files": ("a.png", b"no picture")})
        held = client.post("/v1/studies", files={"files": ("a.png", png())}).headers["location"]
        streams = {"accept": "text/event-stream"}
        failed = client.post(f"{held}/ask", json={"question": "explode"}, headers=streams)
        assert failed.status_code == 200 and "event: error" in failed.text
    lines = [json.loads(record.message) for record in caplog.records if record.name == "medvlm.audit"]
    seen = [(line["action"], line["status"], line.get("study")) for line in lines if "status" in line]
    assert [line for line in seen if line[0] != "upload"] == [
        ("open_upload", 422, None),
        ("open_upload", 200, digest(study)[:8]),
        ("ask", 500, digest(study)[:8]),
        ("open", 422, None),
        ("open", 201, digest(held.rpartition("/")[2])[:8]),
        ("ask", 500, digest(held.rpartition("/")[2])[:8]),
    ]


def test_a_thread_that_dies_quotes_nothing(monkeypatch, capfd):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", root.handlers[:])
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    audit.be_discreet()

    def dies():
        raise KeyError("DOE^JANE")

    thread = threading.Thread(target=dies)
    thread.start()
    thread.join()
    said = capfd.readouterr().err
    assert "KeyError at " in said and "JANE" not in said and "Traceback" not in said
