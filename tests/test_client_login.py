"""The client before a server with logins, over https, and with an archive behind it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
pytest.importorskip("argon2", reason="argon2-cffi is not installed: pip install -e '.[serving]'")
pytest.importorskip("dicomweb_client")
pytest.importorskip("highdicom")

from argon2 import PasswordHasher

from medvlm.archive.dicomweb import Archive
from medvlm.client import Client, RemoteError
from serving.access.accounts import Accounts
from serving.access.entrance import Way
from serving.server import make_app

from .apis import png
from .archives import FakeArchive, ct
from .fakes import FakeAssistant
from .web import served

SECRET = "correct hörse"


@pytest.fixture(scope="module")
def archive() -> Iterator[FakeArchive]:
    with FakeArchive() as fake:
        yield fake


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, archive: FakeArchive):
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    way = Way(Accounts({name: hasher.hash(SECRET) for name in ("alice", "bob")}))
    return make_app(FakeAssistant, tmp_path_factory.mktemp("inbox"), way=way, archive=lambda: Archive(archive.url))


@pytest.fixture(scope="module")
def address(app) -> Iterator[str]:
    with served(app) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    (tmp_path / "a.png").write_bytes(png())
    return tmp_path / "a.png"


def test_an_account_opens_studies_of_its_own(address: str, picture: Path) -> None:
    alice = Client(address, name="alice", password=SECRET)
    study = alice.open(picture)
    assert study.find("thing")["regions"][0].mask.any()
    other = Client(address, token=f"bob:{SECRET}")
    assert other.open(picture).id != study.id
    with pytest.raises(RemoteError) as refused:
        other.request("GET", f"/studies/{study.id}")
    assert refused.value.status == 404


@pytest.mark.parametrize("given", [{}, {"name": "alice", "password": "wrong"}, {"token": "alice:wrong"}])
def test_nobody_else_comes_in(address: str, picture: Path, given: dict[str, str]) -> None:
    with pytest.raises(RemoteError) as refused:
        Client(address, patience=0, **given).open(picture)
    assert refused.value.status == 401 and "wrong" not in str(refused.value)


@pytest.mark.parametrize("given", [{"name": "alice"}, {"password": "x"}, {"name": "a", "password": "x", "token": "t"}])
def test_half_a_login_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(RemoteError, match="both, or a token"):
        Client("https://page.example.org", **given)


def test_a_password_is_not_sent_for_all_to_read() -> None:
    login = {"name": "alice", "password": SECRET}
    with pytest.raises(RemoteError, match="https"):
        Client("http://page.example.org", **login)
    with pytest.raises(RemoteError, match="https"):
        Client("http://127.0.0.1.example.org", token="t")
    for url in ("https://page.example.org", "http://127.0.0.1:7860", "http://[::1]:7860"):
        Client(url, **login)
    Client("http://page.example.org", unencrypted=True, **login)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_it_speaks_https_and_names_what_it_does_not_trust(app, tmp_path: Path, picture: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}"
    subprocess.run(made.split(), check=True, capture_output=True)
    login = {"name": "alice", "password": SECRET}
    with served(app, ssl_keyfile=str(key), ssl_certfile=str(certificate)) as port:
        url = f"https://127.0.0.1:{port}"
        assert Client(url, authority=certificate, **login).open(picture).info["kind"] == "picture"
        with pytest.raises(RemoteError, match="not trusted"):
            Client(url, **login).ready()


def test_a_server_that_sends_elsewhere_gets_no_password() -> None:
    seen: list[str] = []

    async def elsewhere(scope, receive, send) -> None:
        seen.append(scope["path"])
        await send({"type": "http.response.start", "status": 307, "headers": [(b"location", b"/v1/other")]})
        await send({"type": "http.response.body"})

    with served(elsewhere, lifespan="off") as port, pytest.raises(RemoteError, match="another address"):
        Client(f"http://127.0.0.1:{port}", token="t").ready()
    assert seen == ["/v1/ready"]


def test_a_study_of_the_archive_is_opened_and_its_report_stored(
    address: str, archive: FakeArchive, tmp_path: Path
) -> None:
    uid = ct(tmp_path / "scan")
    Archive(archive.url).store(sorted((tmp_path / "scan").iterdir()))
    with Client(address, name="alice", password=SECRET).open_archived(uid, keep_text=True) as study:
        assert len(study.info["images"]) == 3
        assert study.store() == 3
    assert archive.modalities(uid) == ["CT", "CT", "CT", "DOC", "SEG", "SR"]
