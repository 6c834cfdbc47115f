"""The cores of a process whose threads compute side by side."""

from __future__ import annotations

import os
import sys
from functools import cache


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def wait_asleep() -> None:
    """Let threads of one computation sleep while they wait for each other. By default they spin, and where others use the cores
    too, that takes them from the very thread that is waited for. To be called before torch is imported."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@cache
def _of_torch() -> int:
    """The threads that torch was to use before any were shared out."""
    return int(sys.modules["torch"].get_num_threads())


def share(among: int) -> None:
    """Let torch compute in this thread with its part of the cores, where `among` threads compute side by side.

    Does nothing before torch was imported, so that whoever has no model does not wait for it.
    """
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(max(1, _of_torch() // max(1, among)))
