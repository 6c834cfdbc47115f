"""The batch on Ray: exactly one row a request, whoever is killed, on a cluster of two nodes with a worker each."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import PIL.Image
import pyarrow.parquet as pq
import pytest

from medvlm.batch import run_batch
from medvlm.cli import main
from medvlm.errors import ModelError, RequestError

from .fakes import FakeAssistant, fake_study, square

pytest.importorskip("ray", reason="needs ray: pip install 'ray[data]'")

from medvlm.batch.folder import Asked, OutputFolder
from medvlm.batch.on_ray import NOBODY, Worker, _connect, _offline, run_on_ray

SETTINGS = {"weights": FakeAssistant.fingerprint}
STORE = 80_000_000  # bytes of a node's object store


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


def mortal(notes: Path) -> Mortal:
    return Mortal(notes)


@pytest.fixture(scope="module")
def address():
    from ray.cluster_utils import Cluster

    with _offline():
        node = {"num_cpus": 1, "object_store_memory": STORE}
        cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        cluster.add_node(**node)
    yield cluster.address
    cluster.shutdown()


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
    """What the plain engine says, without what it takes."""
    responses = requests.with_name("plain.jsonl")
    run_batch(FakeAssistant(), requests, responses, load=fake_study, progress=False)
    return [json.loads(line) for line in responses.read_text().splitlines()]


def of_all(items: list[dict]) -> list[str]:
    return sorted(json.dumps(item, sort_keys=True) for item in items)


def run(asked, address=None, make=None, settings=None, **more):
    make = make or functools.partial(mortal, asked[0].with_name("notes"))
    return run_on_ray(make, *asked, settings or SETTINGS, address, load=fake_study, progress=False, **more)


def test_a_worker_is_killed_in_the_middle(asked, address):
    questions(asked[0], "Is it so?", "die once of this")
    assert run(asked, address) == {"answered": 38, "failed": 2, "skipped": 0}
    got = rows(asked[1])
    assert [row["row"] for row in got] == list(range(1, 41))
    assert of_all([json.loads(row["response"]) for row in got]) == of_all(plain(asked[0]))
    assert (
        got[0]["id"] == "0" and got[0]["text"] == "yes" and got[0]["confidence"] == 0.8 and got[0]["task"] == "answer"
    )
    assert got[20]["error"].startswith("Line 21 is not JSON") and got[21]["error"].startswith(
        "Line 22: its id was used"
    )
    assert asked[0].with_name("notes").read_text().count("die once of this") == 2
    assert not list(asked[1].glob("_part-*"))


def test_what_kills_every_worker_is_left_and_told(asked, address):
    questions(asked[0], "die always")
    with pytest.raises(RequestError, match="1 of 5 parts have no rows, because their worker died 3 times"):
        run(asked, address)
    first = rows(asked[1])
    assert [row["row"] for row in first] == list(range(9, 41))
    notes = asked[0].with_name("notes")
    notes.unlink()
    settled = functools.partial(FakeAssistant)
    assert run(asked, address, settled) == {"answered": 8, "failed": 0, "skipped": 32}
    assert [row["row"] for row in rows(asked[1])] == list(range(1, 41))
    assert run(asked, address="127.0.0.1:1") == {"answered": 0, "failed": 0, "skipped": 40}  # no cluster is asked


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
    driver.wait()
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


def wait(happens, process: subprocess.Popen, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)


def test_the_command(asked, address, capsys, monkeypatch):
    """Only the fingerprint is made up: that of the sources takes seconds."""
    questions(asked[0])
    monkeypatch.setattr("medvlm.commands.batch._settings", lambda args: SETTINGS)
    command = ["batch", str(asked[0]), "-o", str(asked[1]), "--engine", "ray", "--ray-address", address, "--json"]
    assert main(command, load=lambda args: FakeAssistant()) == 0
    counts = json.loads(capsys.readouterr().out)
    assert counts == {"answered": 38, "failed": 2, "skipped": 0, "output": str(asked[1])}


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


def test_its_own_cluster_asks_no_network(monkeypatch):
    class Ray:
        """Notes how it is started."""

        def init(self, address, **options):
            self.address, self.options, self.environment = address, options, dict(os.environ)

    import ray.data

    fake, proxy = Ray(), "http://proxy.example"
    fake.data = ray.data
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
