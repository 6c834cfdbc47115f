"""What the API holds and for whom: budgets, strangers, expiry, retries, the queue before the model, progress and cancelling."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install -e '.[serving]'")

from medvlm.progress import telling, tracked
from medvlm.types import Image, Study
from serving.api.errors import ApiError
from serving.api.service import WRITTEN_OF_ONE, client_of
from serving.api.studies import Budget, Held, Studies
from serving.turns import Abandoned, InTurn, QueueFull, Turns

from .apis import SlowAssistant, app_over, client_over, opened, png, refused, service_of
from .fakes import FakeAssistant, square

MIB = 2**20


@pytest.fixture
def slow():
    assistant = SlowAssistant()
    yield assistant
    assistant.go.set()


def study_of(mebibytes: int = 1) -> Study:
    return Study([Image(np.zeros((1024, 1024), np.uint8)) for _ in range(mebibytes)])


def held(client: str, mebibytes: int = 1) -> Held:
    return Held(client, study_of(mebibytes))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        self.now += 1e-3
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def store(clock: Clock, **budget) -> tuple[Studies, list[Held]]:
    closed: list[Held] = []
    return Studies(closed.append, Budget(**budget), clock), closed


def test_ones_own_least_recently_used_study_makes_room(clock):
    studies, closed = store(clock, studies_of_one=2)
    first, second = studies.add(held("a")), studies.add(held("a"))
    other = studies.add(held("b"))
    studies.get("a", first.id)
    studies.add(held("a"))
    assert closed == [second] and studies.get("a", first.id) is first and studies.get("b", other.id) is other


def test_nobodys_study_makes_room_for_a_stranger(clock):
    studies, closed = store(clock, studies=2)
    for client in ("a", "b"):
        studies.add(held(client))
    with pytest.raises(ApiError) as refusal:
        studies.add(held("c"))
    assert refusal.value.status == 429 and refusal.value.retry_after and not closed
    studies.add(held("b"))  # which has one to give up
    assert [h.client for h in closed] == ["b"]


def test_bytes_are_bounded_for_one_and_for_all(clock):
    studies, closed = store(clock, bytes=6 * MIB, bytes_of_one=4 * MIB)
    kept = [studies.add(held("a", 2)) for _ in range(2)]
    with pytest.raises(ApiError) as refusal:
        studies.add(held("a", 5))
    assert refusal.value.status == 413 and not closed
    studies.add(held("a", 3))
    assert closed == kept
    with pytest.raises(ApiError) as refusal:
        studies.add(held("b", 4))
    assert refusal.value.status == 429


def test_what_is_worked_on_stays(clock):
    studies, closed = store(clock, studies_of_one=1, idle_s=10)
    busy = studies.add(held("a"))
    with studies.using(busy):
        clock.now += 100
        with pytest.raises(ApiError):
            studies.add(held("a"))
        assert studies.get("a", busy.id) is busy
    studies.add(held("a"))
    assert closed == [busy]


def test_studies_that_nobody_asks_for_are_closed_without_a_request():
    closed = threading.Event()
    studies = Studies(lambda _: closed.set(), Budget(idle_s=0.2))
    studies.add(held("a"))
    assert closed.wait(5) and len(studies) == 0


def test_an_open_study_that_is_used_does_not_expire(clock):
    studies, closed = store(clock, idle_s=10)
    used, unused = studies.add(held("a")), studies.add(held("a"))
    for _ in range(3):
        clock.now += 6
        studies.get("a", used.id)
    assert closed == [unused]


def test_a_study_is_its_clients_alone(tmp_path):
    app = app_over(SlowAssistant(), tmp_path / "inbox")
    mine, stranger = client_over(app, "10.0.0.1"), client_over(app, "10.0.0.2")
    study = f"/v1/studies/{opened(mine)}"
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/images/0"), ("POST", "/report")):
        refused(stranger.request(method, study + path), 404)
    theirs = opened(stranger)
    refused(mine.post(f"{study}/compare", json={"prior": theirs}), 404)
    assert mine.get(study).status_code == 200


@pytest.mark.parametrize(
    "one, two, same",
    [("127.0.0.1", "::1", True), ("10.0.0.1", "10.0.0.2", False), ("2001:db8::1", "2001:db8::2:2", True),
     ("2001:db8::1", "2001:db8:0:1::1", False), ("testclient", "testclient", True)],
)  # fmt: skip
def test_clients_are_told_by_their_address(one, two, same):
    from starlette.requests import Request

    names = [client_of(Request({"type": "http", "client": (host, 1), "headers": []})) for host in (one, two)]
    assert (names[0] == names[1]) == same


def test_studies_beyond_the_budget(tmp_path):
    client = client_over(app_over(SlowAssistant(), tmp_path / "inbox", Budget(studies_of_one=1)))
    first, second = opened(client), opened(client)
    refused(client.get(f"/v1/studies/{first}"), 404)
    assert client.get(f"/v1/studies/{second}").status_code == 200
    small = client_over(app_over(SlowAssistant(), tmp_path / "inbox", Budget(bytes=100)))
    assert "fewer images" in refused(small.post("/v1/studies", files={"files": ("a.png", png())}), 413)


def test_uploads_at_a_time_are_bounded(tmp_path):
    app = app_over(SlowAssistant(), tmp_path / "inbox", Budget(opening_of_one=1))
    client = client_over(app)
    with service_of(app).studies.opening("loopback"):
        refused(client.post("/v1/studies", files={"files": ("a.png", png())}), 429)
        assert opened(client_over(app, "10.0.0.1"))
    assert opened(client)


def test_an_upload_with_the_same_key_opens_no_second_study(tmp_path):
    app = app_over(SlowAssistant(), tmp_path / "inbox")
    client, key = client_over(app), {"Idempotency-Key": "abc"}
    first = opened(client, headers=key)
    assert opened(client, headers=key) == first and len(service_of(app).studies) == 1
    assert opened(client) != first
    other = client.post("/v1/studies", files={"files": ("0.png", png(square(value=150)))}, headers=key)
    assert "new one" in refused(other, 422)
    refused(client.post("/v1/studies?keep_text=true", files={"files": ("0.png", png())}, headers=key), 422)
    assert opened(client_over(app, "10.0.0.1"), headers=key) != first  # another's key is another
    with service_of(app).studies.opening("loopback", "abc"):
        refused(client.post("/v1/studies", files={"files": ("0.png", png())}, headers=key), 409)
    client.delete(f"/v1/studies/{first}")
    assert opened(client, headers=key) != first
    assert not list((tmp_path / "inbox").iterdir())


def test_health_and_studies_answer_while_the_model_works(tmp_path, slow):
    client = client_over(app_over(slow, tmp_path / "inbox"))
    study = f"/v1/studies/{opened(client)}"
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(client.post, f"{study}/find", json={"phrases": ["slow thing"]})
        assert slow.working.wait(5)
        assert client.get("/v1/health").status_code == 200
        assert client.get("/v1/ready").json()["waiting"] == 1
        assert opened(client)
        slow.go.set()
        assert working.result().status_code == 200


def test_health_and_others_are_answered_while_one_users_files_are_written(tmp_path, monkeypatch):
    begun, go = threading.Semaphore(0), threading.Event()

    def hangs(*_):
        begun.release()
        return "report.md", b"#" * go.wait(30)

    monkeypatch.setattr("serving.api.replies.report_file", hangs)
    with client_over(app_over(FakeAssistant(), tmp_path / "inbox")) as client, ThreadPoolExecutor(12) as pool:
        study = f"/v1/studies/{opened(client)}"
        written = [pool.submit(client.post, f"{study}/report?format=md") for _ in range(8)]
        try:
            assert all(begun.acquire(timeout=10) for _ in range(WRITTEN_OF_ONE))
            assert not begun.acquire(timeout=0.3)  # the others of this user wait, without a thread
            other = client_over(client.app, "10.0.0.9")
            other.portal = client.portal  # in the same event loop
            assert pool.submit(client.get, "/v1/health").result(10).status_code == 200
            theirs = f"/v1/studies/{opened(other)}"
            assert pool.submit(other.get, f"{theirs}/images/0").result(10).status_code == 200
        finally:
            go.set()
        assert [one.result().status_code for one in written] == [200] * 8


def test_more_than_the_queue_takes_is_told_to_come_again(tmp_path, slow):
    app = app_over(slow, tmp_path / "inbox")
    service_of(app).turns.most_of_one = 2
    client = client_over(app)
    study = f"/v1/studies/{opened(client)}"
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.post, f"{study}/find", json={"phrases": ["slow thing"]})
        assert slow.working.wait(5)
        second = pool.submit(client.post, f"{study}/find", json={"phrases": ["head"]})
        while len(service_of(app).turns) < 2:
            time.sleep(0.01)
        third = client.post(f"{study}/find", json={"phrases": ["head"]})
        refused(third, 429)
        assert int(third.headers["retry-after"]) >= 1
        slow.go.set()
        assert first.result().status_code == second.result().status_code == 200
    assert client.post(f"{study}/find", json={"phrases": ["head"]}).status_code == 200


def events(text: str) -> list[tuple[str, dict]]:
    blocks = [block.split("\n") for block in text.strip().split("\n\n")]
    return [(b[0].removeprefix("event: "), json.loads(b[1].removeprefix("data: "))) for b in blocks if b[0][0] != ":"]


def test_progress_is_told_as_events(tmp_path, slow):
    client = client_over(app_over(slow, tmp_path / "inbox"))
    study, accept = f"/v1/studies/{opened(client)}", {"accept": "text/event-stream"}
    threading.Timer(0.6, slow.go.set).start()
    reply = client.post(f"{study}/find", json={"phrases": ["slow thing"]}, headers=accept)
    assert reply.headers["content-type"].startswith("text/event-stream")
    told = events(reply.text)
    assert ("progress", {"done": 0, "of": 3}) in told
    assert told[-1][0] == "result" and told[-1][1]["regions"]
    (failed,) = events(client.post(f"{study}/find", json={"phrases": ["肝"]}, headers=accept).text)
    assert failed[0] == "error" and failed[1]["error"]["type"] == "RequestError"


def test_abandoned_work_ends_at_its_next_step_and_waiting_work_is_not_begun():
    turns, began, go, steps = Turns(), threading.Event(), threading.Event(), []

    def work():
        for step in tracked(range(5)):
            steps.append(step)
            began.set()
            go.wait(5)

    running, waiting = turns.submit("a", work), turns.submit("a", lambda: steps.append("never"))
    assert began.wait(5)
    running.abandon(), waiting.abandon(), go.set()
    assert running.future.exception(5) and waiting.future.cancelled()
    assert turns.submit("b", lambda: "done").future.result(5) == "done"
    assert steps == [0] and len(turns) == 0


def test_one_client_does_not_fill_the_queue():
    turns, go = Turns(most=3, most_of_one=2), threading.Event()
    try:
        for _ in range(2):
            turns.submit("a", lambda: go.wait(5))
        with pytest.raises(QueueFull):
            turns.submit("a", go.wait)
        turns.submit("b", lambda: go.wait(5))
        with pytest.raises(QueueFull):
            turns.submit("c", go.wait)
    finally:
        go.set()


def test_the_pages_assistant_waits_for_its_turn_and_tells_its_progress():
    class Counting:
        name = "counting"
        thread = None

        def count(self, of: int) -> int:
            self.thread = threading.current_thread().name
            return sum(1 for _ in tracked(range(of)))

        def fail(self):
            raise ValueError("no")

    counting, told = Counting(), []
    page = InTurn(counting, Turns())
    with telling(lambda done, of: told.append((done, of))):
        assert page.count(2) == 2
    assert told == [(0, 2), (1, 2), (2, 2)] and page.name == "counting" and counting.thread == "medvlm-model"
    with pytest.raises(ValueError, match="no"):
        page.fail()


def test_a_closed_queue_ends_its_work_and_takes_no_more():
    turns, began, go, steps = Turns(), threading.Event(), threading.Event(), []

    def work():
        for step in tracked(range(5)):
            steps.append(step)
            began.set()
            go.wait(5)

    running = turns.submit("a", work)
    assert began.wait(5)
    threading.Timer(0.2, go.set).start()
    turns.close()
    assert isinstance(running.future.exception(0), Abandoned) and steps == [0]
    with pytest.raises(QueueFull):
        turns.submit("a", work)


def test_what_is_going_on_when_the_server_stops_is_told_so(tmp_path, slow):
    import asyncio

    app = app_over(slow, tmp_path / "inbox")
    study = opened(client_over(app))
    sent = []

    async def send(message):
        sent.append(message)

    async def stop():
        body = iter([{"type": "http.request", "body": b'{"phrases": ["slow thing"]}', "more_body": False}])

        async def receive():
            message = next(body, None)
            return message or await asyncio.Event().wait()

        headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
        path = f"/v1/studies/{study}/find"
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": headers,
            "query_string": b"",
            "client": ("::1", 1),
        }
        task = asyncio.create_task(app(scope, receive, send))
        await asyncio.sleep(0.3)
        task.cancel()
        await task

    asyncio.run(stop())
    assert sent[0]["status"] == 503 and b"stopped" in sent[1]["body"]
