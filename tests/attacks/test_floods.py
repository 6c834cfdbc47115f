"""Floods over real sockets: connections that ask for nothing, WebSockets, headers without an end, JSON that is large or deep."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time

import pytest

from serving.access.accounts import Accounts, Proxies
from serving.access.entrance import Way
from serving.access.limits import Paced
from serving.access.lines import lines
from serving.api.service import WRITTEN_OF_ONE
from serving.server import make_app
from tests.apis import png
from tests.fakes import FakeAssistant
from tests.locked import HASHER, SECRETS
from tests.web import cookie_of, served

HEAD_S = 0.5
MOST = 40  # connections of one machine


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    app = make_app(FakeAssistant, tmp_path_factory.mktemp("inbox"))
    with served(app, http=lines(Proxies(), MOST, HEAD_S), ws="none") as port:  # as in `run`
        yield port


def line_to(port: int, sent: bytes = b"") -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port), 20)
    line.sendall(sent)
    return line


def head(port: int, target: str = "GET /v1/health", *headers: str) -> bytes:
    return "\r\n".join([f"{target} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers, "", ""]).encode()


def reply_of(line: socket.socket) -> bytes:
    """What comes until the line is closed or a whole reply was there; nothing where it is cut."""
    reply = b""
    with contextlib.suppress(ConnectionError):
        while part := line.recv(65536):
            reply += part
            if b"\r\n\r\n" in reply:
                break
    return reply


def status(port: int, sent: bytes) -> int:
    with line_to(port, sent) as line:
        reply = reply_of(line)
    return int(reply.split()[1]) if reply else 0


def healthy(port: int) -> bool:
    """A connection is to be had, at once or when those before it were closed."""
    end = time.monotonic() + 20
    while status(port, head(port)) != 200:
        assert time.monotonic() < end
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: b\r\n"])
def test_a_line_that_does_not_say_what_it_wants_is_closed(port, sent):
    began = time.monotonic()
    with line_to(port, sent) as line:
        assert reply_of(line) == b""
    assert HEAD_S * 0.8 < time.monotonic() - began < 10
    with line_to(port, head(port)) as line:  # nor does a first request earn it more time for the next
        assert b" 200 " in reply_of(line)
        line.sendall(b"GET / HT")
        end = time.monotonic() + 10
        with contextlib.suppress(ConnectionError):
            while line.recv(65536):
                assert time.monotonic() < end
    assert healthy(port)


def test_headers_that_trickle_are_given_no_more_time(port):
    with line_to(port, b"GET / HTTP/1.1\r\n") as line:
        line.settimeout(0.1)
        for number in range(60):
            with contextlib.suppress(TimeoutError):
                try:
                    line.sendall(f"X-{number}: x\r\n".encode())
                    if line.recv(100) == b"":
                        return
                except ConnectionError:
                    return
    pytest.fail("the line is still open")


def test_one_machine_does_not_take_all_lines(port):
    lines = [line_to(port) for _ in range(MOST * 2)]
    time.sleep(0.1)
    closed = 0
    for line in lines:
        line.setblocking(False)
        with contextlib.suppress(BlockingIOError), contextlib.suppress(ConnectionError):
            closed += line.recv(1) == b""
    assert closed >= MOST
    for line in lines:
        line.close()
    assert healthy(port)


def test_whoever_finds_no_line_free_is_told_when_to_come_again(tmp_path):
    with served(make_app(FakeAssistant, tmp_path), http=lines(Proxies(), most=3)) as port:
        held = [line_to(port) for _ in range(3)]
        time.sleep(0.1)
        with line_to(port, head(port, "GET /v1/studies/x")) as line:
            reply = b""
            while part := line.recv(65536):
                reply += part
        assert b" 503 " in reply[:20] and b"retry-after: 5" in reply
        assert json.loads(reply.partition(b"\r\n\r\n")[2])["error"]["type"] == "Unavailable"
        for line in held:
            line.close()
        assert healthy(port)


def test_a_websocket_flood_is_refused_and_leaves_nothing_open(port):
    """There is no WebSocket here: each is answered as the plain request that it is beside, and its line goes."""
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA==")
    began = time.monotonic()
    for number in range(150):
        path = ("/page/a/here", "/v1/studies", "/ws", "/page/a/results")[number % 4]
        with line_to(port, head(port, f"GET {path}", *upgrade, "Origin: http://evil.example")) as line:
            assert reply_of(line).split()[1] == b"403"
        with line_to(port, head(port, f"GET {path}", *upgrade)) as line:
            assert reply_of(line).split()[1] in (b"400", b"403", b"404", b"405", b"429"), path
    assert healthy(port) and time.monotonic() - began < 60


def unread_lines(port: int, count: int, room: int = 4096) -> list[socket.socket]:
    """Lines that ask for a large reply and take none of it, with `room` for so many bytes on their side."""
    lines = []
    for _ in range(count):
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        line.connect(("127.0.0.1", port))
        line.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        lines.append(line)
    return lines


@pytest.fixture
def large():
    """An app whose replies are large."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 2**24})

    return app


def rest_of(line: socket.socket) -> int:
    """How many bytes come until the line ends, or nothing more does."""
    line.settimeout(5)
    count = 0
    with contextlib.suppress(TimeoutError, ConnectionError):
        while (part := line.recv(2**20)) and count < 2**24:
            count += len(part)
    return count


def test_a_reply_that_nobody_takes_is_given_up(large):
    with served(large, http=lines(Proxies(), read_s=1.0), lifespan="off") as port:
        (still,) = unread_lines(port, 1)
        (slow,) = unread_lines(port, 1, 2**18)
        slow.settimeout(20)
        taken = 0
        for _ in range(30):
            taken += len(slow.recv(2**18))
            time.sleep(0.1)
        assert rest_of(still) < 2**23
        assert taken + rest_of(slow) >= 2**24


def test_replies_that_one_machine_does_not_take_are_few(large):
    with served(large, http=lines(Proxies(), most_unread=2**25), lifespan="off") as port:
        held = unread_lines(port, 8)
        time.sleep(0.5)
        cut = [rest_of(line) < 2**24 for line in held]
        assert 3 <= sum(cut) <= 6 and not cut[0]
        (line,) = unread_lines(port, 1)
        assert rest_of(line) >= 2**24  # there is room again


def test_pictures_for_those_who_have_left_are_not_made(port, study, monkeypatch):
    begun, go = threading.Semaphore(0), threading.Event()

    def slow(*_):
        begun.release()
        go.wait(20)
        return b"made"

    monkeypatch.setattr("serving.api.opening.picture", slow)
    asked = [line_to(port, head(port, f"GET /v1/studies/{study}/images/0")) for _ in range(12)]
    assert all(begun.acquire(timeout=10) for _ in range(WRITTEN_OF_ONE))
    for line in asked:
        line.close()
    time.sleep(0.2)
    go.set()
    with line_to(port, head(port, f"GET /v1/studies/{study}/images/0")) as line:
        assert b" 200 " in reply_of(line)
    assert begun.acquire(timeout=5) and not begun.acquire(timeout=0.2)


def test_headers_without_an_end_are_refused(port):
    many = [f"X-{number}: {'y' * 100}" for number in range(2000)]
    long = [f"X-Long: {'y' * 2**20}"]
    cookies = ["Cookie: " + "; ".join(f"medvlm-7860={number}" for number in range(20_000))]
    for headers in (many, long, cookies):
        assert status(port, head(port, "GET /", *headers)) in (0, 400, 431)  # 0: cut while they still came
    assert status(port, head(port, "GET /" + "a" * 2**20)) in (0, 400, 414)
    assert status(port, b"GET / HTTP/1.1\r\nHost: a\r\n\0: b\r\n\r\n") == 400
    two = ("Content-Length: 3", "Content-Length: 4")
    assert status(port, head(port, "POST /uploads", *two)) == 400
    assert status(port, head(port, "POST /uploads", "Content-Length: -1")) == 400
    assert healthy(port)


def post(port: int, path: str, body: bytes, cookie: str = "") -> int:
    said = ("X-Medvlm: 1", "Content-Type: application/json", f"Cookie: {cookie}", "Connection: close")
    headers = (*said, f"Content-Length: {len(body)}")
    with line_to(port, head(port, f"POST {path}", *headers)) as line:
        with contextlib.suppress(ConnectionError):  # where it is refused before it has come
            line.sendall(body)
        reply = reply_of(line)
    return int(reply.split()[1]) if reply else 0


@pytest.fixture(scope="module")
def study(port) -> str:
    form = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + png() + b"\r\n--b--\r\n"
    headers = ("Content-Type: multipart/form-data; boundary=b", f"Content-Length: {len(form)}", "Connection: close")
    with line_to(port, head(port, "POST /v1/studies", *headers) + form) as line:
        reply = b""
        while part := line.recv(65536):
            reply += part
    return json.loads(reply.partition(b"\r\n\r\n")[2])["id"]


@pytest.mark.parametrize(
    "path", ["/v1/studies/{}/find", "/v1/studies/{}/ask", "/v1/chat/completions", "/page/a/events/ask"]
)
def test_json_that_is_large_deep_or_odd_is_refused(port, study, path):
    """With 4xx and no word of a fault of ours."""
    path, cookie = path.format(study), cookie_of(port) if path.startswith("/page") else ""
    odd = [
        b"[" * 200_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b'{"data":' + b"9" * 5000 + b"}", b"\xff\xfe", b"\0" * 100,
        b'{"phrases": ["a"], "phrases": [NaN]}', b'{"question": "\\ud800"}', b"1e999999", b'{"data": [' + b"{}," * 10_000 + b"{}]}",
    ]  # fmt: skip
    for body in odd:
        assert post(port, path, body, cookie) in (400, 413, 422), body[:40]
    assert post(port, path, b'{"question": "' + b"x" * 18 * 2**20 + b'"}', cookie) in (0, 400, 413)
    assert healthy(port)


def test_slow_bodies_of_every_write_are_given_up(port, study, monkeypatch):
    monkeypatch.setattr(Paced, "STALL_S", 0.3)
    for path in (
        "/uploads",
        "/v1/studies",
        f"/v1/studies/{study}/find",
        "/v1/chat/completions",
        "/page/slow/events/ask",
    ):
        form = path.startswith(("/uploads", "/v1/studies")) and "find" not in path
        kind, begun = ("multipart/form-data; boundary=b", b"--b") if form else ("application/json", b'{"')
        cookie = cookie_of(port) if path.startswith("/page") else ""
        headers = ("X-Medvlm: 1", f"Content-Type: {kind}", "Content-Length: 1000", f"Cookie: {cookie}")
        assert status(port, head(port, f"POST {path}", *headers) + begun) == 408, path


def test_a_login_that_comes_slowly_or_not_whole_is_given_up(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(Paced, "STALL_S", 0.3)
    way = Way(Accounts({"alice": HASHER.hash(SECRETS["alice"])}))
    with served(make_app(FakeAssistant, tmp_path, way=way)) as port:
        begun = head(port, "POST /login", "Content-Length: 1000") + b"name=alice"
        assert status(port, begun) == 408
        line_to(port, begun).close()
        time.sleep(0.2)
        assert healthy(port) and not caplog.records


def test_it_is_served_on_ipv6_too(tmp_path):
    if not socket.has_ipv6:
        pytest.skip("This machine has no IPv6.")
    with served(make_app(FakeAssistant, tmp_path), "::1") as port:
        with socket.create_connection(("::1", port), 20) as line:
            line.sendall(f"GET / HTTP/1.1\r\nHost: [::1]:{port}\r\nConnection: close\r\n\r\n".encode())
            page = b""
            while part := line.recv(65536):
                page += part
        assert b" 200 " in page[:20] and f'"root":"http://[::1]:{port}"'.encode() in page
        assert f"medvlm-{port}=".encode() in page
