"""Corrections from outside: the command that takes them back, and the formats that tell of them."""

from __future__ import annotations

import json

import PIL.Image
import pypdfium2
import pytest

from medvlm.cli import main
from medvlm.records.check import check_folder
from medvlm.report.corrections import Corrections, apply
from medvlm.report.edits import EditSentence, RedrawRegion, RejectFinding
from medvlm.report.export import write_report
from medvlm.report.export.markdown import to_markdown

from .drafts import NODULE, drafted, mask
from .fakes import FakeAssistant, square


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.png"
    PIL.Image.fromarray(square()).save(path)
    return str(path)


def run(*argv):
    return main([str(a) for a in argv], load=lambda args: FakeAssistant())


def test_the_command_writes_what_can_be_corrected_and_takes_it_back(capsys, image, tmp_path):
    assert run("report", image, "-o", tmp_path / "draft") == 0
    file = tmp_path / "draft" / "report.corrections.json"
    draft, data = json.loads((tmp_path / "draft" / "report.json").read_text()), json.loads(file.read_text())
    assert data["corrections"] == []
    shown = next(i for i, f in enumerate(draft["findings"]) if f["regions"])
    data["corrections"] = [{"kind": "reject finding", "finding": shown}]
    file.write_text(json.dumps(data))
    options = ["--corrections", file, "--records", tmp_path / "records", "-o", tmp_path / "out", "--keep-text"]
    assert run("report", image, *options) == 0
    out = capsys.readouterr().out
    assert "A person corrected 0 sentences" in out and "images/" in out
    assert json.loads((tmp_path / "out" / "report.json").read_text())["findings"][shown]["presence"] == "absent"
    assert json.loads((tmp_path / "out" / "report.corrections.json").read_text()) == data
    assert check_folder(tmp_path / "records") == []


def test_mistakes_are_told_before_a_model_is_loaded(capsys, image, tmp_path):
    def never(args):
        raise AssertionError

    for options, words in (
        (["--records", tmp_path], "--corrections FILE"),
        (["--corrections", tmp_path / "none.json"], "cannot be read"),
    ):
        assert main(["report", image, *map(str, options)], load=never) == 2
        assert words in capsys.readouterr().err


def test_every_text_tells_that_a_person_corrected(tmp_path):
    pytest.importorskip("reportlab")
    draft, study = drafted()
    out = apply(draft, Corrections.of(draft, [EditSentence("Findings", 0, "A scar."), RejectFinding(NODULE)]), study)
    told = "A person corrected 1 sentence of this draft (1 edited), 1 finding."
    files = {path.name: path for path in write_report(out, study, tmp_path, ["md", "json", "pdf"])}
    page = pypdfium2.PdfDocument(files["report.pdf"])[0].get_textpage().get_text_range()
    assert told in files["report.md"].read_text() and told in files["report.json"].read_text()
    assert told in " ".join(page.split()) and "nobody has reviewed it" not in page and page.count("Provenance") == 1
    assert "probability 0.93" not in to_markdown(out)


def test_corrected_segments_are_no_longer_automatic(tmp_path):
    pytest.importorskip("highdicom")
    import pydicom

    from medvlm.studies import load_study

    from .dicom_export import checked, landmarks, series

    study = load_study(series(tmp_path / "in", count=2))
    draft = landmarks(study)
    study.keep_text = True
    drawn = mask(3, 4, 9, 12, study.images[0].size)
    out = apply(draft, Corrections.of(draft, [RedrawRegion(0, None, drawn)]), study)
    for name, path in zip(
        ("seg", "sr", "gsps", "pdf"),
        write_report(out, study, tmp_path, ["seg", "sr", "gsps", "dicom-pdf"]),
        strict=True,
    ):
        assert path.name == f"report.{name}.dcm"
        checked(path)
    assert {s.SegmentAlgorithmType for s in pydicom.dcmread(tmp_path / "report.seg.dcm").SegmentSequence} == {
        "SEMIAUTOMATIC"
    }
    assert b"A person corrected" in (tmp_path / "report.sr.dcm").read_bytes()
