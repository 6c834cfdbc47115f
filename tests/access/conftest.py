"""A server on a LAN name with two accounts, one on loopback without, and what a browser does at them."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
from fastapi.testclient import TestClient

from medvlm.types import Image, Study
from serving.access.accounts import Accounts
from serving.access.entrance import Way
from serving.page.session import Session
from serving.server import make_app
from tests.fakes import FakeAssistant, square
from tests.locked import HASHER, HOME, SECRETS

LOOPBACK = "http://127.0.0.1:7860"
HEADER, OWN = {"x-medvlm": "1"}, {"origin": HOME, "sec-fetch-site": "same-origin"}


@pytest.fixture(scope="package")
def app(tmp_path_factory):
    """On a LAN name, with accounts."""
    accounts = Accounts({name: HASHER.hash(password) for name, password in SECRETS.items()})
    return make_app(FakeAssistant, tmp_path_factory.mktemp("inbox"), ["scanner.lan"], way=Way(accounts))


@pytest.fixture(scope="package")
def open_app(tmp_path_factory):
    """On loopback, without."""
    return make_app(FakeAssistant, tmp_path_factory.mktemp("inbox"))


def client_of(app, home: str = HOME, address: str = "10.0.0.1", **headers: str) -> TestClient:
    return TestClient(app, base_url=home, client=(address, 50000), follow_redirects=False, headers=headers)


def token(client: TestClient, page: str = "/login") -> str:
    return re.search(r'name="token" value="(\w+)"', client.get(page).text)[1]


def log_in(client: TestClient, name: str = "alice", password: str = ""):
    form = {"token": token(client), "name": name, "password": password or SECRETS[name]}
    return client.post("/login", data=form, headers=OWN)


@pytest.fixture
def alice(app):
    client = client_of(app, **OWN)
    assert log_in(client).status_code == 303
    return client


@pytest.fixture
def bob(app):
    client = client_of(app, address="10.0.0.2", **OWN)
    assert log_in(client, "bob").status_code == 303
    return client


def join(client: TestClient, page: str, event: str = "clear_layer", /, **data):
    return client.post(f"/page/{page}/events/{event}", json={"window": page, "data": data}, headers=HEADER)


def opened(client: TestClient, page: str) -> Session:
    """Put a picture into a tab; gives what the tab holds."""
    assert join(client, page).status_code == 200
    held = tab(client.app, page)
    held.open(Study([Image(square())]))
    return held


def tab(app, page: str) -> Session | None:
    known = app.state.desks.page(page)
    return known and known.session
