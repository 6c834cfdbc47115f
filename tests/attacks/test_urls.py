"""Addresses: every route of the table, with paths that climb, and with what is another user's. The table, not a list, says
which there are, so a new route is attacked too."""

from __future__ import annotations

import itertools
import json
import re
from itertools import product

import pytest

from tests.apis import png
from tests.locked import HOME

from .conftest import client_of, routes_of

SECRET = "root:x:0:0"  # of /etc/passwd
CLIMBING = [
    "../../../../../../etc/passwd", "..%2f..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/%2e%2e/etc/passwd", "..%5c..%5cetc%5cpasswd",
    "....//....//etc/passwd", "/etc/passwd", "%2fetc%2fpasswd", "..%252f..%252fetc%252fpasswd", "..;/..;/etc/passwd",
    "file:///etc/passwd", "etc/passwd%00.png", "~root", "%c0%ae%c0%ae/etc/passwd", ".",
]  # fmt: skip
FREE = {"/v1/health", "/v1/ready", "/login", "/favicon.ico"}  # told to everybody
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
BODIES = {
    "ask": {"question": "What is this?"},
    "find": {"phrases": ["head"]},
    "segment": {"box": [1, 1, 9, 9]},
    "check-report": {"text": "There is a thing."},
    "report": {},
    "compare": {},
}


def filled(path: str, value: str) -> str:
    return re.sub(r"{[^}]*}", lambda _: value, path)


def with_places(app) -> list[str]:
    return [path for path in routes_of(app) if "{" in path]


def test_no_path_climbs_out(app, alice):
    """In every place of every address, and after those that have none."""
    targets = [filled(path, climb) for path, climb in product(with_places(app), CLIMBING)]
    targets += [
        f"{path.rstrip('/')}/{climb}" for path, climb in product(routes_of(app), CLIMBING[:3]) if "{" not in path
    ]
    targets += [f"/gradio_api/file={climb}" for climb in CLIMBING]
    for target in targets:
        reply = alice.get(HOME + target)
        assert reply.status_code in (400, 403, 404, 405, 422), (target, reply.status_code)
        assert SECRET not in reply.text and "Traceback" not in reply.text, target


def test_every_address_asks_who_it_is_unless_it_is_told_to_everybody(app):
    nobody, forged = client_of(app, "10.0.0.3"), client_of(app, "10.0.0.3", cookie="medvlm-7860=" + "a" * 43)
    for path, method, client in product(routes_of(app), METHODS, (nobody, forged)):
        target = filled(path, "x" * 24)
        reply = client.request(method, target, json={"data": []})
        if path in FREE:
            continue
        if path == "/":
            assert reply.status_code == 404 or reply.headers["location"] == "./login"
        elif path == "/logout" and method in ("GET", "POST"):
            assert reply.status_code in (200, 403)  # a form that ends nothing of anybody's
        else:
            assert reply.status_code in (401, 404), (method, path, reply.status_code)


@pytest.fixture(scope="module")
def study(alice) -> str:
    reply = alice.post("/v1/studies", files={"files": ("a.png", png())})
    assert reply.status_code == 201
    return reply.json()["id"]


def test_another_users_study_regions_exports_and_pictures(app, alice, bob, study):
    """Everything below a study is 404 for who did not open it, whatever the method and the body, and works for who did."""
    below = [path for path in with_places(app) if path.startswith("/v1/studies/{id}")]
    assert {path.rpartition("/")[2] for path in below} >= {"{id}", "{number}", *BODIES}
    for path in below:
        target = re.sub(r"{number}", "0", path).replace("{id}", study)
        body = BODIES.get(path.rpartition("/")[2], {})
        for method, query in product(METHODS, ("", "?format=md", "?format=png")):
            reply = bob.request(method, target + query, json=body if method != "GET" else None)
            assert reply.status_code in (404, 405, 422), (method, target)
            assert study not in reply.text
            if reply.status_code == 422:  # a body that is wrong for everybody: it says nothing of the study
                assert reply.json() == bob.request(method, target.replace(study, "y" * 24) + query, json=body).json()
    own = bob.post("/v1/studies", files={"files": ("b.png", png())}).json()["id"]
    assert bob.post(f"/v1/studies/{own}/compare", json={"prior": study}).status_code == 404
    assert alice.get(f"/v1/studies/{study}").status_code == 200
    assert alice.get(f"/v1/studies/{study}/images/0").status_code == 200


def test_a_studys_id_is_neither_short_nor_in_a_row(alice):
    ids = [alice.post("/v1/studies", files={"files": ("a.png", png())}).json()["id"] for _ in range(3)]
    assert len(set(ids)) == 3 and all(len(name) >= 24 for name in ids)
    assert len({name[:8] for name in ids}) == 3


FOREIGN = [
    {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://[::2]:7860"}, {"origin": "http://127.0.0.1:1"},
    {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "whatever"},
]  # fmt: skip


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "[::1]:7860", "scanner.lan:7860"])
def test_no_other_site_writes_anything_anywhere(app, alice, host):
    """At every address, under every name: preflights and writes, with the cookie of somebody who is logged in."""
    cookie, said = f"medvlm-7860={alice.cookies['medvlm-7860']}", itertools.cycle(FOREIGN)
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "x-medvlm, content-type"}
    own = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin", "cookie": cookie, **asked}
    for path, method in product(routes_of(app), ("OPTIONS", "POST", "DELETE")):
        reply = alice.request(method, filled(path, "x"), headers={**own, **next(said)})
        assert reply.status_code == 403, (method, path)
        assert not [name for name in reply.headers if name.startswith("access-control")]


def test_a_site_that_a_client_names_is_believed_of_the_pages_names_alone(app, alice):
    for header in ("x-forwarded-host", "x-gradio-server"):
        reply = alice.get("/", headers={header: "http://evil.example"})
        assert "evil.example" not in reply.text
    assert alice.get("/", headers={"x-forwarded-host": "evil.example"}).status_code == 403
    assert alice.get("/", headers={"x-forwarded-host": "scanner.lan"}).status_code == 200


def test_the_table_is_whole(app):
    told = json.loads(client_of(app).get("/v1/health").text)
    assert told == {"status": "ok"} and len(routes_of(app)) > 80
