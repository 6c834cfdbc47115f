"""DICOM: exact pixel values, spacing, patient-safe facts, and refusals."""

from __future__ import annotations

import logging
import warnings
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import MPEG4HP41, JPEG2000Lossless

from medvlm.studies import Limits, load, load_study

from .studies import (
    SECRET,
    place,
    refusal,
    shown,
    write,
    write_series,
)

# pixel values


def test_modality_lut_then_window_then_inversion(tmp_path: Path) -> None:
    """PS3.3 C.11.2.1.2.1: y = ((x - (c - 0.5)) / (w - 1) + 0.5) * 255 for c = 50, w = 101 and x = 2 * stored - 100."""
    stored = np.array([[40, 50, 75, 100, 110]], np.uint16)  # -20, 0, 50, 100, 120
    rescale = {"RescaleSlope": 2, "RescaleIntercept": -100}
    window = {"WindowCenter": [50, 999], "WindowWidth": [101, 1]}
    expected = [0, round(0.5 / 100 * 255), round((0.5 / 100 + 0.5) * 255), 255, 255]
    assert shown(write(tmp_path / "a.dcm", stored, **rescale, **window)) == expected
    inverted = write(tmp_path / "b.dcm", stored, **rescale, **window, PhotometricInterpretation="MONOCHROME1")
    assert shown(inverted) == [255 - value for value in expected]


def test_window_functions(tmp_path: Path) -> None:
    stored = np.array([[0, 25, 50, 75, 100]], np.int16)
    window = {"WindowCenter": 50, "WindowWidth": 100}
    exact = write(tmp_path / "a.dcm", stored, **window, VOILUTFunction="LINEAR_EXACT")
    assert shown(exact) == [0, 64, 128, 191, 255]  # 63.75, 127.5 (to even), 191.25
    sigmoid = write(tmp_path / "b.dcm", stored, **window, VOILUTFunction="SIGMOID")
    assert shown(sigmoid) == [round(255 / (1 + np.exp(-4 * (x - 50) / 100))) for x in (0, 25, 50, 75, 100)]
    threshold = write(tmp_path / "c.dcm", stored, WindowCenter=50, WindowWidth=1)
    assert shown(threshold) == [0, 0, 255, 255, 255]


def lut(entries: list[int], first: int, bits: int) -> Sequence:
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.LUTData = np.array(entries, "<u2").tobytes()
    return Sequence([item])


def test_lookup_tables_come_first(tmp_path: Path) -> None:
    """Modality LUT maps 1, 2, 3 to 10, 20, 30; the VOI LUT maps 10.. to tenths of 1000, over any window."""
    voi = [100 * n for n in range(11)]
    tables = {"ModalityLUTSequence": lut([10, 11, 20], 1, 8), "VOILUTSequence": lut(voi, 10, 10)}
    stored = np.array([[0, 1, 2, 3, 9]], np.uint16)
    path = write(tmp_path / "a.dcm", stored, **tables, WindowCenter=1, WindowWidth=2)
    assert shown(path) == [round(v / 1023 * 255) for v in (0, 0, 100, 1000, 1000)]


def test_ct_without_window_gets_one_by_body_part(tmp_path: Path) -> None:
    stored = np.array([[-1000, -160, 0, 40, 80, 240, 3000]], np.int16)
    rescale = {"RescaleSlope": 1, "RescaleIntercept": 0}
    body = write(tmp_path / "a.dcm", stored, **rescale, BodyPartExamined="ABDOMEN")
    assert shown(body) == [0, 0, 102, 128, 153, 255, 255]
    assert load_study(body).metadata["window_name"] == "soft tissue"
    assert shown(write(tmp_path / "b.dcm", stored, **rescale, BodyPartExamined="HEAD")) == [0, 0, 0, 128, 255, 255, 255]


def test_others_without_window_get_percentiles_of_the_series(tmp_path: Path) -> None:
    for z, top in ((0, 1000), (1, 2000)):
        stored = np.linspace(0, top, 400).astype(np.uint16).reshape(20, 20)
        write(tmp_path / f"{z}.dcm", stored, Modality="MR", SOPInstanceUID=None, **place(z))
    study = load_study(tmp_path)
    low, high = study.metadata["window"]
    assert low < 20 and 1900 < high < 2000 and study.modality == "mri"
    assert study.images[0].pixels.max() < 140 and study.images[1].pixels.max() == 255  # one window for both


def test_eight_bit_grey_is_shown_as_stored(tmp_path: Path) -> None:
    stored = np.array([[0, 7, 200, 250]], np.uint8)
    assert shown(write(tmp_path / "a.dcm", stored, Modality="US")) == [0, 7, 200, 250]


def test_padding_is_black_and_outside_the_window(tmp_path: Path) -> None:
    stored = np.arange(1000, 1100, dtype=np.int16).reshape(10, 10)
    stored[0] = -2000
    path = write(
        tmp_path / "a.dcm", stored, Modality="MG", PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=-2000
    )
    study = load_study(path)
    assert study.images[0].pixels[0].max() == 0 and study.images[0].pixels[1, 0] == 255  # lowest is white
    assert study.metadata["window"][0] >= 1010 and study.modality == "mammography" and study.body_part == "breast"


def test_colours(tmp_path: Path) -> None:
    rgb = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    pixels = load_study(write(tmp_path / "a.dcm", rgb, Modality="ES")).images[0].pixels
    np.testing.assert_array_equal(pixels, rgb)
    deep = load_study(write(tmp_path / "b.dcm", rgb.astype(np.uint16) << 8, Modality="XC"))
    np.testing.assert_array_equal(deep.images[0].pixels, rgb)
    assert deep.modality == "dermoscopy"


# bundled files of every compression


@pytest.mark.parametrize(
    "name",
    ["MR_small_RLE", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless", "MR_small_bigendian", "MR_small_implicit"],
)
def test_lossless_compressions_show_the_same_pixels(name: str) -> None:
    expected = load_study(get_testdata_file("MR_small.dcm", download=False)).images[0]
    study = load_study(get_testdata_file(f"{name}.dcm", download=False))
    np.testing.assert_array_equal(study.images[0].pixels, expected.pixels)
    assert study.modality == "mri" and study.images[0].spacing_mm == (0.3125, 0.3125)


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_rle",
        "SC_rgb_rle_16bit",
        "SC_rgb_jpeg_gdcm",
        "SC_rgb_jpeg_dcmtk",
        "SC_ybr_full_422_uncompressed",
        "SC_rgb_gdcm_KY",
    ],
)
def test_colour_compressions_agree(name: str) -> None:
    """Bars from red at the top; JPEG may move a value a little."""
    expected = load_study(get_testdata_file("SC_rgb_rle.dcm", download=False)).images[0].pixels.astype(int)
    pixels = load_study(get_testdata_file(f"{name}.dcm", download=False)).images[0].pixels
    assert pixels.shape == (100, 100, 3) and np.abs(pixels - expected).mean() < 4
    assert pixels[5, 50, 0] > 240 and pixels[5, 50, 1:].max() < 15


def test_palette_jpeg_and_deflated_files() -> None:
    palette = load_study(get_testdata_file("examples_palette.dcm", download=False))
    assert palette.images[0].pixels.shape == (350, 800, 3) and palette.modality == "ultrasound"
    lossless = load_study(get_testdata_file("examples_jpeg2k.dcm", download=False))
    assert lossless.images[0].pixels.shape == (480, 640, 3)
    assert load_study(get_testdata_file("image_dfl.dcm", download=False)).images[0].pixels.shape == (512, 512)


def test_ultrasound_clip() -> None:
    path = get_testdata_file("examples_ybr_color.dcm", download=False)
    study = load_study(path)
    assert study.kind == "video" and len(study.images) == 30 and study.images[0].pixels.shape == (240, 320, 3)
    np.testing.assert_allclose(study.images[0].spacing_mm, (0.510497, 0.510497))
    few = load_study(path, Limits(video_frames=4))
    np.testing.assert_array_equal(few.images[3].pixels, study.images[29].pixels)
    assert few.notices == ["4 of 30 frames are shown."]


# spacing and facts


def region(**elements: object) -> Dataset:
    item = Dataset()
    values = {"RegionSpatialFormat": 1, "PhysicalUnitsXDirection": 3, "PhysicalUnitsYDirection": 3}
    for keyword, value in {**values, "PhysicalDeltaX": 0.02, "PhysicalDeltaY": 0.01, **elements}.items():
        setattr(item, keyword, value)
    return item


def spacing_and_notices(tmp_path: Path, elements: dict[str, object]) -> tuple[tuple[float, float] | None, list[str]]:
    study = load_study(write(tmp_path / "a.dcm", np.zeros((4, 4), np.uint8), **elements))
    return study.images[0].spacing_mm, [notice for notice in study.notices if "izes" in notice]


@pytest.mark.parametrize(
    ("elements", "spacing"),
    [
        ({"Modality": "MR", "PixelSpacing": [0.75, 0.75]}, (0.75, 0.75)),
        ({"Modality": "MR", "PixelSpacing": [0, 0]}, None),
        ({"Modality": "MR"}, None),
        ({"Modality": "US", "SequenceOfUltrasoundRegions": [region()]}, (0.1, 0.1)),
        ({"Modality": "US", "SequenceOfUltrasoundRegions": [region(), region(PhysicalDeltaX=0.03)]}, None),
        ({"Modality": "US", "SequenceOfUltrasoundRegions": [region(PhysicalUnitsXDirection=4)]}, None),
    ],
)
def test_spacing(tmp_path: Path, elements: dict[str, object], spacing: tuple[float, float] | None) -> None:
    assert spacing_and_notices(tmp_path, elements) == (spacing, [])


DETECTOR = {"Modality": "DX", "ImagerPixelSpacing": [0.2, 0.2]}
AT_DETECTOR = "Sizes are measured at the detector: in the patient they are smaller."


@pytest.mark.parametrize(
    ("elements", "spacing", "notices"),
    [
        ({}, 0.2, [AT_DETECTOR]),
        ({"PixelSpacing": [0.2, 0.2]}, 0.2, [AT_DETECTOR]),
        ({"PixelSpacing": [0.16, 0.16]}, 0.16, []),
        ({"PixelSpacing": [0.2, 0.2], "PixelSpacingCalibrationType": "FIDUCIAL"}, 0.2, []),
        ({"EstimatedRadiographicMagnificationFactor": 1.25}, 0.16, []),
        ({"EstimatedRadiographicMagnificationFactor": 1.25, "PixelSpacing": [0.2, 0.2]}, 0.16, []),
        ({"EstimatedRadiographicMagnificationFactor": 1.25, "PixelSpacing": [0.16, 0.16]}, 0.16, []),
        ({"EstimatedRadiographicMagnificationFactor": 0}, 0.2, [AT_DETECTOR]),
        ({"DistanceSourceToDetector": 1800, "DistanceSourceToPatient": 1440}, 0.16, []),
        ({"DistanceSourceToDetector": 1800, "DistanceSourceToPatient": 0}, 0.2, [AT_DETECTOR]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_magnification_divides_what_is_measured_at_the_detector(
    tmp_path: Path, elements: dict[str, object], spacing: float, notices: list[str]
) -> None:
    """PS3.3 10.7.1.3 and C.8.7.5: at the detector everything is larger by the factor."""
    found, said = spacing_and_notices(tmp_path, {**DETECTOR, **elements})
    np.testing.assert_allclose(found, (spacing, spacing))
    assert said == notices


def test_spacing_of_a_film_that_does_not_say_where_it_holds_is_doubted(tmp_path: Path) -> None:
    spacing, notices = spacing_and_notices(tmp_path, {"Modality": "CR", "PixelSpacing": [0.2, 0.2]})
    assert spacing == (0.2, 0.2) and "do not state where sizes are measured" in notices[0]


@pytest.mark.parametrize(
    ("code", "part", "modality", "body_part"),
    [
        ("CR", "CHEST", "x-ray", "chest"),
        ("PX", None, "x-ray", "teeth"),
        ("MR", "BRAIN", "mri", "brain"),
        ("CT", "HEAD", "ct", "brain"),
        ("OP", None, "fundus", None),
        ("SM", "BREAST", "histopathology", "breast"),
        ("US", "THYROID", "ultrasound", "thyroid"),
        ("NM", "WHOLEBODY", None, None),
        ("JANEDOE", "JANE DOE", None, None),
    ],
)
def test_words(tmp_path: Path, code: str, part: str | None, modality: str | None, body_part: str | None) -> None:
    path = write(tmp_path / "a.dcm", np.zeros((4, 4), np.uint8), Modality=code, BodyPartExamined=part)
    study = load_study(path)
    assert (study.modality, study.body_part) == (modality, body_part) and "JANE" not in repr(study.metadata)


class Kept(logging.Handler):
    """Keeps all text that reaches the root logger (pytest's own fixture also hears loggers that pass nothing on)."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += self.format(record)


def test_no_patient_data_is_kept_or_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.dcm"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid birth date is meant to be written
        write(
            path, np.zeros((4, 4), np.uint8), PatientBirthDate="1960-bad", StudyDescription=SECRET, ProtocolName=SECRET
        )
    log = Kept()
    monkeypatch.setattr(logging.getLogger(), "handlers", [log])
    logging.getLogger("elsewhere").warning("heard")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study = load.load_study(path)  # not in a process of its own, so that its log is heard
    facts = (study.metadata, study.notices, study.series, [image.name for image in study.images])
    text = repr(facts) + log.text
    assert "heard" in text and not any(secret in text for secret in (SECRET, "12345678", "2020", "1960", "1.2.3"))


# refusals


def test_objects_without_pixels_are_refused(tmp_path: Path) -> None:
    assert "structured report" in refusal(Path(get_testdata_file("test-SR.dcm", download=False)))
    assert "radiotherapy plan" in refusal(Path(get_testdata_file("rtplan.dcm", download=False)))
    assert "segmentation" in refusal(Path(get_testdata_file("liver_1frame.dcm", download=False)))
    assert "DICOMDIR" in refusal(Path(get_testdata_file("dicomdirtests/DICOMDIR", download=False)))
    assert "without pixels" in refusal(write(tmp_path / "a.dcm", np.zeros((4, 4), np.uint8), PixelData=None))


def test_video_syntaxes_and_private_ones_are_refused(tmp_path: Path) -> None:
    for syntax, words in ((MPEG4HP41, "MPEG-4"), ("1.2.840.113619.5.99", "unknown format")):
        path = write(tmp_path / "a.dcm", np.zeros((4, 4), np.uint8))
        data = pydicom.dcmread(path)
        data.PixelData = encapsulate([bytes(100)])
        data.file_meta.TransferSyntaxUID = syntax
        data.save_as(path, implicit_vr=False, little_endian=True)
        message = refusal(path)
        assert words in message and "cannot be decoded" in message
    assert "JPEG Extended" in refusal(Path(get_testdata_file("JPGExtended.dcm", download=False)))


@pytest.mark.parametrize(
    "name", ["MR_small.dcm", "MR_small_jp2klossless.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_rle.dcm"]
)
def test_cut_files_are_refused(tmp_path: Path, name: str) -> None:
    whole = Path(get_testdata_file(name, download=False)).read_bytes()
    for share in (0.2, 0.5, 0.9):
        path = tmp_path / "cut.dcm"
        path.write_bytes(whole[: int(len(whole) * share)])
        assert refusal(path).startswith("cut.dcm")


def test_limits_hold_before_pixels_are_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", np.zeros((4, 4), np.uint16), Rows=60_000, Columns=60_000)
    assert "60000 x 60000" in refusal(path)
    assert "5000 images" in refusal(write(tmp_path / "b.dcm", np.zeros((4, 4), np.uint16), NumberOfFrames=5000))
    assert "limit" in refusal(write_series(tmp_path / "s"), Limits(max_total_pixels=70))
    assert "limit" in refusal(write_series(tmp_path / "s"), Limits(max_frames=4))


def test_codestream_that_states_more_than_the_header_is_refused(tmp_path: Path) -> None:
    data = pydicom.dcmread(get_testdata_file("MR_small_jp2klossless.dcm", download=False))
    frame = bytearray(next(pydicom.encaps.generate_frames(data.PixelData, number_of_frames=1)))
    at = frame.find(b"\xff\x4f\xff\x51") + 8
    frame[at : at + 8] = (60_000).to_bytes(4) * 2
    data.PixelData = encapsulate([bytes(frame)])
    assert data.file_meta.TransferSyntaxUID == JPEG2000Lossless
    data.save_as(tmp_path / "a.dcm")
    assert "60000 x 60000" in refusal(tmp_path / "a.dcm")


def test_deflated_bomb_is_refused(tmp_path: Path) -> None:
    whole = Path(get_testdata_file("image_dfl.dcm", download=False)).read_bytes()
    meta = pydicom.filereader.read_file_meta_info(get_testdata_file("image_dfl.dcm", download=False))
    start = 144 + meta.FileMetaInformationGroupLength
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    (tmp_path / "a.dcm").write_bytes(whole[:start] + packer.compress(bytes(2**23)) + packer.flush())
    assert "inflates" in refusal(tmp_path / "a.dcm", Limits(max_bytes=2**20))


@pytest.mark.parametrize("stated, told", [(0.0007, False), (700, False), (0.05, True), (2.0, True)])
def test_a_pixel_size_that_cannot_be_is_told_and_measures_nothing(tmp_path: Path, stated: float, told: bool) -> None:
    write(tmp_path / "a.dcm", np.zeros((24, 20), np.int16), PixelSpacing=[stated, stated], Modality="CT")
    study = load_study(tmp_path / "a.dcm")
    assert (study.images[0].spacing_mm == (stated, stated)) == told
    assert any("cannot be" in notice for notice in study.notices) != told
