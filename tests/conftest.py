"""What holds for every test: none reaches another machine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from .guard import network
from .programs import DEBIAN, missed

# A minute or so each: begun first, none of them is what the others wait for in the end.
LONG = (
    "tests/test_training_runs.py",
    "tests/test_weights.py",
    "tests/test_batch_ray.py",
    "tests/test_faults.py",
    "tests/test_load.py",
    "tests/browser/",
    "tests/test_privacy.py",
)

_asked = Path(tempfile.gettempdir()) / f"medvlm-tests-asked-{os.getuid()}-{os.getpid()}"
network.start(_asked)
network.share(_asked)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {start: number for number, start in enumerate(LONG)}
    items.sort(key=lambda item: next((place[start] for start in LONG if item.nodeid.startswith(start)), len(LONG)))


@pytest.fixture(autouse=True)
def no_outbound_request():
    """A test fails where it, or a Python process that it started, asked another machine for something."""
    yield
    if _asked.exists():
        said = _asked.read_text("utf-8")
        _asked.unlink()
        pytest.fail(f"Another machine was asked for something:\n{said}", pytrace=False)


@pytest.fixture(autouse=True)
def unchecked_is_told():
    """What a test could not have checked is not passed over in silence."""
    missed.clear()
    yield
    if missed:
        packages = " ".join(sorted({DEBIAN[name] for name in missed}))
        pytest.skip(f"not checked by {', '.join(sorted(missed))}: apt-get install {packages}")
