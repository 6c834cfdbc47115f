"""Uploads, listeners and the address of the page, without a browser."""

from __future__ import annotations

import gc
import logging
import os
import socket
import time
import tracemalloc
import weakref

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
from fastapi import FastAPI
from fastapi.testclient import TestClient

from medvlm.errors import RequestError, StudyError
from medvlm.studies import Limits
from medvlm.types import Image, Study
from serving.multipart import FilesForm
from serving.page.drawing import Drawing
from serving.page.handlers import SORRY, Handlers
from serving.page.pictures import run_lengths
from serving.page.session import Session
from serving.page.studies import Studies
from serving.server import listen, make_app
from serving.uploads import Inbox, add_route
from tests.fakes import FakeAssistant, square

HOME = "http://127.0.0.1"


def event(**fields):
    return fields


@pytest.fixture
def client(tmp_path):
    return TestClient(make_app(FakeAssistant, tmp_path), base_url=HOME)


def png(tmp_path):
    path = tmp_path / "x.bin"
    PIL.Image.fromarray(square()).save(path, format="PNG")
    return path.read_bytes()


def test_upload_is_read_once_and_gone(tmp_path, tmp_path_factory):
    client, content = (
        TestClient(make_app(FakeAssistant, tmp_path), base_url=HOME),
        png(tmp_path_factory.mktemp("source")),
    )
    files = [("files", (name, content)) for name in ("../../etc/a.png", "../b.png", "..", "c\\..\\d.png", "7")]
    reply = client.post("/uploads", files=files, headers={"x-medvlm": "1"})
    assert reply.status_code == 200
    held = list(tmp_path.rglob("*"))
    assert sum(path.is_file() for path in held) == 5
    assert all(tmp_path in path.resolve().parents for path in held)
    for path in (p for p in held if p.is_file()):
        assert client.get(f"/gradio_api/file={path}").status_code == 404
    study = Inbox(tmp_path).read(reply.json()["upload"])
    assert len(study.images) == 5
    assert not list(tmp_path.iterdir())
    with pytest.raises(RequestError, match="open the files again"):
        Inbox(tmp_path).read(reply.json()["upload"])


@pytest.mark.parametrize("name", ["", "..", "../x", None, 3, "a/b"])
def test_names_that_are_no_upload(tmp_path, name):
    with pytest.raises(RequestError):
        Inbox(tmp_path / "inbox").read(name)


def test_a_bad_upload_is_removed_too(client, tmp_path):
    name = client.post("/uploads", files={"files": ("scan.dcm", b"hello")}, headers={"x-medvlm": "1"}).json()["upload"]
    with pytest.raises(StudyError, match="scan.dcm"):
        Inbox(tmp_path).read(name)
    assert not list(tmp_path.iterdir())


def test_foreign_and_broken_uploads_are_refused(client, tmp_path):
    assert client.post("/uploads", files={"files": ("a.png", b"x")}).status_code == 403
    assert client.post("/uploads", data={"a": "b"}, headers={"x-medvlm": "1"}).status_code == 400
    assert client.post("/uploads", content=b"", headers={"x-medvlm": "1"}).status_code == 400
    huge = {"x-medvlm": "1", "content-length": str(2**40)}
    assert client.post("/uploads", content=b"x", headers=huge).status_code == 413
    assert client.post("/gradio_api/upload", files={"files": ("a.png", b"xyz")}).status_code == 404
    assert not list(tmp_path.iterdir())


def test_a_length_that_is_not_stated_is_counted(tmp_path):
    app = FastAPI()
    add_route(app, Inbox(tmp_path, Limits(max_total_bytes=2**20)))
    client, form = TestClient(app), "multipart/form-data; boundary=x"
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'

    def body(count, end=b"\r\n--x--\r\n"):
        yield head
        yield from (bytes(2**16) for _ in range(count))
        yield end

    def send(content):
        return client.post("/uploads", content=content, headers={"x-medvlm": "1", "content-type": form})

    assert send(body(15)).status_code == 200
    assert send(body(17)).status_code == 413
    assert send(body(2, b"")).status_code == 400
    many = b"".join(head + b"\r\n" for _ in range(20))
    few = FastAPI()
    add_route(few, Inbox(tmp_path, Limits(max_files=5)))
    client = TestClient(few)
    assert send(many + b"--x--\r\n").status_code == 400
    assert send(head[:60] + bytes(2**14)).status_code == 400
    assert len(list(tmp_path.iterdir())) == 1


def test_an_upload_that_nobody_opens_is_removed_also_where_no_other_comes(tmp_path):
    app, inbox = FastAPI(), Inbox(tmp_path, unclaimed_s=0.3)
    add_route(app, inbox)
    client, sent = TestClient(app), {"files": ("a.png", png(tmp_path))}
    opened, forgotten = (client.post("/uploads", files=sent, headers={"x-medvlm": "1"}).json()["upload"] for _ in "ab")
    inbox.read(opened, keep=True)
    end = time.monotonic() + 10
    while (tmp_path / forgotten).exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    assert set(inbox.sent) == {opened} and (tmp_path / opened).is_dir()
    with pytest.raises(RequestError, match="not there any more"):
        inbox.read(forgotten)


def test_an_upload_takes_neither_memory_nor_descriptors(tmp_path):
    piece = bytes(2**19)
    form = FilesForm("multipart/form-data; boundary=x", tmp_path, Limits())
    before = len(os.listdir("/proc/self/fd"))
    tracemalloc.start()
    for n in range(40):
        form.take(b'--x\r\nContent-Disposition: form-data; name="files"; filename="%d.dcm"\r\n\r\n' % n)
        form.take(piece)
        form.take(b"\r\n")
    assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    tracemalloc.stop()
    form.take(b"--x--\r\n")
    form.finish()
    assert {path.stat().st_size for path in tmp_path.rglob("*.dcm")} == {2**19}
    assert form.files == 40


def test_faults_are_logged_without_their_message(tmp_path, caplog):
    class Broken:
        def segment(self, *_, **__):
            raise ValueError("Doe^John")

    session = Session()
    session.open(Study([Image(square())]))
    with caplog.at_level(logging.ERROR):
        told = Drawing(Broken).segment(session, event(image=0, box=[1, 1, 9, 9], points=None))
    assert told["message"]["note"] == SORRY
    assert "ValueError" in caplog.text
    assert "Doe" not in caplog.text


def test_a_closed_tab_leaves_nothing_behind(tmp_path):
    do, session = Handlers(FakeAssistant, Inbox(tmp_path)), Session()
    do.open_example(session, event(name="mr"))
    do.find("bright", session)
    do.work(session)
    desk, shown = session.desk, weakref.ref(session.desk.now)
    studies = Studies(do.inbox)
    studies.close_study(session, event(tab=desk.now.tab))
    assert session.study is None and session.layer is None and not session.chat.messages and not desk.waiting
    gc.collect()
    assert shown() is None  # the listeners themselves keep no study alive


def test_events_of_any_shape_get_a_sentence(tmp_path):
    do, session = Handlers(FakeAssistant, Inbox(tmp_path)), Session()
    session.open(Study([Image(square())]))
    for data in (
        {},
        {"image": "x"},
        {"image": -1, "box": "a"},
        {"image": 0, "points": [[1]]},
        {"what": 3, "opacity": {}},
    ):
        for handler in (do.slice, Drawing(FakeAssistant).segment, do.download):
            assert "note" in handler(session, data)["message"]


def test_answers_for_a_study_that_was_closed_do_not_reach_the_next(tmp_path):
    do, session = Handlers(FakeAssistant, Inbox(tmp_path)), Session()
    session.open(Study([Image(square())]))
    do.find("bright", session)
    session.open(Study([Image(square())]))
    do.work(session)
    assert session.layer is None
    assert not session.chat.messages


def test_run_lengths_give_the_mask_back():
    mask = np.random.default_rng(0).random((40, 60)) > 0.5
    code = run_lengths(mask, mask.shape)
    x0, y0, x1, y1 = code["box"]
    flat = np.repeat(np.arange(len(code["runs"])) % 2 == 1, code["runs"])
    assert (flat.reshape(y1 - y0, x1 - x0) == mask[y0:y1, x0:x1]).all()
    assert run_lengths(mask, (20, 30))["box"] == [0, 0, 30, 20]


def test_a_port_in_use_gets_a_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(RequestError, match="--port"):
            listen("127.0.0.1", taken.getsockname()[1])
