"""What the page's address answers to: names, origins, routes, and what an event may hold."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from medvlm.errors import RequestError
from serving.access.gate import WRONG_NAME, WRONG_ORIGIN, host_name
from serving.server import make_app, names
from tests.fakes import FakeAssistant

HOME = "http://127.0.0.1:7860"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
NOTHING = "There is nothing here."
# The routes of the app that the page needs. One that is missing here and answers is a fault.
NEEDED = {
    ("GET", "/"),
    ("GET", "/assets/{path:path}"),
    ("GET", "/static/{path:path}"),
    ("GET", "/theme.css"),
    ("GET", "/favicon.ico"),
    ("GET", "/page/{page}/here"),
    ("GET", "/page/{page}/results"),
    ("POST", "/page/{page}/left"),
    ("POST", "/page/{page}/events/{name}"),
    ("POST", "/uploads"),
}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    return make_app(FakeAssistant, tmp_path_factory.mktemp("inbox"), ["scanner.lan"], ["page.example.org"])


@pytest.fixture(scope="module")
def client(app):
    return TestClient(app, base_url=HOME, follow_redirects=False)


def closed(path: str) -> dict:
    """What is said of an address that there is not, to the page or in the form of the API."""
    of_api = path == "/v1" or path.startswith("/v1/")
    return {"error": {"type": "NotFound", "message": NOTHING}} if of_api else {"detail": NOTHING}


def paths(routes) -> set[str]:
    """Every path of a route table, of mounted apps and included routers too."""
    found = set()
    for route in routes:
        inner = getattr(route, "original_router", None) or getattr(route, "app", None)
        found |= {route.path} if getattr(route, "methods", None) else paths(getattr(inner, "routes", []))
    return found


def test_only_the_routes_that_the_page_needs_answer(app, client):
    table = paths(app.routes)
    assert len(table) > 60
    assert {
        "/gradio_api/queue/join",
        "/gradio_api/deep_link",
        "/gradio_api/run/{api_name}",
        "/monitoring",
        "/uploads",
    } <= table
    assert {path for _, path in NEEDED} <= table
    for path in sorted(table):
        for method in METHODS:
            if (method, path) in NEEDED:
                continue
            reply = client.request(method, re.sub(r"{[^}]*}", "x", path))
            assert reply.status_code == 404, (method, path)
            assert method == "HEAD" or reply.json() == closed(path), (method, path)


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /gradio_api/deep_link?session_hash=abc",
        "GET /gradio_api/file=http://example.org/a.png",
        "GET /gradio_api/file=/etc/passwd",
        "GET /gradio_api/file/etc/passwd",
        "GET /gradio_api/proxy=http://example.org/",
        "POST /gradio_api/run/predict",
        "POST /gradio_api/api/predict",
        "POST /gradio_api/call/ask",
        "POST /gradio_api/call/v2/ask",
        "GET /gradio_api/call/ask/1",
        "POST /gradio_api/upload",
        "POST /gradio_api/component_server",
        "POST /gradio_api/stream/1",
        "GET /gradio_api/stream/a/b/1/playlist.m3u8",
        "GET /gradio_api/info",
        "GET /config",
        "GET /monitoring",
        "GET /monitoring/summary",
        "GET /assets/../index.html",
        "GET /assets/..%2Findex.html",
        "GET /static/img/logo.svg",
        "GET /gradio_api/app_id",
        "GET /gradio_api/heartbeat/abc",
        "GET /gradio_api/queue/data?session_hash=abc",
        "POST /gradio_api/queue/join",
        "GET /page/abc/events/ask",
        "POST /page/abc/events/a/b",
        "POST /page/a-b/events/ask",
        "GET /page/../page/abc",
        "GET /docs",
        "GET /openapi.json",
        "GET //",
    ],
)
def test_what_a_link_could_reach_is_closed(client, request_line):
    method, target = request_line.split(" ")
    reply = client.request(method, HOME + target)
    assert (reply.status_code, reply.json()) == (404, closed(target))


def test_what_the_page_needs_is_open(client):
    page = client.get("/")
    assert page.status_code == 200
    script = re.search(r'src="\./(assets/[^"]+\.js)"', page.text)[1]
    for path in (
        script,
        "theme.css",
        "favicon.ico",
        "static/js/iframeResizer.contentWindow.min.js",
    ):
        assert client.get(f"/{path}").status_code == 200, path


def test_a_link_chooses_nothing_on_the_page(client):
    for query in ("deep_link=abc", "__theme=light", "view=api"):
        reply = client.get(f"/?{query}")
        assert (reply.status_code, reply.headers["location"]) == (303, "./")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:7860", "localhost:9000", "LOCALHOST", "[::1]:7860", "scanner.lan", "page.example.org:443"],
)
def test_names_of_the_page(client, host):
    assert client.get("/theme.css", headers={"host": host}).status_code == 200
    assert client.get("/theme.css", headers={"host": host, "origin": f"http://{host}"}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.", "localhost@evil.example", "", "[::1",
     "0.0.0.0:7860", "localhost:7860:1", "xpage.example.org", "127.0.0.1, evil.example"],
)  # fmt: skip
@pytest.mark.parametrize("target", ["GET /", "GET /theme.css", "POST /uploads", "OPTIONS /uploads", "GET /nowhere"])
def test_other_names_get_one_sentence(client, host, target):
    method, path = target.split(" ")
    reply = client.request(method, path, headers={"host": host})
    assert (reply.status_code, reply.json()) == (403, {"detail": WRONG_NAME})


def test_two_names_at_once_are_none(client):
    two = [("host", "127.0.0.1"), ("host", "evil.example")]
    assert client.get("/theme.css", headers=two).status_code == 403


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "", "http://127.0.0.1:3000", "http://localhost:7860", "file://", "http://scanner.lan",
     "http://127.0.0.1:7860.evil.example", "http://evil.example/http://127.0.0.1:7860"],
)  # fmt: skip
@pytest.mark.parametrize(
    "target",
    [
        "OPTIONS /uploads",
        "POST /uploads",
        "POST /page/a/events/ask",
        "GET /page/a/results",
        "GET /page/a/here",
        "POST /page/a/left",
        "GET /",
    ],
)
def test_other_origins_get_one_sentence(client, origin, target):
    method, path = target.split(" ")
    asked = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "x-medvlm"}
    reply = client.request(method, path, headers=asked)
    assert (reply.status_code, reply.json()) == (403, {"detail": WRONG_ORIGIN})
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_origins_of_the_page(client):
    for host, origin in (("127.0.0.1:7860", HOME), ("127.0.0.1:7860", "https://page.example.org"), ("page.example.org", "https://page.example.org")):  # fmt: skip
        reply = client.post("/uploads", headers={"host": host, "origin": origin})
        assert reply.status_code == 403
        assert reply.json()["detail"] == "Open files on the page itself."  # the route's own refusal: the gate let it by


def test_no_name_is_added_by_default(tmp_path):
    client = TestClient(make_app(FakeAssistant, tmp_path), base_url="http://page.example.org")
    assert client.get("/").status_code == 403
    assert client.get("/", headers={"host": "localhost"}).status_code == 200


def test_names_that_serving_gives():
    assert names("127.0.0.1") == ["127.0.0.1"] and names("Scanner.lan") == ["scanner.lan"]
    assert names("0.0.0.0") == [] and names("::") == []
    assert host_name("[0:0::1]") == "::1"
    for wrong in ("http://page.example.org", "page.example.org:80", "", "a b", "*", "page/x"):
        with pytest.raises(RequestError, match="is not a host's name"):
            host_name(wrong)


def test_websockets_are_closed(client):
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/page/a/here"):
        pass


def test_openais_protocol_is_open_to_the_pages_own_origin_alone(client):
    assert client.get("/v1/models").json()["data"][0]["id"] == "fake"
    asked = {"model": "fake", "messages": [{"role": "user", "content": "Is it there?"}]}
    assert "Send the image" in client.post("/v1/chat/completions", json=asked).json()["error"]["message"]
    other = {"origin": "http://evil.example"}
    assert client.post("/v1/chat/completions", json=asked, headers=other).status_code == 403


def test_events_that_are_none(client):
    client.get("/")  # which gives a cookie
    path, own = "/page/abc/events/ask", {"x-medvlm": "1"}
    assert (
        client.post(path, json={"window": "w", "data": {}}).status_code == 403
    )  # as another site's form would send it
    for body in (b"", b"{", b"[" * 100_000, b"\xff", b"[]", b"3", b'{"data": {}}', b'{"window": 3}', b'{"window": ""}'):
        assert client.post(path, content=body, headers=own).status_code == 400
    for data in ([], "x", 3, None, [{"path": "http://example.org/a.png"}]):
        assert client.post(path, json={"window": "w", "data": data}, headers=own).status_code == 400
    assert client.post(path, json={"window": "w" * 65, "data": {}}, headers=own).status_code == 400
    assert client.post(path, json={"window": "w", "data": {"text": "x" * 2**21}}, headers=own).status_code == 413
    assert client.post("/page/abc/events/nothing", json={"window": "w"}, headers=own).status_code == 404
    said = client.post(path, json={"window": "w", "data": {"text": "Which organ?"}}, headers=own).json()
    assert said["outputs"]["chat"]["messages"][0]["content"] == "Open an image first."


def test_every_answer_keeps_the_rest_of_the_world_out(client):
    for path in ("/", "/theme.css", "/nowhere", "/?view=api"):
        headers = client.get(path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["connect-src"] == "'self'"
        assert "'unsafe-inline'" not in policy["script-src"]
        assert not re.search(r"https?:|\*", headers["content-security-policy"])
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
