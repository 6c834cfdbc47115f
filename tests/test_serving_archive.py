"""The server's archive: studies are opened from it by their UIDs and reports stored in it, over the API and the page's events."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
pytest.importorskip("dicomweb_client")
pytest.importorskip("highdicom")

from fastapi import HTTPException

from medvlm.archive import ArchiveError
from medvlm.archive.dicomweb import Archive
from medvlm.archive.transport import Patience
from medvlm.errors import RequestError
from serving.access import audit
from serving.access.limits import FULL
from serving.dicomweb import AT_ONCE, Dicomweb, rule_of
from serving.page.archive import ArchivePanel
from serving.page.desks import Page, asking
from serving.page.handlers import Handlers
from serving.page.session import Session
from serving.uploads import Inbox

from .apis import SlowAssistant, app_over, client_over, opened, refused
from .archives import ORTHANC, PLUGIN, FakeArchive, ct, orthanc
from .fakes import FakeAssistant

NAME, ID = "Döe^Jane", "77/x 8"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEDVLM_DICOMWEB_USER", "ward")
    monkeypatch.setenv("MEDVLM_DICOMWEB_PASSWORD", "in-use")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))


@pytest.fixture
def archive() -> Iterator[FakeArchive]:
    with FakeArchive() as fake:
        yield fake


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the audit log says."""
    stream, before = io.StringIO(), audit.audit.level
    handler = logging.StreamHandler(stream)
    monkeypatch.setattr(audit.audit, "handlers", [handler])
    audit.audit.setLevel(logging.INFO)
    yield stream
    audit.audit.setLevel(before)


def stored(folder: Path, url: str, count: int = 3, **elements: object) -> str:
    """The Study Instance UID of slices of a CT that lie in an archive now."""
    study = ct(folder, count, StudyDate="20260130", PatientName=NAME, PatientID=ID, **elements)
    Archive(url).store(sorted(folder.iterdir()))
    return study


def over(url: str, folder: Path, **options: float):
    return client_over(app_over(SlowAssistant(), folder, archive=lambda: Archive(url, patience=Patience(**options))))


def series_of(folder: Path) -> str:
    return str(pydicom.dcmread(next(folder.iterdir())).SeriesInstanceUID)


@pytest.fixture(scope="module", params=["fake", "orthanc"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "fake":
        with FakeArchive() as fake:
            yield fake.url
        return
    if not ORTHANC or not PLUGIN.exists():
        pytest.skip("Orthanc is not installed: make orthanc")
    with orthanc(tmp_path_factory.mktemp("orthanc")) as address:
        yield address


def test_a_study_is_opened_by_its_uid_and_its_report_stored_once(url: str, tmp_path: Path, lines: io.StringIO) -> None:
    uid, client = stored(tmp_path / "scan", url), over(url, tmp_path / "inbox")
    reply = client.post("/v1/studies", json={"dicomweb": {"study": uid}})
    assert reply.status_code == 201 and len(reply.json()["images"]) == 3
    study = f"/v1/studies/{reply.json()['id']}"
    assert client.post(f"{study}/store").json() == {"stored": 3}
    there = Archive(url).instances(uid)
    assert len(there) == 6
    assert client.post(f"{study}/store").json() == {"stored": 3} and Archive(url).instances(uid) == there
    for asked in ({"name": "jane"}, {"name": "Doe, Jane"}, {"patient": ID}, {"name": "ö jane"}):
        (listed,) = Archive(url).studies(rule_of(**asked), uid)
    assert not list(Archive(url).studies(rule_of(name="jane x"), uid))
    assert {"CT", "DOC", "SEG", "SR"} <= set(listed.modalities)

    # What was stored is no image: the study opens as before, and a series of another kind is refused.
    kinds = {one.modality: one.uid for one in Archive(url).series(uid)}
    alone = client.post("/v1/studies", json={"dicomweb": {"study": uid, "series": kinds["CT"]}})
    assert alone.status_code == 201 and len(alone.json()["images"]) == 3
    for series in (kinds["SEG"], "1.2.3"):
        asked = {"dicomweb": {"study": uid, "series": series}}
        assert "no images" in refused(client.post("/v1/studies", json=asked), 422)

    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [line["action"] for line in told] == ["archive-fetch", "archive-store", "archive-store", "archive-fetch"]
    assert all(secret not in lines.getvalue() for secret in ("Doe", "Jane", ID, uid))
    client.delete(study)
    client.delete(f"/v1/studies/{alone.json()['id']}")
    assert not list((tmp_path / "inbox").iterdir())


@pytest.mark.parametrize(
    "asked",
    [
        {"study": "http://127.0.0.1:9/dicom-web"},
        {"study": "../../instances"},
        {"study": "1.2.3", "series": "1/instances"},
        {"study": "1.2.3", "url": "http://127.0.0.1:9"},
        {},
    ],
)
def test_nothing_but_uids_is_asked_for(archive: FakeArchive, tmp_path: Path, asked: dict) -> None:
    refused(over(archive.url, tmp_path / "inbox").post("/v1/studies", json={"dicomweb": asked}), 422)
    assert not archive.asked


def test_a_body_without_end_is_refused(archive: FakeArchive, tmp_path: Path) -> None:
    head = {"content-type": "application/json"}
    reply = over(archive.url, tmp_path / "inbox").post("/v1/studies", content=b" " * 10_000, headers=head)
    assert "UIDs" in refused(reply, 413)


def test_only_what_the_archive_holds_gets_a_report(archive: FakeArchive, tmp_path: Path) -> None:
    ct(tmp_path / "scan")
    client = over(archive.url, tmp_path / "inbox")
    slices = [path.read_bytes() for path in sorted((tmp_path / "scan").iterdir())]
    assert "does not hold" in refused(client.post(f"/v1/studies/{opened(client, *slices)}/store"), 422)
    assert "DICOM images" in refused(client.post(f"/v1/studies/{opened(client)}/store"), 422)
    assert not archive.objects


@pytest.mark.parametrize(
    ("request_", "fault", "words"),
    [
        ("GET /studies$", "500", "error"),
        ("GET /studies$", "401", "does not let you in"),
        ("GET /studies$", "silent", "too slow"),
        ("GET /studies$", "garbage", "cannot be understood"),
        ("GET /studies/[0-9.]+/series/[0-9.]+$", "cut", "broke off"),
        ("GET /studies/[0-9.]+/series/[0-9.]+$", "trickle", "too slow"),
        ("GET /studies/[0-9.]+/series/[0-9.]+$", "one missing", "2 of the 3"),
    ],
)
def test_what_goes_wrong_while_fetching(
    archive: FakeArchive, tmp_path: Path, request_: str, fault: str, words: str
) -> None:
    uid = stored(tmp_path / "scan", archive.url)
    archive.faults[request_] = fault
    client = over(archive.url, tmp_path / "inbox", silence=0.5, start=0.5)
    assert words in refused(client.post("/v1/studies", json={"dicomweb": {"study": uid}}), 502)
    assert not list((tmp_path / "inbox").iterdir())


def test_what_was_half_stored_is_not_called_stored(archive: FakeArchive, tmp_path: Path) -> None:
    uid, client = stored(tmp_path / "scan", archive.url), over(archive.url, tmp_path / "inbox")
    reply = client.post("/v1/studies?keep_text=true", json={"dicomweb": {"study": uid}})
    study = f"/v1/studies/{reply.json()['id']}"
    for fault, words in (("500", "0 of the 3"), ("half, then cut", "1 of the 3"), ("half", "1 of the 3")):
        archive.faults["POST /studies"] = fault
        assert words in refused(client.post(f"{study}/store"), 502)
    archive.faults.clear()
    assert client.post(f"{study}/store").json() == {"stored": 3} and len(archive.objects) == 6


def test_a_slow_archive_holds_few_threads(archive: FakeArchive, tmp_path: Path) -> None:
    uid = stored(tmp_path / "scan", archive.url)
    archive.faults["GET /studies"] = "silent"
    dicomweb = Dicomweb(lambda: Archive(archive.url), Inbox(tmp_path))
    for _ in range(AT_ONCE):
        threading.Thread(target=lambda: pytest.raises(ArchiveError, dicomweb.bring, "me", uid), daemon=True).start()
    while len([asked for asked in archive.asked if asked.startswith("GET")]) < AT_ONCE:
        time.sleep(0.01)
    with pytest.raises(HTTPException) as busy:
        dicomweb.find(rule_of(), "me")
    assert busy.value.status_code == 429


# The page


def event(**data: object) -> dict[str, object]:
    return data


@pytest.fixture
def panel(archive: FakeArchive, tmp_path: Path) -> ArchivePanel:
    asking.set(Page("tab", "alice session 1", Session()))
    (tmp_path / "inbox").mkdir()
    inbox = Inbox(tmp_path / "inbox")
    return ArchivePanel(Dicomweb(lambda: Archive(archive.url), inbox), Handlers(FakeAssistant, inbox))


def search(panel: ArchivePanel, **asked: str) -> dict:
    return panel.archive_search(Session(), event(**asked))["archive"]


def test_studies_are_searched_by_name_id_modality_and_day(
    panel: ArchivePanel, archive: FakeArchive, tmp_path: Path
) -> None:
    uid = stored(tmp_path / "scan", archive.url, StudyDescription="Chest")
    for asked in (
        {}, {"name": "doe, jane"}, {"name": "JÀNE"}, {"patient": ID}, {"modality": "ct"},
        {"since": "2026-01-30", "until": "2026-01-30"},
    ):  # fmt: skip
        (found,) = search(panel, **asked)["studies"]
        assert (found["study"], found["name"], found["id"]) == (uid, "Döe Jane", ID)
        assert (found["date"], found["modalities"], found["objects"]) == ("2026-01-30", "CT", "3")
    for asked in ({"name": "john"}, {"patient": "7"}, {"modality": "MR"}, {"since": "2026-01-31"}):
        told = search(panel, **asked)
        assert (told["studies"], told["note"]) == ([], "No study matches.")


@pytest.mark.parametrize("asked", [{"name": "Doe*"}, {"patient": "1\\2"}, {"modality": "CT\\MR"}, {"since": "then"}])
def test_what_cannot_be_searched_is_said(panel: ArchivePanel, archive: FakeArchive, asked: dict[str, str]) -> None:
    said = search(panel, **asked)["note"]
    assert said.endswith(".") and not archive.asked
    with pytest.raises(RequestError):
        rule_of(**asked)


def test_a_study_that_cannot_be_fetched_leaves_what_is_open(
    panel: ArchivePanel, archive: FakeArchive, tmp_path: Path
) -> None:
    uid, session = stored(tmp_path / "scan", archive.url), Session()
    panel.archive_open(session, event(study=uid))
    study = session.study
    assert study is not None and len(study.images) == 3
    assert panel.dicomweb.inbox.owner(session.upload) == "alice session 1"
    archive.faults["GET /studies"] = "500"
    for asked in (uid, "../x", None):
        said = panel.archive_open(session, event(study=asked))["archive"]
        assert session.study is study and not said["opened"] and said["note"].endswith(".")
    assert [path.name for path in (tmp_path / "inbox").iterdir()] == [session.upload]
    assert session.title == "CT 2026-01-30"


def test_a_study_that_there_is_no_room_for_leaves_what_is_open(
    panel: ArchivePanel, archive: FakeArchive, tmp_path: Path
) -> None:
    uid, session = stored(tmp_path / "scan", archive.url), Session()
    panel.archive_open(session, event(study=uid))
    study, kept = session.study, session.upload
    held = session.desk.nbytes

    def check_room(more: int) -> None:
        if session.desk.nbytes + more > 1.5 * held:
            raise RequestError(FULL)

    panel.do.check_room = check_room
    said = panel.archive_open(session, event(study=uid))["archive"]
    assert not said["opened"] and session.chat.messages[-1]["content"] == FULL
    assert session.study is study and len(session.desk.tabs) == 1
    assert [path.name for path in (tmp_path / "inbox").iterdir()] == [kept]


def test_a_corrected_report_is_stored_beside_the_draft(
    panel: ArchivePanel, archive: FakeArchive, tmp_path: Path
) -> None:
    session = Session()
    assert "Ask for a report" in panel.archive_store(session)["archive"]["note"]
    panel.archive_open(session, event(study=stored(tmp_path / "scan", archive.url)))
    panel.do.report(session)
    panel.do.work(session)
    for _ in range(2):
        assert "3 objects" in panel.archive_store(session)["archive"]["note"]
    assert len(archive.objects) == 6
    session.layer.report.findings[0].presence = "uncertain"
    assert "3 objects" in panel.archive_store(session)["archive"]["note"]
    assert len(archive.objects) == 9
