"""What holds for every test: none reaches another machine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from .guard import network
from .programs import DEBIAN, missed

_asked = Path(tempfile.gettempdir()) / f"medvlm-tests-asked-{os.getuid()}-{os.getpid()}"
network.start(_asked)
network.share(_asked)


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
