"""What a file might make a decoder do, for processes that tests start (`tests/test_studies_worker.py`)."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from medvlm.errors import StudyError
from medvlm.studies.limits import reading
from medvlm.types import Image, Study


def study() -> Study:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    return Study([Image(pixels[:, ::-1]), Image(np.zeros((2, 2, 3), np.uint8))], metadata={"n": np.float32(0.5)})


def refuse() -> None:
    raise StudyError("a.png is no good: give another.")


def fault() -> None:
    raise KeyError("Doe^Jane")


def panic() -> None:
    class PanicException(BaseException):
        pass

    with reading("slice.dcm", "a DICOM image"):
        raise PanicException("Doe^Jane")


def abort() -> None:
    with reading("slice.dcm", "a DICOM image"):
        Path(tempfile.mkdtemp(), "left").write_bytes(bytes(10))
        print("Doe^Jane", file=sys.stderr)
        os.abort()


def leave() -> None:
    os._exit(1)


def compute() -> None:
    while True:
        pass


def wait() -> None:
    time.sleep(60)


def wait_for_a_program(pids: Path) -> None:
    program = subprocess.Popen(["sleep", "60"])
    pids.write_text(f"{os.getpid()} {os.getppid()} {program.pid}")
    program.wait()


def grow() -> None:
    with reading("slice.dcm", "a DICOM image"):
        np.ones(2**29)


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def much() -> Study:
    return Study([Image(np.zeros((1000, 1000), np.uint8))])


def a_class_of_its_own() -> object:
    return Path("/")


def environment() -> dict[str, object]:
    loaded = [name for name in ("torch", "transformers", "gradio") if name in sys.modules]
    threads = len(os.listdir("/proc/self/task"))
    return {"loaded": loaded, "threads": threads, "pid": os.getpid(), "protocol": pickle.DEFAULT_PROTOCOL}
