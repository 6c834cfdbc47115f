"""Several servers over one store: what one of them was told, the others know, and what is over at one is over at all."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
pytest.importorskip("redis", reason="redis is not installed: pip install -e '.[replicas]'")
import redis
from argon2 import PasswordHasher
from fastapi.testclient import TestClient

from serving.access.accounts import Accounts
from serving.access.entrance import Way
from serving.api.errors import ApiError
from serving.api.stored import Shelf
from serving.api.studies import Budget
from serving.server import make_app
from serving.store import Redis, answers

from .apis import png, refused
from .fakes import FakeAssistant, square
from .redis_server import RedisServer, needs_redis

HOME = "http://scanner.lan:7860"
OWN = {"origin": HOME, "sec-fetch-site": "same-origin"}
COOKIE = "medvlm-7860"
SECRETS = {"alice": "correct horse", "bob": "battery staple"}
PLANTED = "DOE^JANE"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def way():
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    return Way(Accounts({name: hasher.hash(secret) for name, secret in SECRETS.items()}))


@pytest.fixture(scope="module")
def replicas(tmp_path_factory, server, way):
    """Two servers over one Redis, with nothing else in common."""
    folders = [tmp_path_factory.mktemp(name) for name in "ab"]
    apps = [make_app(FakeAssistant, f, ["scanner.lan"], way=way, store=Redis(server.url)) for f in folders]
    return SimpleNamespace(apps=apps, folders=folders)


@pytest.fixture
def raw(server):
    """What is in Redis, as whoever looks into it sees it."""
    client = redis.Redis.from_url(server.url)
    client.flushall()
    return client


@pytest.fixture
def ab(replicas, raw):
    """A browser that comes to either replica, as behind a proxy that deals requests out."""
    first, second = (browser(app) for app in replicas.apps)
    second._cookies = first._cookies  # one jar
    return first, second


def browser(app, address: str = "10.0.0.1") -> TestClient:
    return TestClient(app, base_url=HOME, client=(address, 50000), follow_redirects=False, headers=OWN)


def log_in(first: TestClient, second: TestClient, name: str = "alice", secret: str = ""):
    """The form is from one replica and goes to another."""
    token = re.search(r'name="token" value="(\w+)"', first.get("/login").text)[1]
    return second.post("/login", data={"token": token, "name": name, "password": secret or SECRETS[name]})


def upload(client: TestClient, name: str = f"{PLANTED}.png", key: str = "", content: bytes = b"") -> str:
    headers = {"idempotency-key": key} if key else {}
    reply = client.post("/v1/studies", files={"files": (name, content or png())}, headers=headers)
    assert reply.status_code == 201, reply.text
    return reply.json()["id"]


# Two replicas


@needs_redis
def test_log_in_at_one_upload_there_ask_and_close_at_the_other(ab, raw, replicas):
    a, b = ab
    assert log_in(a, b).status_code == 303 and a.get("/theme.css").status_code == 200
    id = upload(a)
    found = b.post(f"/v1/studies/{id}/find", json={"phrases": ["head"]})
    assert (
        found.status_code == 200 and found.json() == a.post(f"/v1/studies/{id}/find", json={"phrases": ["head"]}).json()
    )
    assert b.get(f"/v1/studies/{id}").json() == a.get(f"/v1/studies/{id}").json()
    assert b.get(f"/v1/studies/{id}/images/0").content == a.get(f"/v1/studies/{id}/images/0").content
    assert b.delete(f"/v1/studies/{id}").status_code == 204
    assert "not used for too long" in refused(a.get(f"/v1/studies/{id}"), 404)
    assert not [key for key in raw.scan_iter() if b"piece" in key or b"study" in key]
    assert not [path for folder in replicas.folders for path in folder.iterdir()]


@needs_redis
def test_anothers_study_is_refused_at_every_replica(ab, replicas):
    a, b = ab
    log_in(a, a)
    id = upload(a)
    eve = browser(replicas.apps[1], "10.0.0.2")
    log_in(eve, eve, "bob")
    assert refused(eve.get(f"/v1/studies/{id}"), 404) and refused(eve.delete(f"/v1/studies/{id}"), 404)
    for secret in (("alice", SECRETS["alice"]), ("bob", SECRETS["bob"])):  # nor is a browser's study a program's
        assert TestClient(replicas.apps[1], base_url=HOME).get(f"/v1/studies/{id}", auth=secret).status_code == 404
    assert TestClient(replicas.apps[1], base_url=HOME).get(f"/v1/studies/{id}").status_code == 401
    assert b.get(f"/v1/studies/{id}").status_code == 200


@needs_redis
def test_a_log_out_at_one_ends_all_at_both(ab, raw, replicas):
    a, b = ab
    log_in(a, a)
    ids = [upload(a), upload(b)]
    for client in ab:
        assert [client.get(f"/v1/studies/{id}").status_code for id in ids] == [200, 200]
    old = a.cookies[COOKIE]
    token = re.search(r'name="token" value="(\w+)"', a.get("/logout").text)[1]
    assert b.post("/logout", data={"token": token}).status_code == 303
    for app in replicas.apps:
        thief = browser(app)
        thief.cookies.set(COOKIE, old)
        assert thief.get(f"/v1/studies/{ids[0]}").status_code == 401
    assert {key.decode().split(":")[1] for key in raw.scan_iter()} <= {"forms", "tries"}
    for app in replicas.apps:
        app.state.sessions.check()
        assert len(app.state.sessions) == 0


@needs_redis
def test_a_retried_upload_opens_no_second_study_at_another_replica(ab, raw):
    a, b = ab
    log_in(a, a)
    id = upload(a, key="k1")
    assert upload(b, key="k1") == id == upload(a, key="k1") and upload(b, key="k2") != id
    other = b.post("/v1/studies", files={"files": ("b.png", png(square(value=90)))}, headers={"idempotency-key": "k1"})
    assert "other files" in refused(other, 422)
    b.delete(f"/v1/studies/{id}")
    assert upload(a, key="k1") != id
    raw.set("medvlm:sending:none", b"")
    shelf = Shelf(Redis(f"redis://127.0.0.1:{raw.connection_pool.connection_kwargs['port']}/0"), Budget())
    with shelf.sending("alice", "k"), pytest.raises(ApiError) as refusal, shelf.sending("alice", "k"):
        pass
    assert refusal.value.status == 409


@needs_redis
def test_wrong_passwords_count_at_all_replicas_together(ab):
    a, b = ab
    seen = [log_in(*pair, secret="wrong wrong").status_code for pair in [(a, b), (b, a)] * 6]
    assert seen == [401] * 10 + [429] * 2
    last = log_in(a, b)
    assert last.status_code == 429 and 1 < int(last.headers["retry-after"]) <= 301


@needs_redis
def test_no_name_is_in_a_key_and_what_is_kept_expires(ab, raw):
    a, _ = ab
    log_in(a, a)
    upload(a, key=f"{PLANTED}-1")
    keys = raw.keys()
    assert len(keys) >= 4
    said = b" ".join(keys).lower()
    assert b"doe" not in said and b"alice" not in said and a.cookies[COOKIE].encode().lower() not in said
    assert all(0 < raw.pttl(key) <= 24 * 3600 * 1000 for key in keys)
    for key in keys:
        if key.startswith(b"medvlm:session:"):
            assert json.loads(raw.get(key)).keys() == {"user", "login", "name"}


@needs_redis
def test_without_the_store_there_is_a_sentence_and_then_it_goes_on(ab, raw, server):
    a, b = ab
    log_in(a, a)
    id = upload(a)
    assert b.get(f"/v1/studies/{id}").status_code == 200
    server.stop()
    try:
        for client in ab:
            reply = client.get(f"/v1/studies/{id}")
            assert "does not answer; try again" in refused(reply, 503) and int(reply.headers["retry-after"]) == 5
        assert a.get("/theme.css").status_code == 503 and a.get("/login").status_code == 503
        program = {"auth": ("alice", SECRETS["alice"]), "files": {"files": ("a.png", png())}}
        assert refused(TestClient(a.app, base_url=HOME).post("/v1/studies", **program), 503)
        for path in ("/v1/ready", "/v1/health"):  # neither starting anew nor another replica would help
            assert a.get(path).status_code == 200
        assert not answers(Redis(server.url))
    finally:
        server.start()
    log_in(a, b)  # Redis keeps nothing on disk
    assert a.get(f"/v1/studies/{id}").status_code == 404
    assert b.get(f"/v1/studies/{upload(a)}").status_code == 200


@needs_redis
def test_a_store_without_room_refuses_and_keeps_what_it_has(ab):
    a, b = ab
    log_in(a, a)
    id = upload(a)
    noise = png(np.random.default_rng(0).integers(0, 255, (2048, 2048), np.uint8))
    for _ in range(6):
        reply = a.post("/v1/studies", files={"files": ("n.png", noise)})
        if reply.status_code != 201:
            break
    assert "no room left" in refused(reply, 503)
    assert b.get(f"/v1/studies/{id}").status_code == 200
