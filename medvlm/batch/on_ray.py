"""The engine for many processes and machines: Ray Data hands parts of the requests to workers, each with an assistant of its own.

Only the numbers of parts and counts pass through Ray. Requests and answers lie in the output folder, which all machines
share; so whatever is killed, a part is there whole or is done again.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..errors import MedVLMError, ModelError, RequestError
from .answering import Load, answer_window
from .folder import Asked, OutputFolder, Run
from .sources import images_of

MOST_TRIES = 3  # of a part whose worker dies
REACHED_IN = 5.0  # seconds
STORE = 100_000_000  # bytes that Ray's object store gets here: counts are all that passes through
NOBODY = "http://127.0.0.1:9"  # where Ray's processes are sent that would ask the network


@dataclass(frozen=True)
class Workers:
    """How many at most (`None`: as many as there are cores for), and the cores of each."""

    count: int | None = None
    cores: int = 1


class Worker:
    """Answers parts, a call each, as Ray Data has it: a batch of one row that names the part, for one with what came of it."""

    def __init__(
        self, make: Callable[[], Any], weights: str, images: Path, output: Path, cores: int, load: Load | None
    ):
        os.environ["OMP_NUM_THREADS"] = str(cores)  # torch is not imported yet
        self.images, self.output, self.load, self.fault = images, OutputFolder(output), load, ""
        try:
            self.assistant = make()
            if self.assistant.fingerprint != weights:
                raise ModelError(
                    "A worker has other weights or another version of medvlm: install the same everywhere."
                )
        except MedVLMError as error:
            self.fault = str(error)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        part = int(batch["part"][0])
        outcome = {"answered": 0, "failed": 0, "given_up": 0, "fault": self.fault}
        try:
            if not self.fault:
                outcome |= self._answer(part)
        except OSError as error:
            outcome["fault"] = f"The output folder cannot be used: {error.strerror or type(error).__name__}."
        return {key: [value] for key, value in outcome.items()}

    def _answer(self, part: int) -> dict[str, int]:
        if self.output.begun(part) > MOST_TRIES:
            return {"given_up": 1}
        from ..studies import load_study

        answered = list(answer_window(self.assistant, self.output.asked(part), self.images, self.load or load_study))
        self.output.write(part, answered)
        failed = sum("error" in response for _, response in answered)
        return {"answered": len(answered) - failed, "failed": failed}


def run_on_ray(
    make: Callable[[], Any],
    requests: Path,
    output: Path,
    settings: dict[str, Any],
    address: str | None = None,
    workers: Workers | None = None,
    load: Load | None = None,
    progress: bool = True,
) -> dict[str, int]:
    """Answer every request that the parquet files in `output` do not answer yet.

    `make` makes an assistant in a worker's process, `settings` are what answers depend on, under "weights" the fingerprint
    that every assistant must have. `address` is that of a cluster, `HOST:PORT`, or `None` for workers on this machine.
    Returns how many requests were answered, failed and stood there already. Raises `RequestError` where Ray is not
    installed, the cluster cannot be reached, the folder holds another run, or parts are left undone.
    """
    ray, workers, folder = _imported(address), workers or Workers(), OutputFolder(output.resolve())
    asked = Asked.of(requests)
    with folder.locked():
        run = folder.found(asked, settings)
        if run and not folder.missing(run):
            return {"answered": 0, "failed": 0, "skipped": run.count}
        with _connected(ray, address):
            count = _room(ray, workers)
            run = run or folder.begin(asked, settings, count)
            parts = folder.missing(run)
            given = (make, settings["weights"], images_of(requests).resolve(), folder.path, workers.cores, load)
            outcomes = _outcomes(ray, parts, count, workers.cores, given)
            return _counted(outcomes, run, run.rows_outside(parts), progress)


def _outcomes(ray: Any, parts: list[int], count: int, cores: int, given: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    """What came of each part, as soon as it is done."""
    if not parts:
        return iter(())
    pool = ray.data.ActorPoolStrategy(
        min_size=1,  # where a machine is lost, workers that are idle at the end make room for its part
        max_size=min(count, len(parts)),
        initial_size=min(count, len(parts)),
        max_tasks_in_flight_per_actor=1,
    )
    table = ray.data.from_items([{"part": part} for part in parts], override_num_blocks=len(parts))
    return table.map_batches(Worker, batch_size=1, compute=pool, num_cpus=cores, fn_constructor_args=given).iter_rows()


def _counted(outcomes: Iterator[dict[str, Any]], run: Run, skipped: int, progress: bool) -> dict[str, int]:
    counts, given_up = {"answered": 0, "failed": 0, "skipped": skipped}, 0
    with tqdm(total=run.count, initial=skipped, unit="request", file=sys.stderr, disable=not progress) as bar:
        for outcome in outcomes:
            if outcome["fault"]:
                raise RequestError(outcome["fault"])
            counts["answered"] += outcome["answered"]
            counts["failed"] += outcome["failed"]
            given_up += outcome["given_up"]
            bar.update(outcome["answered"] + outcome["failed"])
    if given_up:
        raise RequestError(
            f"{given_up} of {run.parts} parts have no rows, because their worker died {MOST_TRIES} times: give each more memory "
            "(fewer --workers) and run again."
        )
    return counts


def _imported(address: str | None) -> Any:
    """Ray; its own cluster on this machine takes work from nobody else."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if address is None and "ray" not in sys.modules:  # read at the import
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise RequestError("--engine ray needs Ray: pip install 'medvlm-assistant[scale]'.") from error
    return ray


@contextmanager
def _connected(ray: Any, address: str | None) -> Iterator[None]:
    try:
        _connect(ray, address)
        yield
    except ray.exceptions.ActorDiedError as error:
        raise RequestError("The workers do not start: is the same medvlm installed on every machine?") from error
    finally:
        ray.shutdown()


def _room(ray: Any, workers: Workers) -> int:
    """How many workers there are cores for, and wanted."""
    room = int(ray.cluster_resources().get("CPU", 0)) // workers.cores
    if room < 1:
        raise RequestError(f"No machine lends {workers.cores} cores to a worker; give --worker-cores fewer.")
    return min(workers.count or room, room)


def _connect(ray: Any, address: str | None) -> None:
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what goes wrong with a part is ours to tell
    ray.data.DataContext.get_current().enable_progress_bars = False
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        with _offline():
            ray.init(
                "local",
                include_dashboard=False,
                object_store_memory=STORE,
                num_cpus=len(os.sched_getaffinity(0)),
                **quiet,
            )
        return
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal() and int(port) < 65536):
        raise RequestError("--ray-address takes HOST:PORT, as ray start --head prints it.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACHED_IN).close()
        with _environment(
            RAY_gcs_server_port_wait_time_s="1"
        ):  # else a port that is another's is tried for many minutes
            ray.init(address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise RequestError(
            f"No Ray cluster can be joined at {address}: start one with ray start --head, and run this on one of its machines "
            "with the same Ray, Python and token."
        ) from error


def _offline() -> AbstractContextManager[None]:
    """Processes that start meanwhile ask no network: Ray's would ask which cloud they run in, its usage report off or not."""
    return _environment(http_proxy=NOBODY, https_proxy=NOBODY, no_proxy="localhost,127.0.0.1")


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ[name] for name in variables if name in os.environ}
    os.environ |= variables
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
        os.environ |= before
