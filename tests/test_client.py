"""The client against a real server on loopback over the fake assistant; it knows neither torch nor the rest of the package."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest

pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install -e '.[serving]'")
pytest.importorskip("requests", reason="requests is not installed: pip install -e '.[client]'")

import uvicorn

from medvlm import client as module
from medvlm.client import Client, RemoteError, decode_mask, files_of, unpacked
from medvlm.types import encode_mask

from .apis import SlowAssistant, app_over, png, service_of
from .dicom_export import series
from .fakes import square


@pytest.fixture
def slow():
    assistant = SlowAssistant()
    yield assistant
    assistant.go.set()


@pytest.fixture
def app(slow, tmp_path):
    return app_over(slow, tmp_path / "inbox")


@pytest.fixture
def client(app):
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Client(f"http://127.0.0.1:{port}/", timeout=30, patience=3)
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def picture(tmp_path) -> Path:
    path = tmp_path / 'Ä "quoted".png'
    path.write_bytes(png())
    return path


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (64, 48)])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 1.0])
def test_masks_are_read_as_pycocotools_writes_them(shape, share):
    mask = np.random.default_rng(3).random(shape) < share
    assert np.array_equal(decode_mask(encode_mask(mask)), mask)


def test_it_is_imported_and_used_without_torch_and_copied_alone(tmp_path):
    copied = tmp_path / "medvlm_client.py"
    copied.write_text(Path(module.__file__).read_text("utf-8"), "utf-8")
    heavy = "torch scipy transformers PIL pycocotools pydicom medvlm.types".split()
    for name, place in (("medvlm.client", "."), ("medvlm_client", str(tmp_path))):
        code = (
            f"import sys; sys.path.insert(0, {place!r}); import {name}; print([m for m in {heavy} if m in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[1]
        )
        assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_study_is_opened_asked_and_closed(client, app, picture):
    assert client.ready()["model"] == "fake"
    with client.open(picture) as study:
        assert study.info["kind"] == "picture" and study.picture(0).startswith(b"\x89PNG")
        found = study.find("head", "absent thing")
        (region,) = found["regions"]
        assert (
            np.array_equal(region.mask, square() > 100)
            and region.label == "head"
            and found["absent"] == ["absent thing"]
        )
        assert study.ask("What is this? find it", box=region.box)["regions"][0].mask.any()
        assert study.segment(box=(16, 16, 48, 40))[0].mask.sum() == 32 * 24
        assert study.segment(points=[(20, 20, 1)])[0].mask.any()
        assert study.report()["regions"][0].mask.any()
        assert study.check_report("No head.")[0]["verdict"] == "contradicted"
        array, labels = study.labelmap(found["regions"])
        assert labels == ["head"] and np.array_equal(array, (square() > 100)[None].astype(np.uint16))
    assert len(service_of(app).studies) == 0
    with pytest.raises(RemoteError, match="no such study") as gone:
        study.find("head")
    assert (gone.value.type, gone.value.status) == ("NotFound", 404)


def test_a_folder_becomes_a_volume_and_its_report_files(client, tmp_path):
    pytest.importorskip("highdicom")
    with client.open(series(tmp_path / "ct")) as study:
        assert study.info["kind"] == "volume" and len(study.info["images"]) == 5
        one = study.export("seg", tmp_path / "out")
        assert [pydicom.dcmread(path).Modality for path in one] == ["SEG"]
        several = study.export(["md", "nifti"], tmp_path / "out")
        assert len(several) > 1 and all(path.is_file() and tmp_path / "out" in path.parents for path in several)


def test_progress_is_told(client, picture, slow):
    seen = []

    def tell(count, all_of_them):
        seen.append((count, all_of_them))
        slow.go.set()

    with client.open(picture) as study:
        assert study.find("slow thing", progress=tell)["regions"][0].mask.any()
        assert seen[0] == (0, 3)
        with pytest.raises(RemoteError, match="English") as refused:
            study.find("肝", progress=tell)
    assert refused.value.type == "RequestError"


def test_work_of_those_who_left_is_stopped(client, picture, slow, app):
    def leave(done, of):
        raise KeyboardInterrupt

    with client.open(picture) as study:
        with pytest.raises(KeyboardInterrupt):
            study.find("slow thing", progress=leave)
        time.sleep(1)  # the server looks for callers a few times a second
        slow.go.set()
        end = time.monotonic() + 5
        while len(service_of(app).turns) and time.monotonic() < end:
            time.sleep(0.02)
        assert len(service_of(app).turns) == 0 and slow.done == 0


def test_a_full_server_is_asked_again(client, picture, app):
    studies = service_of(app).studies
    full = studies.opening("loopback")
    studies.budget = type(studies.budget)(opening_of_one=1)
    full.__enter__()
    threading.Timer(1, full.__exit__, (None, None, None)).start()
    client.patience = 15
    assert client.open(picture).info["kind"] == "picture"
    assert len(studies) == 1


def test_what_is_wrong_is_said(client, tmp_path):
    with pytest.raises(RemoteError, match="no file"):
        client.open(tmp_path / "nowhere.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RemoteError, match="no file to send"):
        client.open(tmp_path / "empty")
    (tmp_path / "a.txt").write_text("nothing")
    with pytest.raises(RemoteError, match="a.txt") as refused:
        client.open(tmp_path / "a.txt")
    assert refused.value.type == "StudyError"
    with pytest.raises(RemoteError, match="medvlm serve"):
        Client("http://127.0.0.1:9").ready()


def test_folders_keep_their_place(tmp_path):
    for name in ("ct/a/1.dcm", "ct/2.dcm"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [name for name, _ in files_of(tmp_path / "ct")] == ["ct/2.dcm", "ct/a/1.dcm"]
    assert [name for name, _ in files_of([tmp_path / "ct/2.dcm"])] == ["2.dcm"]


def test_an_archive_writes_nothing_outside_its_folder(tmp_path):
    import io
    import zipfile

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("../../evil.txt", "x")
    (path,) = unpacked(stream.getvalue(), tmp_path / "out")
    assert tmp_path / "out" in path.resolve().parents
