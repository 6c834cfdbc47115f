"""Chats of OpenAI's protocol among several users: whose turn it is, and what is kept of whom."""

from __future__ import annotations

import base64
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
from fastapi.testclient import TestClient

from serving import server
from serving.access.accounts import Accounts
from serving.access.entrance import Way
from tests.apis import png, service_of
from tests.fakes import FakeAssistant
from tests.locked import HASHER, HOME, OWN, SECRETS

IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(png()).decode()}"}}


class Hangs(FakeAssistant):
    """Comes back from "hang" when it is let go."""

    def __init__(self):
        super().__init__()
        self.go, self.hung, self.studies = threading.Event(), threading.Event(), []

    def ask(self, study, question, *args, **options):
        self.studies.append(study)
        if "hang" in question:
            self.hung.set()
            self.go.wait(20)
        return super().ask(study, question, *args, **options)


@pytest.fixture
def assistant():
    made = Hangs()
    yield made
    made.go.set()


@pytest.fixture
def app(tmp_path, assistant, monkeypatch):
    monkeypatch.setattr(server, "CountedTurns", partial(server.CountedTurns, beside=2))  # however few cores there are
    accounts = Accounts({name: HASHER.hash(password) for name, password in SECRETS.items()})
    return server.make_app(lambda: assistant, tmp_path, ["scanner.lan"], way=Way(accounts))


def logged_in(app, name: str) -> TestClient:
    client = TestClient(app, base_url=HOME, client=("10.0.0.1", 50000), follow_redirects=False, headers=OWN)
    form = {"token": token(client, "/login"), "name": name, "password": SECRETS[name]}
    assert client.post("/login", data=form).status_code == 303
    return client


def token(client: TestClient, page: str) -> str:
    return re.search(r'name="token" value="(\w+)"', client.get(page).text)[1]


def ask(client: TestClient, question: str = "Is it there?") -> str:
    message = {"role": "user", "content": [IMAGE, {"type": "text", "text": question}]}
    reply = client.post("/v1/chat/completions", json={"model": "fake", "messages": [message]})
    assert reply.status_code == 200, reply.text
    return reply.json()["choices"][0]["message"]["content"]


def test_a_chat_that_hangs_holds_up_no_other_user_and_its_own_user_waits(app, assistant):
    alice, bob = logged_in(app, "alice"), logged_in(app, "bob")
    with ThreadPoolExecutor(2) as pool:
        try:
            hangs = pool.submit(ask, alice, "Does it hang?")
            assert assistant.hung.wait(10)
            began = time.monotonic()
            assert ask(bob).startswith("yes") and time.monotonic() - began < 3
            after = pool.submit(ask, alice)
            time.sleep(0.5)
            assert not after.done() and not hangs.done()
        finally:
            assistant.go.set()
        assert hangs.result(10).startswith("yes") and after.result(10).startswith("yes")


def test_what_a_chat_showed_is_no_other_users_and_goes_at_the_log_out(app, assistant):
    alice, bob, kept = logged_in(app, "alice"), logged_in(app, "bob"), service_of(app).chats.recent.kept
    for client in (alice, alice, bob):
        ask(client)
    first, again, others = assistant.studies
    assert first is again and first is not others and len(kept) == 2
    assert alice.post("/logout", data={"token": token(alice, "/logout")}).status_code == 303
    assert [client.partition(" ")[0] for client, _ in kept] == ["bob"]
