"""Reports written in several formats: all files or none, into any folder, and nothing half-written."""

from __future__ import annotations

import contextlib
import errno
import json
import resource
import sys

import numpy as np
import PIL.Image
import pytest

from medvlm.cli import main
from medvlm.errors import RequestError
from medvlm.records.corrected import write_records
from medvlm.report import export
from medvlm.report.corrections import Corrections, write_corrections
from medvlm.report.edits import EditSentence
from medvlm.report.export import write_report
from medvlm.types import DISCLAIMER, Finding, Image, Region, Report, Section, Sentence, Study, mask_box

from .fakes import FakeAssistant
from .studies import write


def polyp() -> tuple[Report, Study]:
    mask = np.zeros((100, 100), bool)
    mask[5:15, 5:25] = True
    region = Region("polyp", 0, mask_box(mask), mask, 0.9)
    finding = Finding("polyp", "present", 0.93, [0])
    report = Report([Section("Findings", [Sentence("Polyp.", 0, [0])])], [finding], [region], "nano")
    return report, Study([Image(np.zeros((100, 100), np.uint8))])


def test_markdown_and_json(tmp_path):
    report, study = polyp()
    paths = write_report(report, study, tmp_path / "new", ["md", "json"])
    assert [path.name for path in paths] == ["report.md", "report.json"]
    markdown = paths[0].read_text()
    assert DISCLAIMER in markdown and "[R1]" in markdown and "| R1 | polyp | 1 | 5, 5, 25, 15 | 0.90 |" in markdown
    assert json.loads(paths[1].read_text()) == report.to_json()


def test_an_unknown_format_is_told(tmp_path):
    with pytest.raises(RequestError, match="choose from md, json"):
        write_report(*polyp(), tmp_path, ["docx"])


def test_a_package_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "reportlab", None)
    for module in [name for name in sys.modules if name.startswith(("reportlab.", "medvlm.report.export.pdf"))]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(RequestError, match=r"needs the package reportlab.*medvlm-assistant\[export\]"):
        write_report(*polyp(), tmp_path, ["pdf"])


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="cannot be written"):
        write_report(*polyp(), tmp_path / "file")


def full(report, study, folder):
    (folder / "half").write_text("half")
    raise OSError(errno.ENOSPC, "No space left on device")


def cannot(report, study, folder):
    raise RequestError("The study holds nothing to write; name another.")


@pytest.mark.parametrize(("writer", "words"), [(full, "No space left on device"), (cannot, "holds nothing to write")])
@pytest.mark.parametrize("there", [False, True])
def test_what_cannot_be_written_leaves_the_folder_as_it_was(tmp_path, monkeypatch, writer, words, there):
    monkeypatch.setitem(export.FORMATS, "bad", writer)
    folder = tmp_path / "out"
    if there:
        folder.mkdir()
        (folder / "report.md").write_text("of before")
    with pytest.raises(RequestError, match=words):
        write_report(*polyp(), folder, ["md", "bad"])
    left = {path.name: path.read_text() for path in folder.iterdir()} if folder.exists() else None
    assert left == ({"report.md": "of before"} if there else None)


def test_a_report_replaces_that_of_before(tmp_path):
    (tmp_path / "report.md").write_text("of before")
    write_report(*polyp(), tmp_path, ["md"])
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]
    assert (tmp_path / "report.md").read_text().startswith("# Report draft")


def test_a_folder_that_cannot_be_written_is_told_before_the_work(tmp_path, capsys):
    write(tmp_path / "a.dcm", np.zeros((8, 8), np.uint8))
    (tmp_path / "file").write_text("of before")
    loaded = []
    for folder in ("/proc/medvlm", tmp_path / "file"):
        assert main(["report", str(tmp_path / "a.dcm"), "-o", str(folder)], load=loaded.append) == 2
        assert "cannot be written to" in capsys.readouterr().err and not loaded
    assert (tmp_path / "file").read_text() == "of before"
    export.check_folder(tmp_path / "new")
    assert not (tmp_path / "new").exists()


@contextlib.contextmanager
def small_disk(most: int):
    """No file may become larger than so many bytes, so that each breaks off in the middle."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("most", [20, 300])
def test_words_are_told_where_the_disk_fills_and_no_half_of_a_file_is_left(tmp_path, capsys, most):
    pixels = np.zeros((64, 64), np.uint8)
    pixels[16:40, 16:48] = 200
    PIL.Image.fromarray(pixels).save(tmp_path / "a.png")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "report.md").write_text("of before")
    with small_disk(most):
        code = main(["report", str(tmp_path / "a.png"), "-o", str(folder)], load=lambda _: FakeAssistant())
    told = capsys.readouterr()
    assert code == 2 and "cannot be written" in told.err and told.err.count("medvlm:") == 1
    assert told.out.startswith("# Report draft") and DISCLAIMER in told.out
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"report.md": "of before"}


def test_corrections_and_records_are_whole_or_not_there(tmp_path):
    report, study = polyp()
    study.keep_text = True
    corrections = Corrections.of(report, [EditSentence("Findings", 0, "A polyp. " * 40)])
    write_corrections(corrections, tmp_path)
    write_records(report, report, corrections, study, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    study.images[0].pixels[0, 0] = 9  # another study, to be added
    with small_disk(50):
        with pytest.raises(RequestError, match="cannot be written"):
            write_corrections(corrections, tmp_path)
        with pytest.raises(RequestError, match="cannot be written"):
            write_records(report, report, corrections, study, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
