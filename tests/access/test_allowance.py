"""How much one user may have."""

from __future__ import annotations

from serving.access import entrance
from serving.access.limits import Allowance
from serving.server import make_app
from tests.apis import png
from tests.fakes import FakeAssistant
from tests.web import results_of

from .conftest import HEADER, LOOPBACK, client_of, join, opened, tab


def test_the_allowance_of_one_user(tmp_path):
    allowance = Allowance(per_second=0.001, burst=3)
    client = client_of(make_app(FakeAssistant, tmp_path, allowance=allowance), LOOPBACK, "127.0.0.1")
    seen = [client.post("/v1/studies", files={"files": ("a.png", png())}) for _ in range(5)]
    assert [reply.status_code for reply in seen] == [201, 201, 201, 429, 429]
    assert int(seen[-1].headers["retry-after"]) > 1 and seen[-1].json()["error"]["type"] == "TooManyRequests"
    assert client.get("/v1/health").status_code == 200


def test_more_bytes_than_one_may_hold_are_refused_before_they_come(tmp_path):
    app = make_app(FakeAssistant, tmp_path, allowance=Allowance(held=100))
    client = client_of(app, LOOPBACK, "127.0.0.1")
    client.get("/")
    opened(client, "full")
    reply = client.post("/uploads", files={"files": ("a.png", png())}, headers=HEADER)
    assert reply.status_code == 429 and "close one" in reply.json()["detail"] and "retry-after" in reply.headers
    assert tab(app, "full").study is not None
    assert reply.json()["detail"] == entrance.FULL


def test_examples_too_are_refused_beyond_what_one_may_hold(tmp_path):
    app = make_app(FakeAssistant, tmp_path, allowance=Allowance(held=10 * 2**20))
    client = client_of(app, LOOPBACK, "127.0.0.1")
    client.get("/")
    session = opened(client, "many")
    with client:  # so that what takes longer goes on after the answer
        for _ in range(2):  # of 6 MB
            assert join(client, "many", "open_example", name="retina").json()["more"]
            results_of(client, "many")
    assert [one.title for one in session.desk.tabs] == ["", "Fundus photograph"]
    assert session.chat.messages[-1]["content"] == entrance.FULL


def test_more_waits_than_one_may_have_waiting(tmp_path):
    client = client_of(make_app(FakeAssistant, tmp_path, allowance=Allowance(waiting=2)), LOOPBACK, "127.0.0.1")
    client.get("/")
    with client:
        seen = [join(client, "busy", "ask", text="Is it bright?") for _ in range(6)]
        statuses = [reply.status_code for reply in seen]
        assert statuses[:2] == [200, 200] and statuses[-1] == 429 and seen[-1].headers["retry-after"] == "2"
        assert join(client, "busy").status_code == 200  # what takes a moment alone is not held up
        results_of(client, "busy")
        assert join(client, "busy", "ask", text="Is it bright?").status_code == 200
