"""An archive that is slow, refuses, answers with something else or breaks off: one sentence, and nothing half is called whole."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("dicomweb_client")

from medvlm.archive import ArchiveError
from medvlm.archive.dicomweb import Archive
from medvlm.archive.entries import Rule
from medvlm.archive.transport import Patience
from medvlm.errors import MedVLMError, RequestError, StudyError
from medvlm.studies import Limits

from .archives import FakeArchive, ct
from .studies import SECRET

IMPATIENT = Patience(silence=0.3, start=0.4, slowest=2**20, most_bytes=2**22)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeArchive]:
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with FakeArchive() as archive:
        yield archive


def refused(do: Callable[[], object], kind: type[MedVLMError] = ArchiveError) -> str:
    with pytest.raises(kind) as caught:
        do()
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and SECRET not in message and "studies/" not in message
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return message


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("500", "HTTP 500"),
        ("503", "HTTP 503"),
        ("401", "does not let you in"),
        ("404", "knows no such"),
        ("elsewhere", "sends on to another address"),
        ("garbage", "cannot be understood"),
        ("odd", "cannot be understood"),
        ("cut", "broke off in the middle"),
        ("silent", "too slow"),
        ("trickle", "too slow"),
        ("endless", "more than a study may hold"),
    ],
)
def test_a_search_that_goes_wrong(fake: FakeArchive, fault: str, said: str) -> None:
    fake.faults["GET /studies"] = fault
    assert said in refused(lambda: list(Archive(fake.url, patience=IMPATIENT).studies(Rule())))
    assert len(fake.asked) == 1  # never again unseen


def test_an_archive_that_is_not_there(fake: FakeArchive) -> None:
    fake.server.server_close()
    assert "cannot be reached" in refused(lambda: list(Archive(fake.url).studies(Rule())))


def test_an_archive_that_gives_the_same_page_again(fake: FakeArchive, tmp_path: Path) -> None:
    study = ct(tmp_path / "scan", 2)
    archive = Archive(fake.url)
    archive.store(sorted((tmp_path / "scan").iterdir()))
    fake.faults["GET /studies"] = "same again"
    assert [one.uid for one in archive.studies(Rule())] == [study] and len(archive.instances(study)) == 2


def test_a_list_is_held_to_less_than_a_study(fake: FakeArchive) -> None:
    fake.faults["GET /studies"] = "endless"
    patience = Patience(most_listed=2**20)
    assert "more than a study" in refused(lambda: list(Archive(fake.url, patience=patience).studies(Rule())))


def test_no_study_is_overlooked_in_silence(fake: FakeArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        ct(tmp_path / name, 1)
    Archive(fake.url).store(sorted(tmp_path.glob("*/*.dcm")))
    monkeypatch.setattr("medvlm.archive.dicomweb.MOST_RESULTS", 2)
    assert "--since" in refused(lambda: list(Archive(fake.url).studies(Rule())))


@pytest.mark.parametrize("tag", ["00080061", "00201208"])  # modalities, and the number of objects
def test_an_element_that_holds_something_else(fake: FakeArchive, tag: str) -> None:
    fake.answer = {"0020000D": {"vr": "UI", "Value": ["1.2.3"]}, tag: {"vr": "US", "Value": [7, 8]}}
    fake.faults["GET /studies"] = "answer"
    with contextlib.suppress(ArchiveError):  # one sentence or none: never a fault of ours
        list(Archive(fake.url).studies(Rule()))


@pytest.mark.parametrize("uid", ["..", "1.2.", ".1"])
def test_what_leads_elsewhere_is_no_uid(fake: FakeArchive, uid: str) -> None:
    fake.answer = {"0020000D": {"vr": "UI", "Value": [uid]}}
    fake.faults["GET /studies"] = "answer"
    assert "cannot be understood" in refused(lambda: list(Archive(fake.url).studies(Rule())))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("cut", "broke off in the middle"),
        ("cut without a length", "broke off in the middle"),
        ("one missing", "gave 2 of the 3 files"),
        ("500", "HTTP 500"),
        ("garbage", "cannot be understood"),
    ],
)
def test_a_study_that_does_not_come_whole_is_not_kept(fake: FakeArchive, tmp_path: Path, fault: str, said: str) -> None:
    study = ct(tmp_path / "scan")
    archive = Archive(fake.url)
    archive.store(sorted((tmp_path / "scan").iterdir()))
    (found,), series = archive.studies(Rule()), archive.series(study)
    fake.faults[".*series/[0-9.]+$"] = fault
    assert said in refused(lambda: archive.fetch(found, tmp_path / "out/study", series))
    assert not list((tmp_path / "out").iterdir())
    fake.faults.clear()
    assert len(archive.fetch(found, tmp_path / "out/study", series)) == 3


def test_a_study_that_is_too_large_is_not_kept(fake: FakeArchive, tmp_path: Path) -> None:
    study = ct(tmp_path / "scan")
    archive = Archive(fake.url)
    archive.store(sorted((tmp_path / "scan").iterdir()))
    (found,), series = archive.studies(Rule()), archive.series(study)
    for limits in (Limits(max_files=2), Limits(max_total_bytes=3000)):
        archive.limits = limits
        assert "one study" in refused(lambda: archive.fetch(found, tmp_path / "out/study", series), StudyError)
    assert not list((tmp_path / "out").iterdir())


def test_a_folder_that_cannot_be_written(fake: FakeArchive, tmp_path: Path) -> None:
    study = ct(tmp_path / "scan")
    archive = Archive(fake.url)
    archive.store(sorted((tmp_path / "scan").iterdir()))
    (found,) = archive.studies(Rule())
    (tmp_path / "file").touch()
    refused(lambda: archive.fetch(found, tmp_path / "file/study", archive.series(study)), RequestError)
    refused(lambda: archive.fetch(found, tmp_path, archive.series(study)), RequestError)


@pytest.mark.parametrize(
    ("fault", "held"),
    [("half, then cut", 1), ("half", 1), ("500", 0)],
)
def test_what_is_not_stored_is_not_called_stored(fake: FakeArchive, tmp_path: Path, fault: str, held: int) -> None:
    ct(tmp_path / "scan")
    files = sorted((tmp_path / "scan").iterdir())
    fake.faults["POST"] = fault
    message = refused(lambda: Archive(fake.url).store(files))
    assert f"It holds {held} of the 3 files" in message and len(fake.objects) == held
    fake.faults.clear()
    assert Archive(fake.url).store(files) == 3 and len(fake.objects) == 3


@pytest.mark.parametrize("fault", ["then cut", "garbage", "silent"])
def test_what_is_stored_is_called_so_where_its_confirmation_is_lost(
    fake: FakeArchive, tmp_path: Path, fault: str
) -> None:
    ct(tmp_path / "scan")
    fake.faults["POST"] = fault
    files = sorted((tmp_path / "scan").iterdir())
    assert Archive(fake.url, patience=IMPATIENT).store(files) == 3
    fake.faults["GET"] = "500"  # nobody can tell
    assert "It holds 0 of the 3" in refused(lambda: Archive(fake.url, patience=IMPATIENT).store(files))


def test_large_sets_are_stored_in_parts(fake: FakeArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        ct(tmp_path / name)
    monkeypatch.setattr("medvlm.archive.dicomweb.AT_ONCE", 4000)
    assert Archive(fake.url).store(sorted(tmp_path.glob("*/*.dcm"))) == 6
    assert sum(asked.startswith("POST") for asked in fake.asked) == 4
    with pytest.raises(RequestError, match="too large"):
        Archive(fake.url, replace(Limits(), max_bytes=1000)).store(sorted(tmp_path.glob("*/*.dcm")))
