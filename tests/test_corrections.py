"""A person's corrections: what becomes of a report with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medvlm.report.comparison import Change, Comparison
from medvlm.report.corrections import PROVENANCE, Corrections, apply, places
from medvlm.report.edits import (
    AddFinding,
    AddRegion,
    AddSentence,
    ChangeFinding,
    EditSentence,
    RedrawRegion,
    RejectFinding,
    RejectRegion,
    RejectSentence,
)
from medvlm.report.found import found_report
from medvlm.types import Finding, Image, Measurement, Region, Report, Section, Sentence, Study, mask_box

from .drafts import LUNG, MASS, NODULE, SIZE, drafted, mask, region, texts


def corrected(*made, images=1):
    draft, study = drafted(images)
    return apply(draft, Corrections.of(draft, made), study)


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
