"""A report as DICOM SEG: masks equal to the voxel, places as other readers compute them, nothing of a patient elsewhere."""

from __future__ import annotations

import io
import logging
import shutil
import subprocess
import warnings
import zipfile
from dataclasses import replace

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.examples import get_path
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    EnhancedMRImageStorage,
    MRImageStorage,
)

from medvlm.errors import RequestError
from medvlm.studies import load_study
from medvlm.types import Image, Study

from .dicom_export import (
    DCMQI,
    LANDMARK,
    PLANES,
    SIZE,
    SPACE,
    STUDY,
    blob,
    checked,
    dicom_seg,
    dicom_sr,
    hd,
    landmarks,
    nibabels_affine,
    places,
    region,
    report_of,
    series,
)
from .studies import SECRET, VOLUMES, write
from .test_studies_choice import mosaic, slide


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 1.0)])
def test_what_is_marked_on_the_screen_lies_where_other_readers_see_it(tmp_path, plane, spacing):
    study = load_study(series(tmp_path / "in", PLANES[plane], spacing))
    (path,) = dicom_seg.write(landmarks(study), study, tmp_path)
    checked(path)
    found = dict(places(hd.seg.segread(path)))
    assert len(found) == 5
    for file in (tmp_path / "in").iterdir():
        source = pydicom.dcmread(file)
        expected = nibabels_affine(source) @ [*LANDMARK, 0, 1]
        centre = found[source.SOPInstanceUID].mean(axis=0)
        assert np.abs(centre - expected[:3]).max() < (0.01 if spacing == (1.0, 1.0) else 0.6)


@pytest.mark.skipif(not DCMQI.exists(), reason="dcmqi is not installed")
@pytest.mark.parametrize("plane", ["axial, reversed", "sagittal, lying", "oblique, exchanged"])
def test_dcmqi_reads_each_segment_where_its_source_is(tmp_path, plane):
    study = load_study(series(tmp_path / "in", PLANES[plane]))
    size = study.images[0].size
    masks = {("liver", i): blob(size, (8 + i, 9), 5) for i in range(5)} | {("spleen", 2): blob(size, (15, 5), 2)}
    (path,) = dicom_seg.write(
        report_of(*(region(label, i, mask) for (label, i), mask in masks.items())), study, tmp_path
    )
    command = [DCMQI, "--inputDICOM", path, "--outputDirectory", tmp_path, "-t", "nifti"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    for number, label in enumerate(("liver", "spleen"), 1):
        read = nib.nifti1.load(tmp_path / f"{number}.nii.gz")
        seen = nib.affines.apply_affine(np.diag([-1, -1, 1, 1]) @ read.affine, np.argwhere(read.get_fdata()))
        expected = []
        for (name, i), mask in masks.items():
            image = study.images[i]
            stored = np.argwhere(image.turn.to_stored(mask) if image.turn else mask)
            affine = nibabels_affine(pydicom.dcmread(image.origin.path))
            expected += (
                [] if name != label else list(nib.affines.apply_affine(affine, np.c_[stored, np.zeros(len(stored))]))
            )
        assert len(seen) == len(expected)
        apart = np.linalg.norm(seen[:, None] - np.array(expected)[None], axis=2)
        assert apart.min(axis=0).max() < 1e-3 and apart.min(axis=1).max() < 1e-3


def test_a_tilted_gantry_keeps_each_slice_in_its_place(tmp_path):
    study = load_study(series(tmp_path / "in", step=(0, 0.8, 2.5)))
    (path,) = dicom_seg.write(landmarks(study), study, tmp_path)
    found = dict(places(hd.seg.segread(path)))
    for file in (tmp_path / "in").iterdir():
        source = pydicom.dcmread(file)
        expected = np.array(source.ImagePositionPatient) + [LANDMARK[1], LANDMARK[0], 0]
        assert found[source.SOPInstanceUID].tolist() == [pytest.approx(expected.tolist())]


def test_masks_are_equal_to_the_voxel_also_where_they_overlap(tmp_path):
    study = load_study(series(tmp_path / "in", PLANES["oblique, exchanged"]))
    size = study.images[0].size
    masks = {
        (label, i): blob(size, (8 + i, 9), 5 - n) for n, label in enumerate(("liver", "liver cancer")) for i in (1, 2)
    }
    report = report_of(*(region(label, i, mask) for (label, i), mask in masks.items()))
    (path,) = dicom_seg.write(report, study, tmp_path)
    segmentation = hd.seg.segread(path)
    assert segmentation.SegmentsOverlap == "YES"
    headers = {pydicom.dcmread(f).ImagePositionPatient[2]: pydicom.dcmread(f) for f in (tmp_path / "in").iterdir()}
    by_image = [header for _, header in sorted(headers.items())]
    uids = [header.SOPInstanceUID for header in by_image[1:3]]
    pixels = segmentation.get_pixels_by_source_instance(uids, ignore_spatial_locations=True)  # (source, H, W, segment)
    for (label, i), mask in masks.items():
        (number,) = segmentation.get_segment_numbers(segment_label=label)
        assert study.images[i].turn is not None
        assert (pixels[i - 1, ..., number - 1] == study.images[i].turn.to_stored(mask)).all()
    assert segmentation.NumberOfFrames == 4


def test_the_distance_of_slices_is_the_sources_however_few_show_something(tmp_path):
    study = load_study(series(tmp_path / "in"))
    size = study.images[0].size
    report = report_of(*(region("liver", i, blob(size, (9, 9))) for i in (0, 2, 4)))
    (path,) = dicom_seg.write(report, study, tmp_path)
    measures = pydicom.dcmread(path).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert (float(measures.SpacingBetweenSlices), list(measures.PixelSpacing)) == (2.5, [1.0, 1.0])


def test_things_are_segments_and_slices_that_lie_on_one_another_are_one_thing(tmp_path):
    study = replace(load_study(series(tmp_path / "in")), body_part="chest")
    size = study.images[0].size
    report = report_of(
        region("lung nodule", 0, blob(size, (6, 6))),
        region("lung nodule", 1, blob(size, (7, 6))),
        region("lung nodule", 1, blob(size, (17, 14))),
        region("left lung", 1, blob(size, (9, 9), 6)),
        region("left lung", 4, blob(size, (9, 9), 2)),
        region("ground glass opacity", 2, blob(size, (9, 9))),
    )
    (path,) = dicom_seg.write(report, study, tmp_path)
    checked(path)
    segmentation = hd.seg.segread(path)
    segments = list(segmentation.SegmentSequence)
    names = ["lung nodule 1", "lung nodule 2", "left lung", "ground glass opacity"]
    assert [s.SegmentLabel for s in segments] == [s.TrackingID for s in segments] == names
    assert len({s.TrackingUID for s in segments}) == 4
    kinds = [s.SegmentedPropertyTypeCodeSequence[0] for s in segments]
    assert [(k.CodingSchemeDesignator, k.CodeMeaning) for k in kinds] == [
        *[("SCT", "Nodule of lung")] * 2,
        ("SCT", "Lung"),
        ("99MEDVLM", "ground glass opacity"),
    ]
    assert kinds[2].SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert [s.AnatomicRegionSequence[0].CodeMeaning for s in segments] == ["Lung", "Lung", "Lung", "Chest"]
    assert {s.SegmentAlgorithmType for s in segments} == {"AUTOMATIC"}
    shown = {n: len(list(frames)) for n, frames in ((n, _frames(segmentation, n)) for n in (1, 2, 3, 4))}
    assert shown == {1: 2, 2: 1, 3: 2, 4: 1}


def _frames(segmentation, number):
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number:
            yield group


def test_too_many_things_are_one_segment_and_too_large_ones_several_files(tmp_path, monkeypatch):
    study = load_study(series(tmp_path / "in", count=1))
    size = study.images[0].size
    report = report_of(
        *(region("lung nodule", 0, blob(size, (2 + 4 * n, 5), 2)) for n in range(4)),
        region("liver", 0, blob(size, (5, 14))),
    )
    monkeypatch.setattr(dicom_seg, "_MOST_THINGS", 3)
    (path,) = dicom_seg.write(report, study, tmp_path)
    assert [s.SegmentLabel for s in pydicom.dcmread(path).SegmentSequence] == ["lung nodule", "liver"]
    monkeypatch.setattr(dicom_seg, "_MOST_VALUES", size[0] * size[1])
    paths = dicom_seg.write(report, study, tmp_path)
    assert [path.name for path in paths] == ["report.seg.dcm", "report.seg-2.dcm"]
    assert pydicom.dcmread(paths[1]).SegmentSequence[0].SegmentLabel == "liver"


def test_the_record_is_the_sources_and_nothing_else_names_the_patient(tmp_path, monkeypatch, capfd):
    log = logging.StreamHandler(io.StringIO())
    monkeypatch.setattr(logging.getLogger(), "handlers", [log])
    monkeypatch.setattr(logging.getLogger(), "level", logging.DEBUG)
    names = {
        "PatientName": "山田^太郎",
        "PatientID": "12345678",
        "SpecificCharacterSet": "ISO_IR 192",
        "PatientSex": "?",
    }
    wrong = {"PatientBirthDate": "unknown", "StudyID": "S-77", "AccessionNumber": "A77", "StudyDate": "20200102"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some values are meant to be wrong
        folder = series(tmp_path / "Doe_Jane", **names, **wrong)
    study = load_study(folder)
    paths = dicom_sr.write(landmarks(study), study, tmp_path)
    said = log.stream.getvalue() + "".join(capfd.readouterr()) + repr(study)
    assert [path.name for path in paths] == ["report.seg.dcm", "report.sr.dcm"]
    source = pydicom.dcmread(next(folder.iterdir()))
    for path in paths:
        made = pydicom.dcmread(path)
        checked(path)
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "StudyID", "AccessionNumber"):
            assert made[keyword].value == source[keyword].value, keyword
        assert made.SeriesInstanceUID != source.SeriesInstanceUID
        assert (made.PatientBirthDate, made.PatientSex) == ("", "")
    references = pydicom.dcmread(paths[0]).ReferencedSeriesSequence[0]
    assert references.SeriesInstanceUID == source.SeriesInstanceUID
    assert {r.ReferencedSOPInstanceUID for r in references.ReferencedInstanceSequence} == {
        pydicom.dcmread(file).SOPInstanceUID for file in folder.iterdir()
    }
    assert not any(
        word in said for word in ("山田", "12345678", "unknown", "Doe_Jane", "A77", str(source.SOPInstanceUID))
    )


def test_older_scripts_are_written_on(tmp_path):
    folder = series(tmp_path / "in", SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jürgen")
    study = load_study(folder)
    for path in dicom_sr.write(landmarks(study), study, tmp_path):
        assert str(pydicom.dcmread(path).PatientName) == "Müller^Jürgen"


def test_films_without_a_place_get_a_segmentation_each(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    kind = {"SOPClassUID": DigitalXRayImageStorageForPresentation, "Modality": "DX", "StudyInstanceUID": STUDY}
    for n, letters in enumerate((["L", "F"], ["R", "F"])):  # the second is mirrored as stored
        stored = np.zeros((30 + n, 20), np.uint16)
        stored[4, 3] = 900
        write(folder / f"{n}.dcm", stored, PatientOrientation=letters, InstanceNumber=n + 1, **kind)
    study = load_study(folder)
    report = landmarks(study, "heart")
    paths = dicom_sr.write(report, study, tmp_path)
    assert [path.name for path in paths] == ["report.seg.dcm", "report.seg-2.dcm", "report.sr.dcm"]
    for n, path in enumerate(paths[:2]):
        checked(path)
        made = pydicom.dcmread(path)
        assert np.argwhere(made.pixel_array).tolist() == [[4, 3]]
        assert made.SourceImageSequence[0].ReferencedSOPClassUID == DigitalXRayImageStorageForPresentation
        assert (
            made.SourceImageSequence[0].ReferencedSOPInstanceUID == pydicom.dcmread(folder / f"{n}.dcm").SOPInstanceUID
        )
    checked(paths[2])
    groups = hd.sr.srread(paths[2]).content.get_planar_roi_measurement_groups()
    assert len(groups) == 2 and len({group.tracking_uid for group in groups}) == 1  # one heart


def test_frames_of_a_clip_are_named_by_their_number(tmp_path):
    study = load_study(get_path("ybr_color"))
    image = len(study.images) - 1
    report = report_of(region("liver", image, blob(study.images[image].size, (90, 90), 20)))
    seg, path = dicom_sr.write(report, study, tmp_path)
    checked(seg)
    checked(path)
    item = pydicom.dcmread(seg).PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    source = pydicom.dcmread(get_path("ybr_color"))
    assert (item.ReferencedSOPInstanceUID, item.ReferencedFrameNumber) == (
        source.SOPInstanceUID,
        study.images[image].origin.frame + 1,
    )
    (group,) = hd.sr.srread(path).content.get_planar_roi_measurement_groups()
    assert group.referenced_segmentation_frame[1].referenced_frame_numbers == [item.ReferencedFrameNumber]


def item(**elements: object) -> Sequence:
    out = pydicom.Dataset()
    for keyword, value in elements.items():
        setattr(out, keyword, value)
    return Sequence([out])


def test_frames_of_an_enhanced_object_lie_where_their_groups_say(tmp_path):
    places_mm = [(10.0, -30.0, 50.0 + 2.5 * n) for n in (2, 0, 3, 1)]
    per_frame = [item(PlanePositionSequence=item(ImagePositionPatient=list(at)))[0] for at in places_mm]
    shared = item(
        PlaneOrientationSequence=item(ImageOrientationPatient=[-1, 0, 0, 0, -1, 0]),
        PixelMeasuresSequence=item(PixelSpacing=[0.5, 0.5], SliceThickness=2.5),
        FrameVOILUTSequence=item(WindowCenter=500, WindowWidth=1000),
    )
    stored = np.zeros((4, *SIZE), np.uint16)
    stored[(slice(None), *LANDMARK)] = 900
    groups = {"SharedFunctionalGroupsSequence": shared, "PerFrameFunctionalGroupsSequence": Sequence(per_frame)}
    kind = {
        "SOPClassUID": EnhancedMRImageStorage,
        "Modality": "MR",
        "FrameOfReferenceUID": SPACE,
        "StudyInstanceUID": STUDY,
    }
    source = write(tmp_path / "a.dcm", stored, **groups, **kind)
    study = load_study(source)
    assert [image.origin.frame for image in study.images] == [1, 3, 0, 2]
    size = study.images[0].size
    report = report_of(*(region("liver", i, image.pixels > 200) for i, image in enumerate(study.images[1:], 1)))
    seg, sr = dicom_sr.write(report, study, tmp_path)
    checked(seg)
    checked(sr)
    made = hd.seg.segread(seg)
    assert len(made.SourceImageSequence) == 1 and size == SIZE
    shown = [group.DerivationImageSequence[0].SourceImageSequence[0] for group in made.PerFrameFunctionalGroupsSequence]
    assert {shot.ReferencedSOPInstanceUID for shot in shown} == {pydicom.dcmread(source).SOPInstanceUID}
    found = {shot.ReferencedFrameNumber: at for shot, (_, at) in zip(shown, places(made), strict=True)}
    assert set(found) == {1, 3, 4}
    for number, at in found.items():
        expected = np.array(places_mm[number - 1]) - [LANDMARK[1] * 0.5, LANDMARK[0] * 0.5, 0]
        assert at.tolist() == [pytest.approx(expected.tolist())]
    (group,) = hd.sr.srread(sr).content.get_volumetric_roi_measurement_groups()
    series_of = group.referenced_segment.source_series_for_segmentation
    assert series_of.value == pydicom.dcmread(source).SeriesInstanceUID


def test_slices_of_a_mosaic_are_marked_in_its_frame(tmp_path):
    where = {"FrameOfReferenceUID": SPACE, "StudyInstanceUID": STUDY, "SOPClassUID": MRImageStorage}
    source = mosaic(tmp_path / "a.dcm", 3, 7, WindowCenter=128, WindowWidth=256, **where)
    study = load_study(source)
    report = report_of(*(region("brain tumour", i, blob((32, 32), (9, 20), 4)) for i in (1, 5)))
    (path,) = dicom_seg.write(report, study, tmp_path)
    checked(path)
    made = pydicom.dcmread(path)
    assert made.NumberOfFrames == 2 and (made.Rows, made.Columns) == (96, 96)  # two things
    both = made.pixel_array.any(axis=0)
    expected = np.zeros((96, 96), bool)
    expected[0:32, 32:64] = expected[32:64, 64:96] = report.regions[0].mask
    assert (both == expected).all()


def test_a_slide_is_refused_in_one_sentence(tmp_path):
    slide(tmp_path / "a.dcm", (40, 70), StudyInstanceUID=STUDY)
    study = load_study(tmp_path / "a.dcm")
    with pytest.raises(RequestError, match="of a microscope slide cannot be written: choose nifti or coco"):
        dicom_seg.write(report_of(region("gland", 0, blob((40, 70), (9, 20), 4))), study, tmp_path)


def test_a_region_thinner_than_a_stored_pixel_is_kept(tmp_path):
    study = load_study(series(tmp_path / "in", spacing=(4.0, 1.0), count=1))
    mask = np.zeros(study.images[0].size, bool)
    mask[41, 6] = True
    (path,) = dicom_seg.write(report_of(region("liver", 0, mask)), study, tmp_path)
    assert np.argwhere(pydicom.dcmread(path).pixel_array).tolist() == [[10, 6]]


@pytest.mark.parametrize("name", ["ct", "mr", "rgb_color", "jpeg2k", "palette_color", "overlay"])
def test_public_examples_of_many_makers_are_written_beside_their_source(tmp_path, name):
    study = load_study(get_path(name))
    report = report_of(region("liver", 0, blob(study.images[0].size, (20, 30), 9)))
    paths = dicom_sr.write(report, study, tmp_path)
    for path in paths:
        assert pydicom.dcmread(path).StudyInstanceUID == pydicom.dcmread(get_path(name)).StudyInstanceUID
    assert pydicom.dcmread(paths[0]).pixel_array.sum() == report.regions[0].mask.sum()


@pytest.mark.skipif(not VOLUMES.is_dir(), reason="no volumes here")
@pytest.mark.parametrize("folder", ["dicom_ct", "dicom_ct_j2k"])
def test_a_real_series(tmp_path, folder):
    study = load_study(VOLUMES / folder)
    report = report_of(*(region("liver", i, blob(study.images[i].size, (100 + i, 80), 30)) for i in range(1, 5)))
    seg, path = dicom_sr.write(report, study, tmp_path)
    checked(seg)
    checked(path)
    volume = hd.seg.segread(seg).get_volume()
    lps = np.diag([-1.0, -1.0, 1.0, 1.0])
    assert study.space is not None
    at = np.argwhere(volume.array)  # (slice, row, column)
    mine = np.stack([r.mask for r in report.regions])
    seen = (volume.affine @ np.c_[at[:, :3], np.ones(len(at))].T).T
    image, row, column = np.nonzero(mine)
    expected = (lps @ study.space.affine @ np.stack([row, column, image + 1, np.ones(len(row))])).T
    assert np.allclose(sorted(map(tuple, seen.round(3))), sorted(map(tuple, expected.round(3))), atol=2e-3)


def test_an_archive_leads_back_to_its_files(tmp_path):
    folder = series(tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        archive.writestr("notes.txt", "nothing")
        for n in (3, 0, 4, 1, 2):
            archive.write(folder / f"{n}.dcm", f"{SECRET}/{n}.dcm")
    study = load_study(tmp_path / "study.zip")
    (path,) = dicom_seg.write(landmarks(study), study, tmp_path)
    assert len(pydicom.dcmread(path).SourceImageSequence) == 5


def test_the_same_report_is_the_same_segmentation(tmp_path):
    study = load_study(series(tmp_path / "in"))
    first = dicom_seg.write(landmarks(study), study, tmp_path)[0]
    before = first.read_bytes()
    assert dicom_sr.write(landmarks(study), study, tmp_path)[0] == first
    assert first.read_bytes() == before
    other = landmarks(study, "spleen")
    assert pydicom.dcmread(dicom_seg.write(other, study, tmp_path)[0]).SegmentSequence[0].SegmentLabel == "spleen"


@pytest.mark.parametrize("write_", [dicom_seg.write, dicom_sr.write])
def test_a_study_that_is_no_dicom_gets_one_sentence(tmp_path, write_):
    study = Study([Image(np.zeros((9, 9), np.uint8))])
    with pytest.raises(RequestError, match="the images are not DICOM: choose nifti or coco.$"):
        write_(report_of(region("liver", 0, blob((9, 9), (4, 4)))), study, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_gone_or_changed_are_not_written_beside(tmp_path):
    folder = series(tmp_path / "in", count=1)
    study = load_study(folder)
    other = series(tmp_path / "other", count=1)
    shutil.copy(other / "0.dcm", folder / "0.dcm")
    with pytest.raises(RequestError, match="have changed since they were read: open the study again"):
        dicom_seg.write(landmarks(study), study, tmp_path)
    shutil.rmtree(folder)
    with pytest.raises(RequestError, match="cannot be read any more: open the study again"):
        dicom_sr.write(landmarks(study), study, tmp_path)


def test_images_of_no_study_are_refused(tmp_path):
    study = load_study(series(tmp_path / "in", count=1, StudyInstanceUID=None))
    with pytest.raises(RequestError, match="do not say which study they belong to"):
        dicom_seg.write(landmarks(study), study, tmp_path)


def test_what_the_library_refuses_is_one_sentence_without_values(tmp_path, monkeypatch):
    study = load_study(series(tmp_path / "in", count=1))
    monkeypatch.setattr(dicom_seg, "_masks", lambda *_: (_ for _ in ()).throw(ValueError(SECRET)))
    with pytest.raises(RequestError, match="^A DICOM SEG cannot be made") as caught:
        dicom_seg.write(landmarks(study), study, tmp_path)
    assert SECRET not in str(caught.value) and caught.value.__cause__ is None


def test_a_ct_without_a_frame_of_reference_is_written_slice_by_slice(tmp_path):
    study = load_study(series(tmp_path / "in", count=3, FrameOfReferenceUID=None))
    paths = dicom_seg.write(landmarks(study), study, tmp_path)
    assert len(paths) == 3
    for path in paths:
        assert pydicom.dcmread(path).SourceImageSequence[0].ReferencedSOPClassUID == CTImageStorage
