"""The folder of one running server: gone when it ends, and swept by the next one where it was killed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from filelock import lock_descriptor

PREFIX = "medvlm-inbox-"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@contextlib.contextmanager
def private_folder(parent: Path | None = None) -> Iterator[Path]:
    """A fresh folder for this user's eyes only, in `parent` or the system's place for temporary files.

    What earlier servers left there is removed first. A running server holds a lock on its folder, which ends with its
    process however that ends, so the folder of another running server stays.
    """
    parent = parent or Path(tempfile.gettempdir())
    sweep_all(parent)
    folder, lock = _new(parent)
    try:
        yield folder
    finally:
        with _undisturbed():
            shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C or SIGTERM does not break off what is done meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def takes_nothing(error: BaseException) -> bool:
    """Whether an error says that a disk has no room, or none for us."""
    return isinstance(error, OSError) and error.errno in FULL


def sweep_all(parent: Path | None = None) -> None:
    """Remove the folders that servers left which were killed."""
    for old in (parent or Path(tempfile.gettempdir())).glob(f"{PREFIX}*"):
        sweep(old)


def sweep(folder: Path) -> None:
    """Remove a folder of ours that no running server holds."""
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return
        lock = _lock(folder)
    except OSError:  # gone meanwhile, or held
        return
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def _lock(folder: Path) -> int:
    """A lock on a folder, held until the descriptor is closed. Raises `OSError` where another holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    if not lock_descriptor(descriptor, blocking=False):
        os.close(descriptor)
        raise BlockingIOError
    return descriptor


def _new(parent: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        with contextlib.suppress(OSError):
            lock = _lock(folder)
            if folder.is_dir():
                return folder, lock
            os.close(lock)  # a server that started just now took it for a leftover
