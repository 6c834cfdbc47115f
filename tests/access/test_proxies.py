"""Who a proxy says that it asks for, and other sites: preflights, writes, links."""

from __future__ import annotations

import asyncio

import pytest
from fastapi.testclient import TestClient

from serving.access.accounts import Proxies, TrustedHeader
from serving.access.clients import PEER
from serving.access.entrance import Way
from serving.server import behind, make_app
from tests.fakes import FakeAssistant
from tests.locked import HOME

from .conftest import LOOPBACK, OWN, client_of, join


def test_the_account_that_a_proxy_names_is_let_in_and_nobody_else(tmp_path):
    way = Way(header=TrustedHeader("X-Remote-User", Proxies(["10.0.0.2"])))
    inner = make_app(FakeAssistant, tmp_path, ["scanner.lan"], way=way)

    def client(peer: str, **headers: str) -> TestClient:
        async def app(scope, receive, send):
            await inner({**scope, PEER: peer}, receive, send)

        return TestClient(app, base_url=HOME, follow_redirects=False, headers={**OWN, **headers})

    assert client("10.0.0.3", **{"x-remote-user": "alice"}).get("/").status_code == 401
    assert client("10.0.0.2").get("/").status_code == 401
    alice = client("10.0.0.2", **{"x-remote-user": "alice"})
    assert alice.get("/").status_code == 200 and alice.cookies["medvlm-7860"]
    assert join(alice, "x").status_code == 200
    bob = client("10.0.0.2", **{"x-remote-user": "bob"})
    bob.cookies.set("medvlm-7860", alice.cookies["medvlm-7860"])
    assert join(bob, "x").status_code == 403
    assert bob.get("/login").status_code == 404 and bob.get("/logout").status_code == 200


def test_who_is_no_proxy_cannot_say_who_they_ask_for():
    seen = []

    async def app(scope, receive, send):
        seen.append((scope["client"][0], scope[PEER], scope["scheme"]))

    said = [(b"x-forwarded-for", b"127.0.0.1"), (b"x-forwarded-proto", b"https")]
    for peer in ("10.0.0.2", "10.0.0.3"):
        scope = {"type": "http", "scheme": "http", "client": (peer, 1), "headers": said}
        asyncio.run(behind(app, Proxies(["10.0.0.2"]))(scope, None, None))
    assert seen == [("127.0.0.1", "10.0.0.2", "https"), ("10.0.0.3", "10.0.0.3", "http")]


@pytest.mark.parametrize("home", [LOOPBACK, "http://[::1]:7860", HOME])
def test_preflights_and_writes_of_other_sites_are_refused(app, home):
    client = client_of(app, home)
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "x-medvlm"}
    for path in ("/uploads", "/page/x/events/ask", "/v1/studies", "/login", "/logout", "/v1/chat/completions"):
        for said in (
            {"origin": "http://evil.example"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
        ):
            for method in ("OPTIONS", "POST"):
                reply = client.request(method, path, headers={**said, **asked})
                assert reply.status_code == 403, (method, path, said)
                assert not [name for name in reply.headers if name.startswith("access-control")]


def test_a_link_on_another_site_leads_to_the_session_that_there_is(open_app):
    client = client_of(open_app, LOOPBACK)
    client.get("/")
    linked = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "cookie": ""}  # the browser holds it back
    reply = client.get("/", headers=linked)
    assert reply.status_code == 200 and 'http-equiv="refresh"' in reply.text and "set-cookie" not in reply.headers
    assert client.get("/theme.css", headers=linked).status_code == 403
