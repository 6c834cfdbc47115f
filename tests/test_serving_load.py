"""Floods, slow clients, clients that vanish, a model that hangs, and what logs say of it. Real sockets on loopback."""

from __future__ import annotations

import asyncio
import io
import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
import uvicorn
from fastapi import HTTPException

from medvlm.errors import MedVLMError
from medvlm.progress import tracked
from serving.access.audit import Discreet
from serving.access.limits import Paced, Rate
from serving.server import listen, make_app
from serving.turns import MOST_STUCK, Abandoned, Overdue, Turns
from tests.apis import app_over, client_over, png, refused, service_of
from tests.fakes import FakeAssistant
from tests.web import cookie_of

MIB = 2**20


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The port of the page, and the folder of its uploads."""
    folder, bound = tmp_path_factory.mktemp("inbox"), listen("127.0.0.1", 0)
    app = make_app(FakeAssistant, folder)
    web = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=web.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    while not web.started:
        time.sleep(0.05)
    yield bound.getsockname()[1], folder
    web.should_exit = True
    thread.join(20)


def form(content: bytes) -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    return head + content + b"\r\n--b--\r\n"


def begun(port: int, length: int, path: str = "/uploads", cookie: str = "") -> socket.socket:
    """A connection on which a request has begun whose body is yet to come."""
    line = socket.create_connection(("127.0.0.1", port), 30)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Medvlm: 1\r\nContent-Length: {length}\r\n"
    head += f"Cookie: {cookie}\r\n"
    line.sendall((head + "Content-Type: multipart/form-data; boundary=b\r\n\r\n").encode())
    return line


def answered(line: socket.socket) -> tuple[int, bytes]:
    reply = b""
    while part := line.recv(65536):
        reply += part
        if reply.partition(b"\r\n\r\n")[2]:
            break
    return int(reply.split()[1]), reply


def test_200_parallel_uploads_are_taken_or_told_to_come_again(served):
    port, folder = served
    body = form(png())

    def upload(_: int) -> tuple[int, bytes]:
        with begun(port, len(body)) as line:
            line.sendall(body)
            return answered(line)

    with ThreadPoolExecutor(40) as pool:
        replies = list(pool.map(upload, range(200)))
    assert {status for status, _ in replies} <= {200, 429}
    assert all(b"retry-after" in reply.lower() for status, reply in replies if status == 429)
    taken = sum(status == 200 for status, _ in replies)
    assert taken and len(list(folder.iterdir())) == taken  # nothing is left of the others
    assert answered_health(port) == 200


def answered_health(port: int) -> int:
    with socket.create_connection(("127.0.0.1", port), 30) as line:
        line.sendall(f"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        return answered(line)[0]


def test_an_upload_that_stops_or_trickles_ends_and_leaves_nothing(served, monkeypatch):
    port, folder = served
    before = set(folder.iterdir())
    monkeypatch.setattr(Paced, "STALL_S", 0.3)
    with begun(port, 10 * MIB) as line:
        line.sendall(form(b"x" * 1000)[:500])
        status, reply = answered(line)
    assert status == 408 and b"too slowly" in reply
    monkeypatch.setattr(Paced, "GRACE_S", 0.3)
    with begun(port, 10 * MIB) as line:
        status = 0
        line.sendall(form(b"")[:-9])
        line.settimeout(0.1)
        for _ in range(50):
            try:
                line.sendall(b"x")
                status = answered(line)[0]
                break
            except TimeoutError:
                continue
    assert status == 408
    with begun(port, 10 * MIB, "/page/abc/events/ask", cookie_of(port)) as line:
        assert answered(line)[0] == 408
    assert set(folder.iterdir()) == before


def test_an_upload_at_a_good_pace_ends_after_half_an_hour_too():
    clock = [0.0]

    async def slow() -> dict:
        clock[0] += 60
        return {"type": "http.request", "body": bytes(2 * MIB), "more_body": True}

    paced = Paced(slow, now=lambda: clock[0])

    async def take(count: int) -> None:
        for _ in range(count):
            await paced()

    asyncio.run(take(30))
    with pytest.raises(HTTPException) as refused_then:
        asyncio.run(take(1))
    assert refused_then.value.status_code == 408 and "half an hour" in refused_then.value.detail


def test_clients_that_vanish_in_the_middle_leave_nothing(served):
    port, folder = served
    before = set(folder.iterdir())
    for _ in range(20):
        with begun(port, 10 * MIB) as line:
            line.sendall(form(b"x" * 10_000)[:5000])
    end = time.monotonic() + 20
    while set(folder.iterdir()) != before:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert answered_health(port) == 200


def test_a_model_that_hangs_blocks_nobody_else():
    turns, go, began = Turns(longest=0.3), threading.Event(), threading.Event()

    def hang():
        began.set()
        go.wait(20)

    stuck = turns.submit("a", hang)
    assert began.wait(5) and turns.answers()  # at work, which is no fault
    assert isinstance(stuck.future.exception(5), Overdue) and isinstance(stuck.future.exception(), MedVLMError)
    assert turns.submit("b", lambda: "done").future.result(5) == "done" and turns.answers()
    with pytest.raises(Overdue):
        turns.wait(hang)
    for _ in range(MOST_STUCK - 1):
        turns.submit("a", hang).future.exception(5)
    assert not turns.answers(0.1)  # too many: it has to be started anew
    go.set()
    end = time.monotonic() + 10
    while not turns.answers():
        assert time.monotonic() < end
    assert turns.submit("b", lambda: "done").future.result(5) == "done" and not turns.stuck


def test_overdue_work_ends_at_its_next_step():
    turns, steps = Turns(longest=0.2), []

    def work():
        for step in tracked(range(100)):
            steps.append(step)
            time.sleep(0.05)

    with pytest.raises(Overdue):
        turns.wait(work)
    time.sleep(0.2)
    count = len(steps)
    assert count < 20
    time.sleep(0.2)
    assert len(steps) == count


def test_work_of_a_tab_that_was_closed_ends():
    turns, began, go, steps = Turns(), threading.Event(), threading.Event(), []

    def work():
        for step in tracked(range(5)):
            steps.append(step)
            began.set()
            go.wait(5)

    with ThreadPoolExecutor(2) as pool:
        at_work = pool.submit(turns.wait, work, "tab")
        assert began.wait(5)
        waits = pool.submit(turns.wait, lambda: steps.append("never"), "tab")
        while len(turns._awaited) < 2:
            time.sleep(0.01)
        turns.abandon("tab")
        go.set()
        assert isinstance(at_work.exception(5), Abandoned) and waits.exception(5)
    assert steps == [0]


def test_health_demands_an_answer_of_the_models_thread(tmp_path, monkeypatch):
    app = app_over(FakeAssistant(), tmp_path / "inbox")
    client = client_over(app)
    assert client.get("/v1/health").json() == {"status": "ok"}
    monkeypatch.setattr(service_of(app).turns, "_go_on", lambda: None)  # nobody does what waits
    monkeypatch.setattr(Turns.answers, "__defaults__", (0.2,))
    assert "started anew" in refused(client.get("/v1/health"), 503)


def test_a_rate_lets_bursts_through_and_floods_not():
    clock = [0.0]
    rate = Rate(2, 3, lambda: clock[0], most=2)
    assert [rate.take("a") for _ in range(4)] == [0, 0, 0, 0.5] and rate.take("b") == 0
    clock[0] = 1.0
    assert [bool(rate.take("a")) for _ in range(3)] == [False, False, True]
    rate.give_back("a")
    assert rate.take("a") == 0
    rate.take("b"), rate.take("c")
    assert len(rate._left) == 2


def test_logs_quote_nobody_and_are_no_flood():
    stream, log = io.StringIO(), logging.getLogger("medvlm.test")
    handler = logging.StreamHandler(stream)
    handler.addFilter(Discreet())
    log.handlers, log.propagate = [handler], False
    try:
        int("DOE^JANE")
    except ValueError:
        log.exception("Exception in ASGI application with DOE^JANE")
    said = stream.getvalue()
    assert "ValueError at " in said and __file__ in said and "JANE" not in said and "Traceback" not in said
    for _ in range(1000):
        log.error("again")
    assert stream.getvalue().count("again") <= 105
