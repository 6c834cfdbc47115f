"""Attacks on sessions: forged, fixed and stolen ones, another's tab, upload and study; what is left after a log-out."""

from __future__ import annotations

import base64

import pytest
from fastapi.testclient import TestClient

from tests.apis import png
from tests.locked import SECRETS

from .conftest import HEADER, LOOPBACK, OWN, client_of, join, log_in, opened, tab, token


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


def foreign(client: TestClient, page: str) -> list[int]:
    """What a client gets of a tab by its page's number: by an event, its results, that it is there, and that it is left."""
    return [
        join(client, page).status_code,
        client.get(f"/page/{page}/results").status_code,
        client.get(f"/page/{page}/here").status_code,
        client.post(f"/page/{page}/left").status_code,
    ]


def test_another_accounts_tab_is_refused(app, alice, bob):
    opened(alice, "alices")
    assert foreign(bob, "alices") == [403, 403, 403, 403]
    assert tab(app, "alices").study is not None  # nor was it closed


def test_another_browsers_tab_on_loopback_is_refused(open_app):
    one, two = (client_of(open_app, LOOPBACK, "127.0.0.1") for _ in range(2))
    for client in (one, two):
        assert client.get("/").status_code == 200
    assert one.cookies["medvlm-7860"] != two.cookies["medvlm-7860"]
    opened(one, "ones")
    assert foreign(two, "ones") == [403, 403, 403, 403]
    assert foreign(client_of(open_app, LOOPBACK, "127.0.0.1"), "ones") == [403, 403, 403, 403]  # nor without a cookie
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
