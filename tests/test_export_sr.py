"""A report as DICOM SR: findings with their codes, sizes and places, nothing of a patient elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pydicom
import pytest

from medvlm.studies import load_study
from medvlm.types import Finding, Measurement, Region, Report, Section, Sentence, Study
from medvlm.vocabulary import LABELS

from .dicom_export import (
    blob,
    checked,
    dicom_codes,
    dicom_seg,
    dicom_sr,
    dumped,
    hd,
    region,
    series,
    told,
)


def test_a_report_says_each_finding_with_its_sizes_and_where_it_is(tmp_path):
    study = replace(load_study(series(tmp_path / "in")), body_part="abdomen")
    size = study.images[0].size
    regions = [
        region("left kidney", 1, blob(size, (8, 6), 5)),
        region("left kidney", 2, blob(size, (8, 6), 4)),
        region("liver cancer", 3, blob(size, (8, 6), 4)),
        region("liver cancer", 0, blob(size, (9, 9), 2)),
        Region("fracture", 2, (2.0, 3.0, 10.0, 9.0), None, 0.7),
    ]
    report = told(
        regions,
        Finding("left kidney", "present", 0.999, [0, 1], [Measurement("volume", 150.25, "ml"), Measurement("count", 1, "count")]),
        Finding("liver cancer", "present", 0.9, [2, 3], [Measurement("longest diameter", 12.25, "mm"), Measurement("area", 99, "mm2")]),
        Finding("fracture", "uncertain", 0.5, [4], [Measurement("width", 8.0, "px")]),
        Finding("ground glass opacity", "absent", 0.97),
    )  # fmt: skip
    seg, path = dicom_sr.write(report, study, tmp_path)
    checked(path)
    document = hd.sr.srread(path)
    assert (document.PreliminaryFlag, document.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    segmentation = hd.seg.segread(seg)

    (kidney,) = document.content.get_volumetric_roi_measurement_groups()
    assert kidney.tracking_uid == segmentation.SegmentSequence[0].TrackingUID
    assert (kidney.finding_type.value, kidney.finding_type.meaning) == ("64033007", "Kidney")
    (site,) = kidney.finding_sites
    assert (site.value.value, site.laterality.meaning) == ("64033007", "Left")
    assert kidney.referenced_segment.referenced_sop_instance_uid == segmentation.SOPInstanceUID
    assert _sizes(kidney) == [("118565006", 150.25, "mL")]

    outlined = {str(group.tracking_identifier): group for group in document.content.get_planar_roi_measurement_groups()}
    assert set(outlined) == {"liver cancer 1", "liver cancer 2", "fracture"}
    assert _sizes(outlined["liver cancer 1"]) == [("103339001", 12.25, "mm"), ("42798000", 99, "mm2")]
    assert ("42798000", regions[3].mask.sum(), "mm2") in _sizes(outlined["liver cancer 2"])
    frame = outlined["liver cancer 1"].referenced_segmentation_frame
    shown = segmentation.PerFrameFunctionalGroupsSequence[frame.referenced_frame_numbers[0] - 1]
    assert shown.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 2
    assert outlined["fracture"].roi.value.tolist() == [[2, 3], [10, 3], [10, 9], [2, 9], [2, 3]]
    assert _sizes(outlined["fracture"]) == [("103355008", 8, "{pixels}")]

    whole = {str(g.tracking_identifier): g for g in document.content.get_image_measurement_groups()}
    presence = {name: group.get_qualitative_evaluations() for name, group in whole.items()}
    assert {name: value[0].value.meaning for name, value in presence.items()} == {
        "study": "All algorithms succeeded; with findings",
        "left kidney": "Present",
        "liver cancer": "Present",
        "fracture": "Presence Undetermined",
        "ground glass opacity": "Absent",
    }
    assert whole["ground glass opacity"].finding_type.scheme_designator == "99MEDVLM"
    assert _sizes(whole["left kidney"]) == [("111012", 99, "%"), ("count", 1, "1")]
    said = dumped(path)
    assert not said or (
        "fracture, described." in said and "CT, chest – 5 slices." in said and report.disclaimer in said
    )


def _sizes(group) -> list[tuple[str, float, str]]:
    return [(m.name.value, float(m.value), m.unit.value) for m in group.get_measurements()]


def test_sizes_are_said_of_the_thing_that_was_measured(tmp_path):
    study = load_study(series(tmp_path / "in"))
    size = study.images[0].size
    alone, pair = blob(size, (9, 9), 5), [blob(size, at, 4) for at in ((5, 5), (17, 14))]  # a slice of two shows most
    regions = [region("lung nodule", 0, alone), *(region("lung nodule", 3, mask) for mask in pair)]
    measured = [
        Measurement("longest diameter", 7.5, "mm"),
        Measurement("volume", 1.5, "ml"),
        Measurement("count", 3, "count"),
    ]
    report = told(regions, Finding("lung nodule", "present", 0.9, [0, 1, 2], measured))
    content = hd.sr.srread(dicom_sr.write(report, study, tmp_path)[-1]).content
    groups = {str(g.tracking_identifier): _sizes(g) for g in content.get_planar_roi_measurement_groups()}
    assert groups["lung nodule 2"] == [("103339001", 7.5, "mm")]
    assert [name for name, group in groups.items() if ("42798000", alone.sum(), "mm2") in group] == ["lung nodule 1"]
    whole = content.get_image_measurement_groups()[1]
    assert _sizes(whole)[1:] == [("118565006", 1.5, "mL"), ("count", 3, "1")]


def test_what_rests_on_another_labels_region_points_to_it(tmp_path):
    study = replace(load_study(series(tmp_path / "in", count=1)), body_part="chest")
    heart = region("heart", 0, blob(study.images[0].size, (9, 9)))
    ratio = [Measurement("cardiothoracic ratio", 0.61, "ratio")]
    report = told(
        [heart],
        Finding("heart", "present", 0.9, [0], list(ratio)),
        Finding("cardiomegaly", "uncertain", 0.6, [0], ratio),
    )
    seg, path = dicom_sr.write(report, study, tmp_path)
    checked(path)
    first, second = hd.sr.srread(path).content.get_planar_roi_measurement_groups()
    assert second.finding_type.meaning == "Cardiomegaly"
    assert first.referenced_segmentation_frame[0].referenced_frame_numbers == [1]
    assert second.referenced_segmentation_frame[0].referenced_frame_numbers == [1]
    assert first.tracking_uid == pydicom.dcmread(seg).SegmentSequence[0].TrackingUID != second.tracking_uid


def test_where_nothing_was_found_the_report_says_so_and_there_is_no_segmentation(tmp_path):
    study = load_study(series(tmp_path / "in"))
    report = told([], Finding("liver cancer", "absent", 0.95))
    assert dicom_seg.write(report, study, tmp_path) == []
    (path,) = dicom_sr.write(report, study, tmp_path)
    checked(path)
    summary, finding = hd.sr.srread(path).content.get_image_measurement_groups()
    assert summary.get_qualitative_evaluations()[0].value.meaning == "All algorithms succeeded; without findings"
    assert finding.get_qualitative_evaluations()[0].value.meaning == "Absent"
    (path,) = dicom_sr.write(Report([Section("Examination", [Sentence("Not medical.")])], [], []), study, tmp_path)
    (summary,) = hd.sr.srread(path).content.get_image_measurement_groups()
    assert summary.get_qualitative_evaluations()[0].value.meaning == "No algorithms succeeded; without findings"


@pytest.mark.parametrize("label", LABELS)
def test_each_label_has_a_code_that_every_reader_takes(label):
    code, site = dicom_codes.label_code(label), dicom_codes.site_code(label, Study([], body_part="chest"))
    assert len(code.CodeValue) <= 16 and (code.CodingSchemeDesignator == "SCT") == bool(LABELS[label].snomed)
    if LABELS[label].kind == "anatomy" and LABELS[label].snomed:
        assert site and site[0].value == LABELS[label].snomed
    assert bool(dicom_codes.side_code(label)) == bool(LABELS[label].side)


def test_codes_of_the_private_scheme_are_told_apart():
    names = [label for label, row in LABELS.items() if not row.snomed]
    assert len({dicom_codes.label_code(name).CodeValue for name in names}) == len(names)
