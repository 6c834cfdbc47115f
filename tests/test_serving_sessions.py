"""Attacks on sessions: forged, fixed and stolen ones, another's tab, upload and study; logging in and out; what is left after."""

from __future__ import annotations

import asyncio
import base64
import json
import re

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
pytest.importorskip("argon2", reason="argon2-cffi is not installed: pip install -e '.[serving]'")
from argon2 import PasswordHasher
from fastapi.testclient import TestClient

from medvlm.types import Image, Study
from serving.access import audit, entrance
from serving.access.accounts import Accounts, Proxies, TrustedHeader
from serving.access.clients import PEER
from serving.access.entrance import Way
from serving.access.limits import Allowance
from serving.page.session import Session
from serving.server import make_app
from serving.store import digest
from tests.apis import png
from tests.fakes import FakeAssistant, square

HOME = "http://scanner.lan:7860"
LOOPBACK = "http://127.0.0.1:7860"
HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
SECRETS = {"alice": "correct horse", "bob": "battery staple"}
HEADER, OWN = {"x-medvlm": "1"}, {"origin": HOME, "sec-fetch-site": "same-origin"}


@pytest.fixture(scope="module")
def accounts():
    return Accounts({name: HASHER.hash(password) for name, password in SECRETS.items()})


@pytest.fixture(scope="module")
def app(tmp_path_factory, accounts):
    """On a LAN name, with accounts."""
    return make_app(FakeAssistant, tmp_path_factory.mktemp("inbox"), ["scanner.lan"], way=Way(accounts))


@pytest.fixture(scope="module")
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


# Without a login


def test_nothing_is_told_without_a_login(app):
    client = client_of(app)
    reply = client.get("/")
    assert (reply.status_code, reply.headers["location"]) == (303, "./login") and "set-cookie" not in reply.headers
    for method, path in [("GET", "/theme.css"), ("GET", "/page/abc/results"), ("GET", "/v1/models"),
                         ("GET", "/page/abc/here"), ("POST", "/uploads"), ("POST", "/v1/studies"),
                         ("GET", "/v1/studies/x"), ("POST", "/v1/chat/completions"), ("GET", "/v1/openapi.json")]:  # fmt: skip
        reply = client.request(method, path, headers=HEADER)
        assert reply.status_code == 401, path
        assert reply.headers["www-authenticate"].startswith("Basic")
    assert join(client, "abc").status_code == 401
    assert client.get("/v1/health").status_code == 200  # a supervisor has no account


def test_the_login_page_is_a_plain_form_that_runs_nothing(app):
    reply = client_of(app).get("/login")
    assert reply.status_code == 200 and "<script" not in reply.text and 'method="post"' in reply.text
    policy = reply.headers["content-security-policy"]
    assert "script-src" not in policy and "default-src 'none'" in policy and "form-action 'self'" in policy
    assert reply.headers["referrer-policy"] == "same-origin"  # else the form's origin would be "null"
    assert "no-store" in reply.headers["cache-control"]


def test_logging_in_gives_a_cookie_that_scripts_and_other_sites_never_see(app):
    client = client_of(app)
    reply = log_in(client)
    (cookie,) = [c for c in reply.headers.get_list("set-cookie") if c.startswith("medvlm-7860=")]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Secure" not in cookie
    value = cookie.partition("=")[2].partition(";")[0]
    assert len(value) > 40 and value not in reply.headers["location"]
    page = client.get("/")
    assert page.status_code == 200 and "Log out" in page.text and value not in page.text


def test_behind_https_the_cookie_is_secure(app):
    client = client_of(app, "https://scanner.lan")
    form = {"token": token(client), "name": "alice", "password": SECRETS["alice"]}
    reply = client.post("/login", data=form, headers={"origin": "https://scanner.lan"})
    (cookie,) = [c for c in reply.headers.get_list("set-cookie") if c.startswith("__Host-medvlm=")]
    assert "Secure" in cookie and "Path=/" in cookie and "Domain" not in cookie


def test_wrong_passwords_are_refused_alike_and_slowed_down(app):
    client = client_of(app, address="10.0.9.9")
    replies = [log_in(client, name, "wrong") for name in ("alice", "nobody", "<b>alice</b>")]
    assert {reply.status_code for reply in replies} == {401}
    assert len({re.sub(r'value="\w+"', "", reply.text) for reply in replies}) == 1
    assert not [c for reply in replies for c in reply.headers.get_list("set-cookie") if c.startswith("medvlm-7860=")]
    for _ in range(10):
        last = log_in(client, "alice", "wrong")
    assert last.status_code == 429 and int(last.headers["retry-after"]) >= 1
    assert log_in(client, "alice").status_code == 429  # the right one too, or it would be told from wrong ones
    assert log_in(client_of(app, address="10.0.9.8"), "alice").status_code == 303  # nobody else is locked out


def test_programs_that_guess_are_slowed_down_too(app):
    client = client_of(app, address="10.0.8.8")
    seen = [client.get("/v1/models", auth=("alice", f"wrong {n}")).status_code for n in range(14)]
    assert seen[:10] == [401] * 10 and 429 in seen[10:]
    assert client_of(app, address="10.0.8.7").get("/v1/models", auth=("alice", SECRETS["alice"])).status_code == 200


def test_a_login_form_of_another_site_is_refused(app):
    client = client_of(app)
    form = {"token": token(client), "name": "alice", "password": SECRETS["alice"]}
    for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        assert client.post("/login", data=form, headers=headers).status_code == 403
    for wrong in ({**form, "token": "0" * 64}, {**form, "token": ""}, {"name": "alice", "password": SECRETS["alice"]}):
        assert client.post("/login", data=wrong, headers=OWN).status_code == 403
    assert client_of(app).post("/login", data=form, headers=OWN).status_code == 403  # the token of another browser
    assert client.post("/login", content=b"x" * 2**20, headers=OWN).status_code == 413
    assert client.post("/login", content=b"a&" * 100, headers=OWN).status_code == 400


# Forged, fixed and stolen


def test_a_session_that_the_server_did_not_make_is_none(app):
    for value in ("", "x", "alice", "a" * 43, "../x", "%00"):
        client = client_of(app, cookie=f"medvlm-7860={value}")
        assert client.get("/theme.css").status_code == 401
        assert client.get("/").headers["location"] == "./login"


def test_a_session_that_was_planted_is_not_the_one_after_the_login(app):
    mallory = client_of(app)
    log_in(mallory, "bob")
    planted = mallory.cookies["medvlm-7860"]
    victim = client_of(app)
    victim.cookies.set("medvlm-7860", planted, domain="scanner.lan")
    log_in(victim)
    assert victim.cookies["medvlm-7860"] != planted
    assert mallory.get("/theme.css").status_code == 401  # ended, and with it what it held


def test_logging_out_ends_the_session_and_all_that_it_held(app, alice):
    session = opened(alice, "leaving")
    study = alice.post("/v1/studies", files={"files": ("a.png", png())}).json()["id"]
    old = alice.cookies["medvlm-7860"]
    assert alice.post("/logout", data={}, headers=OWN).status_code == 403
    reply = alice.post("/logout", data={"token": token(alice, "/logout")}, headers=OWN)
    assert reply.status_code == 303
    assert session.study is None and tab(app, "leaving") is None
    thief = client_of(app, cookie=f"medvlm-7860={old}")
    assert thief.get("/theme.css").status_code == 401
    assert thief.get(f"/v1/studies/{study}").status_code == 401
    program = client_of(app, **OWN)
    assert program.get(f"/v1/studies/{study}", auth=("alice", SECRETS["alice"])).status_code == 404


def test_a_write_with_a_cookie_says_which_site_it_is_from(app):
    client = client_of(app)
    log_in(client)
    assert client.post("/v1/studies", files={"files": ("a.png", png())}).status_code == 403
    assert client.post("/v1/studies", files={"files": ("a.png", png())}, headers=OWN).status_code == 201


# Another's tab, upload, study


def foreign(client: TestClient, page: str) -> list[int]:
    """What a client gets of a tab by its page's number: by an event, its results, the line that it holds."""
    return [
        join(client, page).status_code,
        client.get(f"/page/{page}/results").status_code,
        client.get(f"/page/{page}/here").status_code,
    ]


def test_another_accounts_tab_is_refused(app, alice, bob):
    opened(alice, "alices")
    assert foreign(bob, "alices") == [403, 403, 403]
    assert tab(app, "alices").study is not None  # a line that ends would have closed it


def test_another_browsers_tab_on_loopback_is_refused(open_app):
    one, two = (client_of(open_app, LOOPBACK, "127.0.0.1") for _ in range(2))
    for client in (one, two):
        assert client.get("/").status_code == 200
    assert one.cookies["medvlm-7860"] != two.cookies["medvlm-7860"]
    opened(one, "ones")
    assert foreign(two, "ones") == [403, 403, 403]
    assert foreign(client_of(open_app, LOOPBACK, "127.0.0.1"), "ones") == [403, 403, 403]  # nor without a cookie
    assert tab(open_app, "ones").study is not None
    cookie = one.cookies["medvlm-7860"]
    one.get("/")
    assert one.cookies["medvlm-7860"] == cookie  # loaded anew, it is the same session


def test_another_window_of_that_name_is_another_users(app, alice, bob):
    held = opened(alice, "same")
    said = bob.post("/page/bobs1/events/enter", json={"window": "same"}, headers=HEADER)
    assert "src" not in said.json()["outputs"]["picture"] and tab(app, "bobs1") is not held


@pytest.mark.parametrize("page", ["", "a b", "x" * 65, "../x", "a-b", "a%2Fb", "a?b"])
def test_a_number_that_is_none_is_refused(alice, page):
    assert join(alice, page).status_code in (400, 404)


def test_a_page_that_was_overtaken_changes_nothing_and_loses_no_words(app, alice):
    held = opened(alice, "first")
    other = alice.post("/page/second/events/enter", json={"window": "first"}, headers=HEADER).json()
    assert other["outputs"]["picture"]["study"] == held.key
    late = join(alice, "first", "correct", text="a <b>word</b>")
    assert late.status_code == 403 and "You wrote: “a <b>word</b>”" in late.json()["detail"]
    assert join(alice, "second").status_code == 200


def test_an_event_that_comes_when_its_session_is_over_opens_nothing(app, alice):
    def slowly():
        yield b'{"window": "late", '
        app.state.sessions.end(alice.cookies["medvlm-7860"])
        yield b'"data": {}}'

    before = len(app.state.desks._places)
    reply = alice.post("/page/late/events/enter", content=slowly(), headers=HEADER)
    assert reply.status_code == 403 and "load the page again" in reply.json()["detail"]
    assert app.state.desks.page("late") is None and len(app.state.desks._places) <= before


def test_another_users_upload_is_not_opened(app, alice, bob):
    upload = alice.post("/uploads", files={"files": ("a.png", png())}, headers=HEADER).json()["upload"]
    assert join(bob, "bobs", "open_upload", upload=upload).status_code == 403
    assert join(alice, "alices2", "open_upload", upload=upload).status_code == 200


def test_another_users_study_region_and_export_are_not_there(app, alice, bob):
    study = f"/v1/studies/{alice.post('/v1/studies', files={'files': ('a.png', png())}).json()['id']}"
    for method, path, body in [("GET", "", None), ("DELETE", "", None), ("GET", "/images/0", None), ("POST", "/report", None),
                               ("POST", "/report?format=md", None), ("POST", "/find", {"phrases": ["head"]}),
                               ("POST", "/segment", {"box": [1, 1, 9, 9]})]:  # fmt: skip
        assert bob.request(method, study + path, json=body).status_code == 404, path
        assert client_of(app).request(method, study + path, json=body).status_code == 401, path
    assert alice.get(study).status_code == 200


def test_programs_come_with_basic_or_bearer_credentials(app):
    client, secret = client_of(app), SECRETS["alice"]
    reply = client.post("/v1/studies", files={"files": ("a.png", png())}, auth=("alice", secret))
    assert reply.status_code == 201
    study, bearer = reply.headers["location"], {"authorization": f"Bearer alice:{secret}"}
    assert client.get(study, headers=bearer).status_code == 200
    assert client.get("/v1/models", headers=bearer).status_code == 200
    assert client.get(study, auth=("bob", SECRETS["bob"])).status_code == 404
    for wrong in (
        "Basic",
        "Basic !",
        "Basic " + base64.b64encode(b"alice").decode(),
        "Bearer x",
        "Digest alice",
        "Basic /w==",
    ):
        assert client.get(study, headers={"authorization": wrong}).status_code == 401


def test_studies_on_loopback_are_a_browsers_own_or_those_of_programs(open_app):
    browser, program = client_of(open_app, LOOPBACK, "127.0.0.1"), client_of(open_app, LOOPBACK, "::1")
    browser.get("/")
    of_browser, of_program = (
        c.post("/v1/studies", files={"files": ("a.png", png())}).headers["location"] for c in (browser, program)
    )
    assert browser.get(of_browser).status_code == program.get(of_program).status_code == 200
    assert program.get(of_browser).status_code == browser.get(of_program).status_code == 404
    assert client_of(open_app, LOOPBACK, "127.0.0.1").get(of_program).status_code == 200


# Proxies


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
    from serving.server import behind

    seen = []

    async def app(scope, receive, send):
        seen.append((scope["client"][0], scope[PEER], scope["scheme"]))

    said = [(b"x-forwarded-for", b"127.0.0.1"), (b"x-forwarded-proto", b"https")]
    for peer in ("10.0.0.2", "10.0.0.3"):
        scope = {"type": "http", "scheme": "http", "client": (peer, 1), "headers": said}
        asyncio.run(behind(app, Proxies(["10.0.0.2"]))(scope, None, None))
    assert seen == [("127.0.0.1", "10.0.0.2", "https"), ("10.0.0.3", "10.0.0.3", "http")]


# Origins


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


# What is told, and how much one may have


def test_what_was_done_is_told_without_what_was_said(app, alice, caplog):
    caplog.set_level("INFO", "medvlm.audit")
    study = alice.post("/v1/studies", files={"files": ("DOE^JANE.png", png())}).json()["id"]
    alice.post(f"/v1/studies/{study}/find", json={"phrases": ["Jane Doe"]})
    upload = alice.post("/uploads", files={"files": ("DOE^JANE.png", png())}, headers=HEADER).json()["upload"]
    join(alice, "audited", "open_upload", upload=upload)
    log_in(client_of(app, address="10.0.7.7"), "my-password-by-mistake", "wrong")
    assert alice.post("/v1/studies/mrn-1234567/Jane-Roe").status_code == 404
    assert join(alice, "audited", "Jane_Roe").status_code == 404
    lines = [json.loads(record.message) for record in caplog.records if record.name == "medvlm.audit"]
    assert {"open", "find", "upload", "open_upload", "login refused"} <= {line["action"] for line in lines}
    done = next(line for line in lines if line["action"] == "find")
    assert (done["user"], done["study"], done["status"]) == ("alice", digest(study)[:8], 200)
    assert (
        study[:8] not in caplog.text
        and "mrn" not in caplog.text
        and "jane" not in caplog.text.lower()
        and "mistake" not in caplog.text
    )
    assert alice.cookies["medvlm-7860"] not in caplog.text and audit.action_of("GET", "/theme.css") == ("", "")


def test_the_allowance_of_one_user(tmp_path):
    allowance = Allowance(per_second=0.001, burst=3)
    client = client_of(make_app(FakeAssistant, tmp_path, allowance=allowance), LOOPBACK, "127.0.0.1")
    seen = [client.post("/v1/studies", files={"files": ("a.png", png())}) for _ in range(5)]
    assert [reply.status_code for reply in seen] == [201, 201, 201, 429, 429]
    assert int(seen[-1].headers["retry-after"]) > 1 and seen[-1].json()["error"]["type"] == "TooManyRequests"
    assert client.get("/v1/health").status_code == 200


def test_more_bytes_than_one_may_hold_are_refused_before_they_come(tmp_path):
    app = make_app(FakeAssistant, tmp_path, allowance=Allowance(held=100))
    client = client_of(app, LOOPBACK, "127.0.0.1")
    client.get("/")
    opened(client, "full")
    reply = client.post("/uploads", files={"files": ("a.png", png())}, headers=HEADER)
    assert reply.status_code == 429 and "close one" in reply.json()["detail"] and "retry-after" in reply.headers
    assert tab(app, "full").study is not None
    assert reply.json()["detail"] == entrance.FULL


def test_examples_too_are_refused_beyond_what_one_may_hold(tmp_path):
    app = make_app(FakeAssistant, tmp_path, allowance=Allowance(held=10 * 2**20))
    client = client_of(app, LOOPBACK, "127.0.0.1")
    client.get("/")
    session = opened(client, "many")
    with client:  # so that what takes longer goes on after the answer
        for _ in range(2):  # of 6 MB
            assert join(client, "many", "open_example", name="retina").json()["more"]
            results = client.get("/page/many/results").text
    assert [one.title for one in session.desk.tabs] == ["", "Fundus photograph"]
    assert session.chat.messages[-1]["content"] == entrance.FULL and results.endswith("null\n")


def test_more_waits_than_one_may_have_waiting(tmp_path):
    client = client_of(make_app(FakeAssistant, tmp_path, allowance=Allowance(waiting=2)), LOOPBACK, "127.0.0.1")
    client.get("/")
    with client:
        seen = [join(client, "busy", "ask", text="Is it bright?") for _ in range(6)]
        statuses = [reply.status_code for reply in seen]
        assert statuses[:2] == [200, 200] and statuses[-1] == 429 and seen[-1].headers["retry-after"] == "2"
        assert join(client, "busy").status_code == 200  # what takes a moment alone is not held up
        while not client.get("/page/busy/results").text.endswith("null\n"):
            pass
        assert join(client, "busy", "ask", text="Is it bright?").status_code == 200
