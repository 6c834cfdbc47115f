"""Evenly spaced items: as many as were asked for, in their order, the ends among them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from medvlm.sampling import batches, evenly_spaced


@pytest.mark.parametrize(
    ("count", "taken"),
    [(None, "abcdefgh"), (9, "abcdefgh"), (8, "abcdefgh"), (3, "aeh"), (2, "ah"), (1, "a"), (0, "")],
)
def test_so_many_with_both_ends(count, taken):
    assert evenly_spaced("abcdefgh", count) == list(taken)


@pytest.mark.parametrize("count", [None, 0, 1, 5])
def test_nothing_of_nothing(count):
    assert evenly_spaced([], count) == []


def test_places_are_whole_numbers_that_grow():
    places = evenly_spaced(range(1000), 48)
    assert len(set(places)) == 48 and places == sorted(places) and all(type(place) is int for place in places)
    assert {b - a for a, b in zip(places, places[1:], strict=False)} == {21, 22}


def test_it_comes_without_torch():
    code = "import sys, medvlm.sampling; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_many_a_few_at_a_time() -> None:
    assert [list(batch) for batch in batches(range(5), 2)] == [[0, 1], [2, 3], [4]]
    assert batches([], 3) == []
