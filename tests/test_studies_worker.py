"""Whatever a file does to its reader, one sentence comes back, the next file is read, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from pydicom.pixels import get_decoder
from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from medvlm.errors import StudyError
from medvlm.studies import Limits, decoders, list_series, load_study
from medvlm.studies.load import load_study as load_here
from medvlm.studies.worker import Ending, Job, Worker, run
from medvlm.types import Study

from .fuzz import fuzz
from .studies import gradient, write_series

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def do(task: str, *arguments: object, seconds: int = 4) -> object:
    """What a function of `tests.jobs` gives from a process of its own."""
    return run(Job(f"tests.jobs:{task}", arguments, "a.png", seconds, 900 * 2**20, os.getcwd()), 2**20)[0]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Worker, Path]]:
    """A worker of its own, and the folder that its temporary files lie in."""
    folder, worker = tmp_path_factory.mktemp("scratch"), Worker()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        worker.start()
    yield worker, folder
    worker.close()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    return not any(map(alive, pids))


def test_a_study_comes_back_whole() -> None:
    study = do("study")
    assert isinstance(study, Study)
    assert study.images[0].pixels.tolist() == [[3, 2, 1, 0], [7, 6, 5, 4], [11, 10, 9, 8]]
    assert study.images[1].pixels.shape == (2, 2, 3) and study.images[1].pixels.flags.writeable
    assert study.metadata == {"n": 0.5}


def test_reading_is_the_same_as_in_this_process(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "study")
    ours, theirs = load_here(folder), load_study(folder)
    assert [image.name for image in ours.images] == [image.name for image in theirs.images]
    assert all((a.pixels == b.pixels).all() for a, b in zip(ours.images, theirs.images, strict=True))
    for study in (ours, theirs):
        study.images = []
    assert ours == theirs
    assert list_series(folder).series == ours.series


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("refuse", "a.png is no good: give another."),
        ("fault", "a.png cannot be read: it is of a form that was not foreseen"),
        ("panic", "slice.dcm cannot be read as a DICOM image: it is damaged"),
        ("abort", "slice.dcm cannot be read: it ended the decoder"),
        ("leave", "a.png cannot be read: it ended the decoder"),
        ("compute", "a.png cannot be read: decoding it took more than 1 s"),
        ("wait", "a.png cannot be read: decoding it took more than 1 s"),
        ("grow", "slice.dcm cannot be read: it takes more memory"),
        ("killed", "a.png cannot be read: it takes more memory"),
        ("much", "a.png cannot be read"),
        ("a_class_of_its_own", "a.png cannot be read"),
    ],
)
def test_whatever_ends_it_is_one_sentence(
    task: str, words: str, own: tuple[Worker, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    worker, folder = own
    start = time.perf_counter()
    error = worker.run(Job(f"tests.jobs:{task}", (), "a.png", 1, 900 * 2**20, os.getcwd()), 10**5)[0]
    assert isinstance(error, StudyError)
    assert str(error).startswith(words) and str(error).endswith(".") and "Doe" not in str(error)
    assert time.perf_counter() - start < 10
    assert isinstance(do("study"), Study)
    assert capfd.readouterr() == ("", "")
    assert not list(folder.iterdir())


def test_a_process_is_light_and_nobody_elses() -> None:
    first, second = do("environment"), do("environment")
    assert isinstance(first, dict) and isinstance(second, dict)
    assert first["loaded"] == [] and first["threads"] == 1
    assert first["pid"] != second["pid"] and os.getpid() not in (first["pid"], second["pid"])


def test_memory_and_time_are_told() -> None:
    ending = run(Job("tests.jobs:compute", (), "a.png", 1, 2**29, os.getcwd()), 0)[1]
    assert isinstance(ending, Ending)
    assert ending.code == -signal.SIGXCPU and 0.7 < ending.seconds < 2 and 2**24 < ending.peak < 2**29


def test_threads_read_side_by_side(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.png" for n in range(12)]
    for n, path in enumerate(paths):
        Picture.fromarray(np.full((8, 8), n, np.uint8)).save(path)
    crashes = ["abort", "leave", "study"] * 4

    def one(n: int) -> int:
        do(crashes[n])
        return int(load_study(paths[n]).images[0].pixels[0, 0])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(12))) == list(range(12))


def test_the_warm_process_is_started_again(tmp_path: Path) -> None:
    Picture.fromarray(gradient()).save(tmp_path / "a.png")
    worker = Worker()
    job = Job("medvlm.studies.load:load_study", ([tmp_path / "a.png"],), "a.png", 4, 2**30, "/")
    assert isinstance(worker.run(job, 2**20)[0], Study)
    assert worker._process is not None
    os.kill(worker._process.pid, signal.SIGKILL)
    worker._process.wait()
    assert isinstance(worker.run(job, 2**20)[0], Study)
    pid = worker._process.pid
    worker.close()
    assert gone([pid])


def test_a_worker_that_cannot_start_is_no_fault_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medvlm.studies.worker._environment", lambda: {"PYTHONPATH": "/nowhere", "PYTHONHOME": "/"})
    with pytest.raises(RuntimeError, match="does not start"):
        Worker().run(Job("tests.jobs:study", (), "a.png", 4, 2**30, "/"), 2**20)


def test_nothing_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = (
        "import sys; from pathlib import Path; from medvlm.studies.worker import Job, run;"
        "run(Job('tests.jobs:wait_for_a_program', (Path(sys.argv[1]),), 'a', 30, 2**30, '/'), 0)"
    )
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    root = str(Path(__file__).parents[1])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": root, "TMPDIR": str(scratch), "HOME": ""}
    parent = subprocess.Popen([sys.executable, "-c", code, str(pids)], env=environment, cwd=root)
    end = time.monotonic() + 60
    while not (pids.exists() and pids.read_text()) and time.monotonic() < end:
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    assert gone([int(pid) for pid in pids.read_text().split()])
    assert not list(scratch.iterdir())


def test_relative_paths_and_odd_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Picture.fromarray(gradient()).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    assert len(load_study("a.png").images) == 1
    assert len(load_study(["./a.png", Path("a.png")]).images) == 2
    with pytest.raises(StudyError, match="does not exist"):
        load_study("b.png")


def test_time_grows_with_the_files() -> None:
    limits = Limits()
    assert limits.seconds_for(0) < 5 < limits.seconds_for(20 * 2**20) < limits.seconds_for(2**40) == 600


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000, JPEG2000Lossless, RLELossless])
def test_decoders_that_crash_are_not_asked_where_others_are(syntax: str) -> None:
    assert decoders.plugins(syntax)
    assert "gdcm" not in get_decoder(syntax).available_plugins
    assert decoders.plugins(RLELossless) == ("pydicom",)


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLSLossless])
def test_gdcm_is_left_what_nobody_else_decodes(syntax: str) -> None:
    assert "gdcm" in decoders.plugins(syntax)


def test_broken_files_of_every_kind() -> None:
    table = fuzz(60, seed=1)
    assert not table.faults, "\n".join(table.lines())
    assert {result.outcome for result in table.results} >= {"read", "refused"}
