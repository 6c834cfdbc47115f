"""The page and the API under a path of another site, which a proxy takes away or leaves."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
from fastapi.testclient import TestClient

import serving.supervisor
from medvlm.cli import main
from medvlm.errors import RequestError
from serving.access.prefix import check_prefix
from serving.server import make_app
from tests.apis import png
from tests.fakes import FakeAssistant


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    app = make_app(FakeAssistant, tmp_path_factory.mktemp("inbox"), prefix="/medvlm")
    return TestClient(app, base_url="http://127.0.0.1:7860", follow_redirects=False)


@pytest.mark.parametrize("left", ["/medvlm", ""])
def test_page_api_cookies_and_redirects(client, left):
    page = client.get(f"{left}/")
    assert page.status_code == 200 and '"root":"http://127.0.0.1:7860/medvlm"' in page.text
    assert client.cookies["medvlm-7860"]
    script = re.search(r'src="\./(assets/[^"]+\.js)"', page.text)[1]
    for path in (script, "theme.css", "v1/health", "v1/models"):
        assert client.get(f"{left}/{path}").status_code == 200, path
    made = client.post(f"{left}/v1/studies", files={"files": ("a.png", png())})
    assert made.headers["location"].startswith("/medvlm/v1/studies/")
    assert client.get(made.headers["location"]).status_code == 200
    assert client.get(f"{left}/?view=api").headers["location"] == "./"
    assert client.get(f"{left}/gradio_api/info").status_code == 404  # the gate is behind it


def test_without_the_slash_it_leads_to_the_page(client):
    reply = client.get("/medvlm")
    assert (reply.status_code, reply.headers["location"]) == (308, "/medvlm/")
    for beside in ("/medvlmx/", "/medvlm/medvlm/", "/medvlm//theme.css", "/other/medvlm/"):
        assert client.get(beside).status_code == 404, beside


def test_paths_that_are_given(monkeypatch, capsys):
    assert [check_prefix(text) for text in ("", "/", "/medvlm", "/medvlm/", "/a/b-c.d")] == [
        "",
        "",
        "/medvlm",
        "/medvlm",
        "/a/b-c.d",
    ]
    for wrong in ("medvlm", "http://a/b", "/a b", "/../a", "//a", "/a//b", "/a?b", "/<b>"):
        with pytest.raises(RequestError, match="--root-path"):
            check_prefix(wrong)
    seen = {}
    monkeypatch.setattr(serving.supervisor, "supervise", lambda _, **given: seen.update(given))
    assert main(["serve", "--root-path", "/medvlm"]) == 0 and seen["root_path"] == "/medvlm"
    monkeypatch.undo()
    assert (
        main(["serve", "--port", "0", "--root-path", "medvlm"]) == 2
        and "--root-path /medvlm" in capsys.readouterr().err
    )
