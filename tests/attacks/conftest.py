"""A whole server for attacks, on a LAN name with two accounts."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
from fastapi.testclient import TestClient

from serving.access.accounts import Accounts
from serving.access.entrance import Way
from serving.server import make_app
from tests.fakes import FakeAssistant
from tests.locked import HASHER, HOME, OWN, SECRETS


@pytest.fixture(scope="package")
def app(tmp_path_factory):
    accounts = Accounts({name: HASHER.hash(password) for name, password in SECRETS.items()})
    return make_app(FakeAssistant, tmp_path_factory.mktemp("inbox"), ["scanner.lan"], way=Way(accounts))


def client_of(app, address: str = "10.0.0.1", **headers: str) -> TestClient:
    return TestClient(app, base_url=HOME, client=(address, 50000), follow_redirects=False, headers={**OWN, **headers})


def logged_in(app, name: str, address: str) -> TestClient:
    client = client_of(app, address)
    token = re.search(r'name="token" value="(\w+)"', client.get("/login").text)[1]
    assert client.post("/login", data={"token": token, "name": name, "password": SECRETS[name]}).status_code == 303
    return client


@pytest.fixture(scope="package")
def alice(app):
    return logged_in(app, "alice", "10.0.0.1")


@pytest.fixture(scope="package")
def bob(app):
    return logged_in(app, "bob", "10.0.0.2")


def routes_of(app) -> list[str]:
    """Every path of the app's route table, of mounted apps and included routers too, with their prefixes."""

    def walk(routes, before: str = "") -> Iterator[str]:
        for route in routes:
            path = before + getattr(route, "path", "")
            inner = getattr(route, "original_router", None) or getattr(route, "app", None)
            if getattr(route, "methods", None):
                yield path
            else:
                yield from walk(getattr(inner, "routes", []), path)

    return sorted(set(walk(app.routes)))
