"""What devices push becomes a folder a study, within bounds; what was confirmed to them is kept."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

pytest.importorskip("pynetdicom")

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association

from medvlm.archive.store_scp import HIDDEN, Received, Receiver
from medvlm.cli import main
from medvlm.errors import RequestError
from medvlm.studies import Limits, load_study

from .archives import ct
from .studies import SECRET

FULL = namedtuple("FULL", "total used free")


def associated(port: int, title: str = "SCANNER") -> Association:
    device = AE(ae_title=title)
    device.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    device.add_requested_context("1.2.840.10008.1.1")
    return device.associate("127.0.0.1", port, ae_title="MEDVLM")


def pushed(port: int, *folders: Path) -> list[int]:
    """The status of each file, all of one association; -1 where there was none."""
    association = associated(port)
    assert association.is_established
    files = [path for folder in folders for path in sorted(folder.iterdir())]
    out = [association.send_c_store(pydicom.dcmread(path)).get("Status", -1) for path in files]
    association.release()
    return out


def until_true(check: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not check() and time.monotonic() < end:
        time.sleep(0.02)
    assert check()


def until(done: list[Received], count: int) -> None:
    until_true(lambda: len(done) == count)


def test_each_study_becomes_a_folder_without_a_name(tmp_path: Path) -> None:
    study = ct(tmp_path / "a")
    ct(tmp_path / "b", 2)
    done: list[Received] = []
    with Receiver(tmp_path / "in", 0, done=done.append) as receiver:
        assert pushed(receiver.port, tmp_path / "a", tmp_path / "b", tmp_path / "a") == [0] * 8
        until(done, 2)
        assert associated(receiver.port).send_c_echo().Status == 0
    assert sorted(len(one.objects) for one in done) == [2, 3]
    assert {one.folder for one in done} == set((tmp_path / "in").iterdir())
    assert sorted(len(load_study(one.folder).images) for one in done) == [2, 3]
    names = " ".join(str(path) for path in (tmp_path / "in").rglob("*"))
    assert SECRET not in names and study not in names and "12345678" not in names
    source, copy = pydicom.dcmread(tmp_path / "a/0.dcm"), pydicom.dcmread(done[0].folder / "00001.dcm")
    assert source == copy


def test_a_study_stays_hidden_until_its_association_has_ended(tmp_path: Path) -> None:
    ct(tmp_path / "a", 2)
    done: list[Received] = []
    with Receiver(tmp_path / "in", 0, done=done.append) as receiver:
        association = associated(receiver.port)
        assert association.send_c_store(pydicom.dcmread(tmp_path / "a/0.dcm")).Status == 0
        (hidden,) = (tmp_path / "in").iterdir()
        assert hidden.name.startswith(HIDDEN) and not done
        assert hidden.stat().st_mode & 0o077 == 0, "others on this computer see nothing of it"
        association.abort()  # what was confirmed is kept
        until(done, 1)
    assert [len(list(folder.iterdir())) for folder in (tmp_path / "in").iterdir()] == [1]


def test_what_a_kill_left_is_shown(tmp_path: Path) -> None:
    left = tmp_path / "in" / f"{HIDDEN}0123"
    ct(left, 1)
    (left / "2.part").touch()
    with Receiver(tmp_path / "in", 0):
        pass
    assert [path.name for path in (tmp_path / "in/study-0123").iterdir()] == ["0.dcm"] and not left.exists()


def test_no_more_comes_in_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ct(tmp_path / "a")
    for limits in (Limits(max_files=2), Limits(max_total_bytes=4500)):
        done: list[Received] = []
        with Receiver(tmp_path / "in", 0, limits=limits, done=done.append) as receiver:
            assert pushed(receiver.port, tmp_path / "a") == [0, 0, 0xA700]
            until(done, 1)
    with Receiver(tmp_path / "in", 0, limits=Limits(max_bytes=2500)) as receiver:
        association = associated(receiver.port)
        large = pydicom.dcmread(tmp_path / "a/0.dcm")
        large.PixelData = bytes(200_000)
        assert not association.send_c_store(large)
        until_true(lambda: not association.is_established)
    monkeypatch.setattr("shutil.disk_usage", lambda path: FULL(10, 9, 1))
    with Receiver(tmp_path / "in", 0) as receiver:
        assert pushed(receiver.port, tmp_path / "a") == [0xA700] * 3
    assert len(list((tmp_path / "in").iterdir())) == 2 and not list(tmp_path.rglob("*.part"))


def test_a_failed_write_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ct(tmp_path / "a", 1)

    def broken(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device")

    with Receiver(tmp_path / "in", 0) as receiver, monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", broken)
        assert pushed(receiver.port, tmp_path / "a") == [0xA700]
    assert not list((tmp_path / "in").iterdir())


def test_only_named_callers_are_let_in(tmp_path: Path) -> None:
    with Receiver(tmp_path / "in", 0, callers=("SCANNER",)) as receiver:
        assert associated(receiver.port).is_established
        assert associated(receiver.port, "OTHER").is_rejected


def test_a_port_or_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="cannot be written"), Receiver(tmp_path / "file", 0):
        pass
    with (
        Receiver(tmp_path / "in", 0) as receiver,
        pytest.raises(RequestError, match="choose another port, or an address"),
        Receiver(tmp_path / "in", receiver.port),
    ):
        pass
    with pytest.raises(RequestError, match="titles"):
        Receiver(tmp_path / "in", 0, title="")


def test_the_command_listens_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ct(tmp_path / "a")
    ports: list[int] = []
    entered = Receiver.__enter__

    def enter(self: Receiver) -> Receiver:
        ports.append(entered(self).port)
        return self

    monkeypatch.setattr(Receiver, "__enter__", enter)

    def push() -> None:
        while not ports:
            time.sleep(0.01)
        pushed(ports[0], tmp_path / "a")

    pushing = threading.Thread(target=push)
    pushing.start()
    code = main(["listen", "--port", "0", "-o", str(tmp_path / "in"), "--once", "--json"])
    pushing.join()
    out, err = capsys.readouterr()
    (study,) = json.loads(out)["studies"]
    assert code == 0 and study["files"] == 3 and SECRET not in out + err
    assert main(["listen", "--port", "99999", "-o", str(tmp_path / "in")]) == 2
    shutil.rmtree(study["folder"])
