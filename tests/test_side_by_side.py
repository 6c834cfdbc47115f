"""One model under several threads, with features that are let go of meanwhile: the same results as one after another."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from medvlm.model.tokenizing import tokenized
from medvlm.types import Image, Study

from .tiny import picture, tiny_assistant, tiny_tokenizer

PHRASES = ["liver", "spleen", "the big bright thing"]


def studies(count: int) -> list[Study]:
    return [Study([Image(picture((5 + n, 10, 40 + n, 50)))]) for n in range(count)]


def result(assistant, study: Study) -> tuple:
    found = assistant.ground(study, PHRASES)
    drawn = assistant.segment(study, box=(8, 8, 40, 40))
    return found.presence, [(r.label, r.box, r.mask) for r in [*found.regions, *drawn]]


def same(one: tuple, other: tuple) -> bool:
    (presence, regions), (also, others) = one, other
    return presence == pytest.approx(also, abs=1e-5) and all(
        a[:2] == b[:2] and np.array_equal(a[2], b[2]) for a, b in zip(regions, others, strict=True)
    )


def test_results_are_the_same_side_by_side_and_with_no_room_for_features(tmp_path: Path):
    assistant = tiny_assistant(tmp_path / "language")
    alone = [result(assistant, study) for study in studies(12)]
    assert any(regions for _, regions in alone)
    assistant.finder.most_held = 0
    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(lambda study: result(assistant, study), studies(12)))
    assert all(map(same, alone, beside))
    assert sum(view.held for view in assistant.finder.views.values()) == 0 or len(assistant.finder.views) <= 4


def test_features_that_were_let_go_of_are_computed_anew_wherever_they_are_used(tmp_path: Path):
    finder = tiny_assistant(tmp_path / "language").finder
    (study,) = studies(1)
    view = finder.view(study)
    before = [map.clone() for map in view.features.pyramid]
    view.kept = None
    assert view.held == 0
    assert all(torch.equal(a, b) for a, b in zip(before, view.features.pyramid, strict=True)) and view.held > 0


def test_a_tokenizer_serves_several_threads():
    tokenizer = tiny_tokenizer()

    def padded(_) -> tuple:
        return tuple(tokenized(tokenizer, ["a", "a longer text"], padding=True, return_tensors="pt").input_ids.shape)

    def plain(_) -> int:
        return len(tokenized(tokenizer, ["a", "a longer text"]).input_ids[0])

    with ThreadPoolExecutor(4) as pool:
        shapes, lengths = pool.map(padded, range(300)), pool.map(plain, range(300))
        assert len(set(shapes)) == 1 and set(lengths) == {1}


def test_memory_that_was_freed_is_told_and_given_back():
    """In a process of its own: in one that has freed much before, nothing grows."""
    code = """
import numpy as np
from medvlm import memory
there = memory.resident()
held = np.ones(2**27, np.uint8)
assert memory.resident() - there > 2**26
assert memory.most_resident() >= memory.resident() - 2**22
del held
memory.give_back()
assert memory.resident() - there < 2**26
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
