"""`medvlm bench`: what it prints, goals that are met and not, users who ask together, and others' numbers beside ours."""

from __future__ import annotations

import json
import threading

import pytest
import torch

from medvlm import bench, rates
from medvlm.cli import main
from medvlm.commands import bench as command
from serving.turns import Turns

from .fakes import square
from .tiny import tiny_assistant


@pytest.fixture
def quick(monkeypatch):
    for name, value in {"TIMES": 1, "photograph": lambda longer=0: square((64, 64), value=90)}.items():
        monkeypatch.setattr(bench, name, value)
    monkeypatch.setattr(bench, "BOX", (8.0, 8.0, 40.0, 40.0))
    for name, value in {"USERS": 8, "EACH": 1, "TOKENS": 3, "SLICES": 2, "COPIED": 2**20, "MATRIX": 64}.items():
        monkeypatch.setattr(rates, name, value)
    monkeypatch.setattr(command, "start", lambda model, device: None)


def test_it_prints_everything_in_one_run(quick, tmp_path, capsys):
    assistant = tiny_assistant(tmp_path / "language")
    other = tmp_path / "others.json"
    other.write_text(json.dumps({"beside": {"LiteMedSAM, box on a new image, s": 0.9}}))
    threads = torch.get_num_threads()
    assert main(["bench", "--json", "--beside", str(other)], load=lambda _: assistant) == 0
    torch.set_num_threads(threads)
    result = json.loads(capsys.readouterr().out)
    assert {"load", "load, cold, in a process of its own", *bench.AT_MOST} - {bench.LONGEST, bench.MEMORY} <= set(
        result["seconds"]
    )
    assert set(result["rates"]) >= {"phrases a second, 1 user", bench.SHARE, bench.LONGEST, "tokens a second, 8 users"}
    assert all(value >= 0 for part in ("rates", "limits") for value in result[part].values())
    assert {goal["what"] for goal in result["goals"]} == {*bench.AT_MOST, *bench.AT_LEAST}
    assert result["beside"] == {"LiteMedSAM, box on a new image, s": 0.9} and result["peak_memory_mb"] > 50
    said = "\n".join(bench.lines(result))
    assert "beside: LiteMedSAM" in said and "goal 0.12, " in said


def test_a_goal_that_is_missed_says_so():
    measured = dict.fromkeys(bench.AT_MOST, 0.01) | dict.fromkeys(bench.AT_LEAST, 1.2)
    met = {goal["what"]: goal["met"] for goal in bench.goals(measured | {"phrase on a new image": 0.13})}
    assert not met["phrase on a new image"] and not met[bench.SHARE] and met[bench.LONGEST]


def test_others_numbers_that_are_none_are_told(quick, tmp_path, capsys):
    (tmp_path / "others.json").write_text('{"beside": {"a": "fast"}}')
    for name in ("others.json", "missing.json"):
        assert main(["bench", "--beside", str(tmp_path / name)], load=lambda _: None) == 2
        assert "benchmarks/speed.py -o" in capsys.readouterr().err


def test_users_together_each_do_their_work():
    done, turns = [], Turns(beside=2)
    lock = threading.Lock()

    def work() -> None:
        with lock:
            done.append(1)

    found = rates.together(lambda user, what: turns.submit(user, what).future.result(5), [[work] * 3] * 4)
    assert len(done) == 12 and found.rate > 0 and found.longest >= 1
