"""A few files that were broken in all ways; `make test` reads some for two minutes after the tests, `make fuzz` 10,000."""

from __future__ import annotations

import pytest

pytest.importorskip("gdcm", reason="python-gdcm is not installed: pip install -e .")

from tests.fuzz import fuzz

FILES, SECONDS = 60, 5  # fewer where the machine is busy


def test_broken_files_for_a_while():
    table = fuzz(FILES, seed=24, seconds=SECONDS)
    assert not table.faults, "\n".join(table.lines())
    assert table.results
