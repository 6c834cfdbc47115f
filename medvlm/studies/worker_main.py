"""The warm process: it imports the decoders, then forks a process for each study, which the kernel ends at its limits.

It is started by `worker.Worker` and speaks over one socket: a byte for each study, with the two ends of lines that the
study's process answers on (`channel`) and that this one says on how that ended (`verdict`). It ends with the socket.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import pkgutil
import resource
import select
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import MedVLMError, StudyError
from .limits import too_much_memory, watch
from .transport import send
from .worker import VERDICT, Job


@dataclass
class _Child:
    pid: int
    scratch: str  # folder for its temporary files, removed however it ends
    verdict: int

    def end(self) -> None:
        """Reap it, remove what it left, and say how it ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # also programs that it started, such as ffmpeg
        _, status, usage = os.wait4(self.pid, 0)
        shutil.rmtree(self.scratch, ignore_errors=True)
        with contextlib.suppress(OSError):
            seconds = usage.ru_utime + usage.ru_stime
            os.write(self.verdict, VERDICT.pack(os.waitstatus_to_exitcode(status), usage.ru_maxrss, seconds))
        os.close(self.verdict)


def main(control: socket.socket) -> None:
    """Fork a process for each byte that comes, until the other end closes."""
    _preload()
    children: dict[int, _Child] = {}  # descriptor that closes with the process -> process
    while True:
        ready, _, _ = select.select([control.fileno(), *children], [], [])
        for source in ready:
            if source != control.fileno():
                os.close(source)
                children.pop(source).end()
                continue
            message, lines, _, _ = socket.recv_fds(control, 1, 2)
            if not message:
                for child in children.values():
                    child.end()
                return
            with contextlib.suppress(OSError):  # no process or memory to be had: the other end sees its lines close
                alive, child = _fork(socket.socket(fileno=lines[0]), lines[1])
                children[alive] = child


def _preload() -> None:
    """Import all that reading imports late, so that no study waits for it."""
    import imageio_ffmpeg
    import PIL.Image
    from pydicom.pixels.decoders import gdcm, pillow, pylibjpeg, rle  # noqa: F401

    from . import load  # noqa: F401

    PIL.Image.init()
    with contextlib.suppress(RuntimeError):
        imageio_ffmpeg.get_ffmpeg_exe()
    gc.collect()
    gc.freeze()  # else the first collection in each fork would copy every page


def _fork(channel: socket.socket, verdict: int) -> tuple[int, _Child]:
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, verdict)
        undo.callback(channel.close)
        scratch = tempfile.mkdtemp(prefix="medvlm-")
        undo.callback(shutil.rmtree, scratch, ignore_errors=True)
        alive, held = os.pipe()
        undo.callback(os.close, alive)
        undo.callback(os.close, held)
        pid = os.fork()
        if not pid:
            try:
                os.setpgid(0, 0)
                _work(channel, scratch)
            finally:
                os._exit(0)
        undo.pop_all()
    with contextlib.suppress(OSError):  # the child may have done it, and may be gone
        os.setpgid(pid, pid)
    os.close(held)
    channel.close()
    return alive, _Child(pid, scratch, verdict)


def _work(channel: socket.socket, scratch: str) -> None:
    """Read the job, hold to its limits, and send its result or the `MedVLMError` that says why there is none."""
    with channel.makefile("rb") as file:
        job: Job = pickle.load(file)
    with contextlib.suppress(OSError):
        os.chdir(job.folder)
    tempfile.tempdir = scratch
    watch(lambda name: send(channel, {"reading": name}))
    _restrict(job)
    send(channel, {"result": _result(job)})


def _result(job: Job) -> Any:
    try:
        return pkgutil.resolve_name(job.task)(*job.arguments)
    except StudyError as error:
        return StudyError(str(error))  # whichever kind of it
    except MedVLMError as error:
        return error
    except MemoryError:
        return too_much_memory(job.name)
    except BaseException:
        traceback.print_exc()
        return StudyError(f"{job.name} cannot be read: it is of a form that was not foreseen; export it another way.")


def _restrict(job: Job) -> None:
    """Limits that the kernel keeps, whatever a decoder does. Python leaves both signals of time to end the process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the patient's image
    _lower(resource.RLIMIT_DATA, job.memory)
    _lower(resource.RLIMIT_CPU, job.seconds)
    signal.setitimer(signal.ITIMER_REAL, 3 * job.seconds)  # of the wall clock, which others' work uses up as well
    with contextlib.suppress(OSError):  # where the system runs out of memory, this process goes first
        Path("/proc/self/oom_score_adj").write_text("1000")


def _lower(limit: int, value: int) -> None:
    hard = resource.getrlimit(limit)[1]
    if hard == resource.RLIM_INFINITY or value < hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, hard))


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
