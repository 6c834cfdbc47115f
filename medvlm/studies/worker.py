"""Files are read in a process of their own: whatever a file does to a decoder, one sentence about it is what comes back.

Decoders are old C and C++; a file of three kilobytes may abort the process that they run in, or hold it for minutes.
So a process without torch is kept warm, which forks one for each study (`worker_main`): that starts in milliseconds,
shares nothing with the study before, and is ended by the kernel at its limits of memory and time.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import pickle
import pkgutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from ..errors import MedVLMError, StudyError
from ..types import Study
from .limits import DEFAULT, Limits, too_much_memory
from .listing import Listing
from .transport import receive

Paths = str | PathLike[str] | Sequence[str | PathLike[str]]

VERDICT = struct.Struct("iid")  # exit code, or minus the signal; peak memory in KiB; seconds of computing
AT_ONCE = 2  # studies that are read at the same time; others wait
_TIME = (signal.SIGALRM, signal.SIGXCPU) if hasattr(signal, "SIGALRM") else ()


@dataclass(frozen=True)
class Job:
    """What one process does, and what it may take."""

    task: str  # module:function
    arguments: tuple[Any, ...]
    name: str  # of what is read, for messages
    seconds: int  # of computing; three times as many of the wall clock
    memory: int  # bytes
    folder: str  # that relative paths start from


@dataclass(frozen=True)
class Ending:
    """How a process ended."""

    code: int = 0  # exit code, or minus the signal
    peak: int = 0  # bytes of memory
    seconds: float = 0.0  # of computing


def load_study(
    paths: Paths, limits: Limits = DEFAULT, series: int | None = None, hounsfield: bool | float | None = None
) -> Study:
    """Read what a user gave as one study.

    Args:
        paths: a file, a folder, a zip archive, or several files that belong together. Content decides what a file is.
        limits: what the study may weigh; checked before pixels are decoded.
        series: which of several series to take, as `list_series` numbers them; the most useful one where none is named.
        hounsfield: whether pictures deeper than 8 bits hold Hounsfield units, or what was added to these; None to judge
            by their numbers.

    Returns:
        Images as a screen shows them; spacing in mm where the files state it; no patient's data.

    Raises:
        StudyError: with one sentence that says what is wrong and what to do, also where the files end a decoder, or
            would take more time or memory than the limits.
    """
    return _result("load_study", paths, limits, series, hounsfield)


def list_series(paths: Paths, limits: Limits = DEFAULT) -> Listing:
    """What there is among the files, the most useful first, which is the one that is taken; pixels are not read.

    Raises:
        StudyError: as `load_study` does.
    """
    return _result("list_series", paths, limits)


def job(task: str, paths: Sequence[str | PathLike[str]], limits: Limits, *more: Any) -> Job:
    """What a function of `load` is asked to do with some files."""
    name = Path(paths[0]).name if len(paths) == 1 else ""
    return Job(
        f"{__package__}.load:{task}",
        (paths, limits, *more),
        " ".join(name.split())[:80] or "The study",
        limits.seconds_for(_weight(paths, limits)),
        limits.max_memory,
        _here(),
    )


def _result(task: str, paths: Paths, limits: Limits, *more: Any) -> Any:
    given = [paths] if isinstance(paths, (str, PathLike)) else list(paths)
    result = run(job(task, given, limits, *more), limits.max_held_bytes + limits.max_value_bytes)[0]
    if isinstance(result, MedVLMError):
        raise result
    return result


def warm() -> None:
    """Start the process that reads files, without waiting for it."""
    if hasattr(os, "fork"):
        _worker.start()


def run(job: Job, most: int) -> tuple[Any, Ending]:
    """What the job gave, or the `MedVLMError` that says why it gave nothing, and how its process ended.

    Args:
        most: bytes of arrays that the result may have.
    """
    if hasattr(os, "fork"):
        return _worker.run(job, most)
    try:  # without fork there is no process to spare
        return pkgutil.resolve_name(job.task)(*job.arguments), Ending()
    except MedVLMError as error:
        return error, Ending()


class Worker:
    """The line to the warm process, which is started at first use, and again if it should be gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> None:
        with self._lock:
            self._ensure()

    def close(self) -> None:
        """End the process, and with it those that it forked."""
        with self._lock:
            if self._process is None or self._control is None:
                return
            self._control.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            self._process = self._control = None

    def run(self, job: Job, most: int) -> tuple[Any, Ending]:
        with self._slots:
            channel, verdict = self._submit()
            with open(verdict, "rb") as verdict_file:
                with channel:
                    result, name = _converse(channel, job, most)
                told = verdict_file.read(VERDICT.size)
        if len(told) < VERDICT.size:
            self._check_start()
            return too_much_memory(name), Ending(-signal.SIGKILL)
        code, peak, seconds = VERDICT.unpack(told)
        ending = Ending(code, peak * 2**10, seconds)
        return (result if result is not None else _ended(name, job, ending)), ending

    def _check_start(self) -> None:
        """Raise `RuntimeError` where the warm process could not start; else the system ended it for want of memory."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._process is not None and self._process.wait(1) > 0:
                raise RuntimeError("The process that reads files does not start; MEDVLM_DEBUG=1 shows why.")

    def _submit(self) -> tuple[socket.socket, int]:
        """A forked process's channel and the line on which its end is told."""
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        with theirs, open(writing, "wb"), self._lock:
            lines = [theirs.fileno(), writing]
            try:
                socket.send_fds(self._ensure(), [b"1"], lines)
            except OSError:  # it is gone, as it may be where memory ran out
                self._process = None
                socket.send_fds(self._ensure(), [b"1"], lines)
        return ours, reading

    def _ensure(self) -> socket.socket:
        if self._process is not None and self._control is not None and self._process.poll() is None:
            return self._control
        if self._control is not None:
            self._control.close()
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", f"{__package__}.worker_main", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if os.environ.get("MEDVLM_DEBUG") else subprocess.DEVNULL,  # decoders print what they like
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for us: the process ends when we do
                env=_environment(),
            )
        return self._control


def _converse(channel: socket.socket, job: Job, most: int) -> tuple[Any, str]:
    """The result, or None where the process ended without one, and the name of the file that it read last."""
    name = job.name
    try:
        channel.sendall(pickle.dumps(job))
        while True:
            told = receive(channel, most)
            if "result" in told:
                return told["result"], name
            name = str(told["reading"])
    except (OSError, EOFError, pickle.UnpicklingError, LookupError, ValueError, TypeError):
        return None, name


def _ended(name: str, job: Job, ending: Ending) -> StudyError:
    """The sentence for a process that ended without a result."""
    if -ending.code in _TIME:
        return StudyError(
            f"{name} cannot be read: decoding it took more than {job.seconds} s; export it again, or give less at once."
        )
    if ending.code == -signal.SIGKILL:  # the system's own way where memory is short
        return too_much_memory(name)
    return StudyError(f"{name} cannot be read: it ended the decoder, so it is damaged; copy or export it again.")


def _weight(paths: Sequence[str | PathLike[str]], limits: Limits) -> int:
    """Bytes of all files, those of folders too, as far as they count."""

    def files() -> Any:
        for path in map(Path, paths):
            yield from path.rglob("*") if path.is_dir() else [path]

    total = 0
    with contextlib.suppress(OSError, ValueError):
        for path in itertools.islice(files(), limits.max_files):
            total += path.stat().st_size
    return total


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return os.sep


def _environment() -> dict[str, str]:
    """Modules are found where we find them; one thread, since only a process with one can be forked safely."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([*filter(None, sys.path), root])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


_worker = Worker()
atexit.register(_worker.close)
