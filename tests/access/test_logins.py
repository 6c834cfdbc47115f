"""Attacks on the login: nothing without one, guessed passwords, forged forms; and logging out."""

from __future__ import annotations

import re

from tests.locked import SECRETS

from .conftest import HEADER, OWN, client_of, join, log_in, token


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
