"""Words planted wherever a study can name its patient are searched in all that commands and the page let out."""

from __future__ import annotations

import base64
import io
import json
import logging
import tempfile
from pathlib import Path

import numpy as np
import PIL.Image
import pydicom
import pytest

from medvlm.cli import main
from medvlm.report.export import FORMATS, OF_DICOM, write_report
from medvlm.studies import burned_in, load_study
from medvlm.types import Study

from .fakes import FakeAssistant
from .planted import BURNED, HIDDEN, RECORD, leaks, planted

for package in ("highdicom", "pypdfium2", "rapidocr", "reportlab"):
    pytest.importorskip(package)

BURNED_WORDS = tuple(BURNED.lower().split())
NOWHERE = (*HIDDEN, *BURNED_WORDS)
ALL = (*RECORD, *NOWHERE)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return planted(tmp_path_factory.mktemp("source"), 1)


@pytest.fixture(scope="module")
def study(source) -> Study:
    return load_study(source)


@pytest.fixture(scope="module")
def exported(study, tmp_path_factory) -> Path:
    """A folder with a folder of every format."""
    folder, report = tmp_path_factory.mktemp("exported"), FakeAssistant().report(study)
    for name in FORMATS:
        assert write_report(report, study, folder / name, [name])
    return folder


def read(pixels: np.ndarray) -> str:
    """What the OCR reads, without spaces."""
    colour = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    return "".join(burned_in._reader()(np.ascontiguousarray(colour)).txts or ()).replace(" ", "").lower()


def pictures(folder: Path):
    """The pictures below a folder, pages of PDF files among them; each once, however many formats have it."""
    import pypdfium2

    for path in {path.read_bytes(): path for path in folder.rglob("*.*")}.values():
        if path.suffix == ".png":
            yield np.asarray(PIL.Image.open(path).convert("RGB"))
        if path.suffix == ".pdf":
            for page in pypdfium2.PdfDocument(path):
                yield np.asarray(page.render(scale=2).to_pil().convert("RGB"))


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_says_what_was_planted(exported, name):
    """Objects of the patient's own record may name her, but say nothing of what was hidden elsewhere in the files."""
    words = NOWHERE if name in OF_DICOM else ALL
    files = [path for path in (exported / name).rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert not leaks(path.read_bytes(), words) and not leaks(str(path.relative_to(exported)).encode(), ALL)


def test_what_belongs_to_the_record_names_its_patient(exported):
    for name in ("seg", "sr"):
        for path in (exported / name).rglob("*.dcm"):
            assert {"quixwood", "88412377"} <= set(leaks(path.read_bytes(), RECORD))


def test_no_picture_shows_the_text(exported):
    shown = list(pictures(exported))
    assert len(shown) >= 3
    for picture in shown:
        assert not any(word in read(picture) for word in BURNED_WORDS)


def test_pictures_show_it_where_they_are_told_to(study, tmp_path):
    """So the search of the test before would have seen it."""
    keeping = Study(study.images, keep_text=True)
    write_report(FakeAssistant().report(keeping), keeping, tmp_path, ["coco", "pdf", "png"])
    said = [read(picture) for picture in pictures(tmp_path)]
    assert len(said) >= 3 and all("dunsinane" in text for text in said)


def test_the_search_finds_what_is_packed():
    import gzip
    import zipfile
    import zlib

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "x" * 99 + "Zebedee")
    for content in (
        gzip.compress(b"Zebedee"),
        stream.getvalue(),
        "ZEBEDEE".encode("utf-16-be"),
        json.dumps({"data": base64.b64encode(b"some more text than few letters: Zebedee").decode()}).encode(),
        b"stream\n" + zlib.compress(b"Zebedee") + b"\nendstream",
        b"stream\n" + base64.a85encode(zlib.compress(b"Zebedee")) + b"~>endstream",
    ):
        assert leaks(content, RECORD) == ["zebedee"]


def commands(source: Path, out: Path) -> dict[str, list[str]]:
    """Every command that reads a study; what it writes goes below `out`."""
    study = str(source)
    return {
        "ask": ["ask", study, "-q", "What is to be seen?", "-q", "find thing"],
        "ground": ["ground", study, "thing", "--overlay", str(out / "overlay.png")],
        "segment": ["segment", study, "--box", "120,90,200,170", "--overlay", str(out / "box.png")],
        "report": ["report", study, "-o", str(out / "report"), "--format", "md,json,csv,fhir,nifti,png"],
        "series": ["series", study],
        "batch": ["batch", str(out / "requests.jsonl"), "-o", str(out / "responses.jsonl")],
        "deidentify": ["deidentify", study, "-o", str(out / "copies")],
        "check-report": ["check-report", study, str(out / "draft.txt")],
        "fault": ["ask", study, "-q", "explode"],
    }


@pytest.fixture
def places(tmp_path, monkeypatch, caplog) -> Path:
    """A folder with all that a command may write to: `out`, `tmp` and `cache`; logs are kept to the last line."""
    for kind in ("out", "tmp", "cache"):
        (tmp_path / kind).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("MEDVLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MEDVLM_DEBUG", raising=False)
    caplog.set_level(logging.DEBUG)
    return tmp_path


def check_nothing_is_told(told: str, folder: Path) -> None:
    """Neither what was said nor any file of a folder has a planted word."""
    assert not leaks(told.encode(), ALL), told
    for path in folder.rglob("*"):
        assert not leaks(str(path.relative_to(folder)).encode(), ALL)
        if path.is_file() and path.name != "requests.jsonl":
            assert not leaks(path.read_bytes(), ALL), path


@pytest.mark.parametrize("name", commands(Path(), Path()))
def test_commands_say_log_cache_and_leave_nothing(source, places, caplog, capfd, name):
    command = commands(source, places / "out")[name]
    request = {"id": "1", "image": str(source), "task": "report"}
    (places / "out/requests.jsonl").write_text(json.dumps(request) + "\n", encoding="utf-8")
    (places / "out/draft.txt").write_text("Bright thing.\nNo absent thing.\nMaybe thing.", encoding="utf-8")
    code = main(command, lambda args: FakeAssistant())
    assert code == (1 if name == "fault" else 0)
    check_nothing_is_told("".join(capfd.readouterr()) + caplog.text, places)


def test_watch_says_logs_and_leaves_nothing(source, places, caplog, capfd, monkeypatch):
    """What it stores belongs to the record, and has nothing of what was hidden elsewhere in the files."""
    pytest.importorskip("dicomweb_client")
    from medvlm.archive.dicomweb import Archive

    from .archives import FakeArchive

    monkeypatch.setenv("NETRC", str(places / "none"))
    with FakeArchive() as archive:
        Archive(archive.url).store(sorted(source.iterdir()))
        before, asked = set(archive.objects), len(archive.asked)
        watch = ["watch", "--dicomweb", archive.url, "--once", "--settle", "0", "--state", str(places / "out")]
        assert main(watch, lambda args: FakeAssistant()) == 0
        results = [data for uid, data in archive.objects.items() if uid not in before]
        assert {"SEG", "SR", "DOC"} <= {data.Modality for data in results}
        for data in results:
            assert not leaks(dicom_bytes(data), NOWHERE)
        assert not leaks("\n".join(archive.asked[asked:]).encode(), ALL)
    assert list((places / "out").iterdir())
    check_nothing_is_told("".join(capfd.readouterr()) + caplog.text, places)


def dicom_bytes(data: pydicom.Dataset) -> bytes:
    stream = io.BytesIO()
    data.save_as(stream)
    return stream.getvalue()


def test_mcp_tells_and_leaves_nothing(source, places, caplog, capfd):
    """Its results go to whoever runs the assistant that calls the tools."""
    pytest.importorskip("mcp")
    from serving.mcp import make_server

    from .test_mcp import talk

    one = {"study": "study-1"}
    calls = {
        "ask": {"question": "What is to be seen?"},
        "find": {"phrases": ["thing"], "masks": True},
        "count": {"thing": "thing"},
        "measure": {"thing": "thing"},
        "segment": {"box": [120, 90, 200, 170], "masks": True},
        "report": {},
        "check_report": {"text": "Bright thing."},
    }
    server = make_server(FakeAssistant, [source.parent])
    opening = ("open_study", {"path": str(source)})
    results = talk(server, opening, *((name, one | given) for name, given in calls.items()))
    assert not any(result.is_error for result in results)
    said = "".join(result.model_dump_json() for result in results)
    check_nothing_is_told(said + "".join(capfd.readouterr()) + caplog.text, places)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("question", ["Please find thing", "explode"])
def test_chats_tell_and_leave_nothing(source, places, caplog, capfd, question, stream):
    pytest.importorskip("fastapi")
    from fastapi import FastAPI
    from starlette.testclient import TestClient

    from serving.api.chatting import router
    from serving.openai import Chats

    (path,) = source.iterdir()
    packed = base64.b64encode(path.read_bytes()).decode()
    file = {"filename": path.name, "file_data": f"data:application/dicom;base64,{packed}"}
    parts = [{"type": "text", "text": question}, {"type": "file", "file": file}]
    app = FastAPI()
    app.include_router(router(Chats(lambda client: FakeAssistant(), places / "out")), prefix="/v1")
    with TestClient(app, raise_server_exceptions=False) as client:
        chat = {"model": "fake", "messages": [{"role": "user", "content": parts}], "stream": stream}
        reply = client.post("/v1/chat/completions", json=chat)
    assert ("regions" in reply.text) == (question != "explode"), reply.text[:500]
    check_nothing_is_told(reply.text + str(reply.headers) + "".join(capfd.readouterr()) + caplog.text, places)


def test_downloads_of_the_page(study, tmp_path):
    pytest.importorskip("gradio")
    from serving.page.open_study import Layer
    from serving.page.saving import download
    from serving.page.session import Session

    report = FakeAssistant().report(study)
    session = Session()
    session.study, session.layer = study, Layer("Report", report.regions, report=report)
    for what in ("png", "coco", "pdf", "fhir"):
        name, url = download(session, what, 0.3, tmp_path)
        content = base64.b64decode(url.split(",", 1)[1])
        assert not leaks(content, ALL) and not leaks(name.encode(), ALL)
        if what == "png":
            shown = np.asarray(PIL.Image.open(io.BytesIO(content)).convert("RGB"))
            assert not any(word in read(shown) for word in BURNED_WORDS)
    assert not list(tmp_path.iterdir())
