"""Studies go into an archive, are found, fetched, reported and stored back; a real Orthanc is asked where it is installed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

pytest.importorskip("dicomweb_client")
pytest.importorskip("highdicom")

from medvlm.archive.dicomweb import Archive
from medvlm.cli import main
from medvlm.studies import Limits, load_study

from .archives import ORTHANC, PLUGIN, FakeArchive, ct, orthanc
from .fakes import FakeAssistant
from .studies import SECRET

USER, PASSWORD, TOKEN = "MEDVLM_DICOMWEB_USER", "MEDVLM_DICOMWEB_PASSWORD", "MEDVLM_DICOMWEB_TOKEN"


@pytest.fixture(scope="module", params=["fake", "orthanc"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "fake":
        with FakeArchive() as archive:
            yield archive.url
        return
    if not ORTHANC or not PLUGIN.exists():
        pytest.skip("Orthanc is not installed: make orthanc")
    with orthanc(tmp_path_factory.mktemp("orthanc")) as address:
        yield address


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(USER, "ward")
    monkeypatch.setenv(PASSWORD, "in-use")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))


def run(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    code = main([str(a) for a in argv], load=lambda args: FakeAssistant())
    return code, *capsys.readouterr()


def test_a_study_goes_in_is_reported_and_its_results_come_back(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, url: str
) -> None:
    study = ct(tmp_path / "scan", StudyDate="20260130")
    assert run(capsys, "store", tmp_path / "scan", "--dicomweb", url)[:2] == (0, "stored: 3 files\n")

    code, out, err = run(capsys, "fetch", "--dicomweb", url, "--since", "2026-01-30", "--json")
    (listed,) = json.loads(out)["studies"]
    assert code == 0 and (listed["study"], listed["date"], listed["modalities"]) == (study, "20260130", ["CT"])
    assert SECRET not in out + err and "12345678" not in out + err
    watch = ["watch", "--dicomweb", url, "--modality", "CT", "--body-part", "chest", "--since", "2026-01-30", "--once"]
    watch += ["--settle", "0", "--state", tmp_path / "state", "--json"]
    code, out, err = run(capsys, *watch)
    assert code == 0 and SECRET not in out + err and study not in out + err
    stored = json.loads(out)["stored"]
    assert list(stored) == [listed["name"]] and stored[listed["name"]] >= 2
    assert json.loads(run(capsys, *watch)[1])["stored"] == {}

    code, out, _ = run(capsys, "fetch", "--dicomweb", url, "--study", study, "-o", tmp_path / "back", "--json")
    (entry,) = json.loads(out)["studies"]
    assert {"CT", "SEG", "SR", "DOC"} <= set(entry["modalities"]) and entry["files"] == 3 + stored[listed["name"]]
    there = [pydicom.dcmread(path) for path in Path(entry["folder"]).glob("*.dcm")]
    assert {data.StudyInstanceUID for data in there} == {study}
    (report,) = (data for data in there if data.Modality == "SR")
    (masks,) = (data for data in there if data.Modality == "SEG")
    referred = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    uids = {item.ReferencedSOPInstanceUID for series in referred for item in series.ReferencedSOPSequence}
    assert masks.SOPInstanceUID in uids and uids <= {data.SOPInstanceUID for data in there}
    assert len(load_study(entry["folder"]).images) == 3

    files = " ".join(str(path) for path in tmp_path.rglob("*"))
    assert "Doe" not in files and study not in files
    assert study not in (tmp_path / "state/studies.txt").read_text() and not (tmp_path / "state/work").exists()


def test_what_is_listed_can_be_narrowed(capsys: pytest.CaptureFixture[str], tmp_path: Path, url: str) -> None:
    old = ct(tmp_path / "old", 1, StudyDate="19990101")
    head = ct(tmp_path / "head", 1, StudyDate="19990203", BodyPartExamined="HEAD", Modality="MR")
    assert run(capsys, "store", tmp_path / "old", tmp_path / "head", "--dicomweb", url)[0] == 0

    def listed(*options: object) -> set[str]:
        code, out, _ = run(capsys, "fetch", "--dicomweb", url, "--until", "2000-01-01", "--json", *options)
        assert code == 0
        return {study["study"] for study in json.loads(out)["studies"]}

    assert listed() == {old, head}
    assert listed("--modality", "mr") == {head} and listed("--body-part", "chest") == {old}
    assert listed("--since", "1999-02-01") == {head} and listed("--study", old) == {old}
    assert len(listed("--limit", 1)) == 1
    code, out, err = run(capsys, "fetch", "--dicomweb", url, "--study", old, "--show-patients")
    assert code == 0 and SECRET in out and SECRET not in err
    assert run(capsys, "fetch", "--dicomweb", url, "--study", "1.2.3.4")[0] == 2


def test_what_is_there_is_not_fetched_again(capsys: pytest.CaptureFixture[str], tmp_path: Path, url: str) -> None:
    study = ct(tmp_path / "scan", 2, StudyDate="19980101")
    run(capsys, "store", tmp_path / "scan", "--dicomweb", url)
    fetch = ["fetch", "--dicomweb", url, "--study", study, "-o", tmp_path / "back", "--json"]
    first, again = (json.loads(run(capsys, *fetch)[1]) for _ in range(2))
    assert first["studies"] == again["studies"] and first["studies"][0]["files"] == 2
    assert not first["notices"] and "not fetched again" in again["notices"][0]
    assert len(list((tmp_path / "back").iterdir())) == 1


def test_of_several_studies_a_too_large_one_is_left_out(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = ct(tmp_path / "large", 3)
    ct(tmp_path / "small", 2)
    with FakeArchive() as archive:
        run(capsys, "store", tmp_path, "--dicomweb", archive.url)
        small = Archive(archive.url, Limits(max_files=2))
        monkeypatch.setattr("medvlm.commands.archives.archive_of", lambda args: small)
        fetch = ["fetch", "--dicomweb", archive.url, "-o", tmp_path / "back"]
        code, out, err = run(capsys, *fetch, "--json")
        entries = json.loads(out)["studies"]
        assert code == 0 and sorted(entry.get("files", 0) for entry in entries) == [0, 2] and "too many" in err
        assert run(capsys, *fetch, "--study", large)[0] == 2


def test_only_files_of_a_study_are_stored(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ct(tmp_path / "scan", 1)
    (tmp_path / "notes.txt").write_text(SECRET)
    with FakeArchive() as archive:
        for wrong in ("notes.txt", "missing.dcm"):
            code, out, err = run(capsys, "store", tmp_path / "scan/0.dcm", tmp_path / wrong, "--dicomweb", archive.url)
            assert code == 2 and not out and wrong in err and SECRET not in err
        assert run(capsys, "store", tmp_path, "--dicomweb", archive.url)[:2] == (0, "stored: 1 file\n")
        assert sum(asked.startswith("POST") for asked in archive.asked) == 1


def test_credentials_come_from_the_environment_or_netrc(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeArchive() as archive:

        def authorization() -> str | None:
            assert run(capsys, "fetch", "--dicomweb", archive.url)[0] == 0
            return archive.headers[-1].get("Authorization")

        assert authorization() == "Basic d2FyZDppbi11c2U="
        monkeypatch.setenv(TOKEN, "a.b.c")
        (tmp_path / "none").write_text("machine 127.0.0.1 login other password else")
        (tmp_path / "none").chmod(0o600)
        assert authorization() == "Bearer a.b.c"
        for name in (USER, PASSWORD, TOKEN):
            monkeypatch.delenv(name)
        assert authorization() == "Basic b3RoZXI6ZWxzZQ=="
        monkeypatch.setenv(USER, "ward")
        assert run(capsys, "fetch", "--dicomweb", archive.url)[0] == 2


@pytest.mark.parametrize(
    "address", ["ftp://host/x", "host/x", "http://ward:in-use@127.0.0.1/x", "http://h/x?key=in-use"]
)
def test_addresses_with_secrets_or_without_a_host_are_refused(capsys: pytest.CaptureFixture[str], address: str) -> None:
    code, out, err = run(capsys, "fetch", "--dicomweb", address)
    assert code == 2 and not out and err.count("\n") == 1 and "in-use" not in err


@pytest.mark.parametrize(
    "options", [["--since", "soon"], ["--modality", "C*"], ["--study", "x/../y"], ["--limit", "0"]]
)
def test_wrong_options_ask_for_nothing(capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    with FakeArchive() as archive:
        code, out, err = run(capsys, "fetch", "--dicomweb", archive.url, *options)
        assert code == 2 and not out and err.count("\n") == 1 and options[0] in err and not archive.asked
