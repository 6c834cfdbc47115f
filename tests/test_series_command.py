"""`medvlm series` and `--series`: what is listed is what can be taken."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medvlm.cli import main

from .fakes import FakeAssistant
from .studies import SECRET, write, write_series


@pytest.fixture
def exam(tmp_path: Path) -> Path:
    write_series(tmp_path / "exam", 3)
    write(tmp_path / "exam/film.dcm", np.zeros((64, 64), np.uint8), Modality="DX", InstanceNumber=7)
    (tmp_path / "exam/readme.txt").write_text(SECRET)
    return tmp_path / "exam"


def run(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    code = main([str(a) for a in argv], load=lambda args: FakeAssistant())
    return code, *capsys.readouterr()


def test_series_lists_what_there_is(capsys: pytest.CaptureFixture[str], exam: Path) -> None:
    code, out, err = run(capsys, "series", exam, "--json")
    listed = json.loads(out)
    assert code == 0 and [(one["number"], one["images"], one["taken"]) for one in listed["series"]] == [
        (1, 3, True),
        (2, 1, False),
    ]
    assert listed["notices"] == ["Files left out as no images: 1."] and SECRET not in out + err
    assert run(capsys, "series", exam)[1].splitlines() == [
        "1: CT, axial, 3 slices of 4 x 4 pixels, 2.5 mm apart, taken unless another is named",
        "2: X-ray, 1 image of 64 x 64 pixels",
    ]


def test_a_named_series_is_taken(capsys: pytest.CaptureFixture[str], exam: Path) -> None:
    code, out, _ = run(capsys, "segment", exam, "--series", 2, "--box", "10,10,20,30", "--json")
    assert code == 0 and any(notice.startswith("Series 2 of 2 is taken") for notice in json.loads(out)["notices"])
    for command in (["ask", "-q", "Is it bright?"], ["ground", "polyp"], ["report"]):
        assert run(capsys, command[0], exam, *command[1:], "--series", 2)[0] == 0
        code, _, err = run(capsys, command[0], exam, *command[1:], "--series", 3)
        assert code == 2 and "no series 3" in err
