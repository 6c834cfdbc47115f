"""The batch on Ray: exactly one row a request, whoever is killed, on a cluster of two nodes with a worker each."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import PIL.Image
import pyarrow.parquet as pq
import pytest

from medvlm.batch import run_batch
from medvlm.cli import main
from medvlm.errors import ModelError, RequestError

from .fakes import FakeAssistant, fake_study, square

pytest.importorskip("ray", reason="needs ray: pip install 'ray[data]'")

from medvlm.batch import on_ray
from medvlm.batch.folder import Asked, OutputFolder
from medvlm.batch.on_ray import NOBODY, Worker, _connect, _offline, run_on_ray

SETTINGS = {"weights": FakeAssistant.fingerprint}
STORE = 80_000_000  # bytes of a node's object store
MOST_S = 120  # seconds that a test may wait for Ray


class Mortal(FakeAssistant):
    """Notes each question in a file; dies of one with "die", of "die once" the first time alone; is slow to a "slow" one."""

    def __init__(self, notes: Path) -> None:
        super().__init__()
        self.notes = notes

    def ask_many(self, requests, abstain=True):
        before = self.notes.read_text() if self.notes.exists() else ""
        for _, question in requests:
            with self.notes.open("a") as file:
                file.write(question + "\n")
            if question.startswith("die") and not (question.startswith("die once") and question in before):
                os.kill(os.getpid(), signal.SIGKILL)
            if "slow" in question:
                time.sleep(0.05)
        return super().ask_many(requests, abstain)


def mortal(notes: Path, tries: int = on_ray.MOST_TRIES) -> Mortal:
    on_ray.MOST_TRIES = tries  # in the worker's process
    return Mortal(notes)


@contextlib.contextmanager
def within(seconds: int) -> Iterator[None]:
    """Raises `TimeoutError` where Ray does not come back: a signal ends its waits too."""

    def late(*_: object) -> None:
        raise TimeoutError(f"Ray did not come back within {seconds} s.")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": STORE}
    with _offline(), within(MOST_S):
        cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        cluster.add_node(**node)
    yield cluster.address
    with within(MOST_S):
        cluster.shutdown()


@pytest.fixture
def address(cluster):
    with within(MOST_S):
        yield cluster


@pytest.fixture
def asked(tmp_path):
    """A file of 40 requests, and the folder for its rows."""
    for name in "ab":
        PIL.Image.fromarray(square()).save(tmp_path / f"{name}.png")
    return tmp_path / "requests.jsonl", tmp_path / "out"


def questions(path: Path, *said: str, count: int = 40) -> None:
    """Requests of which the first ask what is `said`; one is broken, and one has an id that was used before."""
    rows = [
        {
            "id": i,
            "image": "ab"[i % 2] + ".png",
            "task": "answer",
            "question": said[i] if i < len(said) else f"Is {i} so?",
        }
        for i in range(count - 2)
    ]
    lines = [*map(json.dumps, rows[:20]), "broken", json.dumps(rows[3]), *map(json.dumps, rows[20:])]
    path.write_text("\n".join(lines) + "\n")


def rows(output: Path) -> list[dict]:
    return pq.read_table(output).sort_by("row").to_pylist()


def plain(requests: Path) -> list[dict]:
    """What the plain engine says."""
    responses = requests.with_name("plain.jsonl")
    run_batch(FakeAssistant(), requests, responses, load=fake_study, progress=False)
    return [json.loads(line) for line in responses.read_text().splitlines()]


def of_all(items: list[dict]) -> list[str]:
    return sorted(json.dumps(item, sort_keys=True) for item in items)


def run(asked, address=None, make=None, settings=None, **more):
    make = make or functools.partial(mortal, asked[0].with_name("notes"))
    return run_on_ray(make, *asked, settings or SETTINGS, address, load=fake_study, progress=False, **more)


def test_the_command_goes_on_where_a_worker_is_killed(asked, address, capsys, monkeypatch):
    """Only the fingerprint and the studies are made up, which take seconds."""
    questions(asked[0], "Is it so?", "die once of this")
    notes = asked[0].with_name("notes")
    monkeypatch.setattr("medvlm.commands.batch._settings", lambda args: SETTINGS)
    monkeypatch.setattr(on_ray, "run_on_ray", functools.partial(run_on_ray, load=fake_study))
    command = ["batch", str(asked[0]), "-o", str(asked[1]), "--engine", "ray", "--ray-address", address, "--json"]
    assert main(command, load=lambda args: Mortal(notes)) == 0
    counts = json.loads(capsys.readouterr().out)
    assert counts == {"answered": 38, "failed": 2, "skipped": 0, "output": str(asked[1])}
    got = rows(asked[1])
    assert [row["row"] for row in got] == list(range(1, 41))
    assert of_all([json.loads(row["response"]) for row in got]) == of_all(plain(asked[0]))
    said = {key: got[0][key] for key in ("id", "text", "confidence", "task")}
    assert said == {"id": "0", "text": "yes", "confidence": 0.8, "task": "answer"}
    assert got[20]["error"].startswith("Line 21 is not JSON")
    assert got[21]["error"].startswith("Line 22: its id was used")
    assert notes.read_text().count("die once of this") == 2
    assert not list(asked[1].glob("_part-*"))


def test_what_kills_every_worker_is_left_and_told(asked, address, monkeypatch):
    questions(asked[0], "die always")
    notes = asked[0].with_name("notes")
    monkeypatch.setattr(on_ray, "MOST_TRIES", 2)
    with pytest.raises(RequestError, match="1 of 5 parts have no rows, because their worker died 2 times"):
        run(asked, address, functools.partial(mortal, notes, 2))
    assert notes.read_text().count("die always") == 2
    assert [row["row"] for row in rows(asked[1])] == list(range(9, 41))


DRIVER = """
import functools, sys
from pathlib import Path
from tests.test_batch_ray import run
run((Path(sys.argv[1]), Path(sys.argv[2])), sys.argv[3])
"""


def test_the_driver_is_killed_and_run_again(asked, address):
    questions(asked[0], *(f"slow {i}" for i in range(38)))
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, *map(str, asked), address], cwd=Path(__file__).parents[1])
    wait(lambda: len(list(asked[1].glob("part-*"))) >= 2, driver)
    driver.send_signal(signal.SIGKILL)
    driver.wait(60)
    done = sorted(asked[1].glob("part-*"))
    assert len(done) < 5
    cut = done[0].read_bytes()
    done[0].write_bytes(cut[: len(cut) // 2])  # as a full disk would leave it
    (asked[1] / "_part-000004.parquet.0.tmp").write_bytes(cut[:100])
    counts = run(asked, address)
    assert counts["skipped"] >= 8 and counts["answered"] + counts["failed"] + counts["skipped"] == 40
    assert [row["row"] for row in rows(asked[1])] == list(range(1, 41))
    asked_of = asked[0].with_name("notes").read_text().splitlines()
    kept = [json.loads(row["response"])["id"] for row in pq.read_table(done[1]).to_pylist()]
    assert all(asked_of.count(f"slow {i}") == 1 for i in kept if i is not None)
    assert run(asked, "127.0.0.1:1") == {"answered": 0, "failed": 0, "skipped": 40}  # no cluster is asked


def wait(happens, process: subprocess.Popen, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)


# Without a cluster


def test_a_folder_of_another_run_is_refused(asked, tmp_path):
    folder = OutputFolder(asked[1])
    questions(asked[0])
    with folder.locked():
        folder.begin(Asked.of(asked[0]), SETTINGS, 2)
    with pytest.raises(RequestError, match="other weights"):
        run(asked, settings={"weights": "f" * 16})
    questions(asked[0], "Is it another?")
    with pytest.raises(RequestError, match="answers to other requests"):
        run(asked)
    (asked[1] / "_run.json").write_text("{")
    with pytest.raises(RequestError, match="cannot be read"):
        run(asked)
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="is a file"):
        run((asked[0], tmp_path / "file"))
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "mine.parquet").touch()
    with pytest.raises(RequestError, match="holds other parquet files"):
        run((asked[0], tmp_path / "tables"))


def test_a_folder_has_one_run_at_a_time(asked):
    questions(asked[0])
    with OutputFolder(asked[1]).locked(), pytest.raises(RequestError, match="Another medvlm batch works on"):
        run(asked)


def test_parts_fit_the_workers_and_only_whole_ones_count(asked):
    questions(asked[0], count=300)
    folder = OutputFolder(asked[1])
    with folder.locked():
        assert folder.found(Asked.of(asked[0]), SETTINGS) is None
        made = folder.begin(Asked.of(asked[0]), SETTINGS, 2)
        assert folder.found(Asked.of(asked[0]), SETTINGS) == made
    assert (made.size, made.parts, made.size_of(16)) == (18, 17, 12)
    for part in (3, 16):
        folder.write(part, [(request, {"id": request.id}) for request in reversed(folder.asked(part))])
    assert folder.missing(made) == [part for part in range(17) if part not in (3, 16)]
    assert made.rows_outside(folder.missing(made)) == 30
    assert [row["row"] for row in rows(asked[1])] == [*range(55, 73), *range(289, 301)]
    assert [folder.begun(3) for _ in "ab"] == [1, 2]
    with folder.locked():  # a new start
        assert folder.begun(3) == 1
    whole = (asked[1] / "part-000003.parquet").read_bytes()
    (asked[1] / "part-000003.parquet").write_bytes(whole[:-10])
    assert 3 in folder.missing(made)


@pytest.mark.parametrize("address", ["head", "head:port", ":6379", "head:99999"])
def test_an_address_has_a_host_and_a_port(asked, address):
    questions(asked[0])
    with pytest.raises(RequestError, match="takes HOST:PORT"):
        run(asked, address)


def test_nobody_answers_at_an_address(asked):
    questions(asked[0])
    with pytest.raises(RequestError, match="No Ray cluster can be joined at 127.0.0.1:1: start one"):
        run(asked, "127.0.0.1:1")
    assert not (asked[1] / "_run.json").exists()


def test_ray_is_not_installed(asked, monkeypatch):
    questions(asked[0])
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RequestError, match=r"pip install 'medvlm-assistant\[scale\]'"):
        run(asked)


class NotedRay:
    """Notes how it is started."""

    def __init__(self) -> None:
        import ray.data

        self.data = ray.data

    def init(self, address, **options):
        self.address, self.options, self.environment = address, options, dict(os.environ)


def test_something_else_at_an_address_is_not_tried_for_minutes():
    fake, name = NotedRay(), "RAY_gcs_server_port_wait_time_s"
    with socket.create_server(("127.0.0.1", 0)) as other:
        _connect(fake, f"127.0.0.1:{other.getsockname()[1]}")
    assert fake.environment[name] == "1" and name not in os.environ


def test_its_own_cluster_asks_no_network(monkeypatch):
    fake, proxy = NotedRay(), "http://proxy.example"
    monkeypatch.setenv("http_proxy", proxy)
    _connect(fake, None)
    assert fake.address == "local" and fake.options["include_dashboard"] is False
    assert fake.environment["http_proxy"] == fake.environment["https_proxy"] == NOBODY
    assert os.environ["http_proxy"] == proxy and "https_proxy" not in os.environ


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--workers", "2"], "--workers belongs to --engine ray"),
        (["--ray-address", "head:6379"], "--ray-address belongs to --engine ray"),
        (["--engine", "ray", "--workers", "0"], "whole numbers from 1"),
        (["--engine", "ray", "--phrase"], "--phrase needs --language"),
        (["--engine", "ray", "--model", "nothing"], "No model 'nothing'"),
    ],
)
def test_options_that_do_not_fit(asked, capsys, options, words):
    questions(asked[0])
    assert main(["batch", str(asked[0]), "-o", str(asked[1]), *options]) == 2
    assert words in capsys.readouterr().err


def broken() -> None:
    raise ModelError("The weights are broken: export them again.")


@pytest.mark.parametrize(
    ("make", "weights", "words"),
    [
        (broken, "", "The weights are broken: export them again."),
        (FakeAssistant, "f" * 16, "A worker has other weights"),
    ],
)
def test_a_worker_says_why_it_answers_nothing(asked, monkeypatch, make, weights, words):
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    worker = Worker(make, weights, asked[0].parent, asked[1], 2, fake_study)
    assert words in worker({"part": [0]})["fault"][0]
    assert os.environ["OMP_NUM_THREADS"] == "2"


def test_a_worker_says_that_the_disk_is_full(asked, monkeypatch):
    def full(self, part):
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(OutputFolder, "begun", full)
    worker = Worker(FakeAssistant, FakeAssistant.fingerprint, asked[0].parent, asked[1], 1, fake_study)
    assert worker({"part": [0]})["fault"] == ["The output folder cannot be used: No space left on device."]


def test_the_settings_are_what_answers_depend_on(monkeypatch, tmp_path):
    from medvlm.commands import batch

    monkeypatch.setattr("medvlm.model.fingerprint.fingerprint", lambda folder: folder.name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "llm").mkdir()
    args = Namespace(model=None, language="llm", phrased=True, send_images=False, requests=1, output=2, run=3)
    assert batch._settings(args) == {"weights": "nano", "language": "llm", "phrased": True, "send_images": False}
    sent = batch._for_workers(args)
    assert sent.model is None and sent.language == str(tmp_path / "llm") and "run" not in sent
