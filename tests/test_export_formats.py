"""Each format read back by another reader: PDF, FHIR, NIfTI, CSV, COCO, PNG."""

from __future__ import annotations

import csv
import json

import nibabel as nib
import numpy as np
import PIL.Image
import pypdfium2
import pytest
from fhir.resources.R4B.bundle import Bundle
from pycocotools.coco import COCO

from medvlm.geometry import Space, Turn
from medvlm.report.export import OF_DICOM, check_possible, possible_formats, write_report
from medvlm.report.export.pdf import MOST_IMAGES
from medvlm.report.measurements import measure
from medvlm.studies import load_study
from medvlm.types import Finding, Image, Measurement, Region, Report, Section, Sentence, Study, mask_box
from tests.studies import SECRET, write_series

MARKUP = '<img src="http://example.org/x.png"/> & <b>'


def rectangle(x0, y0, x1, y1, size):
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def drafted(size=(60, 80), images=1, spacing=(0.5, 0.25), labels=("left lung", "lung nodule"), text=""):
    """A lung with a nodule in it on every image, a mass that is uncertain, and an effusion that is not there."""
    regions, findings = [], []
    for label, box in zip(labels, [(10, 10, 50, 40), (20, 15, 30, 25)], strict=True):
        masks = [rectangle(*box, size) for _ in range(images)]
        own = [Region(label, i, mask_box(mask), mask, 0.9) for i, mask in enumerate(masks)]
        numbers = list(range(len(regions), len(regions) + images))
        findings.append(Finding(label, "present", 0.93, numbers, measure(own[0], {}, spacing)))
        regions += own
    regions.append(Region("lung mass", 0, (60, 5, 70, 25), None, 0.4))
    findings.append(Finding("lung mass", "uncertain", 0.4, [len(regions) - 1], [Measurement("width", 10, "px")]))
    findings.append(Finding("pleural effusion", "absent", 0.8))
    told = [Sentence(text or "Nodule in the lung.", 1, [1]), Sentence("Looked for and not found: pleural effusion.")]
    impression = Section("Impression", [Sentence("Lung nodule (probability 0.93).", 1, findings[1].regions)])
    sections = [Section("Examination", [Sentence("X-ray, chest.")]), Section("Findings", told), impression]
    report = Report(sections, findings, regions, "nano", notices=["Left and right are assumed."], fingerprint="abc123")
    pixels = np.random.default_rng(0).integers(0, 255, size, np.uint8)
    return report, Study([Image(pixels, spacing, f"view {i + 1}" if images > 1 else "") for i in range(images)])


def written(tmp_path, report, study, name):
    return {str(path.relative_to(tmp_path)): path for path in write_report(report, study, tmp_path, [name])}


# PDF


def pages(path):
    with pypdfium2.PdfDocument(path) as document:
        return [" ".join(page.get_textpage().get_text_range().split()) for page in document]


def test_a_pdf_of_one_page_has_all_that_one_hands_over(tmp_path):
    report, study = drafted()
    (text,) = pages(written(tmp_path, report, study, "pdf")["report.pdf"])
    assert text.count("Looked for and not found") == 1 and "pleural effusion (0.80)" in text
    assert "very likely" not in text.split("Table of findings")[0] and "likely, 0.93" in text
    assert "rather unlikely, 0.40" in text and "20.0 × 2.5" not in text and "area 150 mm²" in text
    assert "nano, fingerprint abc123" in text and "Left and right are assumed." in text
    assert text.count(report.disclaimer) == 2 and "Page 1 of 1" in text
    assert [f"R{i}" in text for i in (1, 2, 3)] == [True] * 3


def test_an_image_of_the_pdf_is_large_and_shows_the_regions(tmp_path):
    report, study = drafted()
    study.images[0].pixels[:] = 0
    with pypdfium2.PdfDocument(written(tmp_path, report, study, "pdf")["report.pdf"]) as document:
        page = np.asarray(document[0].render(scale=1).to_pil().convert("RGB")).astype(int)
    dark = page.sum(axis=2) < 30
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    assert np.ptp(columns) > 0.4 * page.shape[1] and np.ptp(rows) > 200
    assert (np.ptp(page, axis=2) > 80).sum() > 1000, "coloured"


@pytest.mark.parametrize("images", [2, 5, 9])
def test_several_images_and_long_texts_flow_on(tmp_path, images):
    words = " ".join(f"word{i}" for i in range(3000)) + " " + "x" * 400
    report, study = drafted(images=images, text=words)
    report.findings += [Finding(f"finding {i} {'of a long name ' * 6}", "uncertain", 0.4) for i in range(60)]
    found = pages(written(tmp_path, report, study, "pdf")["report.pdf"])
    text = " ".join(found)
    assert len(found) > 3 and f"Page {len(found)} of {len(found)}" in found[-1]
    assert all(f"word{i}" in text for i in range(0, 3000, 37)) and text.count("finding 59 of") == 1
    assert sum(f"View {i + 1}" in text for i in range(images)) == min(images, MOST_IMAGES)
    assert ("more image" in text) == (images > MOST_IMAGES)


def test_a_row_longer_than_a_page_flows_on(tmp_path):
    report, study = drafted(labels=("left lung", "word " * 2000))
    assert " ".join(pages(written(tmp_path, report, study, "pdf")["report.pdf"])).count("word") >= 2000


def test_markup_in_a_pdf_is_text(tmp_path):
    report, study = drafted(labels=("left lung", MARKUP), text=MARKUP)
    assert MARKUP in " ".join(pages(written(tmp_path, report, study, "pdf")["report.pdf"]))


def test_a_pdf_where_nothing_was_found(tmp_path):
    report, study = drafted()
    report.regions, report.findings = [], report.findings[3:]
    report.sections = report.sections[:1]
    (text,) = pages(written(tmp_path, report, study, "pdf")["report.pdf"])
    assert "pleural effusion" in text and "Table of findings" not in text


# FHIR


def bundle(tmp_path, report, study):
    content = written(tmp_path, report, study, "fhir")["report.fhir.json"].read_text()
    Bundle.model_validate_json(content)
    return [entry["resource"] for entry in json.loads(content)["entry"]]


def test_fhir_is_valid_and_refers_to_itself(tmp_path):
    report, study = drafted()
    resources = bundle(tmp_path, report, study)
    kinds = [one["resourceType"] for one in resources]
    assert kinds == ["DiagnosticReport", *["Observation"] * 4, "ImagingStudy", "Device"]
    ids = {f"urn:uuid:{one['id']}" for one in resources}
    text = json.dumps(resources)
    refered = [part.split('"')[0] for part in text.split('"reference": "')[1:]]
    assert len(refered) == 4 + 1 + 2 * 4 and set(refered) <= ids
    main, device = resources[0], resources[-1]
    assert main["status"] == "preliminary" and report.disclaimer in main["conclusion"]
    assert {"value": "fingerprint abc123"} in device["version"]
    assert [c["coding"][0]["code"] for c in main["conclusionCode"]] == ["786838002"], "the nodule, not the lung"


def test_fhir_codes_sites_presence_and_units(tmp_path):
    _, lung, nodule, mass, effusion, _, _ = bundle(tmp_path, *drafted())
    assert nodule["code"]["coding"][0] == {
        "system": "http://snomed.info/sct", "code": "786838002", "display": "Nodule of lung",
    }  # fmt: skip
    assert lung["bodySite"]["coding"][0]["code"] == "39607008:272741003=7771000" and "bodySite" not in nodule
    values = [one["valueCodeableConcept"]["coding"][0]["display"] for one in (nodule, mass, effusion)]
    assert values == ["Present", "Equivocal", "Absent"]
    area = next(c for c in nodule["component"] if c["code"]["text"] == "area")
    assert area["valueQuantity"] == {
        "value": 12.5, "unit": "mm2", "system": "http://unitsofmeasure.org", "code": "mm2",
    }  # fmt: skip
    chance = effusion["component"][0]
    assert chance["code"]["text"].endswith("absent") and chance["valueQuantity"]["value"] == 0.8


def test_fhir_of_nothing(tmp_path):
    resources = bundle(tmp_path, Report([], [], []), Study([Image(np.zeros((9, 9), np.uint8))]))
    assert "result" not in resources[0] and resources[1]["modality"][0]["code"] == "OT"


# NIfTI


def names_in(picture):
    (extension,) = picture.header.extensions
    content = extension.get_content()
    return content.decode() if isinstance(content, bytes) else content


def test_masks_of_a_picture_have_its_spacing_and_names(tmp_path):
    report, study = drafted()
    files = written(tmp_path, report, study, "nifti")
    assert set(files) == {
        "masks_image_001.nii.gz",
        *(f"masks_image_001/{name}.nii.gz" for name in ("01_left_lung", "02_lung_nodule")),
    }, "the nodule lies in the lung"
    picture = nib.load(files["masks_image_001.nii.gz"])
    assert np.allclose(picture.affine, np.diag([0.25, 0.5, 1, 1]))
    assert 'Key="1"' in names_in(picture) and ">left lung</Label>" in names_in(picture)
    SimpleITK = pytest.importorskip("SimpleITK")
    shown = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(files["masks_image_001.nii.gz"])))[0]
    lung, nodule = report.regions[0].mask, report.regions[1].mask
    assert (shown == np.where(nodule, 2, lung.astype(int))).all()
    whole = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(files["masks_image_001/01_left_lung.nii.gz"])))[0]
    assert (whole == lung).all()


def test_a_label_that_somebody_typed_is_in_no_file_name(tmp_path):
    files = written(tmp_path, *drafted(labels=("left lung", f"{SECRET}/../x")), "nifti")
    assert "masks_image_001/02_label.nii.gz" in files


def test_an_image_each_where_the_place_is_unknown(tmp_path):
    files = written(tmp_path, *drafted(images=3), "nifti")
    assert [name for name in files if "/" not in name] == [f"masks_image_00{i}.nii.gz" for i in (1, 2, 3)]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("flipped", [False, True])
def test_masks_of_a_nifti_volume_lie_where_its_voxels_do(tmp_path, axis, flipped):
    """A bright block is found as it is shown, and written back upon itself."""
    voxels = np.zeros((20, 24, 28), np.int16)
    voxels[4:9, 10:20, 12:17] = 900
    edges = np.ones(3)
    edges[axis] = 4
    affine = np.diag([*edges, 1.0])[[1, 0, 2, 3]]  # the first axis runs along the second of the patient
    affine[:3, 3] = -30, 20, 7
    affine[0] *= -1 if flipped else 1
    nib.save(nib.Nifti1Image(voxels, affine), tmp_path / "volume.nii.gz")
    study = load_study(tmp_path / "volume.nii.gz")
    masks = {i: image.pixels > 128 for i, image in enumerate(study.images) if (image.pixels > 128).any()}
    regions = [Region("liver", i, mask_box(mask), mask, 0.9) for i, mask in masks.items()]
    report = Report([], [Finding("liver", "present", 0.9, list(range(len(regions))))], regions)
    (path,) = written(tmp_path / "out", report, study, "nifti").values()
    back = nib.load(path)
    assert np.allclose(back.affine, affine) and (np.asarray(back.dataobj) == (voxels > 0)).all()


@pytest.mark.parametrize("tilt", [0.0, 3.0])
def test_masks_of_a_dicom_series_lie_where_its_voxels_do(tmp_path, tilt):
    """SimpleITK reads the series by itself; the points of both volumes agree, with a tilted gantry too."""
    block = np.zeros((5, 16, 20), np.int16)
    block[1:4, 3:9, 5:15] = 900
    directions = np.array([1, 0, 0, 0, 0.8, 0.6]), np.array([0, -0.6, 0.8])
    for number, plane in enumerate(block):
        position = np.array([-7.0, 11, 40]) + 3.0 * number * directions[1] + tilt * number * np.array([0, 1, 0])
        write_slice(tmp_path / f"{number}.dcm", plane, position, directions[0], number)
    study = load_study(tmp_path)
    masks = {i: image.pixels > 128 for i, image in enumerate(study.images) if (image.pixels > 128).any()}
    regions = [Region("liver", i, mask_box(mask), mask, 0.9) for i, mask in masks.items()]
    (path,) = written(tmp_path / "out", Report([], [], regions), study, "nifti").values()
    picture = nib.load(path)
    ours = nib.affines.apply_affine(picture.affine, np.argwhere(np.asarray(picture.dataobj)))
    truth = []
    for number, row, column in np.argwhere(block > 0):
        position = np.array([-7.0, 11, 40]) + 3.0 * number * directions[1] + tilt * number * np.array([0, 1, 0])
        truth.append(position + column * 0.5 * directions[0][:3] + row * 0.7 * directions[0][3:])
    truth = np.array(truth) * [-1, -1, 1]
    assert len(ours) == len(truth)
    assert np.allclose(np.sort(ours.round(3), axis=0), np.sort(truth.round(3), axis=0), atol=0.02)


def write_slice(path, plane, position, directions, number):
    from tests.studies import write

    write(
        path, plane, ImagePositionPatient=list(map(float, position)), ImageOrientationPatient=list(map(float, directions)),
        PixelSpacing=[0.7, 0.5], InstanceNumber=number + 1, SliceThickness=3.0,
    )  # fmt: skip


def test_an_empty_volume_where_nothing_was_found(tmp_path):
    study = Study([Image(np.zeros((4, 5), np.uint8)) for _ in range(3)], space=Space((4, 5, 3), np.eye(4)))
    (path,) = written(tmp_path, Report([], [], []), study, "nifti").values()
    assert not np.asarray(nib.load(path).dataobj).any() and nib.load(path).shape == (4, 5, 3)


def test_a_turned_picture_goes_back_to_the_pixels_of_its_file(tmp_path):
    report, _ = drafted(size=(60, 80))
    turn = Turn((80, 30), (60, 80), exchanged=True, mirrored=True)
    study = Study([Image(np.zeros((60, 80), np.uint8), (0.5, 0.5), turn=turn)])
    picture = nib.load(written(tmp_path, report, study, "nifti")["masks_image_001.nii.gz"])
    assert picture.shape == (30, 80, 1) and np.allclose(picture.affine, np.diag([1.0, 0.5, 1, 1]))


# CSV, COCO, PNG


def test_csv_has_a_row_a_measurement(tmp_path):
    report, study = drafted()
    with written(tmp_path, report, study, "csv")["report.csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 + 3 + 1 + 1
    assert rows[2] == {
        **{"finding": "left lung", "presence": "present", "confidence": "0.9300", "images": "1", "regions": "R1"},
        **{"measurement": "area", "value": "150.000", "unit": "mm2", "ucum": "mm2", "snomed": "39607008"},
    }
    assert rows[6]["ucum"] == "{pixels}" and rows[7]["presence"] == "absent" and rows[7]["measurement"] == ""


def test_coco_is_read_back_by_pycocotools(tmp_path):
    report, study = drafted(images=2)
    files = written(tmp_path, report, study, "coco")
    coco = COCO(files["coco/annotations.json"])
    assert {c["name"] for c in coco.loadCats(coco.getCatIds())} == {"left lung", "lung nodule", "lung mass"}
    assert len(coco.getImgIds()) == 2
    for region, annotation in zip(report.regions, coco.loadAnns(coco.getAnnIds()), strict=True):
        mask = coco.annToMask(annotation).astype(bool)
        drawn = rectangle(*map(int, region.box), (60, 80)) if region.mask is None else region.mask
        assert (mask == drawn).all() and annotation["area"] == drawn.sum()
        name = coco.loadImgs(annotation["image_id"])[0]["file_name"]
        shown = np.asarray(PIL.Image.open(tmp_path / "coco" / name))
        assert (shown == study.images[region.image].pixels).all()


def test_overlays_have_the_size_of_the_source(tmp_path):
    report, study = drafted(images=2)
    files = written(tmp_path, report, study, "png")
    assert list(files) == ["overlays/image_001.png", "overlays/image_002.png"]
    drawn = np.asarray(PIL.Image.open(files["overlays/image_001.png"]))
    assert drawn.shape == (60, 80, 3) and (np.ptp(drawn[30, 20].astype(int)) > 20)


# What a study allows


def test_dicom_formats_are_offered_for_dicom_alone(tmp_path):
    write_series(tmp_path)
    dicom, picture = load_study(tmp_path), drafted()[1]
    assert {"seg", "sr"} <= set(possible_formats(dicom)) and not {"seg", "sr"} & set(possible_formats(picture))
    check_possible(["seg", "pdf"], dicom)
    with pytest.raises(Exception, match="need DICOM images: seg, sr"):
        check_possible(["seg", "pdf", "sr"], picture)


def test_nothing_of_a_patient_is_in_other_formats(tmp_path):
    write_series(tmp_path / "in")
    study = load_study(tmp_path / "in")
    formats = [name for name in possible_formats(study) if name not in OF_DICOM]
    regions = [Region("liver", 0, (0, 0, 4, 4), np.ones(study.images[0].size, bool), 0.9)]
    report = Report([], [Finding("liver", "present", 0.9, [0])], regions)
    for path in write_report(report, study, tmp_path / "out", formats):
        content = nib.load(path).header.binaryblock if path.name.endswith("gz") else path.read_bytes()
        assert not any(word in content for word in (b"Doe", b"12345678", b"1.2.3", str(tmp_path).encode())), path.name
