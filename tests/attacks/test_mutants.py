"""Files that were broken in all ways, for a few seconds; `make fuzz` reads 10,000 of them."""

from __future__ import annotations

import pytest

pytest.importorskip("gdcm", reason="python-gdcm is not installed: pip install -e .")

from tests.fuzz import fuzz

SECONDS = 8  # of the suite's time; how many files that is, the machine decides


def test_broken_files_for_a_while():
    table = fuzz(10_000, seed=24, seconds=SECONDS)
    assert not table.faults, "\n".join(table.lines())
    assert 20 < len(table.results) < 10_000
