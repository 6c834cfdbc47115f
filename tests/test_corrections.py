"""A person's corrections: made in a report, kept beside it, told in every format, and learned from."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import PIL.Image
import pypdfium2
import pytest

from medvlm.cli import main
from medvlm.errors import RequestError
from medvlm.model.efficientnet import EfficientNetLiteModel
from medvlm.records import read_records
from medvlm.records.check import check_folder
from medvlm.records.corrected import write_records
from medvlm.report.comparison import Change, Comparison
from medvlm.report.corrections import PROVENANCE, Corrections, apply, places, read_corrections, write_corrections
from medvlm.report.edits import (
    KINDS,
    AddFinding,
    AddRegion,
    AddSentence,
    ChangeFinding,
    EditSentence,
    RedrawRegion,
    RejectFinding,
    RejectRegion,
    RejectSentence,
    RenameFinding,
)
from medvlm.report.export import write_report
from medvlm.report.export.markdown import to_markdown
from medvlm.report.found import found_report
from medvlm.types import Finding, Image, Measurement, Region, Report, Section, Sentence, Study, encode_mask, mask_box
from training import sft
from training.config import Recipe, from_values

from .fakes import FakeAssistant, square
from .tiny import tiny_language

SIZE = (60, 80)
NODULE, LUNG, MASS = 1, 0, 2  # numbers of the draft's findings


def mask(x0, y0, x1, y1, size=SIZE):
    out = np.zeros(size, bool)
    out[y0:y1, x0:x1] = True
    return out


def region(label, at, image=0, score=0.9):
    drawn = mask(*at)
    return Region(label, image, mask_box(drawn), drawn, score)


def drafted(images=1):
    """A lung with a nodule in it, a mass that is nowhere to be seen, and no effusion; and its study."""
    regions = [region("left lung", (10, 10, 50, 40)), region("lung nodule", (20, 15, 30, 25))]
    findings = [
        Finding("left lung", "present", 0.97, [0], [Measurement("area", 150.0, "mm2")]),
        Finding("lung nodule", "present", 0.93, [1], [Measurement("area", 12.5, "mm2")]),
        Finding("lung mass", "uncertain", 0.4),
        Finding("pleural effusion", "absent", 0.8),
    ]
    told = [
        Sentence("Lung nodule, area 12 mm²; probability 0.93.", 1, [1]),
        Sentence("Left lung, area 150 mm²; probability 0.97.", 0, [0]),
        Sentence("Uncertain, and not located: lung mass."),
        Sentence("Looked for and not found: pleural effusion."),
    ]
    impression = [Sentence("Lung nodule (probability 0.93).", 1, [1])]
    sections = [Section("Examination", [Sentence("X-ray, chest.")]), Section("Findings", told)]
    report = Report([*sections, Section("Impression", impression)], findings, regions, "tiny")
    pixels = np.random.default_rng(0).integers(0, 255, SIZE, np.uint8)
    study = Study([Image(pixels + i, (0.5, 0.25)) for i in range(images)], "x-ray", "chest")
    study.keep_text = True
    return report, study


def corrected(*made, images=1):
    draft, study = drafted(images)
    return apply(draft, Corrections.of(draft, made), study)


def texts(report, title):
    return [s.text for section in report.sections if section.title == title for s in section.sentences]


# What becomes of a report


def test_without_corrections_the_draft_leaves():
    draft, study = drafted()
    assert apply(draft, Corrections.of(draft), study) is draft


def test_sentences_are_edited_rejected_and_added():
    out = corrected(
        EditSentence("Findings", 0, "A calcified nodule."),
        RejectSentence("Impression", 0),
        AddSentence("Impression", "Granuloma.", NODULE),
        AddSentence("Recommendation", "None."),
    )
    assert texts(out, "Findings")[:2] == ["A calcified nodule.", "Left lung, area 150 mm²; probability 0.97."]
    assert texts(out, "Impression") == ["Granuloma."] and texts(out, "Recommendation") == ["None."]
    edited, added = out.sections[1].sentences[0], out.sections[2].sentences[0]
    assert (edited.finding, edited.regions) == (added.finding, added.regions) == (NODULE, [1])
    (told,) = texts(out, PROVENANCE)
    assert told == "A person corrected 4 sentences of this draft (1 edited, 1 rejected, 2 added)."
    draft = drafted()[0]
    assert out.findings == draft.findings and len(out.regions) == 2 and texts(draft, PROVENANCE) == []


def test_a_rejected_finding_is_absent_everywhere():
    out = corrected(RejectFinding(NODULE))
    finding = out.findings[NODULE]
    assert (finding.presence, finding.confidence, finding.regions, finding.measurements) == ("absent", 1.0, [], [])
    assert [r.label for r in out.regions] == ["left lung"] and out.findings[LUNG].regions == [0]
    assert texts(out, "Findings") == [
        "Left lung, area 150 mm²; probability 0.97.",
        "Uncertain, and not located: lung mass.",
        "Looked for and not found: lung nodule, pleural effusion.",
    ]
    assert texts(out, "Impression") == [
        "None of the abnormalities that were looked for was located; some are uncertain."
    ]
    assert texts(out, PROVENANCE) == ["A person corrected 0 sentences of this draft, 1 finding."]


def test_what_a_person_wrote_of_a_finding_stays():
    out = corrected(EditSentence("Findings", 0, "A scar."), RejectFinding(NODULE), EditSentence("Findings", 3, "Dry."))
    assert texts(out, "Findings")[0] == "A scar." and texts(out, "Findings")[-1] == "Dry."


def test_regions_of_the_rest_keep_their_sentences():
    out = corrected(RejectRegion(0))  # the first of all, so that others move up
    assert out.findings[LUNG].presence == "absent"
    assert [r.label for r in out.regions] == ["lung nodule"] and out.findings[NODULE].regions == [0]
    assert out.sections[1].sentences[0].regions == [0]


def test_a_redrawn_region_is_measured_and_told_anew():
    drawn = mask(20, 15, 40, 35)
    out = corrected(RedrawRegion(1, None, drawn))
    assert (out.regions[1].mask == drawn).all() and out.regions[1].box == (20, 15, 40, 35)
    assert (out.regions[1].label, out.regions[1].score) == ("lung nodule", 1.0)
    sizes = {m.name: (m.value, m.unit) for m in out.findings[NODULE].measurements}
    assert sizes["area"] == (400 * 0.125, "mm2")
    assert texts(out, "Findings")[0].endswith("area 50 mm²; corrected by a person.")
    assert texts(out, "Findings")[1] == "Left lung, area 150 mm²; probability 0.97."
    assert texts(out, "Impression") == ["Lung nodule (corrected by a person)."]


def test_findings_and_regions_are_added():
    out = corrected(
        AddRegion("Pleural Effusion", 0, (5.0, 40.0, 25.0, 60.0)),
        AddFinding("fracture"),
        ChangeFinding(MASS, "present"),
    )
    effusion = out.findings[3]
    assert (effusion.presence, effusion.regions, out.regions[2].label) == ("present", [2], "pleural effusion")
    assert {m.name: m.value for m in effusion.measurements} == {"width": 5.0, "height": 10.0}
    assert out.findings[-1].label == "fracture" and out.findings[MASS].presence == "present"
    assert texts(out, "Findings")[2:] == [
        "Lung mass, not located; corrected by a person.",
        "Pleural effusion, 5.0 × 10.0 mm (its box); drawn by the reader.",
        "Fracture, not located; corrected by a person.",
    ]
    assert len(texts(out, "Impression")) == 4


def test_a_ratio_follows_what_it_is_measured_against():
    pixels = np.zeros(SIZE, np.uint8)
    regions = [
        region("heart", (30, 30, 50, 50)),
        region("left lung", (45, 10, 60, 50)),
        region("right lung", (10, 10, 25, 50)),
    ]
    ratio = [Measurement("cardiothoracic ratio", 0.4, "ratio")]
    findings = [Finding(r.label, "present", 0.9, [i], ratio if i == 0 else []) for i, r in enumerate(regions)]
    draft = Report([Section("Findings", [Sentence("Heart, ratio 0.40.", 0, [0])])], findings, regions, "tiny")
    study = Study([Image(pixels)])
    out = apply(draft, Corrections.of(draft, [RedrawRegion(1, None, mask(45, 10, 80, 50))]), study)
    (told,) = [m.value for m in out.findings[0].measurements if m.unit == "ratio"]
    assert told == pytest.approx(20 / 70) and "0.29" in texts(out, "Findings")[0]


def test_slices_of_a_volume_are_measured_together():
    draft, study = drafted(3)
    study.kind, study.metadata["slice_spacing_mm"] = "volume", 2.0
    out = apply(draft, Corrections.of(draft, [AddRegion("lung nodule", 1, None, mask(20, 15, 30, 25))]), study)
    volume = {m.name: m.value for m in out.findings[NODULE].measurements}["volume"]
    assert volume == pytest.approx(2 * 100 * 0.125 * 2 / 1000)
    assert texts(out, "Findings")[0].startswith("Lung nodule on slices 1 to 2 of 3, volume 0.05 ml")


def test_one_slice_has_no_volume() -> None:
    """The others were not searched, or not told of."""
    study = Study([Image(np.zeros((60, 80), np.uint8), (0.5, 0.25)) for _ in range(3)], "CT", kind="volume")
    study.metadata["slice_spacing_mm"] = 2.0
    mask = np.zeros((60, 80), bool)
    mask[10:20, 10:20] = True
    region = Region("liver", 1, mask_box(mask), mask, 0.9)
    (finding,) = found_report([region], study).findings
    assert "longest diameter" in {m.name for m in finding.measurements} and "volume" not in {
        m.name for m in finding.measurements
    }
    both = found_report([region, replace(region, image=2)], study).findings[0]
    assert "volume" in {m.name for m in both.measurements}


def test_a_comparison_names_the_regions_that_are_left():
    draft, study = drafted()
    draft.comparison = Comparison([Change("lung nodule", "larger", finding=NODULE, regions=[1])], draft, None)
    draft.sections.insert(
        1, Section("Changes", [Sentence("Lung nodule larger.", NODULE, [1]), Sentence("Left lung.", LUNG, [0])])
    )
    out = apply(draft, Corrections.of(draft, [RejectFinding(LUNG)]), study)
    assert out.comparison.changes[0].regions == [0] and draft.comparison.changes[0].regions == [1]
    assert texts(out, "Changes") == ["Lung nodule larger."]
    assert texts(out, PROVENANCE)[1] == "The comparison with the earlier study was made before that."


# Files


EVERY_KIND = [
    EditSentence("Findings", 0, "Größer als 3 mm."),
    RejectSentence("Findings", 1),
    AddSentence("Impression", "Stable.", 1),
    RejectFinding(0),
    ChangeFinding(2, "absent"),
    AddFinding("fracture", "uncertain"),
    RenameFinding(1, "fracture"),
    RedrawRegion(1, (1.0, 2.0, 30.0, 40.0)),
    RejectRegion(0),
    AddRegion("lung nodule", 0, (20.0, 15.0, 30.0, 25.0), mask(20, 15, 30, 25)),
]


def test_a_file_is_read_as_it_was_written(tmp_path):
    draft, _ = drafted()
    assert {type(one) for one in EVERY_KIND} == set(KINDS.values())
    before = Corrections.of(draft, EVERY_KIND)
    path = write_corrections(before, tmp_path)
    after = read_corrections(path)
    assert path.name == "report.corrections.json" and after.to_json() == before.to_json()
    assert (after.made[-1].mask == EVERY_KIND[-1].mask).all()
    assert not {"name", "user", "date", "time"} & set(str(path.read_text()).split('"'))  # what, not who or when


GOOD = {"kind": "edit sentence", "section": "Findings", "sentence": 0, "text": "A nodule."}
BOX = [1, 2, 30, 40]


@pytest.mark.parametrize(
    ("one", "words"),
    [
        ({"kind": "praise"}, "needs a kind, one of: edit sentence"),
        ("edit", "needs a kind"),
        (GOOD | {"who": "me"}, "no field 'who'; its fields are kind, section, sentence, text"),
        ({"kind": "edit sentence", "section": "Findings", "sentence": 0}, "needs the field text"),
        (GOOD | {"sentence": "first"}, "must be a whole number"),
        (GOOD | {"sentence": True}, "must be a whole number"),
        (GOOD | {"sentence": -1}, "counts from 0"),
        (GOOD | {"text": " "}, "one line of 1 to 2,000"),
        (GOOD | {"text": "two\nlines"}, "one line"),
        (GOOD | {"sentence": 9}, "sentence 9 of 'Findings', which the draft does not have"),
        (GOOD | {"section": "Poems"}, "sentence 0 of 'Poems'"),
        ({"kind": "reject finding", "finding": 7}, "finding 7, but the draft has findings 0 to 3"),
        ({"kind": "change finding", "finding": 1, "presence": "maybe"}, "one of present, absent, uncertain"),
        ({"kind": "add finding", "label": "unicorn"}, "'unicorn' is not in the vocabulary"),
        ({"kind": "add sentence", "section": "Findings", "text": "A.", "finding": 9}, "finding 9"),
        ({"kind": "reject region", "region": 9}, "region 9"),
        ({"kind": "redraw region", "region": 0}, "needs a box or a mask"),
        ({"kind": "redraw region", "region": 0, "box": [1, 2]}, "four numbers"),
        ({"kind": "redraw region", "region": 0, "box": [1, 2, 90, 40]}, "leaves the image"),
        ({"kind": "add region", "label": "fracture", "image": 0, "box": [90, 2, 95, 4]}, "outside the image"),
        ({"kind": "add region", "label": "fracture", "image": 4, "box": BOX}, "no image 4"),
        ({"kind": "redraw region", "region": 0, "mask": encode_mask(np.ones((5, 5), bool))}, "5 x 5 pixels, its image 80 x 60"),
        ({"kind": "redraw region", "region": 0, "mask": encode_mask(np.zeros(SIZE, bool))}, "empty: reject the region"),
        ({"kind": "redraw region", "region": 0, "mask": {"size": [60, 80], "counts": "oops"}}, "run-length"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_said_in_a_sentence(one, words):
    draft, study = drafted()
    with pytest.raises(RequestError, match=words) as refused:
        apply(draft, Corrections.from_json({"report": Corrections.of(draft).report, "corrections": [one]}), study)
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value)


def test_a_person_tells_of_an_added_finding_in_their_own_words():
    draft, study = drafted()
    made = [AddFinding("fracture"), AddSentence("Findings", "An old fracture.", len(draft.findings))]
    found = texts(apply(draft, Corrections.of(draft, made), study), "Findings")
    assert "An old fracture." in found and not any(text.startswith("Fracture") for text in found)


def test_regions_of_the_corrected_report_are_named_as_corrections_name_them():
    draft, study = drafted()
    made = [RejectRegion(0), AddRegion("fracture", 0, (1.0, 2.0, 9.0, 9.0))]
    corrections = Corrections.of(draft, made)
    assert places(draft, corrections, study) == [1, 2]
    again = Corrections.of(draft, [*made, RedrawRegion(2, (3.0, 3.0, 8.0, 8.0))])
    assert apply(draft, again, study).regions[1].box == (3, 3, 8, 8)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"report": 3, "corrections": []}', '{"report": "a"}', "[" * 99999]
)
def test_files_that_hold_no_corrections_are_refused(tmp_path, content):
    path = tmp_path / "c.json"
    path.write_text(content)
    with pytest.raises(RequestError):
        read_corrections(path)
    with pytest.raises(RequestError, match="cannot be read"):
        read_corrections(tmp_path / "none.json")


def test_corrections_of_another_report_are_refused():
    draft, study = drafted()
    other = Report(draft.sections[1:], draft.findings, draft.regions, draft.model)
    with pytest.raises(RequestError, match="of another report"):
        apply(draft, Corrections.of(other, [RejectFinding(0)]), study)


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


# The command


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


# Records


def test_records_hold_what_a_person_said_and_nothing_else(tmp_path):
    draft, study = drafted(2)
    made = [
        RejectFinding(LUNG),
        AddRegion("lung nodule", 0, None, mask(60, 5, 70, 15)),
        AddRegion("fracture", 1, (1.0, 2.0, 9.0, 9.0)),
    ]
    corrections = Corrections.of(draft, made)
    out = apply(draft, corrections, study)
    write_records(draft, out, corrections, study, tmp_path / "set")
    assert check_folder(tmp_path / "set") == []
    first, second = read_records(tmp_path / "set")
    assert (first.split, first.modality, first.body_part, first.spacing_mm) == ("train", "x-ray", "chest", (0.5, 0.25))
    assert first.patient == second.patient and first.absent == ["left lung"] and second.absent == []
    (nodules,) = first.regions  # all of the label in the image, the draft's own as well
    assert nodules.label == "lung nodule" and len(nodules.boxes) == 2 and set(np.unique(nodules.mask)) == {0, 1, 2}
    assert [(r.label, r.boxes, r.mask) for r in second.regions] == [("fracture", [[1, 2, 9, 9]], None)]
    assert (first.image[..., 0] == study.images[0].pixels).all()
    assert "corrected by a person" in first.report and "A person corrected" not in first.report


def test_records_of_a_study_are_replaced_and_others_stay(tmp_path):
    for number, size in enumerate((8, 8, 12)):
        draft, study = drafted()
        study.images[0].pixels[:2] = number // 2  # the third is another study
        corrections = Corrections.of(draft, [RedrawRegion(1, None, mask(20, 15, 20 + size, 25))])
        write_records(draft, apply(draft, corrections, study), corrections, study, tmp_path)
    assert len(read_records(tmp_path)) == 2 and check_folder(tmp_path) == []


def test_sentences_alone_make_a_record_of_the_text(tmp_path):
    draft, study = drafted()
    corrections = Corrections.of(draft, [EditSentence("Impression", 0, "A granuloma.")])
    write_records(draft, apply(draft, corrections, study), corrections, study, tmp_path)
    (record,) = read_records(tmp_path)
    assert record.regions == [] and record.absent == [] and "A granuloma." in record.report
    with pytest.raises(RequestError, match="Nothing was corrected"):
        write_records(draft, draft, Corrections.of(draft), study, tmp_path)


def test_training_reads_the_records(tmp_path, monkeypatch):
    monkeypatch.setattr(EfficientNetLiteModel, "load_imagenet", lambda self: None)
    for number in range(2):
        draft, study = drafted()
        study.images[0].pixels[:2] = number
        corrections = Corrections.of(draft, [RedrawRegion(1, None, mask(20, 15, 40, 35)), RejectFinding(LUNG)])
        write_records(draft, apply(draft, corrections, study), corrections, study, tmp_path / "set")
    values = {
        "data": [str(tmp_path / "set")], "cache": str(tmp_path / "cache"), "workers": 0, "bf16": False, "side": 64,
        "vision": {"model_type": "efficientnet_lite", "variant": 0}, "language": str(tiny_language(tmp_path / "language")),
        "lora_rank": 4, "image_grid": 2, "log_every": 1, "output_dir": str(tmp_path / "run"),
        "stages": {"heads": {"steps": 1, "phases": [[1.0, 64, 2]], "prompts": 0.0, "warmup": 1}},
    }  # fmt: skip
    sft.run(from_values(Recipe, values, "test"))
    (row,) = [r for r in map(json.loads, (tmp_path / "run" / "log.jsonl").read_text().splitlines()) if "loss" in r]
    assert np.isfinite(row["loss"])
