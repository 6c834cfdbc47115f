"""Each new study is reported once, whatever breaks off in between."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("dicomweb_client")
pytest.importorskip("highdicom")

from medvlm.archive.dicomweb import Archive
from medvlm.archive.entries import Rule
from medvlm.archive.watch import Round, State, Watcher
from medvlm.cli import main
from medvlm.errors import ModelError, RequestError, StudyError
from medvlm.report.export import write_report
from medvlm.studies import load_study

from .archives import FakeArchive, ct
from .fakes import FakeAssistant

ROOT = Path(__file__).parents[1]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeArchive]:
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with FakeArchive() as archive:
        yield archive


def sent(fake: FakeArchive, folder: Path, **elements: object) -> str:
    study = ct(folder, 2, **elements)
    Archive(fake.url).store(sorted(folder.iterdir()))
    return study


def draft(given: Path, made: Path) -> list[Path]:
    study = load_study(given)
    return write_report(FakeAssistant().report(study), study, made, ["seg", "sr"])


def watched(fake: FakeArchive, tmp_path: Path, rule: Rule = Rule(), draft=draft, settle: float = 0) -> Round:  # noqa: B008
    with State(tmp_path / "state") as state:
        return Watcher(Archive(fake.url), rule, state, draft, settle).round()


def test_a_rule_chooses_the_studies(fake: FakeArchive, tmp_path: Path) -> None:
    chest = sent(fake, tmp_path / "a")
    head = sent(fake, tmp_path / "b", BodyPartExamined="HEAD")
    magnet = sent(fake, tmp_path / "c", Modality="MR")
    assert len(watched(fake, tmp_path, Rule("CT", "CHEST")).stored) == 1
    assert fake.modalities(chest) == ["CT", "CT", "SEG", "SR"]
    assert fake.modalities(head) == ["CT", "CT"] and fake.modalities(magnet) == ["MR", "MR"]
    assert len(watched(fake, tmp_path).stored) == 2  # only the other two
    assert not watched(fake, tmp_path).stored and len(fake.objects) == 12


def test_a_study_that_still_grows_waits(fake: FakeArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = sent(fake, tmp_path / "a")
    first = next(iter(fake.objects.values()))

    def one_more(_: float) -> None:
        ct(tmp_path / "more", 1, StudyInstanceUID=study, SeriesInstanceUID=str(first.SeriesInstanceUID))
        Archive(fake.url).store(sorted((tmp_path / "more").iterdir()))

    with monkeypatch.context() as patch:
        patch.setattr("medvlm.archive.watch.time", SimpleNamespace(sleep=one_more))
        assert watched(fake, tmp_path) == Round()
    assert len(watched(fake, tmp_path).stored) == 1 and fake.modalities(study) == ["CT", "CT", "CT", "SEG", "SR"]


@pytest.mark.parametrize("fault", ["half, then cut", "500"])
def test_results_that_are_not_all_stored_are_stored_next_time(fake: FakeArchive, tmp_path: Path, fault: str) -> None:
    study = sent(fake, tmp_path / "a")
    fake.faults["POST"] = fault
    failed = watched(fake, tmp_path)
    assert not failed.stored and len(failed.failed) == 1
    fake.faults.clear()
    assert len(watched(fake, tmp_path).stored) == 1 and fake.modalities(study) == ["CT", "CT", "SEG", "SR"]


def test_a_study_that_cannot_be_reported_is_not_tried_again(fake: FakeArchive, tmp_path: Path) -> None:
    good, bad = sent(fake, tmp_path / "a"), sent(fake, tmp_path / "b", Modality="MR")
    tried = []

    def picky(given: Path, made: Path) -> list[Path]:
        tried.append(given)
        if load_study(given).metadata.get("modality") == "MR" or len(tried) > 5:
            raise StudyError("It cannot be read.")
        return draft(given, made)

    def broken(given: Path, made: Path) -> list[Path]:
        raise ZeroDivisionError("12345678")

    first = watched(fake, tmp_path, Rule("MR"), broken)
    assert "12345678" not in str(first) and len(first.refused) == 1
    assert watched(fake, tmp_path, draft=picky).refused == {} and len(tried) == 1
    assert fake.modalities(good) == ["CT", "CT", "SEG", "SR"] and fake.modalities(bad) == ["MR", "MR"]


def test_no_study_is_refused_for_want_of_a_model_or_room(fake: FakeArchive, tmp_path: Path) -> None:
    sent(fake, tmp_path / "a")

    def without_model(given: Path, made: Path) -> list[Path]:
        raise ModelError("There is no such model.")

    def without_room(given: Path, made: Path) -> list[Path]:
        raise RequestError("It cannot be written.") from OSError(28, "No space left on device")

    for wrong, kind in ((without_model, ModelError), (without_room, RequestError)):
        with pytest.raises(kind):
            watched(fake, tmp_path, draft=wrong)
    assert not (tmp_path / "state/work").exists() and len(watched(fake, tmp_path).stored) == 1


def test_a_lost_state_doubles_nothing(fake: FakeArchive, tmp_path: Path) -> None:
    study = sent(fake, tmp_path / "a")
    watched(fake, tmp_path)
    before = set(fake.objects)
    (tmp_path / "state/studies.txt").unlink()
    assert len(watched(fake, tmp_path).stored) == 1
    assert set(fake.objects) == before and fake.modalities(study) == ["CT", "CT", "SEG", "SR"]


def test_another_model_makes_other_objects(fake: FakeArchive, tmp_path: Path) -> None:
    study = sent(fake, tmp_path / "a")

    def another(given: Path, made: Path) -> list[Path]:
        report = FakeAssistant().report(load_study(given))
        report.model = "another"
        return write_report(report, load_study(given), made, ["seg", "sr"])

    watched(fake, tmp_path)
    (tmp_path / "state/studies.txt").unlink()
    watched(fake, tmp_path, draft=another)
    assert fake.modalities(study) == ["CT", "CT", "SEG", "SEG", "SR", "SR"]


def test_a_torn_line_costs_no_other(fake: FakeArchive, tmp_path: Path) -> None:
    sent(fake, tmp_path / "a")
    (tmp_path / "state").mkdir()
    (tmp_path / "state/studies.txt").write_bytes(b"\xff3f\n0123")
    assert len(watched(fake, tmp_path).stored) == 1 and not watched(fake, tmp_path).stored


def test_two_do_not_work_with_one_state(tmp_path: Path) -> None:
    with State(tmp_path / "state"), pytest.raises(RequestError, match="Another"), State(tmp_path / "state"):
        pass


def begun(fake: FakeArchive, tmp_path: Path, where: str) -> tuple[list[str], subprocess.Popen[bytes]]:
    """A watch in a process of its own, with its arguments, once it has asked what `where` matches."""
    asked = len(fake.asked)
    program = (
        "import sys; from medvlm.cli import main; from tests.fakes import FakeAssistant; "
        "sys.exit(main(sys.argv[1:], load=lambda args: FakeAssistant()))"
    )
    options = ["watch", "--dicomweb", fake.url, "--once", "--settle", "0", "--state", str(tmp_path / "state")]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *options],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 60
    while not any(re.match(where, line.rstrip("?")) for line in fake.asked[asked:]) and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.3)
    return options, process


def test_a_stopped_watch_leaves_no_patient_behind(fake: FakeArchive, tmp_path: Path) -> None:
    sent(fake, tmp_path / "a")
    where = r"GET .*/series/[0-9.]+$"
    fake.faults[where] = "silent"
    _, process = begun(fake, tmp_path, where)
    assert list((tmp_path / "state/work").iterdir())
    process.send_signal(signal.SIGTERM)  # as systemd does
    process.wait(10)
    assert not (tmp_path / "state/work").exists()


@pytest.mark.parametrize("fault", ["storing", "fetching"])
def test_a_kill_costs_nothing(
    capsys: pytest.CaptureFixture[str], fake: FakeArchive, tmp_path: Path, fault: str
) -> None:
    """Killed after the archive has stored, and while a study is fetched: once it is started again, each is there once."""
    study = sent(fake, tmp_path / "a")
    where = r"GET .*/series/[0-9.]+$" if fault == "fetching" else "POST"
    fake.faults[where] = "silent"
    options, first = begun(fake, tmp_path, where)
    first.send_signal(signal.SIGKILL)
    first.wait(10)
    assert (tmp_path / "state/work").exists()
    fake.faults.clear()
    assert main(options, load=lambda args: FakeAssistant()) == 0
    assert [fake.modalities(study).count(kind) for kind in ("CT", "SEG", "SR")] == [2, 1, 1]
    assert not (tmp_path / "state/work").exists() and study not in capsys.readouterr().err
    count = len(fake.objects)
    assert not watched(fake, tmp_path).stored and len(fake.objects) == count
