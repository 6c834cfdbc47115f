"""How far something is, is told to whoever listens, and shown where there is a terminal to show it in."""

from __future__ import annotations

import io
import sys

import pytest

from medvlm.progress import bar, telling, tracked


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_each_step_and_the_end_are_told_to_the_one_who_listens() -> None:
    heard: list[tuple[int, int]] = []
    with telling(lambda done, of: heard.append((done, of))):
        assert list(tracked("abc")) == ["a", "b", "c"]
        assert list(tracked("")) == []
    assert list(tracked("ab")) == ["a", "b"]
    assert heard == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_who_listens_last_hears_alone() -> None:
    first: list[int] = []
    second: list[int] = []
    with telling(lambda done, _: first.append(done)):
        with telling(lambda done, _: second.append(done)):
            list(tracked("a"))
        list(tracked("b"))
    assert (first, second) == ([0, 1], [0, 1])


def test_a_bar_is_drawn_in_a_terminal_alone_and_closed_where_work_is_broken_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for stream, drawn in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with bar():
            list(tracked(range(3)))
            next(tracked(range(5)))
        assert ("0/3" in stream.getvalue()) == ("0/5" in stream.getvalue()) == drawn
